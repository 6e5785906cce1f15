"""The forwarder's tables in PostgreSQL: the batches that were carried over, and the epoch of the stock in Redis.

batches   committed together with their events and announced on `BATCHES`, so "announced" means "durable"
epochs    the newest row says whether the shops may decide, and on which server; changes are announced on `EPOCHS`
"""

from importlib.resources import files
from typing import NamedTuple, TypeAlias

import asyncpg

from checkout.clock import wall_ms
from checkout.engines.epoch import Armed, Epoch, Position

BATCHES = "shop_batches"
EPOCHS = "shop_epochs"
NAMES_AT_ONCE = 200  # a notification holds 8,000 bytes, a batch id 17
ADD_BATCHES = "INSERT INTO batches SELECT * FROM unnest($1::bigint[], $2::text[])"
LAST_BATCH = "SELECT seq, batch FROM batches ORDER BY seq DESC LIMIT 1"
KNOWN = "SELECT batch FROM batches WHERE batch = ANY($1)"

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


class EpochRow(NamedTuple):
    """The newest row of `epochs`."""

    number: int
    token: str
    server: str
    is_armed: bool
    cause: str
    base_seq: int

    @property
    def epoch(self) -> Epoch:
        return Epoch(self.number, self.token)

    @property
    def armed(self) -> Armed:
        return Armed(self.epoch, self.server)


def orders_schema() -> str:
    return files("checkout.engines").joinpath("orders.sql").read_text(encoding="utf-8")


async def read_epoch(db: Connection) -> EpochRow | None:
    """Return the newest epoch, or None if no forwarder has ever run."""
    sql = "SELECT number, token, server, is_armed, cause, base_seq FROM epochs ORDER BY number DESC LIMIT 1"
    row = await db.fetchrow(sql)
    return EpochRow(*row) if row else None


async def write_epoch(db: Connection, row: EpochRow) -> None:
    """Add an epoch or replace its row, and announce it."""
    columns = ("token", "server", "is_armed", "cause", "base_seq", "at_ms")
    replaced = ", ".join(f"{name} = excluded.{name}" for name in columns)
    sql = f"INSERT INTO epochs VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (number) DO UPDATE SET {replaced}"
    async with db.transaction():
        await db.execute(sql, *row, wall_ms())
        await db.execute(f"SELECT pg_notify('{EPOCHS}', '')")


async def doubt_epoch(db: Connection, armed: Armed, cause: str) -> None:
    """Stop all shops that decide on this store, until the forwarder has checked it."""
    sql = (
        "UPDATE epochs SET is_armed = false, cause = $4, at_ms = $5 "
        "WHERE number = $1 AND token = $2 AND server = $3 AND is_armed RETURNING 1"
    )
    if await db.fetchval(sql, *armed.epoch, armed.server, cause, wall_ms()):
        await db.execute(f"SELECT pg_notify('{EPOCHS}', '')")


async def read_cursor(db: Connection) -> Position:
    """Return the last event that was carried over, with its batch; without a batch if an older version wrote it."""
    stored = await db.fetchval("SELECT coalesce(max(seq), 0) FROM events")
    row = await db.fetchrow(LAST_BATCH)
    if row is None or row[0] < stored:
        return Position(stored, "")
    return Position(*row)


async def add_batches(db: Connection, batches: list[Position]) -> None:
    """Add batches within a transaction. Their announcement is sent when it commits."""
    await db.execute(ADD_BATCHES, [batch.seq for batch in batches], [batch.batch for batch in batches])
    names = [batch.batch for batch in batches]
    for at in range(0, len(names), NAMES_AT_ONCE):
        await db.execute("SELECT pg_notify($1, $2)", BATCHES, " ".join(names[at : at + NAMES_AT_ONCE]))
