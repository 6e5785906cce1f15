"""Find the changes that operators want to be told, from the state of everything, once a second.

A subject is in one of several states: the line of a room has formed or is cleared, Redis is up or down. A change of
its state is a happening. In each cool-down a state of a subject is told at most once. After the cool-down the state
that holds then is told, so the last message to a receiver is always right.

    look(...)      once a second, with the state of everything    --> subjects --> happenings
    tell(...)      what is no state, such as the opening of a sale            --> happenings
"""

from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from edge.supervisor.notices import MODES, room_notices

__all__ = ["Happening", "Happenings"]

#: A line is cleared when nobody has waited for so many looks, and formed when enough have for so many.
CLEARED_LOOKS: Final = 5
FORMED_LOOKS: Final = 2
MOST_TOLD: Final = 1000

_MODES: Final = {"open": "The room is open.", **MODES}


@dataclass(frozen=True, slots=True)
class Happening:
    """event: as in `edge/settings/watching.py`. room: None if it is of the machine. at_s: wall clock."""

    event: str
    room: str | None
    at_s: float
    text: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(slots=True)
class _Subject:
    """event: the state now. told: the state that was told last. told_at: when each state was told last."""

    event: str
    told: str
    told_at: dict[str, float] = field(default_factory=dict)


class Happenings:
    """Of one machine."""

    def __init__(self) -> None:
        self._subjects: dict[tuple[str | None, str], _Subject] = {}
        self._told: deque[Happening] = deque(maxlen=MOST_TOLD)
        self._looks: dict[str, int] = {}
        self._restarts: dict[int, int] = {}

    def __repr__(self) -> str:
        return f"<Happenings, {len(self._subjects)} subjects>"

    def tell(self, event: str, room: str | None, at_s: float, text: str, **details: Any) -> None:
        """Note something that happened at a moment. It has no cool-down."""
        self._told.append(Happening(event, room, at_s, text, details))

    def look(
        self,
        now: float,
        rooms: Sequence[Mapping[str, Any]],
        workers: Sequence[Mapping[str, Any]],
        redis: str,
        *,
        upstream_is_down: bool,
        cooldown_s: float,
        formed_at: int,
    ) -> list[Happening]:
        """Return what has happened since the last look.

        rooms: as the API shows them, with `admitted_per_s`, the mean of the last seconds (None if unknown), and
        `other_nodes`. redis: 'up', 'down' or 'unused'. formed_at: visitors that make a line.
        """
        found = list(self._told)
        self._told.clear()
        states = [*self._of_machine(workers, redis, upstream_is_down=upstream_is_down)]
        for room in rooms:
            states += self._of_room(room, formed_at)
        for room_name, subject, event, text, details in states:
            if self._is_told(room_name, subject, event, now, cooldown_s):
                found.append(Happening(event, room_name, now, text, details))
        return found

    def _is_told(self, room: str | None, name: str, event: str, now: float, cooldown_s: float) -> bool:
        """Set the state of a subject. Return whether it is told now. The first state is told only if it is a fault."""
        subject = self._subjects.get((room, name))
        if subject is None:
            is_fault = event in ("upstream.down", "redis.down", "node.lost")
            subject = self._subjects[room, name] = _Subject(event, "" if is_fault else event)
        subject.event = event
        if event == subject.told or now - subject.told_at.get(event, -cooldown_s) < cooldown_s:
            return False
        subject.told, subject.told_at[event] = event, now
        return True

    def _of_machine(self, workers: Sequence[Mapping[str, Any]], redis: str, *, upstream_is_down: bool) -> "_States":
        if upstream_is_down:
            yield None, "upstream", "upstream.down", "The shop does not answer.", {}
        else:
            yield None, "upstream", "upstream.up", "The shop answers.", {}
        if redis != "unused":
            if redis == "down":
                yield None, "redis", "redis.down", "Redis cannot be reached: this machine goes on alone.", {}
            else:
                yield None, "redis", "redis.up", "Redis is there.", {}
        for worker in workers:
            number, restarts = worker["node"], worker["restarts"]
            before = self._restarts.get(number)
            # A worker that was not there yet is not lost. One that died may be back before anybody looks.
            is_lost = before is not None and (restarts > before or not worker["ready"])
            if worker["ready"]:
                self._restarts[number] = restarts
            details = {"node": number, "restarts": restarts}
            event, text = ("node.lost", "died or hangs") if is_lost else ("node.back", "serves")
            yield None, f"node {number}", event, f"Worker {number} {text}.", details

    def _of_room(self, room: Mapping[str, Any], formed_at: int) -> "_States":
        name, figures = room["room"], room["figures"]
        unused = [
            notice["text"]
            for notice in room_notices(room, room["admitted_per_s"])
            if notice["kind"] == "capacity_unused"
        ]
        why = {"reason": room["reason"]} if room["reason"] else {}
        yield name, "mode", f"room.{room['mode']}", _MODES[room["mode"]], why
        sale = room["sale"]
        if sale is not None and sale["phase"] == "open":
            yield name, "sale", "sale.opened", f"The sale {sale['name']} has opened.", {"sale": sale["name"]}
        else:
            yield name, "sale", "sale.ended", "The sale has ended.", {}
        yield self._line(name, figures["waiting"], formed_at)
        if figures["sold_out"]:
            yield name, "stock", "stock.sold_out", "Sold out.", {"stock": figures["stock"]}
        else:
            yield name, "stock", "stock.available", "There is stock again.", {"stock": figures["stock"]}
        numbers = {"waiting": round(figures["waiting"]), "admissions_per_second": figures["admissions_per_second"]}
        if unused:
            yield name, "capacity", "capacity.unused", unused[0], numbers
        else:
            yield name, "capacity", "capacity.used", "The capacity is used, or nobody waits.", numbers
        for node in room["other_nodes"]:
            event, text = ("node.lost", "is silent") if node["silent"] else ("node.back", "is heard")
            yield name, f"node {node['node']}", event, f"The node {node['node']} {text}.", {"node": node["node"]}

    def _line(self, room: str, waiting: float, formed_at: int) -> "_State":
        """Return the state of a room's line. It changes only after several looks that agree."""
        subject = self._subjects.get((room, "line"))
        is_formed = subject is not None and subject.event == "line.formed"
        differs = waiting < 0.5 if is_formed else waiting >= formed_at
        looks = self._looks[room] = self._looks.get(room, 0) + 1 if differs else 0
        if looks >= (CLEARED_LOOKS if is_formed else FORMED_LOOKS):
            is_formed, self._looks[room] = not is_formed, 0
        details = {"waiting": round(waiting)}
        if is_formed:
            return room, "line", "line.formed", f"A line has formed: {waiting:,.0f} visitors wait.", details
        return room, "line", "line.cleared", "Nobody waits any more.", details


#: Room, subject, event, text and details.
_State = tuple[str | None, str, str, str, dict[str, Any]]
_States = Iterator[_State]
