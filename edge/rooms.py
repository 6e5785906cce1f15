"""The rooms of this node: which one covers a request, and what one room knows.

A room is a gate, a count of active visitors, a page and some memory of those just let in. All of it is changed by sync
code only, between two awaits, so one request never sees half of another's effect.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Mapping, MutableSequence, Sequence
from dataclasses import replace
from zlib import crc32

from controller import Admit, FairnessRecorder, Gate, GateSettings, Verdict
from controller.occupancy import CELLS, Occupancy
from edge.health import Health
from edge.paths import PrefixIndex, compile_globs, readings
from edge.room_settings import RoomSettings
from edge.settings import Settings
from edge.stock import Shelf
from edge.uses import Uses
from waiting_room.assets import Assets
from waiting_room.page import WaitingPage
from waiting_room.ticket import Pass, Ticket, cookie_name

__all__ = ["Room", "RoomTable", "build_rooms"]

#: For how many visitors a node remembers that they tried to take a unit.
REMEMBERED = 16_384
#: A pass is renewed when a tenth of its time has passed, not at every request.
RENEW_AFTER = 0.1


class Room:
    """What this node knows of one room.

    rows: a row of CELLS integers for every node on this machine; `own_row` is this node's, the only one written.
    claims: the same for visitors let in who have not tried to take a unit yet (`edge/stock.py`).
    board_since: when the rows began to be kept; passes from before were never counted in them.
    machines: among how many the free units are divided.
    """

    def __init__(
        self,
        settings: RoomSettings,
        gate: Gate,
        page: WaitingPage,
        *,
        limit: int | None = None,
        rows: Sequence[MutableSequence[int]] = (),
        claims: Sequence[MutableSequence[int]] = (),
        own_row: int = 0,
        board_since: float = 0.0,
        machines: int = 1,
    ) -> None:
        self.settings = settings
        self.name = settings.name
        self.gate = gate
        self.page = page
        self.message = settings.page.message
        self.cookie = cookie_name(settings.name)
        self.holds_when_down = settings.when_upstream_down == "hold"
        adaptive = settings.capacity.adaptive
        self.health = Health(adaptive.latency_target_seconds) if adaptive.enabled else None
        """What its requests come to at the upstream; None: nobody wants to know."""
        self.missing: tuple[str, ...] = ()
        """What is not there and the room lets nobody in without (`edge/dependencies.py`)."""
        self.shelf = Shelf(settings.name)
        self._limit = limit
        self._machines = machines
        self.away_s = settings.ticket.away_seconds
        self._rows = rows or [[0] * CELLS for _ in range(own_row + 1)]
        self._claim_rows = claims or [[0] * CELLS for _ in range(own_row + 1)]
        # A pass ends on a whole second, so a session may last one second longer than it is said to.
        self.occupancy = Occupancy(settings.session.duration_seconds + 1.0, self._rows[own_row])
        self._claim_s = settings.stock.claim_seconds
        self._claims = Occupancy(self._claim_s, self._claim_rows[own_row])
        self._board_since = board_since
        self.fairness = FairnessRecorder()
        self.uses = Uses()
        self._tried: OrderedDict[str, float] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Room {self.name} {self.gate!r}>"

    def active(self, now: float) -> int:
        """Active visitors on this machine."""
        self.occupancy.advance(now)
        return sum(row[0] for row in self._rows)

    def ask(self, ticket: Ticket, now: float, draw: float, *, shut: bool = False) -> Verdict:
        """Put a ticket before the gate. An `Admit` has taken a place among the active visitors, and a claim.

        shut: let nobody in; the visitor is counted and given an appointment as ever.
        """
        if shut:
            return self.gate.decide(_place(ticket), now, draw, 0)
        if self._limit is None and not self.shelf.is_followed:
            verdict = self.gate.decide(_place(ticket), now, draw)
            if isinstance(verdict, Admit):
                self.occupancy.begin(self._expiry(now), now)
                self._claims.begin(now + self._claim_s, now)
            return verdict
        expires, claimed_until = self._expiry(now), now + self._claim_s
        # The place is taken before the others' places are counted: of two nodes that reach for the last one at the
        # same moment both see it taken, so the limit holds without a lock.
        self.occupancy.begin(expires, now)
        self._claims.begin(claimed_until, now)
        verdict = self.gate.decide(first_seen=_place(ticket), now=now, draw=draw, slots=self._slots())
        if not isinstance(verdict, Admit):
            self.occupancy.end(expires, now)
            self._claims.end(claimed_until, now)
        return verdict

    def _slots(self) -> int:
        """How many more may come in, a place and a claim of one's own already taken."""
        slots = []
        if self._limit is not None:
            slots.append(self._limit - sum(row[0] for row in self._rows) + 1)
        if self.shelf.is_followed and self.shelf.free is not None:
            # Several machines hear of the same units: each lets in for its part of them, rounded up, so that the last
            # unit is not left to nobody.
            part = -(-self.shelf.free // self._machines)
            slots.append(part - max(0, sum(row[0] for row in self._claim_rows) - 1))
        return min(slots)

    def end_claim(self, held: Pass, now: float) -> bool:
        """The shop has answered a visitor who tried to take a unit. False: their claim was over before."""
        if held.admitted_at < max(self._board_since, now - self._claim_s) or not self.note_tried(held.id, now):
            return False
        self._claims.end(held.admitted_at + self._claim_s, now)
        return True

    def note_tried(self, ticket_id: str, now: float) -> bool:
        """This visitor's claim is over, here or at another node. False: that is known."""
        tried = self._tried
        while tried and (len(tried) >= REMEMBERED or next(iter(tried.values())) < now - self._claim_s):
            tried.popitem(last=False)
        if ticket_id in tried:
            return False
        tried[ticket_id] = now
        return True

    def pass_for(self, ticket: Ticket, now: float, marks: str) -> Pass:
        """The pass of a visitor who is let in now."""
        return Pass(ticket.id, self.name, ticket.first_seen, now, self._expiry(now), marks)

    def take_back(self, now: float) -> None:
        """An `Admit` of this time was for nothing: another node had let the visitor in."""
        self.occupancy.end(self._expiry(now), now)
        self._claims.end(now + self._claim_s, now)

    def admit(self, ticket: Ticket, now: float, marks: str = "") -> Pass:
        """The pass of a visitor whom the gate let in. marks: whom it is given to."""
        given = self.pass_for(ticket, now, marks)
        moved = self.uses.note(given)
        if moved is not None and moved.admitted_at >= self._board_since:
            self.occupancy.end(moved.expires, now)
        self.fairness.record(ticket.first_seen, now)
        return given

    def renew(self, held: Pass, now: float) -> Pass | None:
        """A longer pass, when renewal is on and enough of the old one has gone; else None."""
        session = self.settings.session
        begun = held.expires - session.duration_seconds
        if not session.renew or now - begun < max(1.0, session.duration_seconds * RENEW_AFTER):
            return None
        if begun >= self._board_since:
            self.occupancy.end(held.expires, now)
        renewed = replace(held, expires=self._expiry(now))
        self.occupancy.begin(renewed.expires, now)
        return renewed

    def end_session(self, held: Pass, now: float) -> None:
        """The upstream says that this visitor is done: the place is free for the next one."""
        self.occupancy.end(held.expires, now)
        self.uses.end(held.id)
        self.end_claim(held, now)

    def share_among(self, nodes: int, now: float) -> None:
        """So many nodes are known to share the capacity: an even part is what this one hands out when it is alone."""
        wanted = self.gate.settings
        if wanted.nodes != nodes:
            even = wanted.room_rate / nodes
            self.gate.reconfigure(replace(wanted, nodes=nodes, admissions_per_second=even), now)

    def scale(self, factor: float, now: float) -> None:
        """Use such a part of the configured capacity from now on, 0..1; nothing jumps."""
        wanted = self.gate.settings
        rate = self.settings.capacity.admissions_per_second * factor
        if wanted.room_rate != rate:
            part = rate / wanted.nodes
            fresh = replace(wanted, admissions_per_second=part, room_admissions_per_second=rate)
            self.gate.reconfigure(fresh, now)

    def take_over(self, was: "Room") -> None:
        """Go on where this room was before the settings changed."""
        self.shelf, self.fairness = was.shelf, was.fairness
        self.uses, self._tried = was.uses, was._tried

    def _expiry(self, now: float) -> float:
        return float(math.ceil(now + self.settings.session.duration_seconds))


class RoomTable:
    """All rooms in the order of the file: the first whose host and paths match is the one."""

    def __init__(self, bypass: Sequence[str], rooms: Sequence[Room]) -> None:
        self.rooms = tuple(rooms)
        self.by_name = {room.name: room for room in rooms}
        self._bypass = compile_globs(bypass)
        self._matchers = tuple(
            (
                compile_globs([match.host]),
                compile_globs(match.paths),
                compile_globs([*match.bypass, *match.callbacks]),
                compile_globs(match.callbacks),
                room,
            )
            for room in rooms
            for match in [room.settings.match]
        )
        self._index = PrefixIndex([room.settings.match.paths for room in rooms])

    def match(self, method: str, host: str, target: str) -> Room | None:
        """The room that covers a request, whichever way its path is read; None when it goes straight through.

        Bypass lists hold for requests that change nothing: a form sent to `/checkout/x.css` is no style sheet.
        Callbacks are for machines that send what they have to say, and for visitors whom they send back by a form.
        """
        forms = readings(target)
        if len(forms) == 1:
            return self._match(method, host, forms[0])
        return next((room for form in forms if (room := self._match(method, host, form)) is not None), None)

    def _match(self, method: str, host: str, path: str) -> Room | None:
        changes_nothing = method in ("GET", "HEAD", "OPTIONS")
        if changes_nothing and self._bypass.fullmatch(path):
            return None
        name = host_name(host)
        for at in self._index.candidates(path):
            hosts, paths, bypass, callbacks, room = self._matchers[at]
            if hosts.fullmatch(name) and paths.fullmatch(path):
                return None if (bypass if changes_nothing else callbacks).fullmatch(path) else room
        return None


def _place(ticket: Ticket) -> float:
    """A place in line: the first arrival, and within its millisecond the order that the id draws.

    The gate knows a visitor by this number alone; in a rush several arrive in the same millisecond.
    """
    return ticket.first_seen + crc32(ticket.id.encode()) / 2**32 * 0.001


def host_name(host: str) -> str:
    """A `Host` header without port and trailing dot, lower case."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")


def gate_settings(settings: Settings, room: RoomSettings) -> GateSettings:
    """One node's part of a room's capacity and of its budget of polls."""
    nodes, capacity, polling = settings.nodes, room.capacity, room.polling
    return GateSettings(
        admissions_per_second=capacity.admissions_per_second / nodes,
        burst_seconds=capacity.burst_seconds,
        bucket_floor=capacity.burst_floor,
        poll_min_s=polling.min_seconds,
        poll_max_s=polling.max_seconds,
        poll_budget_per_s=None if polling.budget_per_second is None else polling.budget_per_second / nodes,
        nodes=nodes,
        room_admissions_per_second=capacity.admissions_per_second,
    )


def build_rooms(
    settings: Settings,
    assets: Assets,
    rows_of: Callable[[str], Sequence[MutableSequence[int]]],
    own_row: int,
    now: float,
    board_since: float,
    before: RoomTable | None = None,
    resume: Mapping[str, Mapping[str, float]] | None = None,
    claims_of: Callable[[str], Sequence[MutableSequence[int]]] | None = None,
) -> RoomTable:
    """All rooms of a settings file; a room that was there before goes on with its line, its gate and its stock.

    rows_of(name), claims_of(name): the rows of all nodes on this machine for a room, zeroed when the room is new.
    Without claims_of this node counts its own claims alone.
    resume: the gates' checkpoints by room, from the worker in whose place this one was started.
    """
    built = []
    for room in settings.rooms:
        rows, claims = rows_of(room.name), claims_of(room.name) if claims_of else ()
        was = before.by_name.get(room.name) if before else None
        since = board_since
        if was and was.settings.session.duration_seconds != room.session.duration_seconds:
            _clear(rows[own_row])
            since = now
        if was and claims and was.settings.stock.claim_seconds != room.stock.claim_seconds:
            _clear(claims[own_row])
        # A machine that joins others may join a sale that is under way: its first burst was made by them.
        joins_late: Mapping[str, float] | None = {} if settings.cluster.redis_url is not None else None
        gate = _gate(gate_settings(settings, room), now, was, (resume or {}).get(room.name, joins_late))
        active = room.capacity.total_active_users
        fresh = Room(
            room,
            gate,
            WaitingPage(
                assets, room.name, room.page.title, away_s=room.ticket.away_seconds, join_s=room.join.without_seconds
            ),
            limit=None if active is None else max(1, active // settings.cluster.nodes),
            rows=rows,
            claims=claims,
            own_row=own_row,
            board_since=since,
            machines=settings.cluster.nodes,
        )
        if was:
            fresh.take_over(was)
        built.append(fresh)
    return RoomTable(settings.bypass, built)


def _clear(row: MutableSequence[int]) -> None:
    """Count anew: the bins are of another width."""
    for cell in range(CELLS):  # one by one: shared memory takes no list
        row[cell] = 0


def _gate(wanted: GateSettings, now: float, was: Room | None, checkpoint: Mapping[str, float] | None) -> Gate:
    if was is None:
        return Gate(wanted, now, resume=checkpoint)
    was.gate.reconfigure(wanted, now)
    return was.gate
