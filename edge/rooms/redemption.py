"""A place is used once over all nodes: before a node lets in whoever showed a ticket, it asks for the grant.

    node                        supervisor (desk.py)                 Redis
    the gate says: come in
    Wanted  -----------------> used on this machine? ------------> used by another?    (one script: look, and write)
    Granted | AlreadyRedeemed | Unverified <--'----------------------------------'

A ticket that was made for this very request needs none: nobody else can have it. So an empty line costs nothing, and a
full one a message for each admission. All times are wall clock; nothing here waits for anything.

What is written down of a use is its record, text: admitted (ms), expires (s), first_seen (ms), binding_digest, joined by dots.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from waiting_room.ticket import Pass

__all__ = [
    "AlreadyRedeemed",
    "Granted",
    "Outcome",
    "RedemptionClient",
    "Unverified",
    "admitted_in",
    "moment_of",
    "record_of",
]

#: How long a visitor's request waits for the answer: a supervisor that is busy, a Redis that is slow.
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Granted:
    """Nobody else has used the place."""


@dataclass(frozen=True, slots=True)
class AlreadyRedeemed:
    """Somebody has, and was given this pass."""

    given: Pass


@dataclass(frozen=True, slots=True)
class Unverified:
    """There is nobody to ask, or no answer came in time."""


Outcome = Granted | AlreadyRedeemed | Unverified
Then = Callable[[Outcome], None]


def record_of(given: Pass) -> str:
    return f"{moment_of(given)}.{int(given.expires)}.{round(given.first_seen * 1000)}.{given.binding_digest}"


def moment_of(given: Pass | None) -> str:
    """The beginning of a use's record, by which it is told from a later use of the same place; '' for none."""
    return "" if given is None else str(round(given.admitted_at * 1000))


def admitted_in(record: str) -> float:
    """When the visitor was let in, seconds. Raises ValueError when it is no record."""
    return int(record.partition(".")[0]) / 1000


def _pass_of(record: str, room: str, ident: str) -> Pass:
    """Raises ValueError when it is no record."""
    admitted, expires, first_seen, binding_digest = record.split(".", 3)
    return Pass(ident, room, int(first_seen) / 1000, int(admitted) / 1000, float(int(expires)), binding_digest)


class RedemptionClient:
    """A node's end. send(question): to the supervisor. later(seconds, call): as the event loop's `call_later`."""

    def __init__(
        self,
        send: Callable[[dict[str, object]], None],
        later: Callable[[float, Callable[[], object]], object],
    ) -> None:
        self._send = send
        self._later = later
        self._number = 0
        self._asked: dict[int, tuple[str, str]] = {}
        self.open: dict[tuple[str, str], list[Then]] = {}
        """Who waits for an answer, by room and ticket."""

    def ask(self, wanted: Pass, before: Pass | None, then: Then, *, is_patient: bool = False) -> None:
        """May this pass be given? before: the use that it takes the place of, when the place moves.

        then(outcome) is called once, later. is_patient: nobody will be let in who could not be asked about.
        """
        key = (wanted.room, wanted.id)
        self._number += 1
        number = self._number
        self._asked[number] = key
        self.open[key] = [then]
        self._send(
            {
                "number": number,
                "room": wanted.room,
                "ticket": wanted.id,
                "before": moment_of(before),
                "record": record_of(wanted),
                "is_patient": is_patient,
            }
        )
        self._later(PATIENCE_S, lambda: self._settle(number, Unverified()))

    def wait(self, room: str, ident: str, then: Then) -> None:
        """Hear the answer that somebody else with the same ticket asked for, after them."""
        self.open[room, ident].append(then)

    def hear(self, answer: Mapping[str, Any]) -> None:
        """The supervisor's answer. One that is too late, or for the worker before this one, counts for nothing."""
        number, room, ident = answer["number"], answer["room"], answer["ticket"]
        if self._asked.get(number) != (room, ident):
            return
        match answer["outcome"]:
            case "granted":
                self._settle(number, Granted())
            case "used":
                self._settle(number, AlreadyRedeemed(_pass_of(answer["record"], room, ident)))
            case _:
                self._settle(number, Unverified())

    def _settle(self, number: int, outcome: Outcome) -> None:
        key = self._asked.pop(number, None)
        if key is not None:
            for then in self.open.pop(key):
                then(outcome)
