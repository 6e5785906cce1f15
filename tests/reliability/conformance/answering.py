"""How responses are passed on, what a proxy's own responses have, and what a faulty upstream must not achieve."""

import re
from collections.abc import Callable

from tests.reliability.conformance.probe import Probe, Reply, Requirement, Seen
from tests.reliability.conformance.reading import get, post
from tests.reliability.talk import OK

__all__ = ["REQUIREMENTS"]

HEAD = b"HEAD / HTTP/1.1"
IMF_DATE = re.compile(
    rb"(Mon|Tue|Wed|Thu|Fri|Sat|Sun), \d\d (Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec) \d{4} \d\d:\d\d:\d\d GMT"
)
AGAIN = get(line=b"GET /again HTTP/1.1")
POISON = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison"


def answered(fields: bytes, body: bytes = b"ok", status: bytes = b"200 OK", version: bytes = b"1.1") -> Reply:
    return Reply(b"HTTP/%b %b\r\n%b\r\n%b" % (version, status, fields, body))


def shows(*lines: bytes) -> Probe:
    """Answer with these fields; all must come back unchanged and in order."""

    def holds(seen: Seen) -> bool:
        wanted = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
        names = {name for name, _ in wanted}
        return [each for each in seen.answer.fields if each[0] in names] == wanted

    return Probe(get(), holds, (answered(b"".join(line + b"\r\n" for line in lines) + b"Content-Length: 2\r\n"),))


def hides(fields: bytes, *names: bytes) -> Probe:
    """Answer with these fields; those named must not come back."""
    reply = answered(fields + b"Content-Length: 2\r\n")
    return Probe(get(), lambda s: s.status == 200 and not any(name in s.answer for name in names), (reply,))


def bad_gateway(fields: bytes, body: bytes = b"hello") -> Probe:
    return Probe(get(), lambda s: s.status == 502 and b"hello" not in s.answer.body, (answered(fields, body),))


def not_shown(byte: bytes) -> Callable[[Seen], bool]:
    return lambda seen: bool(seen.answers) and byte not in seen.answer.raw_head


def no_content(status: bytes, fields: bytes, *absent: bytes) -> Probe:
    """Send content with a response that must not have any; the next request gets its own response."""

    def holds(seen: Seen) -> bool:
        code = int(status.split(b" ")[0])
        first, *others = seen.answers or [seen.answer]
        return (
            first.status == code
            and not any(name in first for name in absent)
            and not seen.rest
            and (all(each.body == b"ok" and each.status == 200 for each in others))
        )

    return Probe(get() + AGAIN, holds, (answered(fields, b"", status), Reply()), answers=2)


def breaks_off(fields: bytes, body: bytes) -> Probe:
    """End a response too early: the visitor notices, and the next request on that connection gets no response."""

    def holds(seen: Seen) -> bool:
        return seen.is_closed and (seen.status >= 500 or not seen.answer.is_whole)

    return Probe(get() + AGAIN, holds, (Reply(answered(fields, body).raw, closes=True), Reply(POISON)), answers=0)


def dated(seen: Seen) -> bool:
    dates = seen.answer.all(b"date")
    return bool(seen.answers) and len(dates) == 1 and IMF_DATE.fullmatch(dates[0]) is not None


def only_its_own(seen: Seen) -> bool:
    """Return whether no response holds bytes that no request asked for."""
    return bool(seen.answers) and not any(b"poison" in each.body for each in seen.answers) and not seen.rest


REQUIREMENTS = (
    Requirement(
        "9112 2.3",
        "a response goes on with the intermediary's own version",
        (
            Probe(
                get(),
                lambda s: s.answer.line.startswith(b"HTTP/1.1 200"),
                (Reply(b"HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nok"),),
            ),
        ),
    ),
    Requirement(
        "9112 5.1",
        "white space between a field's name and the colon is not passed on",
        (
            Probe(
                get(),
                lambda s: bool(s.answers) and b"X-Odd :" not in s.answer.raw_head,
                (answered(b"X-Odd : 1\r\nContent-Length: 2\r\n"),),
            ),
        ),
    ),
    Requirement(
        "9112 5.2",
        "a folded field of a response: 502, or the fold is replaced by spaces",
        (Probe(get(), not_shown(b"\r\n b"), (answered(b"X: a\r\n b\r\nContent-Length: 2\r\n"),)),),
    ),
    Requirement(
        "9110 5.5",
        "NUL or a bare CR in a response's value is not passed on",
        (
            Probe(get(), not_shown(b"\x00"), (answered(b"X: a\x00b\r\nContent-Length: 2\r\n"),)),
            Probe(get(), not_shown(b"a\rb"), (answered(b"X: a\rb\r\nContent-Length: 2\r\n"),)),
        ),
    ),
    Requirement("9110 5.1", "unknown fields are passed on", (shows(b"X_Y: 1", b"with.dot: 2"),)),
    Requirement(
        "9110 5.3",
        "the order of lines of one name is kept, and `Set-Cookie` stays apart (RFC 6265, 3)",
        (shows(b"Set-Cookie: a=1; Path=/", b"Set-Cookie: b=2", b"Set-Cookie: a=3"), shows(b"A: 1", b"B: 2", b"A: 3")),
    ),
    Requirement(
        "9110 7.6.1",
        "fields that `Connection` names are removed",
        (hides(b"Connection: X-Hop\r\nX-Hop: 1\r\n", b"x-hop"),),
    ),
    Requirement(
        "9110 7.6.1",
        "`Connection` itself is removed or the intermediary's own",
        (
            Probe(
                get(),
                lambda s: s.status == 200 and b"x-hop" not in s.answer.options(),
                (answered(b"Connection: x-hop\r\nContent-Length: 2\r\n"),),
            ),
        ),
    ),
    Requirement(
        "9110 11.6.1",
        "`WWW-Authenticate` is not changed",
        (shows(b'WWW-Authenticate: Basic realm="a, b"', b"WWW-Authenticate: Newauth x=y,  z"),),
    ),
    Requirement(
        "9111 5.2",
        "directives to caches are passed on",
        (shows(b'Cache-Control: private="x", max-age=5, x-unknown', b"Cache-Control: no-store"),),
    ),
    Requirement("9110 6.6.1", "a response without `Date` gets one", (Probe(get(), dated),)),
    Requirement(
        "9110 6.6.1",
        "the proxy's own responses have `Date`, in the one format that may be sent",
        (Probe(get(host=b"Host: a\r\nHost: b\r\n"), dated),),
    ),
    Requirement(
        "9110 15.5.6",
        "the proxy's own 405 has `Allow`",
        tuple(
            Probe(get(line=line), lambda s: s.status != 405 or bool(s.forwarded) or b"allow" in s.answer)
            for line in (b"TRACE / HTTP/1.1", b"DELETE /_stanchion/status?room=sale HTTP/1.1")
        ),
    ),
    Requirement(
        "9110 9.3.2",
        "a response to HEAD has no content: the upstream's",
        (
            Probe(
                get(line=HEAD),
                lambda s: s.status == 200 and not s.rest,
                (answered(b"Content-Length: 2\r\n"),),
                is_head=True,
            ),
            Probe(
                get(b"Connection: close\r\n", HEAD),
                lambda s: s.status == 200 and not s.rest,
                (Reply(answered(b"Transfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n").raw, closes=True),),
                answers=0,
                is_head=True,
            ),
        ),
    ),
    Requirement(
        "9110 9.3.2",
        "... and the proxy's own",
        (
            Probe(
                get(b"Connection: close\r\n", HEAD),
                lambda s: s.status == 502 and not s.rest,
                (Reply(b"", closes=True),),
                answers=0,
                is_head=True,
            ),
            Probe(
                get(line=HEAD, host=b"Host: a\r\nHost: b\r\n"),
                lambda s: s.status == 400 and not s.rest,
                answers=0,
                is_head=True,
            ),
        ),
    ),
    Requirement("9110 15.3.5", "a 204 ends with its head", (no_content(b"204 No Content", b""),)),
    Requirement(
        "9110 8.6",
        "a 204 has no `Content-Length`",
        (no_content(b"204 No Content", b"Content-Length: 0\r\n", b"content-length"),),
    ),
    Requirement(
        "9112 6.1",
        "a 204 has no `Transfer-Encoding`",
        (no_content(b"204 No Content", b"Transfer-Encoding: chunked\r\n", b"transfer-encoding"),),
    ),
    Requirement(
        "9110 15.4.5",
        "a 304 ends with its head, whatever its `Content-Length`",
        (no_content(b"304 Not Modified", b'ETag: "a"\r\n'), no_content(b"304 Not Modified", b"Content-Length: 2\r\n")),
    ),
    Requirement(
        "9112 6.1",
        "no transfer coding to HTTP/1.0",
        (
            Probe(
                get(line=b"GET / HTTP/1.0"),
                lambda s: s.status == 200 and b"transfer-encoding" not in s.answer and s.answer.body == b"hello",
                (answered(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n0\r\n\r\n"),),
                answers=0,
            ),
        ),
    ),
    Requirement(
        "9112 6.1",
        "a transfer coding from HTTP/1.0: the framing is treated as faulty, and the connection is not used again",
        (
            Probe(
                get() + AGAIN,
                lambda s: only_its_own(s) and (len(s.connections) == 2 or s.is_closed),
                (
                    answered(
                        b"Transfer-Encoding: chunked\r\nConnection: keep-alive\r\n",
                        b"2\r\nok\r\n0\r\n\r\n",
                        version=b"1.0",
                    ),
                    Reply(),
                ),
                answers=2,
            ),
        ),
    ),
    Requirement(
        "9112 6.2",
        "a length beside a transfer coding is not passed on",
        (
            Probe(
                get(),
                lambda s: (
                    bool(s.answers)
                    and not (b"content-length" in s.answer and b"transfer-encoding" in s.answer)
                    and s.answer.body != b"2\r"
                ),
                (answered(b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\n\r\n"),),
            ),
        ),
    ),
    Requirement(
        "9112 6.3",
        "a `Content-Length` that is not a number, or several that differ: 502",
        (
            bad_gateway(b"Content-Length: abc\r\n"),
            bad_gateway(b"Content-Length: +5\r\n"),
            bad_gateway(b"Content-Length: 5\r\nContent-Length: 3\r\n"),
            bad_gateway(b"Content-Length: 5, 3\r\n"),
        ),
    ),
    Requirement(
        "9112 6.3",
        "without a length the body ends with the connection",
        (
            Probe(
                get(),
                lambda s: s.answer.is_whole and s.answer.body == b"hello",
                (Reply(answered(b"", b"hello").raw, closes=True),),
            ),
        ),
    ),
    Requirement(
        "9112 8",
        "a response that ends before its length is not passed on as whole, and the connection ends",
        (breaks_off(b"Content-Length: 50\r\n", b"hello"),),
    ),
    Requirement(
        "9112 8",
        "the same for a chunked response without its last chunk",
        (breaks_off(b"Transfer-Encoding: chunked\r\n", b"5\r\nhello\r\n"),),
    ),
    Requirement(
        "9112 9.2",
        "bytes behind a response are not taken for the next response",
        (
            Probe(get() + AGAIN, only_its_own, (Reply(OK + POISON), Reply()), answers=2),
            Probe(get() + AGAIN, only_its_own, (Reply(OK + b"poison"), Reply()), answers=2),
        ),
    ),
    Requirement(
        "9110 15.2",
        "interim responses are passed on",
        (
            Probe(
                get(),
                lambda s: [each.status for each in s.interim] == [103] and s.status == 200,
                (Reply(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK),),
            ),
            Probe(
                get(),
                lambda s: [each.status for each in s.interim] == [102, 103] and s.status == 200,
                (Reply(b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n" + OK),),
            ),
            Probe(
                get(),
                lambda s: [each.status for each in s.interim] == [100] and s.status == 200,
                (Reply(b"HTTP/1.1 100 Continue\r\n\r\n" + OK),),
            ),
        ),
    ),
    Requirement(
        "9110 15.2",
        "... but not to HTTP/1.0",
        (
            Probe(
                get(line=b"GET / HTTP/1.0"),
                lambda s: not s.interim and s.status == 200,
                (Reply(b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + OK),),
            ),
        ),
    ),
    Requirement(
        "9110 15.2",
        "the final response is found behind any number of interim ones",
        (
            Probe(
                get(),
                lambda s: s.status == 200 and s.answer.body == b"ok",
                (Reply(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + OK),),
            ),
        ),
    ),
    Requirement(
        "9110 8.6",
        "interim responses have no `Content-Length`",
        (
            Probe(
                get(),
                lambda s: s.status in (200, 502) and not any(b"content-length" in each for each in s.interim),
                (Reply(b"HTTP/1.1 103 Early Hints\r\nContent-Length: 2\r\n\r\n" + OK),),
            ),
        ),
    ),
    Requirement(
        "9110 7.8",
        "a switch to a protocol that was not asked for is not passed on",
        tuple(
            Probe(
                get(fields),
                lambda s: not any(each.status == 101 for each in s.interim),
                (Reply(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: foo\r\n\r\nfoo"),),
            )
            for fields in (b"", b"Connection: Upgrade\r\nUpgrade: websocket\r\n")
        ),
    ),
    Requirement(
        "9110 7.6.1",
        "a response's trailers are passed on without those that `Connection` names",
        (
            Probe(
                get(b"TE: trailers\r\nConnection: TE\r\n"),
                lambda s: s.status == 200 and all(name != b"x-hop" for name, _ in s.answer.trailers),
                (
                    answered(
                        b"Connection: X-Hop\r\nTransfer-Encoding: chunked\r\n", b"2\r\nok\r\n0\r\nX-Hop: 1\r\n\r\n"
                    ),
                ),
            ),
        ),
    ),
    Requirement(
        "9112 9.3",
        "a body that the upstream did not read is not taken for a request",
        (
            Probe(
                post(b"Content-Length: %d\r\n" % len(AGAIN), AGAIN) + get(line=b"GET /last HTTP/1.1"),
                lambda s: not any(b"/again" in each.line for each in s.forwarded) and only_its_own(s),
                answers=2,
            ),
        ),
    ),
)
