"""The redemption check: before a node redeems a ticket, it asks whether another node has.

    node                       supervisor                            Redis
    the gate admits
    question ----------------> redeemed on this machine? ----------> by another machine?  (one script: look and write)
    Granted | AlreadyRedeemed | Unverified <--'----------------------------------'

A ticket that was made for this very request needs no check: nobody else can have it. So an empty line costs nothing,
and a full line one message for each admission. All times are wall clock; nothing here waits.

A redemption is stored as its record, a text of fields joined by dots: admitted (ms), expires (s), first_seen (ms),
binding digest. A ticket that its visitor gave up is redeemed too: `expires` is 0, and the reason stands in the place of
the binding digest (`redeemed_tickets.py`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

from edge.messages.processes import RedemptionAnswer, RedemptionQuestion
from waiting_room.ticket import Pass

__all__ = [
    "AlreadyRedeemed",
    "CheckOutcome",
    "Granted",
    "RedemptionClient",
    "Unverified",
    "moment_of",
    "pass_of",
    "record_of",
]

#: How long a visitor's request waits for the outcome, in seconds: the supervisor may be busy, or Redis slow.
PATIENCE_S = 0.5


@dataclass(frozen=True, slots=True)
class Granted:
    """No other node has redeemed the ticket."""


@dataclass(frozen=True, slots=True)
class AlreadyRedeemed:
    """Another node has redeemed the ticket and gave this pass."""

    given: Pass


@dataclass(frozen=True, slots=True)
class Unverified:
    """Nobody could be asked, or no outcome came in time."""


CheckOutcome = Granted | AlreadyRedeemed | Unverified
Then = Callable[[CheckOutcome], None]


def record_of(visitor_pass: Pass) -> str:
    """Return the record of a redemption."""
    first_seen_ms, digest = round(visitor_pass.first_seen * 1000), visitor_pass.binding_digest
    if visitor_pass.is_offered:
        digest += "~o"
    return f"{moment_of(visitor_pass)}.{int(visitor_pass.expires)}.{first_seen_ms}.{digest}"


def moment_of(visitor_pass: Pass | None) -> str:
    """Return the first field of a record, which tells one redemption of a ticket from a later one; '' for None."""
    return "" if visitor_pass is None else str(round(visitor_pass.admitted_at * 1000))


def pass_of(record: str, room: str, ticket_id: str) -> Pass:
    """Return the pass that a record tells of. Raises ValueError if it is not a record."""
    admitted, expires, first_seen, binding_digest = record.split(".", 3)
    admitted_at, ends = int(admitted) / 1000, float(int(expires))
    is_offered = binding_digest.endswith("~o")
    digest = binding_digest[:-2] if is_offered else binding_digest
    return Pass(ticket_id, room, int(first_seen) / 1000, admitted_at, ends, digest, True, is_offered=is_offered)


class RedemptionClient:
    """A node's side of the check.

    send(question): to the supervisor. later(seconds, call): like the event loop's `call_later`.
    """

    def __init__(
        self,
        send: Callable[[RedemptionQuestion], None],
        later: Callable[[float, Callable[[], object]], object],
    ) -> None:
        self._send = send
        self._later = later
        self._number = 0
        self._asked: dict[int, tuple[str, str]] = {}
        self._waiting: dict[tuple[str, str], list[Then]] = {}
        """Calls that wait for an outcome, by room and ticket."""

    def __repr__(self) -> str:
        return f"<RedemptionClient {len(self._waiting)} checks open>"

    def is_open(self, room: str, ticket_id: str) -> bool:
        """Return whether a check of this ticket is under way."""
        return bool(self._waiting) and (room, ticket_id) in self._waiting

    def ask(self, wanted: Pass, before: Pass | None, then: Then, *, holds_if_unverified: bool = False) -> None:
        """Ask whether this pass may be given. then(outcome) is called once, later.

        before: the redemption that this one supersedes, if the visitor was requeued. holds_if_unverified: if a
        ticket cannot be checked, the room holds rather than admit its visitor.
        """
        key = (wanted.room, wanted.id)
        self._number += 1
        number = self._number
        self._asked[number] = key
        self._waiting[key] = [then]
        self._send(
            RedemptionQuestion(
                number=number,
                room=wanted.room,
                ticket=wanted.id,
                before=moment_of(before),
                record=record_of(wanted),
                holds_if_unverified=holds_if_unverified,
            )
        )
        self._later(PATIENCE_S, lambda: self._settle(number, Unverified()))

    def wait(self, room: str, ticket_id: str, then: Then) -> None:
        """Wait for the outcome of the open check of this ticket; then(outcome) is called after those before."""
        self._waiting[room, ticket_id].append(then)

    def receive(self, answer: RedemptionAnswer) -> None:
        """Take in the supervisor's answer. One that is too late, or for an earlier worker, is ignored."""
        number, room, ticket_id = answer.number, answer.room, answer.ticket
        if self._asked.get(number) != (room, ticket_id):
            return
        match answer.outcome:
            case "granted":
                self._settle(number, Granted())
            case "already_redeemed":
                self._settle(number, AlreadyRedeemed(pass_of(answer.record, room, ticket_id)))
            case "unverified":
                self._settle(number, Unverified())
            case _:
                assert_never(answer.outcome)

    def _settle(self, number: int, outcome: CheckOutcome) -> None:
        key = self._asked.pop(number, None)
        if key is not None:
            for then in self._waiting.pop(key):
                then(outcome)
