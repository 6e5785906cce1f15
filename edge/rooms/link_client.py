"""A node's side of the question whether a browser may open a link: `edge/supervisor/link_service.py` answers it."""

from collections.abc import Callable

from edge.messages.processes import LinkAnswer, LinkOutcome, LinkQuestion
from waiting_room.links import Link

__all__ = ["LinkClient"]

#: How long a visitor's request waits for the answer, in seconds.
PATIENCE_S = 1.0
#: Questions that are open at the same time; the next ones are not asked.
MOST_OPEN = 5_000

Then = Callable[[LinkOutcome], None]


class LinkClient:
    """send(question): to the supervisor. later(seconds, call): like the event loop's `call_later`."""

    def __init__(
        self, send: Callable[[LinkQuestion], None], later: Callable[[float, Callable[[], object]], object]
    ) -> None:
        self._send = send
        self._later = later
        self._number = 0
        self._waiting: dict[int, tuple[str, Then]] = {}

    def __repr__(self) -> str:
        return f"<LinkClient {len(self._waiting)} questions open>"

    def ask(self, link: Link, holder: str, then: Then) -> None:
        """Ask whether this holder may open a link. then(outcome) is called once: later, or now if too many ask."""
        if len(self._waiting) >= MOST_OPEN:
            then("unverified")
            return
        self._number += 1
        number = self._number
        self._waiting[number] = holder, then
        self._send(LinkQuestion(number, link.id, holder, link.uses, link.expires))
        self._later(PATIENCE_S, lambda: self._settle(number, holder, "unverified"))

    def receive(self, answer: LinkAnswer) -> None:
        """Take in the supervisor's answer. One that is too late, or for an earlier worker, is ignored."""
        self._settle(answer.number, answer.holder, answer.outcome)

    def _settle(self, number: int, holder: str, outcome: LinkOutcome) -> None:
        asked, then = self._waiting.get(number, ("", None))
        if then is not None and asked == holder:
            del self._waiting[number]
            then(outcome)
