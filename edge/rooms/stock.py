"""The stock view: what a node knows of the units behind a room. The shop states it on its responses.

    Stanchion-Stock: 0         units that are free; `unknown` while the shop is checking its own database
    Stanchion-Held: 37         units on hold for buyers that are paying
    Stanchion-Version: 1042    grows with every change of the two, so that news that arrives late is recognised

    free > 0                open     admit as many visitors as there are free units without a claim
    free = 0, held > 0      paused   admit nobody; each unit that is released admits the next visitor
    free = 0, held = 0      over     sold out for good

A shop that does not state the held units is not followed like this: its stock is shown and its commands are obeyed.

    vacancies = free - claims                                                             (`edge/rooms/vacancies.py`)

A claim is an admitted visitor that has not tried to take a unit yet. It ends with the first response to a request
of theirs that changes something (not GET, HEAD or OPTIONS), because from then on `free` includes what they took. At the
latest it ends after `claim_s`, so a visitor that only looks keeps a unit from the next in line for that long and no
longer. Without claims, everybody at the front would be admitted for the one unit that was released.
"""

from collections.abc import Iterable

from msgspec.structs import replace

from edge.messages.cluster import RoomEvent

__all__ = ["STALE_S", "StockView", "is_unknown", "news_in"]

#: News with a lower version counts again when nothing newer came for this long, in seconds: the shop has started anew.
STALE_S = 5.0
UNKNOWN = "unknown"


def news_in(room: str, headers: Iterable[tuple[str, str]]) -> RoomEvent | None:
    """Return what an upstream's response states about the stock, or None. Malformed values are ignored."""
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
        held = None  # one of the two numbers alone says nothing
    if held is not None and sold_out is None:
        sold_out = free == held == 0
    if free is None and sold_out is None:
        return None
    return RoomEvent(room, free, sold_out, held, numbers.get("stanchion-version"))


def is_unknown(headers: Iterable[tuple[str, str]]) -> bool:
    """Return whether an upstream's response says that the shop does not know its stock at present."""
    return any(name.lower() == "stanchion-stock" and value.strip().lower() == UNKNOWN for name, value in headers)


def _is_count(text: str) -> bool:
    return text.isascii() and text.isdecimal() and len(text) < 16


class StockView:
    """The latest news of a room's stock and what follows from it. Updated rarely, read at every poll.

    free, held: units; None if the shop does not state them.
    is_followed: the room admits by these numbers, because the shop states both.
    is_over: sold out for good, every unit is paid for.
    is_paused: no unit is free, but not all are paid for.
    """

    __slots__ = ("_heard_at", "free", "held", "is_followed", "is_over", "is_paused", "is_sold_out", "latest")

    def __init__(self, room: str) -> None:
        self._heard_at = 0.0
        self._set(RoomEvent(room))

    def __repr__(self) -> str:
        return f"<StockView {self.latest.room}: {self.latest.stock} free, {self.latest.held} held>"

    def _set(self, event: RoomEvent) -> None:
        self.latest = event
        self.free, self.held = event.stock, event.held
        self.is_followed = event.held is not None
        self.is_sold_out = bool(event.sold_out)
        self.is_over = event.stock == event.held == 0
        self.is_paused = event.stock == 0 and bool(event.held)

    def update(self, event: RoomEvent, now: float) -> bool:
        """Take in an event; return whether it changed anything. now: wall clock, seconds."""
        latest = self.latest
        if event.version is not None:
            is_older = latest.version is not None and event.version < latest.version
            if is_older and 0 <= now - self._heard_at < STALE_S:
                return False
            self._heard_at = now
        if event.stock is not None:
            latest = replace(latest, stock=event.stock, held=event.held, version=event.version)
        if event.sold_out is not None:
            latest = replace(latest, sold_out=event.sold_out)
        is_news = latest != self.latest
        self._set(latest)
        return is_news
