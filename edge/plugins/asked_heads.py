"""From the bytes that a load balancer sends to the head of the visitor's request.

    accel, auth-request, forward-auth    X-Forwarded-Method, X-Forwarded-Uri, X-Forwarded-Host
    ext-authz                            the request line behind the endpoint's path, and `Host`
    any other path                       the request as it is: /_stanchion/*, which the load balancer routes here

`X-Forwarded-For` and `X-Forwarded-Proto` are believed, because only load balancers may connect (`plugins.peers`). The
last address of the list is the one that the load balancer saw. If that is a trusted proxy, the list is read on.

The endpoint's own path never matches a room. All other fields are those that the visitor sent.
"""

from collections.abc import Mapping
from hmac import compare_digest
from typing import Final

from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.plugins.asking import AskedHead
from edge.plugins.endpoint import AUTHZ_PATH, REPORT_PATH, Endpoint
from edge.proxy.head_cache import HeadCache
from edge.proxy.request import Request
from edge.support.client_address import Origin, TrustedProxies, plain_address

__all__ = ["AskedHeadCache", "visitor_of"]

#: What the load balancer adds to a visitor's head: bytes and fields.
MORE_BYTES: Final = 4096
MORE_FIELDS: Final = 16


def visitor_of(trusted: TrustedProxies, peer: str, fields: Mapping[bytes, bytes]) -> Origin:
    """Return where a request came from. peer: the address of the load balancer, which is believed.

    fields: the request's by lower-case name.
    """
    before, _, nearest = fields.get(b"x-forwarded-for", b"").rpartition(b",")
    visitor = nearest.decode("latin-1").strip()
    origin = trusted.origin(plain_address(visitor) if visitor else peer, "http", {b"x-forwarded-for": before})
    scheme = fields.get(b"x-forwarded-proto", b"").rpartition(b",")[2].strip().lower()
    origin.scheme = "https" if scheme in (b"https", b"wss") else "http"
    return origin


class AskedHeadCache(HeadCache):
    """Reads heads on the plugin listener. endpoints: by path."""

    def __init__(
        self,
        decider: Decider,
        trusted: TrustedProxies,
        endpoints: dict[str, Endpoint],
        *,
        max_fields: int,
        max_target: int,
        report: bytes | None = None,
        named: frozenset[bytes] = frozenset(),
    ) -> None:
        """report: the token that reports must carry, b'' if they need none, None if there are no reports."""
        super().__init__(
            decider,
            trusted,
            max_fields=max_fields + MORE_FIELDS,
            max_target=max_target + MORE_BYTES,
            upstream_host=None,
            named=named,
        )
        self._endpoints = endpoints
        self._report = report

    def _head_of(self, request: Request, peer: str) -> RequestHead:
        head = super()._head_of(request, peer)
        path = head.target.partition("?")[0]
        if path.startswith("/_stanchion/"):
            return head
        asked = AskedHead(
            head.method, head.target, head.host, head.scheme, head.client_ip, head.cookie, head.accept, head.fetch_mode,
            head.referer, head.if_none_match, head.accept_encoding, head.user_agent, head.accept_language,
            head.forwarded_host, head.metadata,
        )  # fmt: skip
        if path == REPORT_PATH and self._report is not None:
            asked.endpoint, asked.may_report = None, self._has_token(request)
            return asked
        asked.may_report = None
        endpoint = asked.endpoint = self._endpoint_at(path)
        if endpoint is None:
            return asked
        if endpoint.in_path:
            asked.target = head.target.removeprefix(endpoint.path) or "/"
            return asked
        asked.method = request.text(b"x-forwarded-method") or head.method
        # Without the field nothing can be decided: the guard refuses the empty target.
        asked.target = request.text(b"x-forwarded-uri")
        asked.host = request.text(b"x-forwarded-host") or head.host
        return asked

    def _has_token(self, request: Request) -> bool:
        given = request.values.get(b"authorization", b"")
        return not self._report or compare_digest(given, b"Bearer " + self._report)

    def _endpoint_at(self, path: str) -> Endpoint | None:
        endpoint = self._endpoints.get(path)
        if endpoint is not None or not path.startswith(AUTHZ_PATH):
            return endpoint
        within = self._endpoints.get(AUTHZ_PATH + path.removeprefix(AUTHZ_PATH).partition("/")[0])
        return within if within is not None and within.in_path else None

    def _believes(self, peer: str) -> bool:  # noqa: ARG002
        """Believe every load balancer that asks; `peer` is one, or the connection would have been closed."""
        return True

    def _origin(self, request: Request, peer: str) -> Origin:
        return visitor_of(self._trusted, peer, request.values)
