"""Check the stock in Redis against the durable orders, and rebuild it if it has lost events that clients may know.

The forwarder does this, because only one forwarder runs (an advisory lock in PostgreSQL): at its start, and whenever
the server or the epoch is not the one that it has checked, or a shop doubts its store. Meanwhile every shop answers
"stock unknown".

    Redis continues the trail of PostgreSQL     carry over the rest; go on with the store as it is
    PostgreSQL is older, Redis has the rest     PostgreSQL was restored: the rest comes from the stream, then the same
    anything else                               rebuild Redis from the orders

Both ends begin a new epoch. Its numbers are above all old ones, and an event in the trail records it. No client was
told an outcome that is not in PostgreSQL, so a rebuilt stock contradicts no answer. A decision of Redis that no client
was told is undone; the clients of these batches repeat their requests.
"""

from typing import NamedTuple

from checkout.changes import Changes
from checkout.clock import wall_ms
from checkout.engines.epoch import Epoch, Position
from checkout.engines.postgres import read_evidence, write
from checkout.engines.postgres_journal import read_event
from checkout.engines.recovery_note import notes_of, now_text
from checkout.engines.redis import RedisEngine
from checkout.engines.redis_codec import Entry
from checkout.engines.rows import numbers_of
from checkout.engines.sql import SALES, sale_of
from checkout.evidence import Evidence
from checkout.orders_store import (
    Connection,
    EpochRow,
    add_batches,
    read_cursor,
    read_epoch,
    write_epoch,
)
from checkout.values import Event


class StoresFound(NamedTuple):
    """Both stores at one moment: PostgreSQL's epoch and last event, and what Redis has.

    entries: the first two of the stream, from the one that contains the last event of PostgreSQL.
    """

    row: EpochRow | None
    cursor: Position
    server: str
    epoch: Epoch | None
    last: Position
    entries: list[Entry]

    @property
    def next_epoch(self) -> Epoch:
        in_redis = self.epoch.number if self.epoch else 0
        return Epoch(max(in_redis, self.row.number if self.row else 0), "").following()

    @property
    def is_as_checked(self) -> bool:
        """Whether the server and the epoch are those that PostgreSQL knows as checked."""
        row = self.row
        return row is not None and row.is_armed and row.epoch == self.epoch and row.server == self.server


async def find_stores(db: Connection, stock: RedisEngine) -> StoresFound:
    cursor = await read_cursor(db)
    server, epoch, last, entries = await stock.look(max(cursor.seq, 1), 2)
    return StoresFound(await read_epoch(db), cursor, server, epoch, last, entries)


async def difference(db: Connection, found: StoresFound) -> str:
    """Return why Redis does not continue the trail of PostgreSQL, or an empty text if it does."""
    row, cursor, epoch, last = found.row, found.cursor, found.epoch, found.last
    if epoch is None and (row is not None or last.seq < cursor.seq):
        return f"has no epoch and {last.seq} of {cursor.seq} events"
    if row is not None and epoch is not None and epoch.number <= row.number and epoch != row.epoch:
        return f"has epoch {epoch}, expected {row.epoch}"
    if last.seq < cursor.seq:
        return f"had {last.seq} of {cursor.seq} events"
    if cursor == last:
        return ""
    return await _gap(db, found)


async def _gap(db: Connection, found: StoresFound) -> str:
    """Return what is wrong with the stream at the last event of PostgreSQL, or an empty text."""
    cursor, last, entries = found.cursor, found.last, found.entries
    events = [event for entry in entries for event in entry.events]
    if not cursor.is_start and not (cursor.batch and entries and entries[0].position == cursor):
        ours = await read_event(db, cursor.seq)
        if ours is None or ours not in events:
            return f"had another event {cursor.seq} than the orders"
    following = next((event.seq for event in events if event.seq > cursor.seq), None)
    if last.seq > cursor.seq and following != cursor.seq + 1:
        return f"has lost the events after {cursor.seq} from its stream"
    return ""


async def rebuild(db: Connection, stock: RedisEngine, found: StoresFound, why: str) -> tuple[Epoch, str]:
    """Begin a new epoch and write the orders into Redis. If this is cut short, the next check does it again."""
    cause = f"rebuilt from orders at {now_text()}: redis {why}"
    epoch, last, _ = await _begin(db, found, "rebuilt", cause)
    names = [row[0] for row in await db.fetch("SELECT id FROM sales ORDER BY id")]
    sales: list[Evidence] = [evidence for name in names if (evidence := await read_evidence(db, name, wall_ms()))]
    await stock.restore(sales, epoch, last)
    return epoch, f"{cause}: {len(sales)} sales, {sum(len(sale.orders) for sale in sales)} orders"


async def go_on(db: Connection, stock: RedisEngine, found: StoresFound, cursor: Position) -> tuple[Epoch, str]:
    """Begin a new epoch with the stock as it is, after every event up to `cursor` was carried over."""
    why = "the server restarted or another one took over" if found.row else "first check"
    if found.row and found.row.server == found.server:
        why = "postgres was restored" if found.row.is_armed else found.row.cause
    cause = f"checked at {now_text()}: {why}; no durable event was lost"
    epoch, last, events = await _begin(db, found._replace(cursor=cursor), "checked", cause)
    await stock.begin_epoch(found.server, cursor, epoch, last, events)
    return epoch, cause


async def _begin(db: Connection, found: StoresFound, kind: str, cause: str) -> tuple[Epoch, Position, list[Event]]:
    """Store a new epoch in PostgreSQL, with an event for each sale. Return its last event and the events."""
    epoch = found.next_epoch
    numbers = {sale.id: stock for sale, stock in (sale_of(list(row)) for row in await db.fetch(SALES))}
    events = notes_of(numbers, epoch.first_seq, kind, cause, "forwarder")
    last = Position(epoch.first_seq + len(events), epoch.token)
    async with db.transaction():
        await write(db, Changes([], {}, events, {}), numbers_of(events))
        await add_batches(db, [last])
        await write_epoch(db, EpochRow(*epoch, found.server, False, cause, found.cursor.seq))
    return epoch, last, events
