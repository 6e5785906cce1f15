"""Compare the edge with the servers a user would choose instead, in one run on one machine: `make bench`.

One core runs the server, the other the load and the shop. In each round every server does every kind of work in turn.
Ratios are taken within a round and the result is their median, because absolute figures drift by a third from one hour
to the next. CPU time is the accounting of the kernel (/proc), summed over all processes of a server.

    P1  a poll: verify the ticket, compare, answer 150 to 200 bytes of JSON
    P2  the waiting page with a newly signed cookie
    P3  verify a pass and proxy: GET of 1 kB and of 100 kB, POST of 10 kB

The rows "over TLS" are the same work behind TLS 1.3 with a certificate of P-256, at the edge and at nginx.
"""

import argparse
import os
import platform
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.bench.growth import decide_us
from tests.bench.heads import Heads
from tests.bench.idle import idle_bytes
from tests.bench.load import Measured, arrive, run
from tests.bench.report import write_report
from tests.bench.servers import COMPILED, Server, Servers, missing

SERVER_CORE, LOAD_CORE = 0, min(1, (os.cpu_count() or 1) - 1)
PURE, COMPILED_FORM, REFERENCE = "stanchion", "stanchion, compiled", "nginx+lua"
#: The limits of the machine: the same load, and nothing to decide.
FLOORS = ("nginx, nothing to decide", "uvloop, nothing to decide")
WAITING = (1_000, 100_000, 1_000_000)

Work = tuple[str, Callable[[Heads], list[bytes]], dict[str, Any], tuple[str, ...]]
ALL = (PURE, COMPILED_FORM, REFERENCE, "haproxy", "aiohttp")
QUICK = ALL[:-1]
ENCRYPTED = (PURE, COMPILED_FORM, REFERENCE)
MIXED = "P1 poll, 2,000 visitors mixed"
WORKS: tuple[Work, ...] = (
    ("P1 poll, one visitor a connection", lambda h: h.polls(visitors=64), {}, (*ALL, *FLOORS)),
    (MIXED, lambda h: h.polls(), {}, ALL),
    ("P1 poll, every head new", lambda h: h.polls(new=True), {"new": True}, (*QUICK, FLOORS[1])),
    ("P1 poll, 5,000 connections", lambda h: h.polls(), {"connections": 5000}, QUICK),
    ("P1 poll, a connection each", lambda h: h.polls(connection="close"), {}, QUICK),
    ("P2 page, first visits", lambda h: h.pages(), {"new": True}, QUICK),
    ("P3 GET 1 kB", lambda h: h.passes("/checkout/1k"), {}, ALL),
    ("P3 GET 100 kB", lambda h: h.passes("/checkout/100k"), {}, ALL),
    ("P1 poll over TLS", lambda h: h.polls(visitors=64), {"tls": True}, ENCRYPTED),
    ("P1 poll over TLS, 2,000 visitors mixed", lambda h: h.polls(), {"tls": True}, ENCRYPTED),
    ("P1 poll over TLS, a handshake each", lambda h: h.polls(connection="close"), {"tls": True}, ENCRYPTED),
    ("P2 page over TLS, first visits", lambda h: h.pages(), {"new": True, "tls": True}, ENCRYPTED),
    ("P3 GET 1 kB over TLS", lambda h: h.passes("/checkout/1k"), {"tls": True}, ENCRYPTED),
    ("P3 GET 100 kB over TLS", lambda h: h.passes("/checkout/100k"), {"tls": True}, ENCRYPTED),
    ("P3 POST 10 kB", lambda h: h.passes("/checkout/post", method="POST", body=10_240), {}, ALL),
)


def measure(
    servers: dict[str, Server],
    folder: Path,
    rounds: int,
    seconds: int,
    connections: int | None = None,
    only: str = "",
) -> dict[str, dict[str, list[Measured]]]:
    """Return work -> server -> one measurement a round. connections: overrides that of each work. only: part of the
    names of the works to measure."""
    heads = Heads()
    results: dict[str, dict[str, list[Measured]]] = {name: {} for name, *_ in WORKS}
    for turn in range(rounds):
        for name, make, options, wanted_servers in WORKS:
            if only not in name:
                continue
            wanted = options if connections is None else {**options, "connections": connections}
            there = [each for each in wanted_servers if each in servers]
            # Each round begins with another server, so that no server always runs on a machine that has just rested.
            for each in there[turn % len(there) :] + there[: turn % len(there)]:
                sent = heads.plain() if each == FLOORS[0] else make(heads)
                one = run(servers[each], sent, folder, core=LOAD_CORE, seconds=seconds, **wanted)
                results[name].setdefault(each, []).append(one)
                time.sleep(0.2)
                cost = f"{one.capacity:9,.0f}/s of CPU  {one.rate:9,.0f}/s  p99 {one.p99_ms:7.1f} ms"
                print(f"{turn + 1}/{rounds}  {name:36} {each:25} {cost}  failed {one.failed}", flush=True)
    return results


def half_load(
    servers: dict[str, Server], results: dict[str, dict[str, list[Measured]]], folder: Path, rounds: int, seconds: int
) -> dict[str, Measured]:
    """Return the P99 of polls at half of each server's measured capacity: the median of the rounds.

    The requests come at random moments. The pauses of wrk are whole milliseconds, so its requests come in bursts, and
    the bursts would be measured: a server that decides nothing had a P50 of 0.2 ms with wrk, and of 0.03 ms without.
    """
    heads = Heads()
    found: dict[str, list[Measured]] = {}
    for _ in range(rounds):
        for each, measured in results[MIXED].items():
            if each == "aiohttp":
                continue
            half = statistics.median(one.capacity for one in measured) / 2
            one = arrive(servers[each], heads.polls(), folder, core=LOAD_CORE, rate=half, seconds=seconds)
            found.setdefault(each, []).append(one)
            print(f"half load  {each:25} {one.rate:9,.0f}/s  p99 {one.p99_ms:7.2f} ms", flush=True)
    return {each: sorted(several, key=lambda one: one.p99_ms)[len(several) // 2] for each, several in found.items()}


def every(start: Servers) -> dict[str, Server]:
    """Start all servers, and the compiled form if it is there."""
    servers = {PURE: start.edge()}
    if COMPILED.is_dir():
        servers[COMPILED_FORM] = start.edge(name="compiled", root=COMPILED)
    nginx = start.nginx_lua()
    servers |= {REFERENCE: nginx, FLOORS[0]: nginx, FLOORS[1]: start.idle_python()}
    return servers | {"haproxy": start.haproxy(), "aiohttp": start.aiohttp()}


def interpreter() -> str:
    """Describe the interpreter. Debian builds with profile-guided optimisation, but its build does not say so."""
    if "--enable-optimizations" in (sysconfig.get_config_var("CONFIG_ARGS") or ""):
        build = "PGO"
    else:
        build = "the distribution's build" if sys.base_prefix == "/usr" else "built without PGO"
    return f"CPython {platform.python_version()}, {build}"


def main() -> int:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=4)
    parser.add_argument("--only", default="", help="measure only works with this in their name")
    parser.add_argument("--idle", type=int, default=10_000, help="connections held for the memory figure")
    parser.add_argument("--write", type=Path, help="write the figures into this page, between its markers")
    options = parser.parse_args()
    if lacking := missing():
        print(f"the bench needs these packages: {' '.join(lacking)} (sudo apt-get install {' '.join(lacking)})")
        return 2
    with tempfile.TemporaryDirectory(prefix="stanchion-bench-") as name:
        folder = Path(name)
        with Servers(folder, SERVER_CORE, LOAD_CORE) as start:
            servers = every(start)
            # Before any load: later, connections would get memory that the load has left free. HAProxy accepts 9,900.
            measured = [each for each in ALL if each in servers and each != "haproxy"]
            idle = {each: idle_bytes(servers[each], options.idle) for each in measured} if not options.only else {}
            results = measure(servers, folder, options.rounds, options.seconds, only=options.only)
            if options.only:
                return 0
            calm = half_load(servers, results, folder, options.rounds, options.seconds)
        extra = alone(folder / "alone", options.seconds)
    machine = {"command": "python -m tests.bench " + " ".join(sys.argv[1:]), "interpreter": interpreter()}
    report = write_report(machine, results, calm, idle, extra)
    print(report)
    if options.write:
        options.write.write_text(placed(options.write.read_text(), report))
    return 0


def placed(page: str, report: str) -> str:
    """Return the page with the report between its markers."""
    before, begin, rest = page.partition("<!-- figures -->\n")
    _, end, after = rest.partition("<!-- end of figures -->\n")
    if not begin or not end:
        raise ValueError("the page has no markers for the figures")
    return before + begin + report + end + after


def alone(folder: Path, seconds: int) -> dict[str, float]:
    """Measure the edge by itself: decisions, rooms, and admissions with one and two workers."""
    heads = Heads()
    found = {f"ns of CPU a decision with {waiting:,} waiting": 1000 * decide_us(waiting) for waiting in WAITING}
    with Servers(folder, SERVER_CORE, LOAD_CORE) as start:
        for rooms in (1, 500):
            edge = start.edge(rooms=rooms, name=f"rooms-{rooms}")
            rates = [run(edge, heads.polls(), folder, core=LOAD_CORE, seconds=seconds).capacity for _ in range(3)]
            found[f"polls a CPU second with {rooms} rooms"] = statistics.median(rates)
        for workers in (1, 2):
            edge = start.edge(workers=workers, rate=1_000_000, name=f"admissions-{workers}")
            one = run(edge, heads.pages(), folder, core=LOAD_CORE, seconds=seconds, new=True)
            found[f"admissions a second, {workers} worker{'s' * (workers > 1)}"] = one.rate
            found[f"admissions a CPU second, {workers} worker{'s' * (workers > 1)}"] = one.capacity
    return found


if __name__ == "__main__":
    sys.exit(main())
