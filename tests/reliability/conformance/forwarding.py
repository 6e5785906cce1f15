"""What an intermediary passes on of a request, what it removes, and what it answers itself."""

from tests.reliability.conformance.probe import Probe, Reply, Requirement, Seen
from tests.reliability.conformance.reading import CHUNKED, get, post
from tests.reliability.talk import OK

__all__ = ["REQUIREMENTS"]

ODD_TARGET = b"/a%2Fb/../c//d;e=f?q=%27%41&r=a+b"
ODD_NAME = b"!#$%&'*+-.^_`|~9a"
#: The upstream reads the request and hangs up.
HANGS_UP = (Reply(b"", closes=True),)


def carries(*lines: bytes) -> Probe:
    """Send these fields; all must arrive unchanged and in order."""

    def holds(seen: Seen) -> bool:
        wanted = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        names = {name for name, _ in wanted}
        return [each for each in seen.first.fields if each[0] in names] == wanted

    return Probe(get(b"".join(line + b"\r\n" for line in lines)), holds)


def lacks(fields: bytes, *names: bytes) -> Probe:
    """Send these fields; those named must not arrive."""
    return Probe(get(fields), lambda seen: bool(seen.forwarded) and not any(name in seen.first for name in names))


def upgrade_is_announced(seen: Seen) -> bool:
    return bool(seen.forwarded) and (b"upgrade" not in seen.first or b"upgrade" in seen.first.options())


def te_is_announced(seen: Seen) -> bool:
    return bool(seen.forwarded) and (b"te" not in seen.first or b"te" in seen.first.options())


def options_with(most: bytes) -> bytes:
    return get(b"Max-Forwards: " + most + b"\r\n", b"OPTIONS / HTTP/1.1")


REQUIREMENTS = (
    Requirement(
        "9112 2.2",
        "bytes beyond ASCII in a value are not changed",
        (carries(b"X: \xe4\xff\xc3\xa4"),),
    ),
    Requirement(
        "9112 2.3",
        "a request goes on with the intermediary's own version",
        (Probe(get(line=b"GET / HTTP/1.0"), lambda s: s.first.line.endswith(b"HTTP/1.1")),),
    ),
    Requirement(
        "9110 7.7",
        "path and query of the target are not changed",
        (Probe(get(line=b"GET %b HTTP/1.1" % ODD_TARGET), lambda s: s.first.line.split(b" ")[1:2] == [ODD_TARGET]),),
    ),
    Requirement(
        "9112 3.2.1",
        "an empty path goes on as '/'",
        (
            Probe(
                get(line=b"GET http://shop.example HTTP/1.1"),
                lambda s: (
                    s.first.line.split(b" ")[1:2] in ([b"/"], [b"http://shop.example"], [b"http://shop.example/"])
                ),
            ),
            Probe(
                get(line=b"GET http://shop.example?a HTTP/1.1"),
                lambda s: (
                    s.first.line.split(b" ")[1:2] in ([b"/?a"], [b"http://shop.example?a"], [b"http://shop.example/?a"])
                ),
            ),
        ),
    ),
    Requirement(
        "9112 3.2.4",
        "OPTIONS for a whole server in absolute form goes on as `OPTIONS *`",
        (Probe(get(line=b"OPTIONS http://shop.example HTTP/1.1"), lambda s: s.first.line.startswith(b"OPTIONS * ")),),
        reason="no room can cover '*', and upstreams read it differently, so such a request is refused with a 400",
    ),
    Requirement(
        "9112 3.2",
        "the host is passed on whole",
        (
            Probe(get(), lambda s: s.first.all(b"host") == [b"shop.example"]),
            Probe(get(host=b"Host: shop.example:8080\r\n"), lambda s: s.first.all(b"host") == [b"shop.example:8080"]),
        ),
    ),
    Requirement(
        "9110 5.1",
        "unknown fields are passed on",
        (carries(b"X-Unknown: 1", b"with.dot: 2"), carries(b"X_Under: 1"), carries(ODD_NAME + b": 1")),
    ),
    Requirement(
        "9110 5.3",
        "the order of lines of one name is kept",
        (carries(b"A: 1", b"B: 2", b"A: 3", b"A: 1"), carries(b"X-Forwarded-Tag: a", b"x-forwarded-tag: b")),
    ),
    Requirement(
        "9110 7.6.1",
        "fields that `Connection` names are removed",
        (
            lacks(b"Connection: X-Hop\r\nX-Hop: 1\r\n", b"x-hop"),
            lacks(
                b"X-Hop: 1\r\nConnection: close, X-HOP\r\nx-other: 2\r\nConnection: x-other\r\n", b"x-hop", b"x-other"
            ),
        ),
    ),
    Requirement(
        "9110 7.6.1",
        "... in trailers too",
        (
            Probe(
                post(CHUNKED + b"Connection: X-Hop\r\n", b"2\r\nab\r\n0\r\nX-Hop: 1\r\n\r\n"),
                lambda s: bool(s.forwarded) and all(name != b"x-hop" for name, _ in s.first.trailers),
            ),
        ),
    ),
    Requirement(
        "9110 7.6.1",
        "... whatever their name",
        (lacks(b"Connection: Cookie\r\nCookie: a=b\r\n", b"cookie"),),
        reason="a visitor behind another proxy could remove fields that this proxy adds, or cookies; fields for the"
        " ends stay, and RFC 9110 forbids to name them in `Connection`",
    ),
    Requirement(
        "9110 7.6.1",
        "`Connection` itself is removed or the intermediary's own",
        (
            Probe(
                get(b"Connection: x-hop, x-hop2\r\n"),
                lambda s: bool(s.forwarded) and not s.first.options() & {b"x-hop", b"x-hop2"},
            ),
        ),
    ),
    Requirement(
        "9110 7.6.2",
        "OPTIONS with `Max-Forwards: 0` is answered, not passed on",
        (Probe(options_with(b"0"), lambda s: not s.forwarded and s.status in (200, 204)),),
    ),
    Requirement(
        "9110 7.6.2",
        "OPTIONS with a larger `Max-Forwards` goes on with one less",
        (
            Probe(options_with(b"5"), lambda s: s.first.all(b"max-forwards") == [b"4"]),
            Probe(options_with(b"1"), lambda s: s.first.all(b"max-forwards") == [b"0"]),
        ),
    ),
    Requirement(
        "9110 7.6.2",
        "the same for TRACE",
        (Probe(get(b"Max-Forwards: 0\r\n", b"TRACE / HTTP/1.1"), lambda s: not s.forwarded and bool(s.answers)),),
    ),
    Requirement(
        "9110 7.6.3",
        "a request goes on with `Via`",
        (
            Probe(get(), lambda s: b"via" in s.first),
            Probe(get(b"Via: 1.0 fred\r\n"), lambda s: b", ".join(s.first.all(b"via")).startswith(b"1.0 fred, 1.1 ")),
        ),
        reason="off by default, because many servers do not compress responses to requests with `Via` (nginx:"
        " `gzip_proxied`); `upstream.via` turns it on",
    ),
    Requirement(
        "9110 7.8",
        "`Upgrade` goes on only with its connection option",
        (
            Probe(get(b"Upgrade: foo\r\n"), upgrade_is_announced),
            Probe(get(b"Upgrade: foo\r\nConnection: upgrade\r\n"), upgrade_is_announced),
        ),
    ),
    Requirement(
        "9110 10.1.4",
        "`TE` goes on only with its connection option",
        (
            Probe(get(b"TE: trailers\r\nConnection: TE\r\n"), te_is_announced),
            Probe(get(b"TE: gzip;q=0.5\r\n"), te_is_announced),
        ),
    ),
    Requirement(
        "9110 11.6.2",
        "`Authorization` is not changed",
        (carries(b"Authorization: Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ=="), carries(b'Authorization: Digest a="b",  c=d')),
    ),
    Requirement(
        "9111 5.2",
        "directives to caches are passed on",
        (carries(b'Cache-Control: no-cache, x-unknown="a, b", max-stale', b"Pragma: no-cache"),),
    ),
    Requirement(
        "9110 9.2.2",
        "a request that is not idempotent is not sent again",
        (
            Probe(post(b"Content-Length: 2\r\n", b"ab"), lambda s: len(s.forwarded) == 1, HANGS_UP),
            Probe(
                get(line=b"GET /first HTTP/1.1") + post(b"Content-Length: 2\r\n", b"ab"),
                lambda s: len(s.forwarded) == 2,
                (Reply(), *HANGS_UP),
                answers=2,
            ),
            Probe(
                get(line=b"GET /first HTTP/1.1") + get(line=b"PATCH / HTTP/1.1"),
                lambda s: len(s.forwarded) == 2,
                (Reply(), *HANGS_UP),
                answers=2,
            ),
        ),
    ),
    Requirement(
        "9112 9.6",
        "after a response with `Connection: close` no request is sent on that connection",
        (
            Probe(
                get(line=b"GET /first HTTP/1.1") + get(line=b"GET /second HTTP/1.1"),
                lambda s: len(s.connections) == 2 and len(s.forwarded) == 2,
                (Reply(OK.replace(b"OK\r\n", b"OK\r\nConnection: close\r\n")),),
                answers=2,
            ),
        ),
    ),
    Requirement(
        "9112 6.2",
        "a body goes on with a length or in chunks, not both",
        (
            Probe(
                post(CHUNKED, b"2\r\nab\r\n0\r\n\r\n"),
                lambda s: (
                    s.first.is_whole
                    and s.first.body == b"ab"
                    and (b"content-length" in s.first) != (b"transfer-encoding" in s.first)
                ),
            ),
            Probe(
                post(b"Content-Length: 2\r\n", b"ab"),
                lambda s: (
                    s.first.is_whole
                    and s.first.body == b"ab"
                    and (b"content-length" in s.first) != (b"transfer-encoding" in s.first)
                ),
            ),
        ),
    ),
    Requirement(
        "9110 7.7",
        "content marked `no-transform` is not transformed",
        (
            Probe(
                post(
                    b"Cache-Control: no-transform\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n", b"\x1f\x8b\x00"
                ),
                lambda s: s.first.body == b"\x1f\x8b\x00" and s.first.all(b"content-encoding") == [b"gzip"],
            ),
            Probe(
                get(b"Accept-Encoding: gzip\r\n"),
                lambda s: s.answer.body == b"a" * 3000 and b"content-encoding" not in s.answer,
                (
                    Reply(
                        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nCache-Control: no-transform\r\n"
                        b"Content-Length: 3000\r\n\r\n" + b"a" * 3000
                    ),
                ),
            ),
        ),
    ),
)
