"""A request's head as its connection uses it: what it means from this peer, and memos of earlier requests.

    ParsedHead     context (for the decision), framing (for the connection), template or request (for the upstream)
    HeadTemplate   a head without the value of its `Cookie` field: what browsers of one kind have in common
    ForwardMemo    bytes rendered for earlier requests with the same head; the only part that changes

`head_cache.py` builds them.
"""

from dataclasses import dataclass

from edge.messages.context import RequestContext
from edge.messages.verdict import Forward
from edge.proxy.request import Request
from edge.proxy.response_writer import render_again, render_fields

__all__ = ["ForwardMemo", "Framing", "HeadTemplate", "ParsedHead"]

#: Methods that change nothing (RFC 9110, 9.2.1), so it is safe to send such a request again.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))


# The classes here have their `__init__` written out: docs/performance.md.
@dataclass(slots=True, init=False)
class Framing:
    """What a head says about its connection and its body. Heads of one template share one object."""

    is_plain: bool
    """HTTP/1.1, no body, keeps its connection, not HEAD: nearly always the case."""
    is_http10: bool
    keep_alive: bool
    length: int
    """Of the body in bytes, or `request.CHUNKED`."""
    expects_continue: bool
    upgrades: bool
    names_fields: bool
    """`Connection` names fields, which end here. Only known for chunked bodies, because trailers may be among them."""

    def __init__(self, request: Request, names_fields: bool) -> None:
        self.is_http10 = request.is_http10
        self.keep_alive = request.keep_alive
        self.length = request.length
        self.expects_continue = request.expects_continue
        self.upgrades = request.upgrades
        self.names_fields = names_fields
        self.is_plain = (
            request.keep_alive and not request.is_http10 and request.length == 0 and request.method != "HEAD"
        )


@dataclass(slots=True, init=False)
class HeadTemplate:
    context: RequestContext
    """Of the first head with this template. Its cookies and its sender are its own, the rest is common to all."""
    peer: str
    """The sender of that first head."""
    framing: Framing
    upstream: tuple[bytes, bytes] | None
    """A memo: the head for the upstream, before and behind the cookies. None until the first head is forwarded."""

    def __init__(self, context: RequestContext, peer: str, framing: Framing) -> None:
        self.context = context
        self.peer = peer
        self.framing = framing
        self.upstream = None


@dataclass(slots=True, init=False)
class ForwardMemo:
    """Bytes for the upstream and the visitor. They are the same as long as the verdict is the same object."""

    upstream_head: bytes
    """The head for the upstream, without the verdict's fields and without the empty line."""
    forward: Forward | None
    """The verdict that the fields below were rendered for."""
    upstream_fields: bytes
    """The fields that the verdict adds for the upstream."""
    visitor_fields: bytes
    """The fields that the verdict adds for the visitor."""

    def __init__(self, upstream_head: bytes) -> None:
        self.upstream_head = upstream_head
        self.forward = None
        self.upstream_fields = b""
        self.visitor_fields = b""

    def render(self, forward: Forward) -> None:
        """Render the fields of this verdict."""
        self.forward = forward
        self.upstream_fields = render_fields(forward.request_headers)
        self.visitor_fields = render_again(forward.response_headers)


@dataclass(slots=True, init=False)
class ParsedHead:
    """Not changed after it is built, except for `memo`."""

    context: RequestContext
    peer: str
    framing: Framing
    template: HeadTemplate | None
    request: Request | None
    """All fields, for the upstream. None in a cached head, and in one that was read by its template."""
    memo: ForwardMemo | None
    """None until the head is forwarded."""

    def __init__(
        self,
        context: RequestContext,
        peer: str,
        framing: Framing,
        template: HeadTemplate | None,
        request: Request | None,
    ) -> None:
        self.context = context
        self.peer = peer
        self.framing = framing
        self.template = template
        self.request = request
        self.memo = None

    @property
    def method(self) -> str:
        return self.context.head.method

    @property
    def is_safe(self) -> bool:
        """Whether the request may be sent twice: it changes nothing, has no body, and stays HTTP."""
        return self.context.head.method in SAFE and self.framing.length == 0 and not self.framing.upgrades
