"""Senders that never wait: by network, by the value of a header field, and crawlers that DNS has verified.

    what the head says    reason()     'network', 'header', a crawler's name (still to be verified), or ''
    at this moment        verdict()    Forward; Deferred while a crawler is looked up; or as on everybody else's request

The settings name them (`bypass_for`). The value of the header field is compared in constant time, and the proxy removes
the field before the shop sees the request.
"""

from collections.abc import Callable
from hmac import compare_digest

from edge.decision.forwarding import forward_unqueued
from edge.messages.head import RequestHead
from edge.messages.verdict import Deferred, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.room import Room
from edge.settings.bypass import BypassSettings
from edge.shield.crawlers import Crawlers
from edge.support.networks import NetworkSet

__all__ = ["Bypass"]


class Bypass:
    """One node's. value: of the header field, b'' if none is set. crawlers: None if none is let in."""

    def __init__(self, settings: BypassSettings, value: bytes, crawlers: Crawlers | None, metrics: Metrics) -> None:
        self._networks = NetworkSet(settings.networks)
        self._field = "" if settings.header is None else settings.header.lower()
        self._value = value
        self._crawlers = crawlers
        self._metrics = metrics

    @property
    def is_off(self) -> bool:
        """Whether nobody bypasses the line."""
        return not self._networks and not (self._field and self._value) and self._crawlers is None

    def reason(self, head: RequestHead) -> str:
        """Return why a sender need not wait, or may not have to; '' if everybody like them waits."""
        if self._value and self._shows_value(head):
            return "header"
        if head.client_ip in self._networks:
            return "network"
        return "" if self._crawlers is None else self._crawlers.claimed(head.user_agent)

    def verdict(
        self, room: Room, head: RequestHead, reason: str, now: float, otherwise: Callable[[], Verdict]
    ) -> Verdict:
        """Decide on the request of such a sender. otherwise(): decides as on everybody else's."""
        crawlers = self._crawlers
        if reason in ("header", "network"):
            return self._let_in(room, reason, now)
        if crawlers is None:
            return otherwise()
        address = head.client_ip
        is_verified = crawlers.is_verified(reason, address, now)
        if is_verified is not None:
            return self._let_in(room, reason, now) if is_verified else otherwise()

        def settle(is_verified: bool) -> Verdict:
            return self._let_in(room, reason, now) if is_verified else otherwise()

        return Deferred(lambda then: crawlers.ask(reason, address, lambda outcome: then(settle(outcome))))

    def _let_in(self, room: Room, reason: str, now: float) -> Verdict:
        self._metrics.bypassed.count(room.name, reason)
        return forward_unqueued(room, f"bypass-{reason}", "bypass", now)

    def _shows_value(self, head: RequestHead) -> bool:
        return any(
            name == self._field and compare_digest(value.encode("latin-1"), self._value)
            for name, value in head.metadata.named
        )
