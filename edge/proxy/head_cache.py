"""From a head's bytes to what the pipeline knows of it: parsed once, remembered if a ticket or pass vouches for it.

    ParsedHead   what a head says to this peer: for the pipeline (`facts`), for the connection (framing), for the upstream
    HeadTemplate   a head without the value of its `Cookie` field: what browsers of one kind have in common

    bytes -> memory, the same head for the third time    -> ParsedHead
          -> shapes, the same but for cookies and sender -> ParsedHead: only the ticket is read
          -> parser                                      -> ParsedHead or Refusal

Why a shape may be trusted: a value of printable ASCII holds no line end, so the head has the very lines that were
parsed before, in the same places, and llhttp accepts each of its bytes in a value; no rule of `request.py` looks at
cookies. Whatever else stands in the field goes the long way.

Only heads whose ticket or pass has a good signature are remembered, so that junk cannot push out the line, and only
from the second time on: of a line longer than the memory each head would be gone before it comes again, and to keep
what a head says costs as much as half of working it out. Until then its hash is kept.

What is remembered depends on nothing but the bytes, the peer's address and what the pipeline was built from; a reload
builds a new HeadCache, and with it an empty memory.
"""

from dataclasses import dataclass
from typing import Final

from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.messages.refusal import Refusal
from edge.messages.verdict import Forward
from edge.proxy.head_memory import HeadMemory
from edge.proxy.hop_by_hop import HARMLESS_OPTIONS, connection_options, forwarded, is_last_hop, upstream_head
from edge.proxy.request import CHUNKED, Request, RequestParser
from edge.support.client_address import Origin, TrustedProxies
from edge.support.recent_set import RecentSet

__all__ = ["HeadCache", "ParsedHead"]


#: Fields the pipeline is told of, in the order of `RequestHead`.
_TOLD = (
    *(b"host", b"cookie", b"accept", b"sec-fetch-mode", b"referer", b"if-none-match", b"accept-encoding"),
    *(b"user-agent", b"accept-language"),
)
#: How browsers and proxies spell it, but for the first letter. Other spellings are legal, and rare.
_COOKIE: Final = b"ookie: "
_BEFORE_COOKIE: Final = (b"\r\nC", b"\r\nc")
#: Shapes a generation holds, some 3 kB each. Anybody can make new ones: who does costs others the short cut, no more.
MOST_SHAPES: Final = 1024
#: How many hashes of heads that came once a generation holds, 64 bytes each.
MOST_MET: Final = 32_768


@dataclass(slots=True, init=False)  # its `__init__` written out: docs/performance.md
class ParsedHead:
    facts: RequestContext
    peer: str
    is_plain: bool
    """An HTTP/1.1 request without a body that keeps its connection, and no HEAD: all but always the case."""
    is_http10: bool
    keep_alive: bool
    length: int
    expects_continue: bool
    upgrades: bool
    names_fields: bool
    """`Connection` names fields, which end here; looked at where trailers may come, which it may name too."""
    request: Request | None
    """All fields, for the upstream; kept only until the first verdict."""
    shape: "HeadTemplate | None"
    upstream_head: bytes
    """What the upstream gets, without the empty line; made when first needed."""
    forward: Forward | None
    told: bytes
    """What the upstream is told besides by this verdict, the last one: while a pass counts it is the same."""
    given: bytes
    """The same for the visitor."""

    def __init__(
        self,
        facts: RequestContext,
        peer: str,
        is_plain: bool,
        is_http10: bool,
        keep_alive: bool,
        length: int,
        expects_continue: bool,
        upgrades: bool,
        names_fields: bool = False,
        request: Request | None = None,
        shape: "HeadTemplate | None" = None,
        upstream_head: bytes = b"",
        forward: Forward | None = None,
        told: bytes = b"",
        given: bytes = b"",
    ) -> None:
        self.facts = facts
        self.peer = peer
        self.is_plain = is_plain
        self.is_http10 = is_http10
        self.keep_alive = keep_alive
        self.length = length
        self.expects_continue = expects_continue
        self.upgrades = upgrades
        self.names_fields = names_fields
        self.request = request
        self.shape = shape
        self.upstream_head = upstream_head
        self.forward = forward
        self.told = told
        self.given = given

    @property
    def method(self) -> str:
        return self.facts.head.method


@dataclass(slots=True, init=False)  # its `__init__` written out: docs/performance.md
class HeadTemplate:
    first: ParsedHead
    """The first head of this shape. Its cookies and its sender are its own, the rest is everybody's."""
    upstream: tuple[bytes, bytes] | None
    """The upstream's form of the head, before and behind the cookies."""

    def __init__(self, first: ParsedHead, upstream: tuple[bytes, bytes] | None = None) -> None:
        self.first = first
        self.upstream = upstream


class HeadCache:
    def __init__(
        self,
        pipeline: Decider,
        trusted: TrustedProxies,
        *,
        max_fields: int,
        max_target: int,
        upstream_host: bytes | None,
        via: bytes | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._trusted = trusted
        self._parser = RequestParser(max_fields, max_target)
        self._upstream_host = upstream_host
        self._via = via
        self.memory: HeadMemory[ParsedHead] = HeadMemory()
        self._met: RecentSet[int] = RecentSet(MOST_MET)
        self.shapes: HeadMemory[HeadTemplate] = HeadMemory(MOST_SHAPES)

    def trusts(self, peer: str) -> bool:
        """Whether this peer is a proxy that speaks for many visitors."""
        return self._trusted.trusts(peer)

    def know(self, raw: bytes, peer: str) -> ParsedHead | Refusal:
        """What this head says. Call after the memory found nothing for this peer."""
        at, end = _cookie_at(raw)
        outline, cookie = raw[:at] + raw[end:], raw[at:end]
        shape = self.shapes.get(outline)
        if shape is not None and (peer == shape.first.peer or self._trusted.is_empty) and _is_plain(cookie):
            known = self._like(shape, cookie, peer)
        else:
            request = self._parser.parse(raw)
            if isinstance(request, Refusal):
                return request
            known = self._known(request, peer)
            # As it was cut: one field of that name, or none. Two would be joined here.
            is_whole = request.values.get(b"cookie") == (cookie if at < len(raw) else None)
            if is_whole and not is_last_hop(request):
                known.shape = HeadTemplate(known)
                self.shapes.keep(outline, known.shape)
        # Two heads of one hash count as one: no harm.
        if known.facts.is_verified and self._met.note(hash(raw)):
            self.memory.keep(raw, known)
        return known

    def upstream_head(self, known: ParsedHead, raw: bytes) -> bytes:
        """The upstream's form of a head, made once for a remembered one."""
        shape = known.shape
        if shape is not None and shape.upstream is not None and self._trusted.is_empty:
            before, behind = shape.upstream
            at, end = _cookie_at(raw)
            told = forwarded(self._origin_of(known.peer), known.facts.head.host.encode("latin-1"))
            known.upstream_head = b"".join((before, raw[at:end], behind, told))
            return known.upstream_head
        request, known.request = known.request, None
        if request is None:
            parsed = self._parser.parse(raw)
            if isinstance(parsed, Refusal):
                raise ValueError(f"a head that was known is refused now: {parsed}")
            request = parsed
        fields = upstream_head(request, self._upstream_host, self._via)
        if shape is not None:
            at, end = _cookie_at(fields)
            shape.upstream = fields[:at], fields[end:]
        origin = self._origin(request, known.peer)
        known.upstream_head = fields + forwarded(origin, request.values.get(b"host", b""))
        return known.upstream_head

    def _known(self, request: Request, peer: str) -> ParsedHead:
        origin = self._origin(request, peer)
        get = request.values.get
        texts = [value.decode("latin-1") if (value := get(name)) else "" for name in _TOLD]
        head = RequestHead(request.method, request.target, texts[0], origin.scheme, origin.ip, *texts[1:])
        is_plain = request.keep_alive and not request.is_http10 and request.length == 0 and request.method != "HEAD"
        facts = self._pipeline.classify(head, is_last_hop(request))
        names_fields = request.length == CHUNKED and bool(
            connection_options(request.values.get(b"connection", b"")) - HARMLESS_OPTIONS
        )
        return ParsedHead(
            facts,
            peer,
            is_plain,
            request.is_http10,
            request.keep_alive,
            request.length,
            request.expects_continue,
            request.upgrades,
            names_fields,
            request,
        )

    def _like(self, shape: HeadTemplate, cookie: bytes, peer: str) -> ParsedHead:
        """A head of that shape, from another visitor or with another ticket."""
        like = shape.first
        was = like.facts.head
        head = RequestHead(
            was.method,
            was.target,
            was.host,
            was.scheme,
            was.client_ip if peer == like.peer else peer,
            cookie.decode(),
            was.accept,
            was.fetch_mode,
            was.referer,
            was.if_none_match,
            was.accept_encoding,
            was.user_agent,
            was.accept_language,
        )
        return ParsedHead(
            self._pipeline.classify_like(like.facts, head),
            peer,
            like.is_plain,
            like.is_http10,
            like.keep_alive,
            like.length,
            like.expects_continue,
            like.upgrades,
            like.names_fields,
            None,
            shape,
        )

    def _origin(self, request: Request, peer: str) -> Origin:
        text = request.text
        return self._trusted.origin(
            peer, "http", text(b"x-forwarded-for"), text(b"x-forwarded-proto"), text(b"x-forwarded-host")
        )

    def _origin_of(self, peer: str) -> Origin:
        """The same where no proxy is trusted, so that no field counts."""
        return self._trusted.origin(peer, "http", "", "", "")


def _cookie_at(raw: bytes) -> tuple[int, int]:
    """Where the value of the last cookie field begins and ends; both the end of the head when no such field is seen.

    The cut can be found again in what is left without the value, so two heads leave the same only if they differ in
    nothing but the value. A field without the space is not seen, nor one behind which the name occurs again: that takes
    the long way.
    """
    at = raw.rfind(_COOKIE)  # browsers send it last
    if at < 3 or raw[at - 3 : at] not in _BEFORE_COOKIE:
        return len(raw), len(raw)
    at += 7
    return at, raw.find(b"\r\n", at)


def _is_plain(cookie: bytes) -> bool:
    """Whether a cookie's bytes mean the same to everybody: printable ASCII, no space at either end."""
    if not cookie:
        return True
    return not cookie.translate(None, _PRINTABLE) and cookie[:1] != b" " and cookie[-1:] != b" "


#: Without them nothing is left of a plain cookie: one pass over its bytes.
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
