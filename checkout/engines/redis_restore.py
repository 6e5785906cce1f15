"""Write a whole store into Redis in one step: the stock, the holds, the keys and the trail, from the durable orders."""

import json
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

from redis.asyncio.client import Pipeline

from checkout.engines.epoch import Epoch, Position
from checkout.evidence import Evidence
from checkout.ledger import KEEP_KEYS_MS
from checkout.values import LIVE, Event, Money, State

ENTRY_EVENTS = 250
"""Events in one entry of the rebuilt stream, as many as a batch has."""


def write_store(writes: Pipeline, prefix: str, sales: Sequence[Evidence], epoch: Epoch, last: Position) -> None:
    """Queue the writes. last: the last event of all sales, with the id of its batch."""
    for evidence in sales:
        _write_sale(writes, prefix, evidence)
    trail = sorted((event for evidence in sales for event in evidence.events), key=lambda event: event.seq)
    for at in range(0, len(trail), ENTRY_EVENTS):
        _write_entry(writes, prefix, trail[at : at + ENTRY_EVENTS], last)
    _write_position(writes, prefix, epoch, last)


def continue_store(writes: Pipeline, prefix: str, epoch: Epoch, last: Position, events: Sequence[Event]) -> None:
    """Queue the writes that begin an epoch on the stock as it is. events: one for each sale."""
    for event in events:
        writes.hset(f"{prefix}sale:{event.sale}", "version", str(event.seq))
    if events:
        _write_entry(writes, prefix, events, last)
    _write_position(writes, prefix, epoch, last)


def _write_position(writes: Pipeline, prefix: str, epoch: Epoch, last: Position) -> None:
    numbers: dict[str, str | int] = {"seq": last.seq, "forwarded": last.seq, "batch": last.batch, "epoch": str(epoch)}
    writes.mset({prefix + name: value for name, value in numbers.items()})


def _write_entry(writes: Pipeline, prefix: str, events: Sequence[Event], last: Position) -> None:
    seq = events[-1].seq
    fields: dict[Any, Any] = {"e": json.dumps(events), "b": last.batch if seq == last.seq else ""}
    writes.xadd(prefix + "events", fields, f"{seq}-0")


def _write_sale(writes: Pipeline, prefix: str, evidence: Evidence) -> None:
    sale, units = evidence.sale, defaultdict[str, list[str]](list)
    terms: dict[Any, Any] = {**sale._asdict(), **evidence.stock._asdict()}
    writes.rpush(prefix + "sales", sale.id)
    writes.hset(f"{prefix}sale:{sale.id}", mapping=terms)
    for hold in sorted(evidence.holds, key=lambda hold: hold.made_ms):
        writes.hset(prefix + "holds", hold.id, json.dumps(hold))
        if hold.state in LIVE:
            writes.rpush(f"{prefix}ends:{sale.id}", f"{hold.ends_ms} {hold.id}")
            writes.zadd(prefix + "ready", {hold.id: hold.ends_ms})
        if hold.state in LIVE or hold.state is State.SOLD:
            units[hold.user].append(hold.id)
        if hold.money is Money.STARTED:
            writes.sadd(prefix + "unsettled", hold.id)
    for user, holds in units.items():
        writes.hset(f"{prefix}units:{sale.id}", user, ",".join(holds))
    for order in evidence.orders:
        writes.hset(prefix + "orders", order.id, json.dumps(order))
    for event in evidence.events:
        if event.key and event.at_ms + KEEP_KEYS_MS > evidence.now_ms:
            record = [event.fingerprint, event.hold, "", event.at_ms]
            writes.hset(f"{prefix}keys:{event.at_ms // KEEP_KEYS_MS}", event.key, json.dumps(record))
