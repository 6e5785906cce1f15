"""What the ledger leaves for a store to write: the changes of one batch of commands."""

from typing import NamedTuple

from checkout.values import Event, Hold, Sale

__all__ = ["Answer", "Changes"]


class Answer(NamedTuple):
    """What a key was told first: the hold it made or paid for, or the reason of its refusal."""

    fingerprint: str
    hold: str
    reason: str
    at_ms: int


class Changes(NamedTuple):
    """What a batch leaves to write."""

    sales: list[Sale]
    holds: dict[str, Hold]
    events: list[Event]
    answers: dict[str, Answer]

    def __bool__(self) -> bool:
        return bool(self.sales or self.events or self.answers)
