"""PostgreSQL against what this process has committed: notice that it was restored to an older state, and repair it.

A leader remembers the last event that it committed, and with `engine.journal` every batch (`journal.py`). At each
connect both are compared with the store.
"""

import logging
from typing import TypeAlias

import asyncpg

from checkout.changes import Changes
from checkout.engines.journal import Journal, joined
from checkout.engines.recovery_note import notes_of
from checkout.engines.rows import hold_of, numbers_of
from checkout.engines.sql import EVENT, EVENTS_AFTER, HOLD, LAST_EVENT, SALES, sale_of
from checkout.errors import StockUnknown
from checkout.values import Event, Hold

LOG = logging.getLogger(__name__)
Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


async def read_event(db: Connection, seq: int) -> Event | None:
    row = await db.fetchrow(EVENT, seq)
    return Event(*row) if row else None


async def require_event(db: Connection, seen: Event | None) -> None:
    """Raise `StockUnknown` unless the store has the last event that this process has committed."""
    if seen is None:
        return
    if await read_event(db, seen.seq) != seen:
        last_seq = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
        raise StockUnknown(
            f"postgres ends at event {last_seq}, but had event {seen.seq}: it was restored to an older state. Restore "
            "a newer one, or start the shop with engine.journal where its journal is. A shop that is started again "
            "without a journal sells on with the older state"
        )


async def missing_changes(db: Connection, journal: Journal) -> Changes | None:
    """Return what the store lacks of its journal, with a note for each sale, or None if it lacks nothing.

    A store that is ahead, because other leaders wrote to it, is copied into the journal. Raises `StockUnknown` if store
    and journal have different histories.
    """
    row = await db.fetchrow(LAST_EVENT)
    stored, told = Event(*row) if row else None, journal.last
    if stored == told:
        return None
    if stored is not None and (told is None or stored.seq > told.seq):
        after_seq = told.seq - 1 if told else 0
        events = [Event(*found) for found in await db.fetch(EVENTS_AFTER, after_seq)]
        if told is not None and events[0] != told:
            raise _different()
        events = [event for event in events if told is None or event.seq > told.seq]
        journal.append_events(events, [sale_of(list(found))[0] for found in await db.fetch(SALES)])
        return None
    batches = journal.read(stored.seq - 1 if stored else 0)
    if stored is not None and stored not in batches[0].events:
        raise _different()
    holds: dict[str, Hold] = {found[0]: hold_of(found) for found in await db.fetch(f"SELECT {HOLD} FROM holds")}
    after_seq = stored.seq if stored else 0
    fresh = [batch._replace(events=[event for event in batch.events if event.seq > after_seq]) for batch in batches]
    if stored is not None:
        fresh[0] = fresh[0]._replace(sales=[], refusals={})
    return _with_notes(joined(fresh, holds), journal.last_seq, after_seq)


def _with_notes(changes: Changes, last_seq: int, stored_seq: int) -> Changes:
    cause = f"postgres had lost the events after {stored_seq}: rebuilt from the journal"
    LOG.error("%s, with %d events", cause, len(changes.events))
    notes = notes_of(numbers_of(changes.events), last_seq, "rebuilt", cause)
    return changes._replace(events=changes.events + notes)


def _different() -> StockUnknown:
    return StockUnknown("postgres and the journal have different histories; move the wrong one of the two away")
