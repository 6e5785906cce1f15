"""One room on one node: its door, its vacancies, its stock, its page, and the tickets redeemed lately.

Only synchronous code changes a room, between two awaits, so no request sees half of another request's effect.
"""

from collections.abc import Callable, MutableSequence, Sequence
from dataclasses import replace
from math import inf
from typing import Final

from controller import Admit, Door, DoorVerdict, Park, Wait
from edge.messages.cluster import RoomEvent
from edge.rooms.guests import GuestBudget
from edge.rooms.lanes import FEW, RoomLanes
from edge.rooms.mode_rules import ModeRules
from edge.rooms.room_gate import MOVE_AFTER_S, UNIT_S, RoomGate
from edge.rooms.room_history import RoomHistory
from edge.rooms.room_passes import RoomPasses
from edge.rooms.sale_clock import SaleClock
from edge.rooms.shadow_line import ShadowLine, next_shadow
from edge.rooms.upstream_health import UpstreamHealth
from edge.rooms.vacancies import Vacancies
from edge.settings.lanes import key_of
from edge.settings.room import RoomSettings
from waiting_room.cookie_field import cookie_name
from waiting_room.places import place_of
from waiting_room.room_pages import RoomPages
from waiting_room.status import SharedFields, State

__all__ = ["Room", "place_of"]

#: Seconds between two control steps, which are a tenth of a second apart, from which on the second is late.
LATE_S: Final = 0.2
#: Why the line of a room stands still, the one that visitors are told first.
REASONS = ("operator", "sale", "upstream", "redis", "stock")


class Room(RoomPasses):
    """One room. For `limit`, `rows`, `claims`, `own_row`, `counted_since` and `machines` see `Vacancies`."""

    def __init__(
        self,
        settings: RoomSettings,
        gate: RoomGate,
        pages: RoomPages,
        *,
        history: RoomHistory | None = None,
        limit: int | None = None,
        rows: Sequence[MutableSequence[int]] = (),
        claims: Sequence[MutableSequence[int]] = (),
        own_row: int = 0,
        counted_since: float = 0.0,
        machines: int = 1,
        vacancies: Vacancies | None = None,
        lane: str = "",
    ) -> None:
        """history: of the room before a reload; None for a new room. lane: its name, '' for the general one; a named
        lane has the `vacancies` of the general one."""
        self.lane, self.key = lane, key_of(settings.name, lane)
        self.family: tuple[Room, ...] = (self,)
        """All lanes of the room, the general one first; the room alone if it has no lanes."""
        self.lanes: RoomLanes | None = None
        self.settings, self.name, self.sale = settings, settings.name, None
        self.gate, self.pages = gate, pages
        self.message, self.cookie = settings.page.message, cookie_name(settings.name)
        self.holds_when_down, self.page_code = settings.when_upstream_down == "hold", settings.page.status_code
        ticket, adaptive = settings.ticket, settings.capacity.adaptive
        self.presence_s, self.skew_s = settings.session.presence_seconds, ticket.skew_allowance_seconds
        self.away_s, self.lifetime_s = ticket.away_seconds, ticket.lifetime_seconds
        self.health = UpstreamHealth(adaptive.latency_target_seconds) if adaptive.enabled else None
        """Observes the responses of the upstream; None unless the capacity adapts to them."""
        self.missing: tuple[str, ...] = ()
        """The dependencies without which the room holds, and which are missing (`edge/rooms/dependencies.py`)."""
        self.paused: str | None = "capacity" if gate.settings.room_rate <= 0.0 else None
        """Why the line stands still (`waiting_room/status.py`); None if it does not."""
        self.has_cors, self.guests = bool(settings.cors.origins), GuestBudget(gate.settings.admissions_per_second)
        self.history = kept = history or RoomHistory(settings.name)
        self.stock, self.fairness, self.redeemed = kept.stock, kept.fairness_of(lane), kept.redeemed
        self.mode, self.recorder, self.tracer = ModeRules(settings.mode), kept.recorder, kept.tracer
        self.shadow: ShadowLine | None = None  # in mode 'shadow' everybody passes, and is counted here
        self._shared = self._new_shared()
        session, claim_s = settings.session, settings.stock.claim_seconds
        self.vacancies = vacancies or Vacancies(
            kept.stock, kept.tried, session_s=session.duration_seconds, claim_s=claim_s, limit=limit, rows=rows,
            claim_rows=claims, own_row=own_row, counted_since=counted_since, machines=machines,
            confirmations=kept.confirmations, confirm_s=self.presence_s or session.confirm_seconds,
        )  # fmt: skip
        self.occupancy, self.offers = self.vacancies.occupancy, self.offers_of(kept)
        self._use(gate)

    def __repr__(self) -> str:
        return f"<Room {self.name} {self.door!r}>"

    def _use(self, gate: RoomGate) -> None:
        self.gate = gate
        origin_s = self._origin_s = gate.origin_s
        self._origin = gate.origin
        self._ticked_at = inf  # no step is late before the first
        has_vacancy = self.vacancies.has_vacancy if self.lanes is None else self._has_vacancy
        self.door = Door(gate.inner, lambda now: has_vacancy(now + origin_s))
        """Counts time and visitors as the inner gate does. Use the methods of this class."""

    def join(self, family: "Sequence[Room]", lanes: RoomLanes) -> None:
        """Be one of the lanes of a room from now on."""
        self.family, self.lanes = tuple(family), lanes
        self._use(self.gate)

    def in_lane(self, name: str) -> "Room | None":
        """Return the lane of this name; None if the room has none."""
        return next((room for room in self.family if room.lane == name), None)

    def shared_fields(self) -> SharedFields:
        """Return what the status documents of all waiting visitors share."""
        return self._shared

    def _new_shared(self) -> SharedFields:
        stock, sale = self.stock, self.sale
        state = State.SOLD_OUT if stock.is_paused else State.WAITING
        if sale is None:
            return SharedFields(state, self.name, self.message, stock.free, stock.held, paused=self.paused)
        if sale.is_early:
            state = State.EARLY
        draw = sale.draw_json
        return SharedFields(state, self.name, self.message, stock.free, stock.held, sale.opens_at, self.paused, draw)

    def use_shadow(self, now: float) -> None:
        """Count in a shadow line from now on, if the settings say so; what was counted before goes on."""
        self.shadow = self.history.shadow = next_shadow(
            self.history.shadow, self.settings.mode, self.gate.settings, now
        )

    def use_sale(self, sale: SaleClock, now: float) -> None:
        """Follow the sales of the settings from now on."""
        self.sale = sale
        self._turn(sale, now)

    def _turn(self, sale: SaleClock, now: float) -> None:
        """Begin the phase of this moment."""
        sale.use(now)
        self.mode = ModeRules("closed" if sale.is_shut else self.settings.mode)
        self._look(now)
        self._shared = self._new_shared()

    def pass_in_shadow(self, now: float) -> float:
        """Take a vacancy for a passing visitor. Return the seconds that they would have waited."""
        self.vacancies.take(now)
        return 0.0 if self.shadow is None else self.shadow.arrive(now)

    def set_missing(self, missing: tuple[str, ...], now: float) -> None:
        """Set which dependencies are missing. While any is, the line stands still."""
        self.missing = missing
        self._look(now)

    def set_upstream_down(self, is_down: bool, now: float) -> None:
        """Set whether the upstream is down. Meanwhile the line stands still if the settings say so."""
        if is_down != self.history.is_upstream_down:
            self.history.is_upstream_down = is_down
            for room in self.family:
                room.refresh(now)

    def learn_stock(self, event: RoomEvent, now: float) -> bool:
        """Take in news of the stock: without a free unit the line stands still. Return whether it changed anything."""
        is_news = self.stock.update(event, now)
        if is_news:
            for room in self.family:
                room.refresh(now)
        return is_news

    def refresh(self, now: float) -> None:
        """Follow what has changed for the whole room."""
        self._look(now)
        self._shared = self._new_shared()

    def tick(self, now: float) -> None:
        """Take one control step."""
        self._ticked_at = now
        if self.sale is not None and self.sale.is_due(now):
            self._turn(self.sale, now)
        if now - self._origin_s > MOVE_AFTER_S and not self.door.parked_count:
            self._use(self.gate.moved(now))
        self.door.tick(now - self._origin_s)
        self.settle_offers(now)
        if self.gate.is_frozen != (self.paused is not None):
            self._look(now)
        if self.lanes is not None:
            self.lanes.divide([room.gate for room in self.family], now)

    def reasons(self) -> tuple[str, ...]:
        """Return the reasons for which the line stands still, the first for visitors; empty if it does not."""
        reasons = set(self.missing)
        if self.history.is_upstream_down and self.holds_when_down:
            reasons.add("upstream")
        if self.stock.is_paused:
            reasons.add("stock")
        sale = self.sale
        if sale is not None and (sale.is_waiting or sale.is_shut):
            reasons.add("sale")
        if sale is not None and sale.is_suspended:
            reasons.add("operator")
        return tuple(reason for reason in REASONS if reason in reasons)

    def _look(self, now: float) -> None:
        """Let the line stand still or go on, as the reasons say now."""
        reasons = self.reasons()
        sale = self.sale  # a line that stands still for its opening alone goes on at a time that all nodes know
        until = sale.phase.until if sale is not None and sale.is_waiting and reasons == ("sale",) else None
        self.gate.hold(bool(reasons), now, until)
        paused = reasons[0] if reasons else self.gate.pause()
        if paused != self.paused:
            self.paused = paused
            self._shared = self._new_shared()

    def poll(
        self,
        place: int,
        now: float,
        u: float,
        *,
        is_shut: bool = False,
        may_park: bool = False,
        is_page: bool = False,
    ) -> DoorVerdict:
        """Decide one poll. An `Admit` has taken a vacancy and a claim.

        place: `place_of` the visitor's ticket. is_shut: admit nobody; the visitor is counted and gets an appointment.
        """
        door, vacancies = self.door, self.vacancies
        number, time = (place - self._origin) * UNIT_S, now - self._origin_s
        if is_shut:
            return door.poll(number, time, u, 0, may_park=False)
        if not vacancies.is_limited:
            verdict = door.poll(number, time, u, None, may_park=may_park, is_page=is_page)
            if isinstance(verdict, Admit):
                vacancies.take(now)
            return verdict
        vacancies.take(now)
        verdict = door.poll(number, time, u, self._left(), may_park=may_park, is_page=is_page)
        if not isinstance(verdict, Admit):
            vacancies.give_back(now)
        return verdict

    def _left(self) -> int:
        """Return the vacancies of a limited room that this lane may take now; 0 if it is the turn of another lane."""
        count, lanes = self.vacancies.count(), self.lanes
        return count if lanes is None or count > FEW or lanes.has_turn(self.lane) else 0

    def _has_vacancy(self, now: float) -> bool:
        vacancies = self.vacancies
        return not vacancies.is_limited or (vacancies.has_vacancy(now) and self._left() > 0)

    def would_admit(self, place: int, now: float) -> bool:
        """Return whether a visitor with this place would be admitted now. Change nothing."""
        gate = self.gate.inner
        return gate.would_admit((place - self._origin) * UNIT_S, now - self._origin_s) and self.vacancies.has_vacancy(
            now
        )

    def park(self, place: int, park: Park, answer: Callable[[float], object]) -> int:
        """Park a poll for which `poll` returned `park`. answer(now) is called once, later (`Door.park`)."""
        origin_s = self._origin_s
        return self.door.park((place - self._origin) * UNIT_S, park, lambda time: answer(time + origin_s))

    def hang_up(self, place: int, number: int) -> None:
        """Drop a parked poll because its visitor closed the connection. number: of `park`."""
        self.door.hang_up((place - self._origin) * UNIT_S, number)

    def answer_older(self, place: int, now: float) -> None:
        """If a token is free, answer the parked visitors admitted before this place. Call it before each `poll`.

        If the control step is late it is made up for here. While the worker has more requests than it can serve, its
        event loop reads sockets for seconds before it looks at a timer, and a gate without steps admits nobody.
        """
        if now - self._ticked_at > LATE_S:
            self.tick(now)
        door = self.door
        if door.parked.is_due:  # mostly not, and then nothing has to be worked out
            door.answer_older((place - self._origin) * UNIT_S, now - self._origin_s)

    def answer_one(self, number: int, now: float) -> None:
        """Answer one parked poll now, because its connection cannot wait any longer. number: of `park`."""
        self.door.answer_one(number, now - self._origin_s)

    def answer_all(self, now: float) -> None:
        """Answer every parked poll now: the gate or the settings are being replaced."""
        self.door.answer_all(now - self._origin_s)

    def settle(self, place: int, now: float, u: float, parked_s: float, *, is_shut: bool = False) -> Admit | Wait:
        """Decide a poll that was parked for `parked_s` seconds. An `Admit` has taken a vacancy and a claim."""
        door, vacancies = self.door, self.vacancies
        number, time = (place - self._origin) * UNIT_S, now - self._origin_s
        if is_shut:
            return door.settle(number, time, u, parked_s, 0)
        vacancies.take(now)
        verdict = door.settle(number, time, u, parked_s, self._left() if vacancies.is_limited else None)
        if not isinstance(verdict, Admit):
            vacancies.give_back(now)
        return verdict

    def share_among(self, nodes: int, now: float) -> None:
        """Take note of how many nodes share the capacity. A node that hears no other hands out an even share."""
        wanted = self.gate.settings
        if wanted.nodes != nodes:
            even = wanted.room_rate / nodes
            self.gate.reconfigure(replace(wanted, nodes=nodes, admissions_per_second=even), now)
            self._look(now)

    def scale(self, factor: float, now: float) -> None:
        """Use this part of the configured capacity from now on, 0 to 1. Threshold, bucket and line stay."""
        wanted = self.gate.settings
        rate = self.settings.capacity.admissions_per_second * factor
        if self.lanes is not None:
            if self.lanes.rate != rate:
                self.lanes.use_rate(rate, [room.gate for room in self.family], now)
                for room in self.family:
                    room.refresh(now)
        elif wanted.room_rate != rate:
            part = rate / wanted.nodes
            fresh = replace(wanted, admissions_per_second=part, room_admissions_per_second=rate)
            self.gate.reconfigure(fresh, now)
            self._look(now)
