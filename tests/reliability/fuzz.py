"""Mutations of heads, chunks and cookies: no exception, no second reading, no amplification. Seeded, so repeatable.

A mutation flips, inserts, deletes, doubles or splices bytes of a seed (tests/reliability/seeds/, one raw message a
file) or of an earlier mutation. Mutations with a result that none before had are kept: a cheap replacement for the
coverage that guides other fuzzers.

What must hold:
    heads      a Request or a Refusal; the same from a parser that has read many heads; a strict reader finds one
               request in the head that `upstream_head` renders, with the framing that the edge found
    chunks     BodyFault, or the same content in one piece and in two; the output is at most as long as the input and
               the new framing
    cookies    a Ticket, a Pass or a Rejected; only a sealed cookie opens
"""

import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from edge.messages.refusal import Refusal
from edge.proxy.body import BodyFault, ChunkedBody
from edge.proxy.hop_by_hop import forwarded, upstream_head
from edge.proxy.request import Request, RequestParser
from edge.support.client_address import Origin
from tests.reliability.judge import judge
from waiting_room.cookie_field import cookie_values
from waiting_room.ticket import Keyring, Rejected, Ticket, new_ticket

__all__ = ["Fuzzed", "checks", "fuzz", "mutations", "seeds"]

SEEDS = Path(__file__).parent / "seeds"
#: Pieces that mutations insert, because parsers stumble over them.
PIECES = (
    *(
        b"\r\n",
        b"\n",
        b"\r",
        b"\0",
        b" ",
        b"\t",
        b":",
        b";",
        b",",
        b"=",
        b"0",
        b"f" * 16,
        b"\xff",
        b"%2e%2e/",
        b"\r\n\r\n",
    ),
    *(b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n", b"Host: b\r\n", b" HTTP/1.1", b"0\r\n\r\n"),
    *(b"Connection: close\r\n", b"Expect: 100-continue\r\n", b"Upgrade: h2c\r\n", b"t1.", b"p1.", b"stanchion_sale="),
)
#: A mutation costs at most MOST_AMPLIFIED times the mean CPU time (Envoy's limit), or NOISE_S, because garbage is
#: collected now and then.
MOST_AMPLIFIED, NOISE_S = 100.0, 0.05
_ORIGIN = Origin("192.0.2.1", "http", "192.0.2.1", None)


@dataclass(frozen=True, slots=True)
class Fuzzed:
    mutations: int
    accepted: int
    """Mutations that were accepted as valid."""
    kept: int
    """Mutations with a new result."""
    slowest_s: float
    mean_s: float


def fuzz(count: int, seed: int) -> dict[str, Fuzzed]:
    """Try `count` mutations of each kind. Raises AssertionError, or the parser's error, with the bytes in its notes."""
    return {kind: _run(count, random.Random(f"{seed} {kind}"), *check) for kind, check in checks().items()}


def checks() -> dict[str, tuple[list[bytes], Callable[[bytes], object]]]:
    """Return for each kind the seeds and a check that holds for any bytes and returns their result."""
    keys = Keyring([b"k" * 32])
    sealed = keys.seal(new_ticket("sale", 1e9, bytes(16)))
    shared = RequestParser()
    return {
        "head": (seeds("head"), lambda raw: _check_head(raw, shared)),
        "chunks": (seeds("chunks"), _check_chunks),
        "cookie": (
            [b"a=1; lang=de; " * 40 + b"stanchion_sale=" + sealed.encode(), *seeds("cookie")],
            lambda raw: _check_cookie(raw, keys, sealed),
        ),
    }


def _run(count: int, chance: random.Random, pool: list[bytes], check: Callable[[bytes], object]) -> Fuzzed:
    seen: set[object] = set()
    accepted = kept = 0
    slowest_s, began = 0.0, time.thread_time()
    for raw in mutations(count, chance, pool):
        start = time.thread_time()
        try:
            said = check(raw)
        except Exception as fault:
            fault.add_note(f"the input: {raw!r}")
            raise
        slowest_s = max(slowest_s, time.thread_time() - start)
        accepted += not isinstance(said, str)
        if said not in seen and len(seen) < 5000:
            seen.add(said)
            pool.append(raw)
            kept += 1
    mean_s = (time.thread_time() - began) / count
    assert slowest_s < max(NOISE_S, MOST_AMPLIFIED * mean_s), f"one took {slowest_s:.3f} s, the mean {mean_s:.6f} s"
    return Fuzzed(count, accepted, kept, slowest_s, mean_s)


def mutations(count: int, chance: random.Random, pool: list[bytes]) -> Iterator[bytes]:
    for _ in range(count):
        raw = bytearray(chance.choice(pool))
        for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
            at = chance.randrange(len(raw) + 1)
            match chance.randrange(6):
                case 0 if at < len(raw):
                    raw[at] = chance.randrange(256)
                case 1 if at < len(raw):
                    raw[at] ^= 1 << chance.randrange(8)
                case 2:
                    raw[at:at] = chance.choice(PIECES)
                case 3:
                    del raw[at : at + chance.choice((1, 1, 2, 5, 20))]
                case 4:
                    raw[at:at] = raw[at : at + chance.choice((1, 4, 30))] * chance.choice((1, 1, 2, 40))
                case _:
                    other = chance.choice(pool)
                    cut = chance.randrange(len(other) + 1)
                    raw[at:] = other[cut:]
        yield bytes(raw[:20_000])


def seeds(kind: str) -> list[bytes]:
    found = [file.read_bytes() for file in sorted(SEEDS.glob(f"{kind}-*"))]
    assert found, f"no seeds of {kind} in {SEEDS}"
    return found


def _check_head(raw: bytes, shared: RequestParser) -> object:
    end = raw.find(b"\r\n\r\n")
    if end < 0:
        return "unfinished"
    head = raw[: end + 4]
    read = shared.parse(head)
    if isinstance(read, Refusal):
        assert 400 <= read.status < 600
        return f"{read.status} {read.detail}"
    again = RequestParser().parse(head)
    assert read == again, "what was read before made a difference"
    sent = read.values.get(b"host", b"")
    written = upstream_head(read, None) + forwarded(_ORIGIN, sent) + b"\r\n"
    assert len(written) < len(head) + 400
    said = judge(written + (b"0\r\n\r\n" if read.length < 0 else b"x" * min(read.length, 100_000)))
    assert not said.faults or read.length > 100_000, said.faults
    assert len(said.requests) == 1, said.requests
    return _shape(read)


def _shape(read: Request) -> tuple[object, ...]:
    return (
        read.method,
        read.is_http10,
        read.keep_alive,
        read.upgrades,
        read.expects_continue,
        min(read.length, 1),
        len(read.fields),
    )


def _check_chunks(raw: bytes) -> object:
    try:
        whole = ChunkedBody(chunked=False)
        content = whole.feed(raw)
    except BodyFault as fault:
        return str(fault)
    assert len(content) <= len(raw)
    parts, half = ChunkedBody(chunked=False), len(raw) // 2
    pieces = parts.feed(raw[:half])
    pieces += parts.feed(parts.rest + raw[half:] if not parts.is_done else b"")
    if not parts.is_done or len(parts.rest) == len(whole.rest):
        assert (pieces, parts.is_done) == (content, whole.is_done)
    anew = ChunkedBody(chunked=True).feed(raw)
    assert len(anew) <= len(raw) + 32
    if whole.is_done:
        again = ChunkedBody(chunked=False)
        assert (again.feed(anew), again.is_done, again.rest) == (content, True, b"")
        return (True, min(len(content), 64), raw.count(b"\r\n") % 16)
    return "unfinished"


def _check_cookie(raw: bytes, keys: Keyring, sealed: str) -> object:
    values = cookie_values(raw.decode("latin-1"), "stanchion_sale")
    for value in values[:3]:
        read = keys.read(value, "sale")
        if isinstance(read, Rejected):
            return f"{min(len(values), 4)} {read.reason}"
        assert isinstance(read, Ticket)
        assert value == sealed, "what opened was never sealed"
        return ("open", min(len(values), 4))
    return "none"
