"""Measure the tables of `docs/reliability.md` and `docs/conformance.md` and write them there: `make reliability`.

conformance  the requirements of RFC 9110 and 9112, for the edge, nginx and HAProxy     15 seconds
smuggling    the corpus through the edge, nginx and HAProxy                             half a minute
fuzz         a million mutations of heads, chunks and cookies                           some two minutes
sockets      40,000 connections with mutated requests and responses                     some three minutes
tampered     a million tampered tickets and passes                                      half a minute
crowd        5,000 slow connections, and their effect on other visitors                 a minute
tools        slowhttptest in its four modes                                             two minutes
partition    a machine with a way to Redis that is slow or one-sided                     two minutes
standstill   faults in the middle of a sale of 1,000 visitors                           some fifteen minutes
operating    hold, other capacities and an opening by the API, with 2,000 visitors         some twelve minutes
survivors    three machines, one killed in the middle of a sale; the report and what visitors saw   a minute
"""

import argparse
import asyncio
import sys
from collections.abc import Callable
from pathlib import Path

from tests.reliability.conformance.table import compare as compare_conformance
from tests.reliability.conformance.table import page
from tests.reliability.document import replace_table
from tests.reliability.fuzz import fuzz
from tests.reliability.fuzz_sockets import fuzz_sockets
from tests.reliability.operating import operated
from tests.reliability.partition import CAPACITY, WINDOW_S, partitions
from tests.reliability.slow import crowd, slowhttptest
from tests.reliability.smuggling import compare
from tests.reliability.standstill import FAULTS, play
from tests.reliability.survivors import survived
from tests.reliability.tampered import tamper

SEED = 20_261_121


def smuggling() -> str:
    rows = [
        "| proxy | refused | passed on clean | ambiguous or extra | refused, connection kept |",
        "| --- | --- | --- | --- | --- |",
    ]
    for tally in asyncio.run(compare()):
        counts = f"{tally.refused:,} | {tally.forwarded:,} | **{len(tally.ambiguous)}** | {tally.left_open}"
        rows.append(f"| {tally.proxy} {tally.version} | {counts} |")
    return "\n".join(rows)


def conformance() -> str:
    return page(asyncio.run(compare_conformance()))


def fuzzing() -> str:
    rows = ["| what | mutations | taken as valid | exceptions | slowest / mean |", "| --- | --- | --- | --- | --- |"]
    for kind, found in fuzz(340_000, SEED).items():
        times = f"{found.slowest_s * 1000:.1f} ms / {found.mean_s * 1e6:.0f} us"
        rows.append(f"| {kind} | {found.mutations:,} | {found.accepted:,} | 0 | {times} |")
    return "\n".join(rows)


def sockets() -> str:
    rows = [
        "| mutated | connections | forwarded | faults | a good visitor meanwhile |",
        "| --- | --- | --- | --- | --- |",
    ]
    for kind, found in asyncio.run(fuzz_sockets(20_000, SEED)).items():
        served = f"served {found.served:,} times of {found.served:,}"
        assert not found.faults, found.faults[:5]
        rows.append(f"| {kind} | {found.sent:,} | {found.forwarded:,} | {len(found.faults)} | {served} |")
    return "\n".join(rows)


def tampered() -> str:
    rows = ["| tampering | tried | opened | why not |", "| --- | --- | --- | --- |"]
    for kind, reasons in tamper(1_000_000, SEED).items():
        why = ", ".join(f"{reason} {count:,}" for reason, count in reasons.most_common())
        rows.append(f"| {kind} | {reasons.total():,} | **0** | {why} |")
    return "\n".join(rows)


def crowded() -> str:
    rows = [
        "| slow connections | other visitors | failed | P50 | P99 | memory each |",
        "| --- | --- | --- | --- | --- | --- |",
    ]
    for connections in (6, 5000):
        seen = asyncio.run(crowd(connections, 30.0))
        memory = f"{seen.kib_each:.0f} KiB" if connections > 100 else "-"
        times = f"{seen.p50_ms:.1f} ms | {seen.p99_ms:.0f} ms"
        rows.append(f"| {connections:,} | {seen.probes} | {seen.failed} | {times} | {memory} |")
    return "\n".join(rows)


def tools() -> str:
    rows = ["| slowhttptest, 1,000 connections | service available |", "| --- | --- |"]
    rows += [f"| {tool.mode} | {'YES' if tool.is_available else 'NO'} |" for tool in asyncio.run(slowhttptest(1000))]
    return "\n".join(rows)


def partitioned() -> str:
    allowed = f"{CAPACITY * (WINDOW_S + 1):.0f}"
    rows = [
        f"| one machine's way to Redis | its `stanchion_redis_up` | `hold`: a second | within 3 s ({allowed}) |"
        f" `admit`: a second | within 3 s ({allowed}) | errors |",
        "| --- | --- | --- | --- | --- | --- | --- |",
    ]
    for seen in asyncio.run(partitions()):
        wrong = sum(n for state, n in seen.states.items() if state not in ("200 waiting", "200 admitted"))
        rates = " | ".join(f"{seen.rate[name]:.1f} | {seen.most[name]}" for name in ("hold", "admit"))
        rows.append(f"| {seen.trouble} | {seen.up:g} | {rates} | {wrong} |")
    return "\n".join(rows)


def standstills() -> str:
    rows = [
        "| fault | machines | admitted | wrong order | met errors | most in a second | meanwhile | 80 % after | use |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, fault in FAULTS.items():
        for machines in fault.machines:
            seen = asyncio.run(play(name, machines))
            print(seen, file=sys.stderr, flush=True)
            after = "-" if name == "none" else f"{seen.full_s:.1f} s"
            counts = f"{seen.admitted:,} | {seen.kendall:.2%} | {seen.errors} | {seen.most} | {seen.meanwhile}"
            rows.append(f"| {seen.title} | {machines} | {counts} | {after} | {seen.use:.1%} |")
    return "\n".join(rows)


def operating() -> str:
    return asyncio.run(operated(lambda seen: print(seen, file=sys.stderr, flush=True)))


def survivors() -> str:
    return asyncio.run(survived(lambda seen: print(seen, file=sys.stderr, flush=True)))


PARTS: dict[str, Callable[[], str]] = {
    "conformance": conformance,
    "smuggling": smuggling,
    "fuzz": fuzzing,
    "sockets": sockets,
    "tampered": tampered,
    "crowd": crowded,
    "tools": tools,
    "partition": partitioned,
    "standstill": standstills,
    "operating": operating,
    "survivors": survivors,
}
#: The document of a part's table. Parts that are not named here belong to the last one.
DOCUMENTS = {"conformance": "conformance.md", "": "reliability.md"}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="the parts to measure (default: all)")
    parser.add_argument(
        "--write", type=Path, metavar="FOLDER", help="replace the tables of the documents in this folder"
    )
    options = parser.parse_args()
    for part in options.parts or PARTS:
        table = PARTS[part]()
        print(table, flush=True)
        if options.write:
            replace_table(options.write / DOCUMENTS.get(part, DOCUMENTS[""]), part, table)
    return 0


if __name__ == "__main__":
    sys.exit(main())
