"""What the line knows of the units behind a room: it is told by the shop, on its answers.

    Stanchion-Stock: 0         units that are free
    Stanchion-Held: 37         units kept for somebody who is paying
    Stanchion-Version: 1042    grows with every change of the two: news that overtook each other are put right

    free > 0                open     as many come in as there are units that nobody inside is about to take
    free = 0, held > 0      paused   nobody comes in; each unit that comes back lets in the next visitor
    free = 0, held = 0      over     for good

A shop that does not say how many are held is not followed like this: its stock is shown, and its commands are obeyed.

    slots = free - claims

A claim is a visitor who was let in and has not tried to take a unit yet. It ends with the shop's first answer to a
request of theirs that changes something (neither GET, HEAD nor OPTIONS), for then `free` knows what became of it; at
the latest after `claim_s`, so that somebody who only looks keeps a unit from the next in line for so long, no longer.
Without claims everybody at the front would rush in for the one unit that came back.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace

__all__ = ["STALE_S", "RoomEvent", "StockView", "news_in"]

#: News with a lower version count again when nothing newer was heard for so long: the shop has begun anew.
STALE_S = 5.0


@dataclass(frozen=True, slots=True)
class RoomEvent:
    """What the upstream said about a room, for the other nodes to know; None: nothing about that."""

    room: str
    stock: int | None = None
    sold_out: bool | None = None
    held: int | None = None
    version: int | None = None
    tried: str | None = None
    """The ticket whose claim this answer has ended, so that no other node ends it once more."""


def news_in(room: str, headers: Iterable[tuple[str, str]]) -> RoomEvent | None:
    """What an answer of the upstream says about its stock; None: nothing. What makes no sense is passed over."""
    numbers: dict[str, int] = {}
    sold_out: bool | None = None
    for name, value in headers:
        match name.lower(), value.strip().lower():
            case ("stanchion-stock" | "stanchion-held" | "stanchion-version") as field, text if _is_count(text):
                numbers[field] = int(text)
            case "stanchion-command", "sold-out":
                sold_out = True
            case "stanchion-command", "restock":
                sold_out = False
            case _:
                pass
    free, held = numbers.get("stanchion-stock"), numbers.get("stanchion-held")
    if free is None:
        held = None  # half of the numbers says nothing
    if held is not None and sold_out is None:
        sold_out = free == held == 0
    if free is None and sold_out is None:
        return None
    return RoomEvent(room, free, sold_out, held, numbers.get("stanchion-version"))


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


class StockView:
    """The newest that was heard of a room's stock, and what it comes to: told rarely, asked at every poll.

    free, held: units; None: the shop does not say.
    is_followed: the line goes by the numbers, for the shop says both of them.
    is_over: sold out for good, every unit is paid for.
    is_paused: nothing is free, but not all is paid for.
    """

    __slots__ = ("_heard_at", "free", "held", "is_followed", "is_over", "is_paused", "is_sold_out", "known")

    def __init__(self, room: str) -> None:
        self._heard_at = 0.0
        self._know(RoomEvent(room))

    def __repr__(self) -> str:
        return f"<StockView {self.known.room}: {self.known.stock} free, {self.known.held} held>"

    def _know(self, event: RoomEvent) -> None:
        self.known = event
        self.free, self.held = event.stock, event.held
        self.is_followed = event.held is not None
        self.is_sold_out = bool(event.sold_out)
        self.is_over = event.stock == event.held == 0
        self.is_paused = event.stock == 0 and bool(event.held)

    def hear(self, event: RoomEvent, now: float) -> bool:
        """Take in what was said; whether it was news. now: wall clock, seconds."""
        known = self.known
        if event.version is not None:
            is_older = known.version is not None and event.version < known.version
            if is_older and 0 <= now - self._heard_at < STALE_S:
                return False
            self._heard_at = now
        if event.stock is not None:
            known = replace(known, stock=event.stock, held=event.held, version=event.version)
        if event.sold_out is not None:
            known = replace(known, sold_out=event.sold_out)
        is_news = known != self.known
        self._know(known)
        return is_news
