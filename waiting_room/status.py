"""The status document: what a waiting client is told, the same facts for the page and for programs.

    {"state": "waiting", "room": "checkout", "position": 1240, "eta_seconds": {"p50": 95, "p90": 130},
     "poll_after_seconds": 4.2, "first_seen": "2026-11-21T10:00:00.123Z", "message": null, "stock": null}

`state` says what the client does next:

    waiting   ask again after `poll_after_seconds`
    admitted  repeat the original request; the pass came as a cookie with this very answer
    early     the sale is not open yet; `opens_at` says when it will be; ask again after `poll_after_seconds`
    sold_out  nothing is left; `poll_after_seconds` is null when it is final
    closed    the room lets nobody in; `poll_after_seconds` is null when it is final
"""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from math import ceil

__all__ = ["State", "Status"]


class State(StrEnum):
    WAITING = "waiting"
    ADMITTED = "admitted"
    EARLY = "early"
    SOLD_OUT = "sold_out"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Status:
    """What one visitor of one room is told at one moment. Times are seconds, wall clock where they name a moment."""

    state: State
    room: str
    position: int | None = None
    """How many visitors are let in before this one, plus one. Null when unknown."""
    eta_p50_s: float | None = None
    """The wait that is as likely too long as too short. Null when unknown, e.g. while the room is held."""
    eta_p90_s: float | None = None
    """The wait that nine in ten visitors do not exceed."""
    poll_after_s: float | None = None
    """When to ask again; null: not at all."""
    first_seen: float | None = None
    message: str | None = None
    stock: int | None = None
    opens_at: float | None = None

    @property
    def retry_after_s(self) -> int | None:
        """The value of `Retry-After`: whole seconds, rounded up, at least 1 (RFC 9110, 10.2.3)."""
        return None if self.poll_after_s is None else max(1, ceil(self.poll_after_s))

    def to_json(self) -> bytes:
        """The document as sent, one line of UTF-8."""
        eta = None
        if self.eta_p50_s is not None and self.eta_p90_s is not None:
            eta = {"p50": ceil(self.eta_p50_s), "p90": ceil(self.eta_p90_s)}
        document: dict[str, object] = {
            "state": self.state.value,
            "room": self.room,
            "position": self.position,
            "eta_seconds": eta,
            "poll_after_seconds": None if self.poll_after_s is None else round(self.poll_after_s, 2),
            "first_seen": None if self.first_seen is None else timestamp(self.first_seen),
            "message": self.message,
            "stock": self.stock,
        }
        if self.opens_at is not None:
            document["opens_at"] = timestamp(self.opens_at)
        return json.dumps(document, ensure_ascii=False).encode()


def timestamp(moment_s: float) -> str:
    """RFC 3339 in UTC with milliseconds, as JavaScript's `Date.prototype.toISOString` writes it."""
    return datetime.fromtimestamp(moment_s, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
