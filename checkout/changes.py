"""The changes of one batch of commands, which the ledger hands to a store to write."""

from typing import NamedTuple

from checkout.values import Event, Hold, Sale

__all__ = ["Changes", "KeyRecord"]


class KeyRecord(NamedTuple):
    """The first outcome of an idempotency key: the hold that it made or paid for, or the reason of its refusal."""

    fingerprint: str
    hold: str
    reason: str
    at_ms: int


class Changes(NamedTuple):
    """All rows that a batch adds or replaces. The keys of successful commands are part of their events."""

    sales: list[Sale]
    holds: dict[str, Hold]
    events: list[Event]
    refusals: dict[str, KeyRecord]

    def __bool__(self) -> bool:
        return bool(self.sales or self.events or self.refusals)
