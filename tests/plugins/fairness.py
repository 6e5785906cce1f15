"""Measure the line through each load balancer with real sockets, and write the table of docs/plugins.md.

    python -m tests.plugins.fairness [--write docs/plugins.md] [--only nginx:accel,caddy:forward-auth]

1,500 independent clients arrive in 5 s; half of them may lose patience and leave without a word; two nodes share the
room's capacity. Every client has its own cookies and connections. Order and times are what the clients observed,
compared with a perfect central queue of the same arrivals. Run it on a quiet machine: one load balancer takes a minute.
"""

import asyncio
import random
import sys
import tempfile
from pathlib import Path

from edge.cli.demo.crowd import Crowd, CrowdPlan
from edge.cli.plugin.render import WAYS
from tests.edge.observed import BURST_S, CAPACITY, Shop
from tests.edge.running import running_upstream
from tests.edge.test_fair_line import as_it_was
from tests.plugins.attached import attached
from tests.plugins.program import chosen, parser_of, write_table

PLAN = CrowdPlan(rush=1500, rush_s=5.0, total=1500, impatient=0.5, patience_s=10.0, buy=False)
ROOM = {
    "name": "checkout",
    "match": {"paths": ["/checkout*"]},
    "capacity": {"admissions_per_second": CAPACITY, "burst_seconds": BURST_S},
}


async def measured(name: str, way: str) -> str:
    """Return the row of one load balancer and way."""
    shop = Shop()
    with tempfile.TemporaryDirectory() as folder:
        async with (
            running_upstream(shop.handle) as upstream,
            attached(name, way, Path(folder), is_secure=False, shop_url=upstream, rooms=(ROOM,), workers=2) as bench,
        ):
            crowd = Crowd(bench.url, "/checkout", PLAN, random.Random(20261121))
            await crowd.play()
    visits = crowd.visits
    real, _ = as_it_was(visits)
    limited = sum(count for visit in visits for state, count in visit.states.items() if state.startswith("429"))
    errors = sum(len(visit.dropped) for visit in visits)
    admitted = sorted(visit.admitted for visit in visits if visit.admitted is not None)
    used = len(admitted) / (CAPACITY * (BURST_S + admitted[-1] - admitted[0]))
    left = sum(visit.left is not None for visit in visits)
    return (
        f"| {name} {way} | {len(admitted)} | {left} | {real.kendall:.1%} | {real.p99_s:.1f} s | "
        f"{used:.1%} | {limited} | {errors} |"
    )


def main() -> int:
    options = parser_of("tests.plugins.fairness", __doc__).parse_args()
    rows = [
        "| load balancer | admitted | left | overtaken pairs | P99 displacement | capacity used | 429 | broken |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, way in chosen(options.only, ((name, ways[0]) for name, ways in WAYS.items())):
        rows.append(asyncio.run(measured(name, way)))
        print(rows[-1], flush=True)
    if options.write is not None:
        write_table(options.write, "fairness", "\n".join(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
