"""The rooms of a node: which one covers a request, and how all are built from the settings."""

from collections.abc import Callable, Mapping, MutableSequence, Sequence
from math import inf

from controller import CELLS, GateSettings
from edge.rooms.lanes import RoomLanes, shares_of
from edge.rooms.pages import languages_of, pages_of
from edge.rooms.room import Room
from edge.rooms.room_gate import RoomGate
from edge.rooms.room_history import RoomHistory
from edge.rooms.sale_clock import SaleClock
from edge.settings.lanes import key_of
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.support.path_readings import readings
from edge.support.paths import PathSet, PrefixIndex, covers_text
from waiting_room.assets import Assets

__all__ = ["RoomTable", "build_rooms"]

Rows = Sequence[MutableSequence[int]]


class RoomTable:
    """All rooms in the order of the file, each followed by its named lanes. A request belongs to the first one that
    matches its host and path."""

    def __init__(self, bypass: Sequence[str], rooms: Sequence[Room]) -> None:
        self.rooms = tuple(rooms)
        self.by_name = covering = {room.name: room for room in rooms if not room.lane}
        self._with_sales = tuple(room for room in rooms if room.sale is not None)
        self._bypass = PathSet(bypass)
        self._matchers = tuple(
            (
                match.host.casefold(),
                PathSet(match.paths),
                PathSet([*match.bypass, *match.callbacks]),
                PathSet(match.callbacks),
                room,
            )
            for room in covering.values()
            for match in [room.settings.match]
        )
        self._index = PrefixIndex([room.settings.match.paths for room in covering.values()])
        self._named_hosts = tuple({room.settings.match.host.casefold() for room in rooms} - {"*"})

    def __repr__(self) -> str:
        return f"<RoomTable {', '.join(self.by_name)}>"

    def next_turn_at(self) -> float:
        """Return when a sale of a room begins its next phase: wall time in seconds, infinite if none does."""
        return min((room.sale.phase.until for room in self._with_sales if room.sale is not None), default=inf)

    def asked_host(self, host: str, forwarded_host: str) -> str:
        """Return the host that chooses the room: `Host`, or what a trusted proxy said (`X-Forwarded-Host`).

        A `Host` that a room names counts before it: many proxies pass on a client's own `X-Forwarded-Host`, and that
        must not take a request out of its room.
        """
        if not forwarded_host:
            return host
        name = host_name(host)
        return host if any(covers_text(named, name) for named in self._named_hosts) else forwarded_host

    def match(self, method: str, host: str, target: str) -> Room | None:
        """Return the room that covers a request by any reading of its path, or None.

        Raises ValueError for a path with too many readings: the guard refuses such a request before it gets here.

        Bypass lists hold for requests that change nothing: a form sent to `/checkout/x.css` is no style sheet.
        Callbacks hold for all methods: machines send to them, and send visitors back to them by a form.
        """
        path, _, query = target.partition("?")
        forms = readings(path)
        if not forms:
            raise ValueError(f"a path with too many readings was not refused: {path[:80]!r}")
        for form in forms:
            room = self._match(method, host, form, query)
            if room is not None:
                return room
        return None

    def _match(self, method: str, host: str, form: str, query: str) -> Room | None:
        changes_nothing = method in ("GET", "HEAD", "OPTIONS")
        if changes_nothing and self._bypass.covers(form, query):
            return None
        name = host_name(host)
        for at in self._index.candidates(form):
            hosts, paths, bypass, callbacks, room = self._matchers[at]
            if covers_text(hosts, name) and paths.covers(form, query):
                return None if (bypass if changes_nothing else callbacks).covers(form, query) else room
        return None


def host_name(host: str) -> str:
    """Return a `Host` header without port and trailing dot, in lower case."""
    name = host.lower()
    if name.startswith("["):
        return name.partition("]")[0] + "]"
    return name.partition(":")[0].rstrip(".")


def gate_settings(settings: Settings, room: RoomSettings, share: float = 1.0) -> GateSettings:
    """Return one node's share of a room's capacity and of its budget of polls. share: of the lane, 0 to 1."""
    nodes, capacity, polling = settings.nodes, room.capacity, room.polling
    rate = capacity.admissions_per_second * share
    return GateSettings(
        admissions_per_second=rate / nodes,
        burst_seconds=capacity.burst_seconds,
        burst_floor=capacity.burst_floor,
        poll_min_s=polling.min_seconds,
        poll_max_s=polling.max_seconds,
        poll_budget_per_s=None if polling.budget_per_second is None else polling.budget_per_second * share / nodes,
        nodes=nodes,
        room_admissions_per_second=rate,
    )


def build_rooms(
    settings: Settings,
    assets: Assets,
    rows_of: Callable[[str], Rows],
    own_row: int,
    now: float,
    counted_since: float,
    before: RoomTable | None = None,
    resume: Mapping[str, Mapping[str, float]] | None = None,
    claims_of: Callable[[str], Rows] | None = None,
    shown: MutableSequence[int] | None = None,
    seeds: Mapping[str, Mapping[str, bytes]] | None = None,
) -> RoomTable:
    """Build all rooms of a settings file. A room that was there before keeps its line, its gate and its history.

    rows_of(name), claims_of(name): the rows of all nodes of this machine for a room, zeroed if the room is new.
    Without claims_of this node counts its own claims alone. counted_since: when the rows began.
    shown: the machine's table of shown passes (`confirmation.py`); None if this node is the only one.
    resume: the gates' checkpoints by room, of the worker that this one replaces. seeds: of draws, by room and sale.
    """
    built, languages = [], languages_of(settings)
    for room in settings.rooms:
        rows, claims = rows_of(room.name), claims_of(room.name) if claims_of else ()
        old = before.by_name.get(room.name) if before else None
        is_anew = _counts_anew(room, old, rows, claims, own_row)
        # A machine that joins others may join a sale that is under way: its first burst was made by them.
        joins_late: Mapping[str, float] | None = {} if settings.cluster.redis_url is not None else None
        active, wanted = room.capacity.total_active_users, gate_settings(settings, room, shares_of(room)[0])
        built.append(
            Room(
                room,
                _gate(wanted, now, old, (resume or {}).get(room.name, joins_late)),
                pages_of(room, settings.page_files, assets, languages),
                history=RoomHistory(room.name, shown) if old is None else old.history,
                limit=None if active is None else max(1, active // settings.cluster.machines),
                rows=rows,
                claims=claims,
                own_row=own_row,
                counted_since=now if is_anew else counted_since,
                machines=settings.cluster.machines,
            )
        )
        _follow(built[-1], seeds or {}, now)
        if room.lanes:
            built += _named_lanes(built[-1], old, settings, resume or {}, joins_late, seeds or {}, now)
    return RoomTable(settings.bypass, built)


def _named_lanes(
    general: Room,
    old: Room | None,
    settings: Settings,
    resume: Mapping[str, Mapping[str, float]],
    joins_late: Mapping[str, float] | None,
    seeds: Mapping[str, Mapping[str, bytes]],
    now: float,
) -> list[Room]:
    """Build the named lanes of a room, and let all lanes share its capacity. old: the room before a reload."""
    room, named = general.settings, []
    for lane, share in zip(room.lanes, shares_of(room)[1:], strict=True):
        before = None if old is None else old.in_lane(lane.name)
        checkpoint = resume.get(key_of(room.name, lane.name), joins_late)
        gate = _gate(gate_settings(settings, room, share), now, before, checkpoint)
        named.append(
            Room(room, gate, general.pages, history=general.history, vacancies=general.vacancies, lane=lane.name)
        )
        named[-1].shadow, named[-1].health = general.shadow, general.health
        if room.sales:
            named[-1].use_sale(SaleClock(room, seeds.get(room.name, {}), now), now)
    rate, lanes_before = room.capacity.admissions_per_second, None if old is None else old.lanes
    family, lanes = [general, *named], RoomLanes(room, rate, now, lanes_before)
    for each in family:
        each.join(family, lanes)
    return named


def _follow(room: Room, seeds: Mapping[str, Mapping[str, bytes]], now: float) -> None:
    """Let a new room follow what its settings say of shadow and sales."""
    room.use_shadow(now)
    if room.settings.sales:
        room.use_sale(SaleClock(room.settings, seeds.get(room.name, {}), now), now)


def _counts_anew(room: RoomSettings, old: Room | None, rows: Rows, claims: Rows, own_row: int) -> bool:
    """Clear the counts if the width of their bins has changed. Return whether visitors are counted anew."""
    if old is None:
        return False
    if claims and old.settings.stock.claim_seconds != room.stock.claim_seconds:
        _clear(claims[own_row])
    if old.settings.session.duration_seconds == room.session.duration_seconds:
        return False
    _clear(rows[own_row])
    old.history.confirmations.clear()
    return True


def _clear(row: MutableSequence[int]) -> None:
    """Start to count anew, because the bins have another width."""
    for cell in range(CELLS):  # one by one: shared memory takes no list
        row[cell] = 0


def _gate(wanted: GateSettings, now: float, old: Room | None, checkpoint: Mapping[str, float] | None) -> RoomGate:
    if old is None:
        return RoomGate(wanted, now, checkpoint)
    old.gate.reconfigure(wanted, now)
    return old.gate
