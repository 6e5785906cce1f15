"""The event in the trail of a sale that says what happened to its stock as a whole. It changes no number."""

from collections.abc import Mapping
from datetime import UTC, datetime

from checkout.clock import wall_ms
from checkout.values import Event, Stock


def notes_of(numbers: Mapping[str, Stock], last_seq: int, kind: str, cause: str, actor: str = "store") -> list[Event]:
    """Return one event for each sale, by name. last_seq: the number of the event before them.

    kind: `rebuilt`, or `checked` if the stock stayed as it was.
    """
    at_ms = wall_ms()
    return [
        Event(
            seq, sale, "", "", kind, actor, cause, at_ms,
            stock.free, stock.held, stock.sold, stock.free, stock.held, stock.sold, 0, "", "", "",
        )
        for seq, (sale, stock) in enumerate(sorted(numbers.items()), last_seq + 1)
    ]  # fmt: skip


def now_text() -> str:
    """Return the time for a note, in UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")
