"""The file of a SQLite store and its journal: notice that the file is not what this shop wrote, and write it anew.

    shop.db           the store                      shop.db.journal       every batch again (`journal.py`)
    shop.db.lock      held by the one writer         shop.db.found-TIME    a file that somebody put in its place

In WAL mode SQLite changes the main file in checkpoints only, and only the writer makes these. So if size or time of the
file are not those after the last batch, somebody else has changed it. Then its content is compared with the journal: a
reader's checkpoint changes nothing that counts, an older copy does. Another inode is another file, whatever its content
is: SQLite goes on with the file that it has open, and nobody else sees that one. A damaged, older or other file is kept
under another name, and the store is written anew from the journal, with a note in the trail.
"""

import logging
import os
import shutil
import sqlite3
from pathlib import Path
from typing import NamedTuple

from checkout.changes import Changes
from checkout.clock import wall_ms
from checkout.engines.journal import Journal, joined
from checkout.engines.recovery_note import notes_of, now_text
from checkout.engines.rows import numbers_of
from checkout.engines.sql import (
    EVENTS_AFTER,
    HOLD,
    LAST_EVENT,
    SALES,
    for_sqlite,
    order_rows,
    refusal_rows,
    sale_of,
    schema,
)
from checkout.errors import StockUnknown
from checkout.sqlite_transaction import transaction
from checkout.values import Event, Stock

LOG = logging.getLogger(__name__)
UPSERT_HOLD = (
    f"INSERT INTO holds ({HOLD}) VALUES (?,?,?,?,?,?,?,?) "
    "ON CONFLICT (id) DO UPDATE SET state=excluded.state, money=excluded.money, charge=excluded.charge"
)
EVENTS = for_sqlite(EVENTS_AFTER)


class FileMark(NamedTuple):
    """What shows that somebody else has written to a file."""

    inode: int
    size: int
    time_ns: int

    @classmethod
    def of(cls, path: str) -> "FileMark":
        """Raises `OSError` if there is no such file."""
        found = os.stat(path)
        return cls(found.st_ino, found.st_size, found.st_mtime_ns)


def connect(path: str) -> sqlite3.Connection:
    """Open the store, and create its tables if needed. Raises `sqlite3.Error`."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, cached_statements=64)
    try:
        db.execute("PRAGMA journal_mode=WAL")
        db.execute("PRAGMA synchronous=FULL")
        db.execute("PRAGMA foreign_keys=ON")
        db.executescript(schema())
    except BaseException:
        db.close()
        raise
    return db


def write_changes(db: sqlite3.Connection, changes: Changes, stock: dict[str, Stock]) -> None:
    """Store changes, and the numbers of their sales, in one transaction."""
    with transaction(db):
        db.executemany("INSERT INTO sales VALUES (?,?,?,?,?,?,?,?,?)", changes.sales)
        db.executemany(UPSERT_HOLD, changes.holds.values())
        db.executemany("INSERT INTO events VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)", changes.events)
        db.executemany("INSERT OR REPLACE INTO refusals VALUES (?,?,?,?,?)", refusal_rows(changes))
        db.executemany("INSERT INTO orders VALUES (?,?,?,?,?)", order_rows(changes))
        db.executemany(
            "INSERT INTO stock VALUES (?,?,?,?,?) "
            "ON CONFLICT (sale) DO UPDATE SET "
            "free=excluded.free, held=excluded.held, sold=excluded.sold, version=excluded.version",
            [(sale, *numbers) for sale, numbers in stock.items()],
        )


def last_event(db: sqlite3.Connection) -> Event | None:
    row = db.execute(LAST_EVENT).fetchone()
    return Event(*row) if row else None


def is_behind(db: sqlite3.Connection, journal: Journal) -> bool:
    """Return whether the store lacks events of its journal. A store that is ahead is copied into the journal.

    Raises `StockUnknown` if store and journal have different histories.
    """
    stored = last_event(db)
    if stored == journal.last:
        return False
    if stored is None or stored.seq <= journal.last_seq:
        return True
    told = journal.last
    if told is not None and db.execute(EVENTS, (told.seq - 1,)).fetchone() != tuple(told):
        raise StockUnknown("the store and its journal have different histories; move the wrong one of the two away")
    events = [Event(*row) for row in db.execute(EVENTS, (journal.last_seq,))]
    journal.append_events(events, [sale_of(row)[0] for row in db.execute(SALES)])
    return False


def is_whole(path: str, journal: Journal) -> bool:
    """Return whether the file as it is now has exactly the events of its journal, and no damage."""
    try:
        db = sqlite3.connect(f"file:{path}?mode=ro", uri=True, isolation_level=None)
    except sqlite3.Error:
        return False
    try:
        if db.execute("PRAGMA quick_check").fetchone() != ("ok",):
            return False
        stored = [Event(*row) for row in db.execute(EVENTS, (0,))]
        told = joined(journal.read(), {})
        holds = {row[0]: row for row in db.execute(f"SELECT {HOLD} FROM holds")}
        return stored == told.events and holds == {hold.id: tuple(hold) for hold in told.holds.values()}
    except sqlite3.Error:
        return False
    finally:
        db.close()


def open_whole(path: str, journal: Journal) -> sqlite3.Connection:
    """Open the store at a start. If it is older than its journal, or damaged, write it anew. Raises `StockUnknown`."""
    db: sqlite3.Connection | None = None
    try:
        db = connect(path)
        if not is_behind(db, journal) and is_whole(path, journal):
            return db
    except sqlite3.DatabaseError:
        if journal.last is None:
            raise  # no file of a shop
    return write_anew(path, journal, "older than what was answered, or damaged", db)


def write_anew(path: str, journal: Journal, cause: str, old: sqlite3.Connection | None) -> sqlite3.Connection:
    """Keep what is at the path under another name, and write the store from its journal. Return a new connection.

    old: the present connection, if there is one. It is closed; what it then writes goes into files that are deleted.
    """
    if os.path.exists(path):
        shutil.copyfile(path, f"{path}.found-{wall_ms()}")
    if old is not None:
        old.close()
    for name in (path, f"{path}-wal", f"{path}-shm"):
        Path(name).unlink(missing_ok=True)
    db = connect(path)
    told = joined(journal.read(), {})
    numbers = numbers_of(told.events)
    write_changes(db, told, numbers)
    cause = f"rebuilt from its journal at {now_text()}: the file was {cause}"
    notes = notes_of(numbers, journal.last_seq, "rebuilt", cause)
    changes = Changes([], {}, notes, {})
    write_changes(db, changes, numbers_of(notes))
    journal.append(changes)
    LOG.error("%s: %s, with %d events", path, cause, len(told.events))
    return db
