"""The checker of copies: does each copy of a sale's history say the same, and is none older than what was answered?

    stock in Redis     the trail of PostgreSQL is the beginning of that of Redis, in the same epoch; the rest is young
    SQLite, PostgreSQL the trail is the one of the journal, which has every batch that was answered

A store alone cannot show that it has lost its end: its own sums are right. These comparisons show it.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from checkout.audit import Finding
from checkout.evidence import Evidence
from checkout.values import Event


@dataclass(frozen=True, slots=True)
class RedisAndOrders:
    """Both stores of a shop with its stock in Redis. PostgreSQL was read first.

    redis, orders: the evidence of the sale; None if the store does not have it. epoch, orders_epoch: as texts, empty if
    there is none. forwarded: the last event that Redis has noted as durable in PostgreSQL. last_seq: the last event of
    PostgreSQL. stopped: why no shop may sell at present, or empty.
    """

    redis: Evidence | None
    orders: Evidence | None
    epoch: str
    orders_epoch: str
    forwarded: int
    last_seq: int
    stopped: str


def compare_redis(both: RedisAndOrders, now_ms: int, grace_ms: int = 15_000) -> Iterator[Finding]:
    """Yield what differs. grace_ms: how old an event may be that PostgreSQL does not have yet."""
    if both.stopped:
        yield Finding("stopped", f"nothing is sold: {both.stopped}")
    if both.orders_epoch and both.epoch != both.orders_epoch:
        yield Finding("epoch", f"redis has epoch {both.epoch or 'none'}, postgres {both.orders_epoch}")
    if both.forwarded > both.last_seq:
        yield Finding("orders-rolled-back", f"postgres ends at event {both.last_seq}, but had event {both.forwarded}")
    if both.redis is None and both.orders is not None:
        yield Finding("rolled-back", f"redis has lost the sale, of which postgres has {len(both.orders.events)} events")
        return
    if both.redis is None:
        return
    ours, theirs = both.redis.events, both.orders.events if both.orders else []
    yield from _beginning(theirs, ours, "postgres", "redis")
    late = [event for event in ours[len(theirs) :] if event.at_ms < now_ms - grace_ms]
    if late:
        yield Finding("not-forwarded", f"postgres lacks {len(late)} events from event {late[0].seq}, older than grace")


def compare_journal(store: str, stored: Sequence[Event], told: Sequence[Event]) -> Iterator[Finding]:
    """Yield what differs between a store and its journal. A store may be ahead by a batch that is being answered."""
    yield from _beginning(told, stored, "the journal", store)


def _beginning(short: Sequence[Event], long: Sequence[Event], short_name: str, long_name: str) -> Iterator[Finding]:
    """Yield a finding unless `short` is the beginning of `long`."""
    if len(short) > len(long):
        text = f"{long_name} has {len(long)} events of the sale, {short_name} {len(short)}"
        yield Finding("rolled-back", text)
    for one, other in zip(short, long, strict=False):
        if one != other:
            text = f"event {one.seq} ({one.kind} {one.hold}) of {short_name} is {other.seq} ({other.kind} {other.hold})"
            yield Finding("histories-differ", f"{text} in {long_name}")
            return
