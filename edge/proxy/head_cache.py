"""From a head's bytes to a `ParsedHead`: parsed once, remembered if a ticket or pass vouches for it.

    bytes -> heads       the same head for the third time        -> ParsedHead
          -> templates   the same but for cookies and sender     -> ParsedHead; only the ticket is read
          -> parser                                              -> ParsedHead or Refusal

The native leaf (`waiting_room/leaf.py`), where it is there, has a table of its own before `templates`: it finds the
template and the cookie in one call.

Why a template may be trusted: a value of printable ASCII holds no line end, so the head has the same lines as the one
that was parsed before, in the same places, and llhttp accepts each of its bytes in a value. No rule of `request.py`
looks at cookies. A field with any other byte is parsed.

Only heads with a validly signed ticket or pass are remembered, so that junk cannot push out the line. They are
remembered from the second time on: if the line is longer than the cache, each head is gone before it comes again, and
keeping a head costs half as much as reading it. Until then only its hash is kept.

What is remembered depends on the bytes, the peer's address and the settings only. A reload makes a new `HeadCache`,
which is empty.
"""

import os
from collections.abc import Callable
from types import ModuleType
from typing import Final

from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import NO_METADATA, FetchMetadata, RequestHead
from edge.messages.refusal import Refusal
from edge.proxy.head_memory import HeadMemory
from edge.proxy.hop_by_hop import HARMLESS_OPTIONS, connection_options, forwarded, is_last_hop, upstream_head
from edge.proxy.parsed_head import ForwardMemo, Framing, HeadTemplate, ParsedHead
from edge.proxy.request import CHUNKED, Request, RequestParser
from edge.support.client_address import NO_FIELDS, Origin, TrustedProxies, plain_address
from edge.support.errors import InternalError
from edge.support.recent_set import RecentSet
from waiting_room.leaf import NATIVE

__all__ = ["HeadCache"]

#: Fields of `RequestHead`, in its order, but for those that `Origin` gives.
_HEAD_FIELDS: Final = (
    *(b"host", b"cookie", b"accept", b"sec-fetch-mode", b"referer", b"if-none-match", b"accept-encoding"),
    *(b"user-agent", b"accept-language"),
)
#: Fields that say that no visitor has made a request: the browser or a framework fetches what one may want next.
#: `_PURPOSES` say so by their value (Sec-Purpose, Turbo, Safari, Firefox), `_MARKS` by being there (Next.js, htmx,
#: speculation rules).
_PURPOSES: Final = (b"sec-purpose", b"x-sec-purpose", b"purpose", b"x-purpose", b"x-moz")
_MARKS: Final = (
    *(b"next-router-prefetch", b"next-router-segment-prefetch", b"x-middleware-prefetch", b"hx-preloaded"),
    b"sec-speculation-tags",
)
#: Values by which libraries say that a script sends a request: jQuery, Rails and many others; htmx. (Android's WebView
#: sends `X-Requested-With` with the name of its app, also to show a page.)
_SCRIPTS: Final = ((b"x-requested-with", b"xmlhttprequest"), (b"hx-request", b"true"))
#: What a browser sends for a form (HTML, 4.10.21.8). A body of any other type is sent by a script.
_FORM_TYPES: Final = (b"", b"application/x-www-form-urlencoded", b"multipart/form-data", b"text/plain")
#: Fields of `FetchMetadata`, in its order, but for those that follow from others.
_METADATA: Final = (
    *(b"origin", b"sec-fetch-site", b"sec-fetch-dest", b"access-control-request-method"),
    b"access-control-request-headers",
)
_OF_METADATA: Final = frozenset((*_METADATA, *_PURPOSES, *_MARKS, b"content-type", b"x-requested-with", b"hx-request"))
#: How browsers and proxies spell the field, but for the first letter. Other spellings are legal, and rare.
_COOKIE: Final = b"ookie: "
_BEFORE_COOKIE: Final = (b"\r\nC", b"\r\nc")
#: Without these bytes nothing is left of a plain cookie: one pass over it.
_PRINTABLE: Final = bytes(range(0x20, 0x7F))
#: Templates in one generation, some 3 kB each. Anybody can make new ones; that costs others the short cut and no more.
MOST_TEMPLATES: Final = 1024
#: Hashes in one generation of heads that came once, 64 bytes each.
MOST_MET: Final = 32_768


class HeadCache:
    """`upstream_host`, `via` and `passed`: see `hop_by_hop.upstream_head`."""

    def __init__(
        self,
        decider: Decider,
        trusted: TrustedProxies,
        *,
        max_fields: int,
        max_target: int,
        upstream_host: bytes | None,
        via: bytes | None = None,
        passed: frozenset[bytes] = frozenset(),
        scheme: str = "http",
        named: frozenset[bytes] = frozenset(),
        removed: frozenset[bytes] = frozenset(),
        native: ModuleType | None = NATIVE,
    ) -> None:
        """`scheme`: 'https' for connections that begin with TLS. `named`: the fields that the settings name.
        `removed`: those that the upstream does not see. native: the leaf, or None for the Python form."""
        self._named = named
        self._removed = removed
        self._decider = decider
        self._trusted = trusted
        self._parser = RequestParser(max_fields, max_target)
        self._upstream_host = upstream_host
        self._via = via
        self._passed = passed
        self._scheme = scheme
        self._met: RecentSet[int] = RecentSet(MOST_MET)
        self.heads: HeadMemory[ParsedHead] = HeadMemory()
        self.templates: HeadMemory[HeadTemplate] = HeadMemory(MOST_TEMPLATES)
        table = None if native is None else native.HeadTable(int.from_bytes(os.urandom(8)))
        self._find: Callable[[bytes], tuple[HeadTemplate, str] | None] | None = None
        self._put: Callable[[bytes, HeadTemplate], None] | None = None
        if table is not None:
            self._find, self._put = table.find, table.put

    def __repr__(self) -> str:
        return f"<HeadCache {len(self.heads)} heads, {len(self.templates)} templates>"

    def known(self, data: bytes, peer: str) -> ParsedHead | None:
        """Say what this head means if the native leaf knows its template; otherwise None.

        data: any bytes. What the leaf finds is one whole head and nothing else, because it is equal to a head that was
        parsed, but for the value of one field, which holds no line end."""
        found = None if self._find is None else self._find(data)
        if found is None:
            return None
        template, cookie = found
        if peer != template.peer and not self._trusted.is_empty:
            return None
        context = self._decider.classify_like(template.context, _head_like(template, cookie, peer))
        return self._remembered(data, peer, context, template.framing, template, None)

    def read(self, raw: bytes, peer: str) -> ParsedHead | Refusal:
        """Say what this head means. To be called if neither `heads.get(raw)` nor `known` found it for this peer."""
        at, end = _cookie_at(raw)
        key, cookie = raw[:at] + raw[end:], raw[at:end]
        template = self.templates.get(key)
        if template is not None and (peer == template.peer or self._trusted.is_empty) and _is_plain(cookie):
            request = None
            context = self._decider.classify_like(template.context, _head_like(template, cookie.decode(), peer))
            framing = template.framing
            if self._put is not None:
                self._put(raw, template)
        else:
            read = self._parser.parse(raw)
            if isinstance(read, Refusal):
                return read
            request = read
            context = self._decider.classify(self._head_of(request, peer), is_last_hop(request))
            framing = _framing_of(request)
            template = None
            # There is one cookie field, cut out above, or none. Of several, the parser has joined the values.
            is_whole = request.values.get(b"cookie") == (cookie if at < len(raw) else None)
            if is_whole and not is_last_hop(request):
                template = HeadTemplate(context, peer, framing)
                self.templates.keep(key, template)
        return self._remembered(raw, peer, context, framing, template, request)

    def _remembered(
        self,
        raw: bytes,
        peer: str,
        context: RequestContext,
        framing: Framing,
        template: HeadTemplate | None,
        request: Request | None,
    ) -> ParsedHead:
        """Return what was read, and remember it if it came before.

        request: None if a template told."""
        # Two heads with the same hash count as one, which does no harm.
        is_kept = context.is_verified and self._met.note(hash(raw))
        parsed = ParsedHead(context, peer, framing, template, None if is_kept else request)
        if is_kept:
            self.heads.keep(raw, parsed)
        return parsed

    def forward_memo(self, parsed: ParsedHead, raw: bytes) -> ForwardMemo:
        """Return the memo of a head that is forwarded, and work out the upstream's head if this is the first time."""
        if parsed.memo is None:
            parsed.memo = ForwardMemo(self._upstream_head(parsed, raw))
        return parsed.memo

    def _upstream_head(self, parsed: ParsedHead, raw: bytes) -> bytes:
        template = parsed.template
        if template is not None and template.upstream is not None and self._trusted.is_empty:
            before, behind = template.upstream
            at, end = _cookie_at(raw)
            # No proxy is trusted, so no field of the request says where it came from.
            origin = self._trusted.origin(parsed.peer, self._scheme, NO_FIELDS)
            forwarding = forwarded(origin, parsed.context.head.host.encode("latin-1"))
            return b"".join((before, raw[at:end], behind, forwarding))
        request = parsed.request
        if request is None:
            read = self._parser.parse(raw)
            if isinstance(read, Refusal):
                raise InternalError(f"a head that was accepted before is refused now: {read}")
            request = read
        head = upstream_head(request, self._upstream_host, self._via, self._passed, self._removed)
        if template is not None:
            at, end = _cookie_at(head)
            template.upstream = head[:at], head[end:]
        return head + forwarded(self._origin(request, parsed.peer), request.values.get(b"host", b""))

    def _head_of(self, request: Request, peer: str) -> RequestHead:
        origin = self._origin(request, peer)
        get = request.values.get
        texts = [value.decode("latin-1") if (value := get(name)) else "" for name in _HEAD_FIELDS]
        metadata = _metadata_of(request.values)
        if self._named and not self._named.isdisjoint(request.values):
            metadata = self._with_named(metadata, request, peer)
        host, cookie, accept, fetch_mode, referer, if_none_match, accept_encoding, user_agent, accept_language = texts
        return RequestHead(
            request.method, request.target, host, origin.scheme, origin.ip, cookie, accept, fetch_mode, referer,
            if_none_match, accept_encoding, user_agent, accept_language, origin.host or "",
            metadata,
        )  # fmt: skip

    def _with_named(self, metadata: FetchMetadata, request: Request, peer: str) -> FetchMetadata:
        """Return the metadata with the fields that the settings name."""
        values = request.values
        said = tuple(
            [(name.decode(), values[name].decode("latin-1")) for name in sorted(self._named) if name in values]
        )
        return FetchMetadata(
            metadata.origin, metadata.site, metadata.dest, metadata.asked_method, metadata.asked_fields,
            metadata.purpose, metadata.is_by_script, said, self._believes(peer),
        )  # fmt: skip

    def _believes(self, peer: str) -> bool:
        """Return whether a peer may say of a request what only the operator's own proxies may say."""
        return self._trusted.trusts(plain_address(peer))

    def _origin(self, request: Request, peer: str) -> Origin:
        return self._trusted.origin(peer, self._scheme, request.values)


def _head_like(template: HeadTemplate, cookie: str, peer: str) -> RequestHead:
    """A head with this template, from another visitor or with another ticket."""
    first = template.context.head
    return RequestHead(
        first.method,
        first.target,
        first.host,
        first.scheme,
        first.client_ip if peer == template.peer else peer,
        cookie,
        first.accept,
        first.fetch_mode,
        first.referer,
        first.if_none_match,
        first.accept_encoding,
        first.user_agent,
        first.accept_language,
        first.forwarded_host,
        first.metadata,
    )


def _metadata_of(values: dict[bytes, bytes]) -> FetchMetadata:
    if _OF_METADATA.isdisjoint(values):
        return NO_METADATA
    origin, site, dest, method, fields = [values.get(name, b"").decode("latin-1") for name in _METADATA]
    metadata = FetchMetadata(origin, site, dest, method, fields)
    purpose = b";".join([values[name] for name in _PURPOSES if name in values])
    if any(name in values for name in _MARKS):
        purpose += b";prefetch"
    metadata.purpose = purpose.decode("latin-1")
    metadata.is_by_script = _is_by_script(values)
    return metadata


def _is_by_script(values: dict[bytes, bytes]) -> bool:
    if any(values.get(name, b"").lower() == said for name, said in _SCRIPTS):
        return True
    return values.get(b"content-type", b"").partition(b";")[0].strip().lower() not in _FORM_TYPES


def _framing_of(request: Request) -> Framing:
    names_fields = request.length == CHUNKED and bool(
        connection_options(request.values.get(b"connection", b"")) - HARMLESS_OPTIONS
    )
    return Framing(request, names_fields)


def _cookie_at(raw: bytes) -> tuple[int, int]:
    """Return where the value of the last cookie field begins and ends; the end of the head twice if none is seen.

    The cut can be found again in what is left without the value, so two heads leave the same rest only if they differ
    in the value alone. A field without the space is not seen, nor is one behind which the name occurs again. Such heads
    are parsed.
    """
    # Browsers send the field last.
    at = raw.rfind(_COOKIE)
    if at < 3 or raw[at - 3 : at] not in _BEFORE_COOKIE:
        return len(raw), len(raw)
    at += 7
    return at, raw.find(b"\r\n", at)


def _is_plain(cookie: bytes) -> bool:
    """Return whether a cookie's bytes can be read in one way only: printable ASCII, no space at either end."""
    if not cookie:
        return True
    return not cookie.translate(None, _PRINTABLE) and cookie[:1] != b" " and cookie[-1:] != b" "
