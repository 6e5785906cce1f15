"""Which fields of a head go on to the other side.

Hop-by-hop fields end here (RFC 9110, 7.6.1), and so do those that `Connection` names, except for fields that the ends
depend on: `Connection: Cookie` must not remove the cookie behind another proxy. Fields that speak for the edge, or that
name another address or method, end here too (`edge/support/client_fields.py`).

All other fields go on byte for byte; repeated fields stay apart and in their order.
"""

from functools import lru_cache

from edge.proxy.request import CHUNKED, Request, connection_options
from edge.support.client_address import Origin
from edge.support.client_fields import ends_here, plain_name

__all__ = [
    "HARMLESS_OPTIONS",
    "NOT_FORWARDED",
    "asked_for",
    "connection_options",
    "forwarded",
    "is_last_hop",
    "upstream_head",
]

NOT_FORWARDED = frozenset(
    (
        b"connection",
        b"keep-alive",
        b"proxy-connection",
        b"proxy-authenticate",
        b"te",
        b"transfer-encoding",
        b"upgrade",
        b"http2-settings",
    )
)
#: Members of `Connection` that name no field but those of NOT_FORWARDED.
HARMLESS_OPTIONS = frozenset((b"close", b"keep-alive", b"upgrade", b"te"))
#: Fields that the upstream depends on. `Connection` cannot remove them.
_ENDS_OWN = frozenset(
    (b"cookie", b"authorization", b"content-type", b"content-encoding", b"origin", b"referer", b"user-agent", b"accept")
)


def upstream_head(
    request: Request,
    host: bytes | None,
    via: bytes | None = None,
    passed: frozenset[bytes] = frozenset(),
    removed: frozenset[bytes] = frozenset(),
) -> bytes:
    """Return the upstream's head, without the fields that depend on the sender (`forwarded`) and the empty line.

    `host` replaces the client's `Host`; None preserves it. `via` is the edge's name in `Via`; None adds no `Via`.
    `passed`: lower-case names of fields that go on although such fields end at the edge. `removed`: of those that end
    here although such fields go on.
    """
    values = request.values
    sent_host = values.get(b"host", b"")
    named = removed
    if b"connection" in values:
        named = removed | (connection_options(values[b"connection"]) - _ENDS_OWN)
    pieces = [
        f"{request.method} {request.target} HTTP/1.1\r\n".encode(),
        b"Host: ",
        host if host is not None else sent_host,
        b"\r\n",
    ]
    hops = _hops_left(request)
    for name, value in request.fields:
        low = name.lower()
        if (low in passed or goes_on(low)) and low not in named and (hops is None or low != b"max-forwards"):
            pieces += (name, b": ", value, b"\r\n")
    if hops is not None:
        pieces.append(b"Max-Forwards: %d\r\n" % (hops - 1))
    if via is not None:
        pieces.append(b"Via: 1.%d %b\r\n" % (not request.is_http10, via))
    if request.length == CHUNKED:
        pieces.append(b"Transfer-Encoding: chunked\r\n")
    elif b"content-length" in values:
        pieces.append(b"Content-Length: %d\r\n" % request.length)
    if request.upgrades:
        pieces.append(b"%b%b\r\n" % (_UPGRADE, values[b"upgrade"]))
    return b"".join(pieces)


def is_last_hop(request: Request) -> bool:
    """Return whether the request must be answered here and not be passed on (`Max-Forwards: 0`, RFC 9110, 7.6.2)."""
    return _hops_left(request) == 0


def _hops_left(request: Request) -> int | None:
    """Return `Max-Forwards`, or None. It applies to OPTIONS and TRACE only; TRACE is not served."""
    if request.method != "OPTIONS":
        return None
    most = request.values.get(b"max-forwards", b"")
    return int(most) if most.isdigit() and len(most) <= 9 else None


def asked_for(protocol: bytes, head: bytes) -> bool:
    """Return whether a request asked to switch to this protocol. `head` is the head that the upstream got."""
    asked = head.rpartition(_UPGRADE)[2].partition(b"\r\n")[0] if _UPGRADE in head else b""
    return connection_options(protocol) <= connection_options(asked) and protocol.strip() != b""


_UPGRADE = b"Connection: Upgrade\r\nUpgrade: "


@lru_cache(maxsize=1024)
def goes_on(low: bytes) -> bool:
    """Return whether a client's field of this lower-case name reaches the upstream."""
    return plain_name(low) not in NOT_FORWARDED and not ends_here(low)


def forwarded(origin: Origin, host: bytes) -> bytes:
    """Return the lines that name the client to the upstream. `host` is the `Host` field as sent."""
    forwarded_host = origin.host.encode("latin-1") if origin.host else host
    port = b"" if origin.port is None else b"X-Forwarded-Port: %b\r\n" % origin.port.encode()
    return b"X-Forwarded-For: %b\r\nX-Forwarded-Proto: %b\r\nX-Forwarded-Host: %b\r\n%b" % (
        origin.forwarded_for.encode("latin-1"),
        origin.scheme.encode(),
        forwarded_host,
        port,
    )
