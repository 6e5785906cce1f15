"""The sales of one room on one node: what the room does at a moment, by this node's own clock.

    before     the pre-queue has not begun         nobody gets a place; visitors are told when the sale opens
    prequeue   places are given                    the line stands still, and all know until when
    open       the room does what its mode says
    over       the last sale has closed            nobody is admitted; visitors are told so
    outside    no sale concerns the room now       the room does what its mode says

    ---- before ----|---- prequeue ----|---- open ----|---- before the next one, or over ---->
               prequeue_at         opens_at       closes_at

A sale without `closes_at` ends when the pre-queue of the next one begins. With `outside_sales: open` the room is open
before and after. If visitors wait when a pre-queue begins, they stand before its visitors. Otherwise a ticket from
before the pre-queue counts no longer: it is one of an earlier sale. While a sale is suspended, its line stands still
and nobody is told a time.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from math import inf
from typing import Literal

from edge.settings.room import RoomSettings
from edge.settings.sale import SaleSettings
from waiting_room.draw import WINDOW_S, Draw, commitment_of
from waiting_room.places import first_id, place_of
from waiting_room.status import timestamp
from waiting_room.ticket import Ticket

__all__ = ["OUTSIDE", "Phase", "PhaseName", "SaleClock", "draw_document", "phase_at"]

PhaseName = Literal["outside", "before", "prequeue", "open", "over"]


@dataclass(frozen=True, slots=True)
class Phase:
    """What a room does from `since` until `until` (Unix time in seconds), because of `sale`."""

    name: PhaseName
    sale: SaleSettings | None
    since: float
    until: float


OUTSIDE = Phase("outside", None, -inf, inf)


def phase_at(room: RoomSettings, now: float) -> Phase:
    """Return the phase of a room."""
    if room.mode == "shadow" or not room.sales:
        return OUTSIDE
    sales = sorted(room.sales, key=lambda sale: sale.opens_at)
    since = -inf
    for at, sale in enumerate(sales):
        following = sales[at + 1].begins_at if at + 1 < len(sales) else inf
        end = max(sale.opens_at, following if sale.closes_at is None else sale.closes_at)
        if now < sale.begins_at:
            return _unless_open(room, Phase("before", sale, since, sale.begins_at))
        if now < sale.opens_at:
            return Phase("prequeue", sale, sale.begins_at, sale.opens_at)
        if now < end:
            return Phase("open", sale, sale.opens_at, end)
        since = end
    return _unless_open(room, Phase("over", sales[-1], since, inf))


def _unless_open(room: RoomSettings, phase: Phase) -> Phase:
    if room.outside_sales == "open":
        return Phase("outside", None, phase.since, phase.until)
    return phase


def draw_document(sale: SaleSettings, seed: bytes, now: float) -> dict[str, object]:
    """Return what verifies the draw of a sale, as JSON values. The seed is in it after the opening."""
    is_open = now >= sale.opens_at and not sale.suspended
    return {
        "sale": sale.name,
        "commitment": commitment_of(seed),
        "seed": seed.hex() if is_open else None,
        "opens_at": timestamp(sale.opens_at),
        "window_seconds": WINDOW_S,
    }


class SaleClock:
    """Of a room with sales. seeds: of the draws, by sale."""

    def __init__(self, room: RoomSettings, seeds: Mapping[str, bytes], now: float) -> None:
        self._room = room
        self._seeds = seeds
        self._draws = [
            Draw(seeds[sale.name], sale.begins_at, sale.opens_at)
            for sale in room.sales
            if sale.order == "draw" and sale.name in seeds
        ]
        self.use(now)

    def __repr__(self) -> str:
        return f"<SaleClock {self.phase}>"

    def use(self, now: float) -> None:
        """Take the phase of this moment."""
        self.phase = phase = phase_at(self._room, now)
        sale = phase.sale
        self.is_suspended = sale is not None and sale.suspended and phase.name != "over"
        self.opens_at = None if sale is None or self.is_suspended or now >= sale.opens_at else sale.opens_at
        """When the sale opens, for visitors; None if it is open, or nobody knows."""
        self.is_waiting = phase.name == "prequeue"
        self.is_early = self.is_waiting and not self.is_suspended
        """Visitors are told that the sale opens, and when."""
        self.is_shut = phase.name in ("before", "over")
        is_line = self._room.outside_sales == "closed" and phase.name in ("prequeue", "open")
        self.counts_from = sale.begins_at if is_line and sale is not None else -inf
        """A ticket that was taken earlier is one of an earlier sale."""
        self.draw_json = ""
        """What verifies the draw; empty unless the sale has one."""
        if sale is not None and sale.order == "draw" and sale.name in self._seeds and phase.name != "over":
            self.draw_json = json.dumps(draw_document(sale, self._seeds[sale.name], now))
        self.is_drawing = self.is_waiting and bool(self.draw_json)

    def is_due(self, now: float) -> bool:
        """Return whether the phase of this moment is another one; also after the clock was set back."""
        return not self.phase.since <= now < self.phase.until

    def place_of(self, ticket: Ticket) -> int:
        """Return a ticket's place in line: drawn if it was taken in the pre-queue of a sale with a draw."""
        first_seen = ticket.first_seen
        for draw in self._draws:
            if draw.begins_at <= first_seen < draw.opens_at:
                return draw.place(first_id(ticket.id))
        return place_of(ticket)
