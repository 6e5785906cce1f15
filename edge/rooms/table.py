"""The rooms of this node: which one covers a request, and how all are made from the settings."""

from collections.abc import Callable, Mapping, MutableSequence, Sequence

from controller import CELLS, Gate, GateSettings
from edge.rooms.paths import PrefixIndex, compile_globs, readings
from edge.rooms.room import Room
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from waiting_room.assets import Assets
from waiting_room.page import WaitingPage

__all__ = ["RoomTable", "build_rooms"]


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
        burst_floor=capacity.burst_floor,
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
                assets,
                room.name,
                room.page.title,
                away_s=room.ticket.away_seconds,
                join_s=room.join.no_script_wait_seconds,
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
