"""The event in the trail of a sale that says what happened to its stock as a whole. It changes no number."""

from datetime import UTC, datetime

from checkout.clock import wall_ms
from checkout.values import Event, Stock


def note_of(sale: str, stock: Stock, seq: int, kind: str, cause: str, actor: str = "store") -> Event:
    """Return the event. kind: `rebuilt`, or `checked` if the stock stayed as it was."""
    free, held, sold, _ = stock
    return Event(
        seq, sale, "", "", kind, actor, cause, wall_ms(),
        free, held, sold, free, held, sold, 0, "", "", "",
    )  # fmt: skip


def now_text() -> str:
    """Return the time for a note, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
