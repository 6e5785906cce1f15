"""Both forms of the leaf on mutated input: `python -m tests.reliability.leaf [--count 1000000] [--sanitize]`.

    heads      the native leaf and the Python form read the same heads, one after the other: same context, same head for
               the upstream, or the same refusal
    cuts       any bytes: the leaf cuts out the cookie that the Python form cuts out, or leaves the head to it
    cookies    what the leaf finds in a `Cookie` field is what the Python form finds
    signed     both verify the same bytes
    responses  what the leaf reads of a response's head is what the Python form reads

`--sanitize` builds the leaf with AddressSanitizer and UndefinedBehaviorSanitizer (`gcc` or `clang`). Then every object
of Python is an allocation of its own, so that a read behind its end is found, and the run ends with a report.
"""

import argparse
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.refusal import Refusal
from edge.proxy import response
from edge.proxy.head_cache import HeadCache, _cookie_at, _is_plain
from edge.settings.model import CookieSettings
from edge.support.client_address import TrustedProxies
from tests.edge.decision.test_pipeline import KEYS, NOW, Edge
from tests.native_leaf import build, leaf, load
from tests.reliability.fuzz import mutations, seeds
from waiting_room.signature import Signatures
from waiting_room.ticket import Ticket, new_ticket
from waiting_room.ticket_leaf import TicketLeaf

__all__ = ["compare"]

NAME = "stanchion_checkout"
#: Where a build of the leaf is that the process uses instead of the usual one.
VARIABLE = "STANCHION_TESTED_LEAF"
PEERS = ("192.0.2.1", "192.0.2.2")


def tickets() -> list[bytes]:
    """Return cookies with tickets of every form that is written."""
    plain = [new_ticket("checkout", NOW - at, bytes([at + 1]) * 16) for at in range(4)]
    plain += [Ticket(each.id, "checkout", each.first_seen, NOW, 90 * at, 0.0, 7 * at) for at, each in enumerate(plain)]
    return [f"{NAME}={KEYS.seal(each)}".encode() for each in plain]


def heads(native: ModuleType) -> tuple[list[bytes], Callable[[bytes], bool]]:
    pipeline = Edge().pipeline
    one, other = [
        HeadCache(pipeline, TrustedProxies(()), max_fields=100, max_target=8192, upstream_host=None, native=each)
        for each in (native, None)
    ]

    def check(raw: bytes) -> bool:
        end = raw.find(b"\r\n\r\n")
        raw = raw[: end + 4] if end >= 0 else raw + b"\r\n\r\n"
        peer = PEERS[len(raw) % 2]
        said = [_said(cache, raw, peer) for cache in (one, other)]
        assert said[0] == said[1]
        return not isinstance(said[0][0], Refusal)

    head = b"GET /checkout HTTP/1.1\r\nHost: shop.test\r\nAccept: text/html\r\nCookie: a=b; %b; c=d\r\n\r\n"
    return [*(head % each for each in tickets()), head % b"x=y", *seeds("head")], check


def _said(cache: HeadCache, raw: bytes, peer: str) -> tuple[object, ...]:
    parsed = cache.known(raw, peer) or cache.read(raw, peer)
    if isinstance(parsed, Refusal):
        return (parsed,)
    context = parsed.context
    # A template's head for the upstream has the cookies where the first head had them.
    upstream = sorted(cache.forward_memo(parsed, raw).upstream_head.split(b"\r\n"))
    return context.head, context.credential, context.answer, context.place, parsed.framing, upstream


def cuts(native: ModuleType) -> tuple[list[bytes], Callable[[bytes], bool]]:
    table = native.HeadTable(random.getrandbits(64))

    def check(raw: bytes) -> bool:
        at, end = _cookie_at(raw)
        if end < 0:  # no head: it has no end of a line
            at = end = len(raw)
        table.put(raw, raw)
        found = table.find(raw)
        assert found == ((raw, raw[at:end].decode()) if _is_plain(raw[at:end]) else None)
        return found is not None

    return heads(native)[0], check


def cookies(native: ModuleType) -> tuple[list[bytes], Callable[[bytes], bool]]:
    ours, named = TicketLeaf(KEYS, native), Cookies(CookieSettings(secure="always"))

    def check(raw: bytes) -> bool:
        cookie = raw.decode("latin-1")
        found = ours.find(cookie, NAME, "checkout")
        if found is None:
            return False
        head = RequestHead("GET", "/", "shop.test", "https", "192.0.2.1", cookie)
        assert [KEYS.read(value, "checkout") for value in named.read(NAME, head)] == [found]
        return True

    return [*tickets(), *(b"a=1; lang=de; %b; b=2" % each for each in tickets()), *seeds("cookie")], check


def signed(native: ModuleType) -> tuple[list[bytes], Callable[[bytes], bool]]:
    keys = [b"k" * 40, b"o" * 40]
    one, other = Signatures(keys, b"salt", native), Signatures(keys, b"salt", None)

    def check(raw: bytes) -> bool:
        assert one.unsign(raw) == other.unsign(raw)
        return one.unsign(raw) is not None

    pool = [other.sign(bytes(range(size % 250 + 1))) for size in range(0, 250, 7)]
    return [*pool, *(Signatures(keys[1:], b"salt", None).sign(each) for each in pool[:9])], check


def responses(native: ModuleType) -> tuple[list[bytes], Callable[[bytes], bool]]:
    def check(raw: bytes) -> bool:
        end = raw.find(b"\r\n\r\n")
        raw = raw[: end + 4] if end >= 0 else raw + b"\r\n\r\n"
        try:
            wanted: object = response._parsed(raw)
        except response.BadResponse:
            wanted = None
        found = native.response_head(raw, response._uses)
        if found is None:
            return False
        try:
            usual = response._usual(found)
        except response.BadResponse:
            usual = None
        else:
            if usual is None:
                return False
        assert usual == wanted
        return usual is not None

    head = b"HTTP/1.1 200 OK\r\nServer: x\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    ends = (
        b"Content-Length: 12\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n",
        b"Content-Length: 0\r\nSet-Cookie: a=b\r\nSet-Cookie: c=d\r\nConnection: close\r\n\r\n",
        b"X-A: \xe9\r\nStanchion-Stock: 5\r\n\r\n",
    )
    return [*(head + each for each in ends), *seeds("answer")], check


def compare(native: ModuleType, count: int, seed: int) -> dict[str, tuple[int, int]]:
    """Try `count` mutations of each kind. Return for each how many were tried, and how many the leaf took.

    Raises AssertionError with the input in its notes."""
    counts = {}
    for kind in (heads, cuts, cookies, signed, responses):
        pool, check = kind(native)
        taken = 0
        # Every second input is a seed as it is, so that the leaf's short ways are taken, and templates are known.
        chance = random.Random(f"{seed} {kind.__name__}")
        for raw in mutations(count, chance, pool):
            for each in (chance.choice(pool), raw):
                try:
                    taken += check(each)
                except Exception as fault:
                    fault.add_note(f"the input: {each!r}")
                    raise
        counts[kind.__name__] = count, taken
    return counts


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=100_000, help="mutations of each kind (default: 100,000)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--sanitize", action="store_true", help="look for reads and writes outside of objects")
    options = parser.parse_args()
    if options.sanitize:
        raise SystemExit(_sanitized(options.count, options.seed))
    made = os.environ.get(VARIABLE)
    began = time.monotonic()
    for kind, (count, taken) in compare(load(Path(made)) if made else leaf(), options.count, options.seed).items():
        print(f"{kind:8} {count:>9,} mutations and as many seeds, the same answer; {taken:,} of them were accepted")
    print(f"seed {options.seed}, {time.monotonic() - began:.0f} s, {'with' if made else 'without'} sanitizers")


def _sanitized(count: int, seed: int) -> int:
    with tempfile.TemporaryDirectory() as folder:
        flags = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")
        made = build(Path(folder), *flags)
        libraries = [
            subprocess.run(
                ["gcc", f"-print-file-name={name}"], check=True, capture_output=True, text=True
            ).stdout.strip()
            for name in ("libasan.so", "libubsan.so")
        ]
        environment = {
            **os.environ,
            "LD_PRELOAD": " ".join(libraries),
            "PYTHONMALLOC": "malloc",
            VARIABLE: str(made),
            "ASAN_OPTIONS": "detect_leaks=0:detect_stack_use_after_return=1",
        }
        command = [sys.executable, "-m", "tests.reliability.leaf", "--count", str(count), "--seed", str(seed)]
        return subprocess.run(command, env=environment, check=False).returncode


if __name__ == "__main__":
    main()
