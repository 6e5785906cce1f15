"""How a request must be read: its line, its target, its host, its fields, its body, and the bytes behind it."""

from collections.abc import Callable

from tests.reliability.conformance.probe import Probe, Reply, Requirement, Seen
from tests.reliability.talk import OK

__all__ = ["HOST", "REQUIREMENTS", "get", "post"]

HOST = b"Host: shop.example\r\n"
BEHIND = b"GET /behind HTTP/1.1\r\nHost: shop.example\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"


def get(fields: bytes = b"", line: bytes = b"GET / HTTP/1.1", host: bytes = HOST) -> bytes:
    return line + b"\r\n" + host + fields + b"\r\n"


def post(fields: bytes, body: bytes, version: bytes = b"1.1") -> bytes:
    return b"POST / HTTP/" + version + b"\r\n" + HOST + fields + b"\r\n" + body


def refused(status: int) -> Callable[[Seen], bool]:
    return lambda seen: seen.status == status and not seen.forwarded


def refused_and_closed(seen: Seen) -> bool:
    return seen.status == 400 and not seen.forwarded and seen.is_closed


def told_4xx(seen: Seen) -> bool:
    return 400 <= seen.status < 500 and not seen.forwarded


def not_kept(byte: bytes) -> Callable[[Seen], bool]:
    """The request is rejected, or passed on with the byte replaced."""
    return lambda seen: seen.is_refused or (bool(seen.forwarded) and byte not in seen.first.raw_head)


def body_is(body: bytes) -> Callable[[Seen], bool]:
    return lambda seen: seen.first.is_whole and seen.first.body == body and len(seen.forwarded) == 1


def alone(seen: Seen) -> bool:
    """Only the first request was read as a request, and the connection has ended."""
    return len(seen.answers) <= 1 and seen.is_closed and not any(b"/behind" in each.line for each in seen.forwarded)


def each_refused(fields: list[bytes], holds: Callable[[Seen], bool], answers: int = 1) -> tuple[Probe, ...]:
    return tuple(Probe(get(field), holds, answers=answers) for field in fields)


def hosts_refused(hosts: list[bytes]) -> tuple[Probe, ...]:
    return tuple(Probe(get(host=host), refused(400)) for host in hosts)


REQUIREMENTS = (
    Requirement(
        "9112 2.2",
        "a bare CR makes the element invalid, or is replaced by a space",
        (Probe(get(b"X: a\rb\r\n"), lambda s: s.is_refused or (bool(s.forwarded) and b"a b" in s.first.raw_head)),),
    ),
    Requirement(
        "9112 2.2",
        "white space between the request line and the first field: rejected, or those lines are skipped",
        (
            Probe(b"GET / HTTP/1.1\r\n X: y\r\n" + HOST + b"\r\n", not_kept(b"X: y")),
            Probe(b"GET / HTTP/1.1\r\n\tX: y\r\n" + HOST + b"\r\n", not_kept(b"X: y")),
        ),
    ),
    Requirement(
        "9112 3",
        "a request target longer than the limit: 414",
        (Probe(get(line=b"GET /" + b"a" * 100_000 + b" HTTP/1.1"), refused(414)),),
    ),
    Requirement("9112 3.2", "HTTP/1.1 without `Host`: 400", (Probe(get(host=b"X: y\r\n"), refused(400)),)),
    Requirement(
        "9112 3.2",
        "more than one `Host`: 400",
        hosts_refused([HOST + b"Host: other.example\r\n", HOST * 2, HOST + b"X: y\r\nhost: shop.example\r\n"]),
    ),
    Requirement(
        "9112 3.2",
        "a `Host` that is not a host: 400",
        hosts_refused([b"Host: a/b\r\n", b"Host: u@a\r\n", b"Host: a b\r\n", b"Host: a:80:80\r\n", b"Host: a, b\r\n"]),
    ),
    Requirement(
        "9112 3.2.2",
        "a target in absolute form is accepted",
        (
            Probe(
                get(line=b"GET http://shop.example/x?y HTTP/1.1"),
                lambda s: b" /x?y " in s.first.line or b"http://shop.example/x?y" in s.first.line,
            ),
        ),
    ),
    Requirement(
        "9112 3.2.2",
        "in absolute form the target's host counts and is passed on, the `Host` field is ignored",
        (
            Probe(
                get(line=b"GET http://shop.example/ HTTP/1.1", host=b"Host: other.example\r\n"),
                lambda s: s.first.all(b"host") == [b"shop.example"],
            ),
        ),
        reason="the host chooses the room, so a request that names two hosts is refused with a 400",
    ),
    Requirement(
        "9110 4.2.1",
        "an http URI with an empty host is invalid",
        (
            Probe(get(line=b"GET http:///x HTTP/1.1"), lambda s: s.is_refused),
            Probe(get(line=b"GET http://:80/x HTTP/1.1"), lambda s: s.is_refused),
        ),
    ),
    Requirement(
        "9110 9.3.6",
        "CONNECT to an empty or impossible port is rejected",
        (
            Probe(get(line=b"CONNECT shop.example: HTTP/1.1"), lambda s: s.is_refused),
            Probe(get(line=b"CONNECT shop.example:99999 HTTP/1.1"), lambda s: s.is_refused),
        ),
    ),
    Requirement(
        "9110 5.4",
        "more or larger fields than the limit: a 4xx",
        (Probe(get(b"X: " + b"a" * 200_000 + b"\r\n"), told_4xx), Probe(get(b"X: y\r\n" * 20_000), told_4xx)),
    ),
    Requirement(
        "9112 5.1",
        "white space between a field's name and the colon: 400",
        each_refused([b"X : y\r\n", b"X\t: y\r\n", b"Content-Length : 0\r\n"], refused(400)),
    ),
    Requirement(
        "9110 5.5",
        "white space around a value is no part of it",
        (
            Probe(post(b"Content-Length: \t 5 \t\r\n", b"hello"), body_is(b"hello")),
            Probe(get(host=b"Host:   shop.example \t\r\n"), lambda s: s.first.all(b"host") == [b"shop.example"]),
        ),
    ),
    Requirement(
        "9110 5.5",
        "NUL in a value: rejected, or replaced",
        (Probe(get(b"X: a\x00b\r\n"), not_kept(b"\x00")), Probe(get(b"Cookie: a=\x00\r\n"), not_kept(b"\x00"))),
    ),
    Requirement(
        "9112 5.2",
        "a folded field: 400, or the fold is replaced by spaces",
        (
            Probe(get(b"X: a\r\n b\r\n"), not_kept(b"\r\n b")),
            Probe(get(b"X: a\r\n\tb\r\nY: z\r\n"), not_kept(b"\r\n\tb")),
        ),
    ),
    Requirement(
        "9110 5.6.1",
        "empty members of a list are skipped",
        (Probe(get(b"Connection: ,, close , ,\r\n"), lambda s: s.is_closed and s.status == 200, answers=0),),
    ),
    Requirement(
        "9112 6.1",
        "a chunked body is decoded, with the coding's name in upper or lower case",
        (
            Probe(post(CHUNKED, b"5\r\nhello\r\n0\r\n\r\n"), body_is(b"hello")),
            Probe(post(b"transfer-encoding: CHUNKED\r\n", b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"), body_is(b"abcde")),
        ),
    ),
    Requirement(
        "9112 6.1",
        "HTTP/1.0 with a transfer coding: the framing is treated as faulty, and the connection ends",
        (Probe(post(CHUNKED + b"Connection: keep-alive\r\n", b"0\r\n\r\n" + BEHIND, b"1.0"), alone, answers=0),),
    ),
    Requirement(
        "9112 6.1",
        "a length beside a transfer coding: the connection ends after the response",
        (
            Probe(post(CHUNKED + b"Content-Length: 5\r\n", b"0\r\n\r\n" + BEHIND), alone, answers=0),
            Probe(post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + BEHIND), alone, answers=0),
        ),
    ),
    Requirement(
        "9112 6.3",
        "a length beside a transfer coding is not passed on",
        (
            Probe(
                post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n"),
                lambda s: s.is_refused or (bool(s.forwarded) and b"content-length" not in s.first),
                answers=0,
            ),
        ),
    ),
    Requirement(
        "9112 6.3",
        "a transfer coding whose last member is not chunked: 400, and the connection ends",
        tuple(
            Probe(post(b"Transfer-Encoding: %b\r\n" % coding, b"0\r\n\r\n"), refused_and_closed, answers=0)
            for coding in (b"gzip", b"chunked, gzip", b"identity")
        ),
    ),
    Requirement(
        "9112 6.3",
        "a `Content-Length` that is not a number: 400, and the connection ends",
        tuple(
            Probe(post(b"Content-Length: %b\r\n" % length, b"hello"), refused_and_closed, answers=0)
            for length in (b"abc", b"+5", b"-5", b"5;", b"0x5", b"5 5", b"99999999999999999999999")
        ),
    ),
    Requirement(
        "9112 6.3",
        "lengths that differ: 400, and the connection ends",
        (
            Probe(post(b"Content-Length: 5\r\nContent-Length: 6\r\n", b"hello!"), refused_and_closed, answers=0),
            Probe(post(b"Content-Length: 5, 6\r\n", b"hello!"), refused_and_closed, answers=0),
        ),
    ),
    Requirement(
        "9110 8.6",
        "the same length twice: rejected, or passed on once",
        (
            Probe(
                post(b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
                lambda s: s.is_refused or s.first.all(b"content-length") == [b"5"],
            ),
            Probe(
                post(b"Content-Length: 5, 5\r\n", b"hello"),
                lambda s: s.is_refused or s.first.all(b"content-length") == [b"5"],
            ),
        ),
    ),
    Requirement(
        "9112 6.3",
        "a body that ends before its length does not reach the upstream as whole, and the connection ends",
        (
            Probe(
                post(b"Content-Length: 50\r\n", b"hello"),
                lambda s: s.is_closed and not s.first.is_whole,
                answers=0,
                ends=True,
            ),
        ),
    ),
    Requirement(
        "9112 8",
        "the same for a chunked body without its last chunk",
        (
            Probe(
                post(CHUNKED, b"5\r\nhello\r\n"), lambda s: s.is_closed and not s.first.is_whole, answers=0, ends=True
            ),
        ),
    ),
    Requirement(
        "9112 7.1",
        "a chunk size that overflows is not read as a smaller size",
        tuple(
            Probe(
                post(CHUNKED, size + b"\r\nhello\r\n0\r\n\r\n" + BEHIND),
                lambda s: s.first.body != b"hello" and not any(b"/behind" in each.line for each in s.forwarded),
                answers=0,
            )
            for size in (b"100000000000000005", b"10000000000000005")
        ),
    ),
    Requirement(
        "9112 7.1.1",
        "unknown extensions of chunks are ignored",
        (
            Probe(post(CHUNKED, b"5;a=b;c\r\nhello\r\n0;d\r\n\r\n"), body_is(b"hello")),
            Probe(post(CHUNKED, b'5;a="b c"\r\nhello\r\n0\r\n\r\n'), body_is(b"hello")),
        ),
    ),
    Requirement(
        "9110 5.6.3",
        "bad white space, as in a chunk's extension, is removed",
        (Probe(post(CHUNKED, b"5 ; a = b\r\nhello\r\n0\r\n\r\n"), body_is(b"hello")),),
    ),
    Requirement(
        "9110 6.5.1",
        "fields of a trailer are not merged into the head",
        (
            Probe(
                post(CHUNKED, b"5\r\nhello\r\n0\r\nX-Late: 1\r\nContent-Length: 3\r\nHost: b\r\n\r\n"),
                lambda s: (
                    s.is_refused
                    or (
                        bool(s.forwarded)
                        and b"x-late" not in s.first
                        and s.first.all(b"content-length") != [b"3"]
                        and s.first.all(b"host") != [b"b"]
                    )
                ),
            ),
        ),
    ),
    Requirement(
        "9112 9.2",
        "pipelined requests are answered in order",
        (
            Probe(
                b"".join(get(line=b"GET /%d HTTP/1.1" % at) for at in range(3)),
                lambda s: [each.body for each in s.answers] == [b"a", b"b", b"c"],
                tuple(Reply(OK.replace(b"ok", each).replace(b": 2", b": 1")) for each in (b"a", b"b", b"c")),
                3,
            ),
        ),
    ),
    Requirement(
        "9112 9.3",
        "the body of a request is read whole before the next request, or the connection ends",
        (
            Probe(
                post(b"Expect: 200-ok\r\nContent-Length: %d\r\n" % len(BEHIND), BEHIND),
                lambda s: len(s.answers) == 1 and not any(b"/behind" in each.line for each in s.forwarded),
            ),
            Probe(
                post(b"Content-Length: 9999999999\r\n", BEHIND),
                lambda s: len(s.answers) <= 1 and not any(b"/behind" in each.line for each in s.forwarded),
                ends=True,
                answers=0,
            ),
        ),
    ),
    Requirement(
        "9112 9.6",
        "after `Connection: close` the connection ends with the response, and no later request is processed",
        (
            Probe(get(b"Connection: close\r\n") + BEHIND, lambda s: alone(s) and s.status == 200, answers=0),
            Probe(
                post(b"Connection: Close\r\nContent-Length: 5\r\n", b"hello") + BEHIND,
                lambda s: alone(s) and s.status == 200,
                answers=0,
            ),
        ),
    ),
    Requirement(
        "9110 10.1.1",
        "`Expect: 100-continue` of HTTP/1.0 is ignored",
        (
            Probe(
                post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b"hello", b"1.0"),
                lambda s: s.status == 200 and not s.interim,
            ),
        ),
    ),
    Requirement(
        "9110 10.1.1",
        "a client that expects a 100 gets it, or a final response, or the upstream is asked",
        (
            Probe(
                post(b"Expect: 100-continue\r\nContent-Length: 5\r\n", b""),
                lambda s: s.status == 200 and s.first.body == b"hello",
                then=b"hello",
            ),
        ),
    ),
    Requirement(
        "9110 7.8",
        "`Upgrade` of HTTP/1.0 is ignored",
        (
            Probe(
                get(b"Connection: Upgrade\r\nUpgrade: foo\r\n", b"GET / HTTP/1.0"),
                lambda s: bool(s.forwarded) and b"upgrade" not in s.first,
            ),
        ),
    ),
    Requirement(
        "9110 9.1",
        "GET and HEAD are served",
        (
            Probe(get(), lambda s: s.status == 200),
            Probe(get(line=b"HEAD / HTTP/1.1"), lambda s: s.status == 200 and not s.rest, is_head=True),
        ),
    ),
)
