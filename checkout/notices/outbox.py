"""The outbox: contacts, wishes and notices in a SQLite file. It decides that a notice is sent once.

    waiting ──claim──▶ (leased: due again in `LEASE_MS`) ──┬─▶ SENT
       ▲                                                   ├─▶ FAILED     refused for ever, or its time is over
       └────── failed for now: due after a pause ──────────┤
                                                           └─▶ HANDED_OVER ──▶ SENT
    CANCELLED   the reason for it is gone               the channel cannot take it back: never sent again

The key of a notice with its channel is the primary key, so planning it again changes nothing. A notice stays
`handed_over` if the process died at that instant. It may have arrived, so it is not sent a second time.
"""

import asyncio
import json
import sqlite3
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple, TypeVar

from checkout.errors import StoreError
from checkout.notices.notice import Notice
from checkout.sqlite_transaction import transaction

T = TypeVar("T")
LEASE_MS = 60_000
SCHEMA = """
CREATE TABLE IF NOT EXISTS contacts (user TEXT PRIMARY KEY, address TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS wishes (
    id INTEGER PRIMARY KEY, kind TEXT, sale TEXT, user TEXT, address TEXT,
    UNIQUE (kind, sale, user), UNIQUE (kind, sale, address)
);
CREATE TABLE IF NOT EXISTS notices (
    key TEXT, channel TEXT, kind TEXT, sale TEXT, user TEXT, address TEXT, subject TEXT, text TEXT,
    due_ms INTEGER, until_ms INTEGER, state TEXT, tries INTEGER, cause TEXT, PRIMARY KEY (key, channel)
);
CREATE INDEX IF NOT EXISTS notices_due ON notices (due_ms) WHERE state = 'waiting';
"""
ADD = "INSERT OR IGNORE INTO notices VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 'waiting', 0, '')"
CANCEL = (
    "INSERT INTO notices (key, channel, state) VALUES (?, ?, 'cancelled') "
    "ON CONFLICT DO UPDATE SET state = 'cancelled' WHERE state = 'waiting'"
)
FIELDS = "key, kind, sale, user, address, subject, text, due_ms, until_ms"
CLAIM = (
    "UPDATE notices SET due_ms = ?1 + ?2, tries = tries + 1 WHERE (key, channel) IN "
    "(SELECT key, channel FROM notices WHERE state = 'waiting' AND due_ms <= ?1 ORDER BY due_ms LIMIT ?3) "
    f"RETURNING channel, tries, {FIELDS}"
)


class ClaimLost(Exception):
    """Another sender has the notice."""


class Claimed(NamedTuple):
    """A notice that this process may send now. tries: this one included."""

    channel: str
    tries: int
    notice: Notice


class Outbox:
    """`Outbox.open(path)`. Several processes of one machine may use the same file. Methods raise `StoreError`."""

    def __init__(self, db: sqlite3.Connection, thread: ThreadPoolExecutor) -> None:
        self._db = db
        self._thread = thread
        self._waiting: list[tuple[str, Sequence[Sequence[object]], asyncio.Future[int]]] = []
        self._committing = asyncio.Lock()

    @classmethod
    async def open(cls, path: str) -> "Outbox":
        """Open the file, and create it if needed. Raises `StoreError`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="outbox")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except sqlite3.Error as error:
            thread.shutdown(wait=False)
            raise StoreError(f"the outbox {path}: {error}") from error
        return cls(db, thread)

    async def close(self) -> None:
        await self._run(self._db.close)
        self._thread.shutdown()

    # -- contacts and wishes -------------------------------------------------------------------------------------

    async def set_contact(self, user: str, address: str) -> None:
        """Keep the address of a visitor; an empty one removes it."""
        if address:
            await self._write("INSERT OR REPLACE INTO contacts VALUES (?, ?)", [(user, address)])
        else:
            await self._write("DELETE FROM contacts WHERE user = ?", [(user,)])

    async def contacts(self, users: Sequence[str]) -> dict[str, str]:
        """Return the addresses of visitors. Those without one are left out."""
        sql = "SELECT user, address FROM contacts WHERE user IN (SELECT value FROM json_each(?))"
        return dict(await self._rows(sql, json.dumps(users)))

    async def wish(self, kind: str, sale: str, user: str, address: str) -> None:
        """Note that a visitor wants to be told once. A later wish replaces the address and keeps the place.

        An address that somebody has given already stays as it is, so nobody can fill another one's mailbox.
        """

        def note() -> None:
            self._db.execute("INSERT OR IGNORE INTO wishes VALUES (NULL, ?, ?, ?, ?)", (kind, sale, user, address))
            sql = "UPDATE OR IGNORE wishes SET address = ? WHERE kind = ? AND sale = ? AND user = ?"
            self._db.execute(sql, (address, kind, sale, user))

        await self._run(lambda: self._transaction(note))

    async def fulfil(
        self, kind: str, sale: str, limit: int, channels: Sequence[str], make: Callable[[str, str], Notice]
    ) -> int:
        """Turn the oldest wishes into notices, in one transaction. make: from user and address. Return their number."""

        def move() -> int:
            sql = "SELECT id, user, address FROM wishes WHERE kind = ? AND sale = ? ORDER BY id LIMIT ?"
            rows = self._db.execute(sql, (kind, sale, limit)).fetchall()
            notices = [make(user, address) for _, user, address in rows]
            self._db.executemany(ADD, [_row(notice, channel) for notice in notices for channel in channels])
            self._db.executemany("DELETE FROM wishes WHERE id = ?", [(row[0],) for row in rows])
            return len(rows)

        return await self._run(lambda: self._transaction(move))

    # -- notices -------------------------------------------------------------------------------------------------

    async def add(self, notices: Sequence[Notice], channels: Sequence[str]) -> None:
        """Plan notices. Those that were planned before stay as they are."""
        await self._write(ADD, [_row(notice, channel) for notice in notices for channel in channels])

    async def cancel(self, keys: Sequence[str], channels: Sequence[str]) -> None:
        """End notices that were not sent, and those that may still be planned under these keys."""
        await self._write(CANCEL, [(key, channel) for key in keys for channel in channels])

    async def claim(self, now_ms: int, limit: int) -> list[Claimed]:
        """Take due notices. Those that are not finished within the lease are due again."""
        rows = await self._rows(CLAIM, now_ms, LEASE_MS, limit)
        return [Claimed(row[0], row[1], Notice(*row[2:])) for row in rows]

    async def hand_over(self, claimed: Claimed) -> None:
        """Note that the notice is about to leave, and must never be sent again unless `again` says so.

        Raises `ClaimLost` if the lease has ended and another sender has claimed it.
        """
        if not await self._set(claimed, "handed_over", required="waiting"):
            raise ClaimLost(claimed.notice.key)

    async def finish(self, claimed: Claimed, state: str, cause: str = "") -> None:
        """Note a final state: `sent` or `failed`."""
        await self._set(claimed, state, cause)

    async def again(self, claimed: Claimed, due_ms: int, cause: str) -> None:
        """Send the notice at a later time, because it surely did not arrive."""
        await self._set(claimed, "waiting", cause, due_ms)

    async def counts(self) -> dict[tuple[str, str], int]:
        """Return the number of notices by channel and state."""
        rows = await self._rows("SELECT channel, state, count(*) FROM notices GROUP BY channel, state")
        return {(channel, state): count for channel, state, count in rows}

    async def _set(self, claimed: Claimed, state: str, cause: str = "", due_ms: int = 0, required: str = "") -> bool:
        """Change a notice if it is still claimed like this, and in the `required` state if given. Return whether so."""
        sql = (
            "UPDATE notices SET state = ?1, cause = ?2, due_ms = ?3 WHERE key = ?4 AND channel = ?5 AND tries = ?6 "
            "AND state IN ('waiting', 'handed_over') AND (?7 = '' OR state = ?7)"
        )
        row = (state, cause, due_ms, claimed.notice.key, claimed.channel, claimed.tries, required)
        return await self._write(sql, [row]) == 1

    # -- in the thread of the connection -------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise StoreError(f"the outbox: {error}") from error

    async def _rows(self, sql: str, *args: object) -> list[Any]:
        return await self._run(lambda: self._db.execute(sql, args).fetchall())

    async def _write(self, sql: str, rows: Sequence[Sequence[object]]) -> int:
        """Write rows and return how many have changed.

        What waits while one transaction is synced goes into the next one together (group commit).
        """
        if not rows:
            return 0
        future: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self._waiting.append((sql, rows, future))
        async with self._committing:
            if not future.done():
                await self._commit()
        return await future

    async def _commit(self) -> None:
        batch, self._waiting = self._waiting, []

        def write() -> list[int]:
            # The cursors must end in this thread: SQLite refuses a statement that two threads touch at once.
            return [self._db.executemany(sql, rows).rowcount for sql, rows, _ in batch]

        changed: list[int] = []
        fault: StoreError | None = StoreError("the outbox was closed")
        try:
            changed = await self._run(lambda: self._transaction(write))
            fault = None
        except StoreError as error:
            fault = error
        finally:
            for at, (_, _, future) in enumerate(batch):
                if future.done():
                    continue  # its writer was cancelled
                if fault is None:
                    future.set_result(changed[at])
                else:
                    future.set_exception(fault)
                    future.exception()  # a writer that was cancelled does not ask

    def _transaction(self, work: Callable[[], T]) -> T:
        with transaction(self._db):
            return work()


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5.0)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(SCHEMA)
    return db


def _row(notice: Notice, channel: str) -> tuple[object, ...]:
    return notice.key, channel, *notice[1:]
