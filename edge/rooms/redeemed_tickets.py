"""Redeemed tickets: a ticket admits one visitor, however often the ticket or its pass is shown.

    the ticket is shown again
        while its pass lasts               the visitor gets the same pass: a lost response, a second tab, a double click
        after that                         the ticket counts no more; the visitor is a first visitor
        by another browser (bound pass)    the ticket may be redeemed again: below
    the pass is shown by another           the pass does not count there; the visitor is requeued at their old place and
    browser or network (bound pass)        is admitted again REDEEM_AGAIN_S after the last time at the earliest. The
                                           earlier pass is superseded then and counts nowhere

If a visitor leaves the line or moves the place to another device, the ticket is redeemed for a pass that has
ended, with the reason in the place of its binding digest. It counts no more, and its pages say why.

So a visitor waits a little after a change of networks. A pass that many people share changes hands once a minute.

The memory is bounded, and losing it is harmless: a forgotten ticket is redeemed once more. Times are wall clock.
"""

from collections import OrderedDict
from dataclasses import replace
from typing import TypeVar

from waiting_room.status import LEFT, MOVED
from waiting_room.ticket import Pass, Ticket

__all__ = ["REDEEM_AGAIN_S", "RedeemedTickets", "given_up", "reason_of"]

#: How many tickets are remembered: eleven minutes of 50 admissions a second, some 14 MB.
MOST = 32_768
#: So long after it was redeemed a ticket may be redeemed again from elsewhere.
REDEEM_AGAIN_S = 60.0
#: `expires` of a pass after the upstream has ended its session.
_ENDED = 0.0


T = TypeVar("T")


def given_up(ticket: Ticket, reason: str, taker: str, now: float) -> Pass:
    """Return what a ticket is redeemed for when its visitor leaves the line or moves their place.

    reason: LEFT or MOVED. taker: the binding digest of the device that takes the place, '' if none does."""
    return Pass(ticket.id, ticket.room, ticket.first_seen, now, _ENDED, f"{reason}~{taker}")


def reason_of(visitor_pass: Pass) -> str:
    """Return why a ticket was redeemed for a pass that has ended: LEFT, MOVED, or '' for another reason."""
    if visitor_pass.expires != _ENDED:
        return ""
    reason = visitor_pass.binding_digest.partition("~")[0]
    return reason if reason in (LEFT, MOVED) else ""


class RedeemedTickets:
    """The redeemed tickets of one room at one node, with the passes they were exchanged for."""

    def __init__(self) -> None:
        self._passes: OrderedDict[str, Pass] = OrderedDict()
        self._requeued: OrderedDict[str, float] = OrderedDict()
        self._superseded: OrderedDict[str, float] = OrderedDict()
        self._ended: OrderedDict[str, float] = OrderedDict()
        self.has_superseded = False
        """Whether any pass was superseded. If not, no pass has to be looked up."""

    def __len__(self) -> int:
        return len(self._passes)

    def __repr__(self) -> str:
        return f"<RedeemedTickets {len(self._passes)} redeemed, {len(self._requeued)} requeued>"

    def get(self, ticket_id: str) -> Pass | None:
        """Return the pass that a ticket was exchanged for."""
        return self._passes.get(ticket_id)

    def add(self, visitor_pass: Pass) -> Pass | None:
        """Remember that a ticket was redeemed. Return the pass that this one supersedes."""
        ticket_id = visitor_pass.id
        before = self._passes.pop(ticket_id, None)
        _keep(self._passes, ticket_id, visitor_pass)
        if before is not None or ticket_id in self._requeued:
            self._requeued.pop(ticket_id, None)
            self.supersede(ticket_id, visitor_pass.admitted_at)
        return before

    def learn(self, visitor_pass: Pass) -> None:
        """Remember a pass that another node gave."""
        _keep(self._passes, visitor_pass.id, visitor_pass)

    def supersede(self, ticket_id: str, admitted_at: float) -> None:
        """Take note that a ticket was redeemed again at `admitted_at`: its earlier passes count no more."""
        earlier = self._passes.get(ticket_id)
        if earlier is not None and earlier.admitted_at + 0.001 < admitted_at:
            del self._passes[ticket_id]
        _keep(self._superseded, ticket_id, admitted_at)
        self.has_superseded = True

    def is_superseded(self, visitor_pass: Pass) -> bool:
        """Return whether the ticket was redeemed again after this pass was given. Passes say it in milliseconds."""
        return self._superseded.get(visitor_pass.id, 0.0) > visitor_pass.admitted_at + 0.001

    def is_over(self, visitor_pass: Pass, now: float) -> bool:
        """Return whether a redeemed ticket counts no more. visitor_pass: what it was exchanged for."""
        expires = visitor_pass.expires
        return expires == _ENDED or (now >= expires and visitor_pass.id not in self._requeued)

    def end(self, ticket_id: str) -> None:
        """Note that the upstream ended the session: the ticket counts no more at this node.

        The browser's cookie is removed with the response. A copy of the pass is forwarded until the pass expires."""
        visitor_pass = self._passes.get(ticket_id)
        if visitor_pass is not None:
            self._passes[ticket_id] = replace(visitor_pass, expires=_ENDED)

    def is_requeued(self, ticket_id: str) -> bool:
        """Return whether the ticket was redeemed, and its visitor stands in line again."""
        return ticket_id in self._requeued

    def has_ended(self, ticket_id: str) -> bool:
        """Return whether `end_everywhere` was called for this ticket."""
        return ticket_id in self._ended

    def end_everywhere(self, ticket_id: str, now: float) -> None:
        """Note that the session is over although the visitor keeps the cookie: no pass from before `now` counts."""
        self.end(ticket_id)
        _keep(self._ended, ticket_id, now)
        _keep(self._superseded, ticket_id, now)
        self.has_superseded = True

    def requeue(self, shown: Pass, now: float) -> bool:
        """Requeue the visitor that shows a pass that does not count where it is shown. Return False if the session
        was ended: then they are a first visitor."""
        remembered = self._passes.get(shown.id)
        if shown.id in self._ended:
            return False
        if remembered is None:
            _keep(self._passes, shown.id, shown)
        elif remembered.expires == _ENDED:
            return False
        elif shown.expires > remembered.expires:  # it was renewed
            self._passes[shown.id] = shown
        _keep(self._requeued, shown.id, now)
        return True


def _keep(memory: OrderedDict[str, T], key: str, value: T) -> None:
    memory[key] = value
    if len(memory) > MOST:
        memory.popitem(last=False)
