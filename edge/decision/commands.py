"""What the upstream says on its answers to the edge: stock, the end of a session, who is premium.

Stanchion-Stock, Stanchion-Held, Stanchion-Command        (`edge/rooms/stock.py`, `edge/decision/premium.py`)
"""

from collections.abc import Callable, Iterable
from dataclasses import replace

from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.premium import Premium
from edge.messages.head import RequestHead
from edge.messages.verdict import Forward, Headers
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from edge.rooms.stock import RoomEvent, news_in
from waiting_room.ticket import ID_BYTES, Pass

__all__ = ["Commands"]

#: Methods that take nothing from the shelf.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


class Commands:
    """One node's. on_room_event: called with what the other nodes should know. premium: None when nobody is."""

    def __init__(
        self,
        metrics: Metrics,
        cookies: Cookies,
        entropy: Callable[[int], bytes],
        on_room_event: Callable[[RoomEvent], None],
        premium: Premium | None,
    ) -> None:
        self._metrics = metrics
        self._cookies = cookies
        self._entropy = entropy
        self._on_room_event = on_room_event
        self._premium = premium

    def heed(self, facts: DecisionContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float) -> Headers:
        """Act on what the upstream's answer says to the edge; returns headers to add for the visitor.

        headers: the answer's; those named `Stanchion-*` are the edge's own and the shell passes none of them on.
        """
        room, held, said = facts.room, forward.visitor_pass, list(headers)
        premium = self._premium_by(facts.head, said, now)
        if room is None or held is None:
            return premium
        event = news_in(room.name, said)
        if event is not None:
            if facts.head.method not in SAFE and room.end_claim(held, now):
                event = replace(event, tried=held.id)
            if room.stock.hear(event, now) or event.tried is not None:
                self._on_room_event(event)
        added: Headers = ()
        for name, value in said:
            command = value.strip().lower()
            if name.lower() == "stanchion-command" and command in ("complete", "revoke"):
                added = self._end_session(room, facts, held, command, now)
        return added + premium

    def _premium_by(self, head: RequestHead, said: Iterable[tuple[str, str]], now: float) -> Headers:
        """The cookie of a visitor of whom the shop says that they are premium."""
        if self._premium is None or ("stanchion-command", "premium") not in {
            (name.lower(), value.strip().lower()) for name, value in said
        }:
            return ()
        return self._premium.grant(head, self._entropy(ID_BYTES).hex(), now)

    def _end_session(self, room: Room, facts: DecisionContext, held: Pass, command: str, now: float) -> Headers:
        self._metrics.sessions_ended.count(room.name, command)
        room.end_session(held, now)
        return self._cookies.write(room.cookie, "", 0, facts.head)
