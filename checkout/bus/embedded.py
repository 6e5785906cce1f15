"""The bus of a shop on one machine: a SQLite file, or memory. Several processes may use the same file.

Every method is one transaction. The file is in WAL mode and synced once a publication, so a message that was published
survives a power cut.
"""

import asyncio
import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from checkout.bus.bus import LEASE_S, Bus, BusError, DeadLetter, Delivery, GroupState, Message
from checkout.clock import wall_ms
from checkout.sqlite_transaction import transaction

T = TypeVar("T")
BUSY_S = 5.0
LOOK_EVERY_S = 0.1  # how often a waiting consumer looks for messages of other processes
SCHEMA = """
CREATE TABLE IF NOT EXISTS messages (topic TEXT, number INTEGER, text TEXT, PRIMARY KEY (topic, number)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS groups (topic TEXT, name TEXT, given INTEGER, PRIMARY KEY (topic, name)) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS taken (
    topic TEXT, name TEXT, number INTEGER, until_ms INTEGER, tries INTEGER, PRIMARY KEY (topic, name, number)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS dead (
    topic TEXT, name TEXT, number INTEGER, text TEXT, cause TEXT, PRIMARY KEY (topic, name, number)
) WITHOUT ROWID;
"""
TAKE_AGAIN = (
    "UPDATE taken SET until_ms = ?, tries = tries + 1 WHERE topic = ? AND name = ? AND number IN "
    "(SELECT number FROM taken WHERE topic = ? AND name = ? AND until_ms <= ? ORDER BY number LIMIT ?) "
    "RETURNING number, tries"
)


class EmbeddedBus(Bus):
    """`EmbeddedBus.open(path)`. The path `:memory:` keeps everything in memory."""

    def __init__(self, db: sqlite3.Connection, thread: ThreadPoolExecutor, lease_s: float) -> None:
        self._db = db
        self._thread = thread
        self._lease_ms = round(lease_s * 1000)
        self._published = asyncio.Event()

    @classmethod
    async def open(cls, path: str, *, lease_s: float = LEASE_S) -> "EmbeddedBus":
        """Open the file, and create it if needed. Raises `BusError`."""
        thread = ThreadPoolExecutor(1, thread_name_prefix="bus")
        try:
            db = await asyncio.get_running_loop().run_in_executor(thread, _connect, path)
        except sqlite3.Error as error:
            thread.shutdown(wait=False)
            raise BusError(f"the event bus {path}: {error}") from error
        return cls(db, thread, lease_s)

    async def close(self) -> None:
        await self._run(self._db.close)
        self._thread.shutdown()

    async def publish(self, topic: str, messages: Sequence[Message]) -> None:
        await self._run(lambda: self._publish(topic, messages))
        self._published.set()
        self._published = asyncio.Event()

    async def last(self, topic: str) -> Message | None:
        sql = "SELECT number, text FROM messages WHERE topic = ? ORDER BY number DESC LIMIT 1"
        rows = await self._run(lambda: self._db.execute(sql, (topic,)).fetchall())
        return Message(*rows[0]) if rows else None

    async def after(self, topic: str, number: int, limit: int) -> list[Message]:
        return await self._run(lambda: self._after(topic, number, limit))

    async def take(self, topic: str, group: str, limit: int, wait_s: float = 0.0) -> list[Delivery]:
        until = time.monotonic() + wait_s
        while True:
            published = self._published
            found = await self._run(lambda: self._take(topic, group, limit))
            left_s = until - time.monotonic()
            if found or left_s <= 0:
                return found
            try:
                async with asyncio.timeout(min(left_s, LOOK_EVERY_S)):
                    await published.wait()
            except TimeoutError:
                pass  # look for what another process has published, and for leases that have ended

    async def acknowledge(self, topic: str, group: str, deliveries: Sequence[Delivery]) -> None:
        rows = [(topic, group, delivery.message.number) for delivery in deliveries]
        await self._run(lambda: self._transaction(lambda: self._release(rows)))

    async def bury(self, topic: str, group: str, delivery: Delivery, cause: str) -> None:
        def move() -> None:
            row = (topic, group, *delivery.message, cause)
            self._db.execute("INSERT OR IGNORE INTO dead VALUES (?, ?, ?, ?, ?)", row)
            self._release([(topic, group, delivery.message.number)])

        await self._run(lambda: self._transaction(move))

    async def dead_letters(self, topic: str, group: str, limit: int = 100) -> list[DeadLetter]:
        sql = "SELECT number, text, cause FROM dead WHERE topic = ? AND name = ? ORDER BY number LIMIT ?"
        rows = await self._run(lambda: self._db.execute(sql, (topic, group, limit)).fetchall())
        return [DeadLetter(Message(number, text), cause) for number, text, cause in rows]

    async def state(self, topic: str, group: str) -> GroupState:
        given = "coalesce((SELECT given FROM groups WHERE topic = ?1 AND name = ?2), 0)"
        sql = (
            f"SELECT (SELECT count(*) FROM messages WHERE topic = ?1 AND number > {given}), "
            "(SELECT count(*) FROM taken WHERE topic = ?1 AND name = ?2), "
            "(SELECT count(*) FROM dead WHERE topic = ?1 AND name = ?2)"
        )
        return GroupState(*await self._run(lambda: self._db.execute(sql, (topic, group)).fetchone()))

    async def clear(self, topic: str) -> None:
        def remove() -> None:
            for table in ("messages", "groups", "taken", "dead"):
                self._db.execute(f"DELETE FROM {table} WHERE topic = ?", (topic,))

        await self._run(lambda: self._transaction(remove))

    # -- in the thread of the connection -------------------------------------------------------------------------

    async def _run(self, work: Callable[[], T]) -> T:
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, work)
        except sqlite3.Error as error:
            raise BusError(f"the event bus: {error}") from error

    def _transaction(self, work: Callable[[], T]) -> T:
        with transaction(self._db):
            return work()

    def _publish(self, topic: str, messages: Sequence[Message]) -> None:
        def add() -> None:
            sql = "SELECT coalesce(max(number), 0) FROM messages WHERE topic = ?"
            (last,) = self._db.execute(sql, (topic,)).fetchone()
            rows = [(topic, *message) for message in messages if message.number > last]
            self._db.executemany("INSERT INTO messages VALUES (?, ?, ?)", rows)

        self._transaction(add)

    def _after(self, topic: str, number: int, limit: int) -> list[Message]:
        sql = "SELECT number, text FROM messages WHERE topic = ? AND number > ? ORDER BY number LIMIT ?"
        return [Message(*row) for row in self._db.execute(sql, (topic, number, limit))]

    def _take(self, topic: str, group: str, limit: int) -> list[Delivery]:
        if not self._has_some(topic, group):
            return []
        return self._transaction(lambda: self._lease(topic, group, limit))

    def _has_some(self, topic: str, group: str) -> bool:
        """Look without a write lock, because most looks find nothing."""
        given = "coalesce((SELECT given FROM groups WHERE topic = ?1 AND name = ?2), 0)"
        sql = (
            f"SELECT EXISTS (SELECT 1 FROM messages WHERE topic = ?1 AND number > {given}) "
            "OR EXISTS (SELECT 1 FROM taken WHERE topic = ?1 AND name = ?2 AND until_ms <= ?3)"
        )
        (found,) = self._db.execute(sql, (topic, group, wall_ms())).fetchone()
        return bool(found)

    def _lease(self, topic: str, group: str, limit: int) -> list[Delivery]:
        now = wall_ms()
        until = now + self._lease_ms
        again = dict(self._db.execute(TAKE_AGAIN, (until, topic, group, topic, group, now, limit)))
        old = [message for number in sorted(again) for message in self._after(topic, number - 1, 1)]
        self._db.execute("INSERT OR IGNORE INTO groups VALUES (?, ?, 0)", (topic, group))
        (given,) = self._db.execute("SELECT given FROM groups WHERE topic = ? AND name = ?", (topic, group)).fetchone()
        new = self._after(topic, given, limit - len(old))
        if new:
            last = new[-1].number
            self._db.execute("UPDATE groups SET given = ? WHERE topic = ? AND name = ?", (last, topic, group))
            rows = [(topic, group, message.number, until) for message in new]
            self._db.executemany("INSERT INTO taken VALUES (?, ?, ?, ?, 1)", rows)
        return [Delivery(message, again.get(message.number, 1), str(message.number)) for message in (*old, *new)]

    def _release(self, rows: Iterable[tuple[str, str, int]]) -> None:
        self._db.executemany("DELETE FROM taken WHERE topic = ? AND name = ? AND number = ?", rows)


def _connect(path: str) -> sqlite3.Connection:
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=BUSY_S)
    db.execute("PRAGMA journal_mode=WAL")
    db.execute("PRAGMA synchronous=FULL")
    db.executescript(SCHEMA)
    return db
