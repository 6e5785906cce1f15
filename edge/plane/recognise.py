"""From a head's bytes to what the pipeline knows of it: parsed once, remembered if a ticket or pass vouches for it.

    Known   what a head says to this peer: for the pipeline (`facts`), for the connection (framing), for the upstream

The remembered part depends on nothing but the bytes, the peer's address and what the pipeline was built from; a reload
builds a new Recogniser, and with it an empty memory.
"""

from dataclasses import dataclass

from edge.client_address import Origin, TrustedProxies
from edge.head import RequestHead
from edge.pipeline import Facts, Pipeline
from edge.plane.hop import upstream_head
from edge.plane.memory import HeadMemory
from edge.plane.request import Refusal, Request, RequestParser

__all__ = ["Known", "Recogniser"]


#: Fields the pipeline is told of, in the order of `RequestHead`.
_TOLD = (b"host", b"cookie", b"accept", b"sec-fetch-mode", b"referer", b"if-none-match", b"accept-encoding")


@dataclass(slots=True)
class Known:
    facts: Facts
    peer: str
    is_plain: bool
    """An HTTP/1.1 request without a body that keeps its connection, and no HEAD: all but always the case."""
    is_http10: bool
    keep_alive: bool
    length: int
    expects_continue: bool
    upgrades: bool
    request: Request | None = None
    """All fields, for the upstream; kept only until the first verdict."""
    upstream_head: bytes = b""
    """What the upstream gets, without the empty line; made when first needed."""

    @property
    def method(self) -> str:
        return self.facts.head.method


class Recogniser:
    def __init__(
        self,
        pipeline: Pipeline,
        trusted: TrustedProxies,
        *,
        max_fields: int,
        upstream_host: bytes | None,
    ) -> None:
        self._pipeline = pipeline
        self._trusted = trusted
        self._parser = RequestParser(max_fields)
        self._upstream_host = upstream_host
        self.memory: HeadMemory[Known] = HeadMemory()

    def know(self, raw: bytes, peer: str) -> Known | Refusal:
        """What this head says. Call after the memory found nothing for this peer."""
        known = self.memory.recall(raw)
        if known is not None and known.peer == peer:
            return known
        request = self._parser.parse(raw)
        if isinstance(request, Refusal):
            return request
        known = self._known(request, peer)
        if known.facts.is_verified:
            self.memory.keep(raw, known)
        return known

    def upstream_head(self, known: Known, raw: bytes) -> bytes:
        """The upstream's form of a head, made once for a remembered one."""
        request, known.request = known.request, None
        if request is None:
            parsed = self._parser.parse(raw)
            if isinstance(parsed, Refusal):
                raise ValueError(f"a head that was known is refused now: {parsed}")
            request = parsed
        origin = self._origin(request, known.peer)
        known.upstream_head = upstream_head(request, origin, self._upstream_host)
        return known.upstream_head

    def _known(self, request: Request, peer: str) -> Known:
        origin = self._origin(request, peer)
        get = request.values.get
        texts = [value.decode("latin-1") if (value := get(name)) else "" for name in _TOLD]
        head = RequestHead(request.method, request.target, texts[0], origin.scheme, origin.ip, *texts[1:])
        is_plain = request.keep_alive and not request.is_http10 and request.length == 0 and request.method != "HEAD"
        return Known(
            self._pipeline.recognise(head),
            peer,
            is_plain,
            request.is_http10,
            request.keep_alive,
            request.length,
            request.expects_continue,
            request.upgrades,
            request,
        )

    def _origin(self, request: Request, peer: str) -> Origin:
        text = request.text
        return self._trusted.origin(
            peer, "http", text(b"x-forwarded-for"), text(b"x-forwarded-proto"), text(b"x-forwarded-host")
        )
