"""What the upstream states on its responses to the edge: stock, the end of a session, premium visitors.

Stanchion-Stock, Stanchion-Held, Stanchion-Version, Stanchion-Command, Stanchion-Lane
                                    (`edge/rooms/stock.py`, `edge/decision/premium.py`, `edge/decision/lanes.py`)
"""

import re
from collections.abc import Callable, Iterable
from typing import Final

from msgspec.structs import replace

from edge.decision.context import DecisionContext
from edge.decision.cookies import Cookies
from edge.decision.lanes import LaneChoice
from edge.decision.premium import Premium
from edge.decision.visits import SAFE, VISIT, kind_of
from edge.messages.cluster import RoomEvent
from edge.messages.head import RequestHead
from edge.messages.shop_response import ShopResponse
from edge.messages.verdict import Forward, Headers
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from edge.rooms.stock import news_in
from edge.settings.lanes import GENERAL
from waiting_room.ticket import ID_BYTES, Pass

__all__ = ["UpstreamCommands"]

#: A name of a lane, as the settings have it.
_LANE: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?")


class UpstreamCommands:
    """One node's."""

    def __init__(
        self,
        metrics: Metrics,
        cookies: Cookies,
        entropy: Callable[[int], bytes],
        on_room_event: Callable[[RoomEvent], None],
        premium: Premium | None,
        lanes: LaneChoice | None,
    ) -> None:
        """on_room_event: called with what the other nodes need to know. premium: None if no visitor is premium. lanes:
        None if no room has lanes."""
        self._lanes = lanes
        self._metrics = metrics
        self._cookies = cookies
        self._entropy = entropy
        self._on_room_event = on_room_event
        self._premium = premium

    def apply(
        self, context: DecisionContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        """Apply what a response states; return the fields to add for the visitor.

        headers: the response's. Those named `Stanchion-*` are the edge's own, and the proxy passes none of them on.
        """
        room, visitor_pass, stated = context.room, forward.visitor_pass, list(headers)
        premium = self._premium_cookie(context.head, stated, now) + self._lane_cookie(context.head, stated, now)
        if room is None or visitor_pass is None:
            return premium
        method = context.head.method if forward.replay is None else forward.replay.method
        self._take_stock(room, visitor_pass, method, stated, now)
        added: Headers = ()
        for command in _endings(stated):
            added = self._end_session(room, context, visitor_pass, command, now)
        return added + premium

    def report(self, room: Room | None, shop: ShopResponse, now: float) -> bool:
        """Apply what a response states that did not pass the edge. Return False if there is no such room.

        The visitor keeps the cookie, so an ended session is told to all nodes.
        """
        if room is None:
            return shop.room == ""
        if room.health is not None and shop.status:
            room.health.reported(shop.seconds, is_failure=shop.status >= 500)
        admitted_at = shop.admitted_at
        # Another node may have given the pass: what can be told of it afterwards.
        given = Pass(shop.ticket, room.name, admitted_at, admitted_at, room.vacancies.expiry(admitted_at))
        visitor_pass = room.redeemed.get(shop.ticket) or given
        self._take_stock(room, visitor_pass, shop.method, shop.stated, now)
        # A report may come twice: from the load balancer, and from the shop.
        is_ending = bool(shop.ticket) and not room.redeemed.has_ended(shop.ticket)
        for command in _endings(shop.stated)[:1] if is_ending else ():
            self._metrics.sessions_ended.count(room.name, command)
            room.end_session(visitor_pass, now)
            room.redeemed.end_everywhere(shop.ticket, now)
            self._on_room_event(RoomEvent(room.name, ended=shop.ticket))
        return True

    def _take_stock(
        self, room: Room, visitor_pass: Pass, method: str, stated: Iterable[tuple[str, str]], now: float
    ) -> None:
        event = news_in(room.name, stated)
        if event is not None:
            if method not in SAFE and room.vacancies.end_claim(visitor_pass, now):
                event = replace(event, tried=visitor_pass.id)
            if room.learn_stock(event, now) or event.tried is not None:
                self._on_room_event(event)

    def _premium_cookie(self, head: RequestHead, stated: Iterable[tuple[str, str]], now: float) -> Headers:
        """Return a premium cookie if the response makes the visitor premium. A form of another site gets none: the shop
        says so again with the visitor's next page."""
        if (
            self._premium is None
            or kind_of(head, self._cookies.domain) != VISIT
            or ("stanchion-command", "premium") not in {(name.lower(), value.strip().lower()) for name, value in stated}
        ):
            return ()
        return self._premium.cookie(head, self._entropy(ID_BYTES).hex(), now)

    def _lane_cookie(self, head: RequestHead, stated: Iterable[tuple[str, str]], now: float) -> Headers:
        """Return the cookie of a claim if the response puts the visitor into a lane."""
        if self._lanes is None or kind_of(head, self._cookies.domain) != VISIT:
            return ()
        wanted = [value.strip().lower() for name, value in stated if name.lower() == "stanchion-lane"]
        if not wanted or not _LANE.fullmatch(wanted[0]):
            return ()
        if wanted[0] == GENERAL:
            return self._lanes.forget(head)
        return self._lanes.by_shop(wanted[0], head, self._entropy(ID_BYTES).hex(), now)

    def _end_session(
        self, room: Room, context: DecisionContext, visitor_pass: Pass, command: str, now: float
    ) -> Headers:
        self._metrics.sessions_ended.count(room.name, command)
        room.end_session(visitor_pass, now)
        return self._cookies.write(room.cookie, "", 0, context.head)


def _endings(stated: Iterable[tuple[str, str]]) -> list[str]:
    """Return the commands that end the visitor's session."""
    commands = [value.strip().lower() for name, value in stated if name.lower() == "stanchion-command"]
    return [command for command in commands if command in ("complete", "revoke")]
