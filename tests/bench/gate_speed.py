"""Measure the speed of the gate: `python tests/bench/gate_speed.py`. Decisions a second and the time of a step.

    own         the node sees its whole line of 110,000 visitors: one node, or visitors that stay with their node
    quarter     it sees a quarter of that line: four nodes that share nothing, and each poll comes to any of them
    quarters    the same with a line four times as long

If a core is one of two hardware threads, its speed depends by a factor of two on the load of the other thread. So a
plain loop runs before and after the calls of each step. Steps in which it ran nearly as fast as it ever does are
counted apart, as `undisturbed`. The program prints figures and asserts nothing, because absolute times depend on the
machine.
"""

import random
from collections.abc import Iterable
from time import process_time
from typing import NamedTuple

from controller import Gate, GateSettings, Wait
from edge.support.event_loop import calm_collector

LIVE = 110_000  # visitors at the beginning; fifty a second are admitted
WARM = 450  # steps of a tenth of a second, after which all visitors have arrived and know their interval
KINDS = {"own": (1, LIVE, 1500), "quarter": (4, LIVE, 1500), "quarters": (4, 4 * LIVE, 700)}  # nodes, visitors, steps
#: Leases end at moments that are a tenth of a second apart as well. A step at such a moment finds, by rounding, the
#: leases of none or of two of them, which is rare in a worker. So steps fall between these moments.
BETWEEN_S = 0.03
LOOP = 8_000  # turns: half a millisecond
CALM = 0.9  # of the best speed of the loop


class Step(NamedTuple):
    loops: tuple[float, float]  # turns a second before and after
    calls: int
    decide_s: float
    tick_s: float


def turns_per_s() -> float:
    start, x = process_time(), 0
    for i in range(LOOP):
        x = (x * 31 + i) & 0xFFFF
    return LOOP / (process_time() - start)


def run(nodes: int, visitors: int, steps: int) -> tuple[Gate, list[Step]]:
    """Play a line on one node of 50/s. Its visitors keep their appointments, here or at another node."""
    chance = random.Random(1)
    gate = Gate(GateSettings(admissions_per_second=50.0, nodes=4), now=0.0)
    decide = gate.decide
    wheel: dict[int, list[float]] = {}
    for at in range(visitors):
        first_seen = 30.0 * at / visitors
        wheel.setdefault(int(first_seen * 10), []).append(first_seen)
    taken: list[Step] = []
    for step in range(WARM + steps):
        now = step / 10
        here: list[float] = []
        for first_seen in wheel.pop(step, []):
            if nodes == 1 or chance.random() < 1.0 / nodes:
                here.append(first_seen)
            else:  # at another node, which gives the same appointment
                after_s = 1.0 + chance.random() if now < 20.0 else 15.0
                wheel.setdefault(max(step + 1, int((now + after_s) * 10)), []).append(first_seen)
        # A worker parses the cookie at every poll, so `first_seen` is never the object that the gate holds.
        asked = [(first_seen + 0.0, max(now, first_seen), chance.random()) for first_seen in here]
        afters: list[float | None] = []  # a verdict does not outlive its response
        before = turns_per_s()
        start = process_time()
        for first_seen, at_s, u in asked:
            verdict = decide(first_seen, at_s, u)
            afters.append(verdict.poll_after_s if isinstance(verdict, Wait) else None)
        decide_s = process_time() - start
        after = turns_per_s()
        start = process_time()
        gate.tick(now + BETWEEN_S)
        tick_s = process_time() - start
        if step >= WARM:
            taken.append(Step((before, after), len(here), decide_s, tick_s))
        for first_seen, wait_s in zip(here, afters, strict=True):
            if wait_s is not None:
                wheel.setdefault(max(step + 1, int((now + wait_s) * 10)), []).append(first_seen)
    return gate, taken


def report(name: str, steps: Iterable[Step], of: int) -> str:
    taken = list(steps)
    if not taken:
        return f"  {name:13} no step"
    calls, decide_s = sum(step.calls for step in taken), sum(step.decide_s for step in taken)
    ticks = sorted(1e3 * step.tick_s for step in taken)
    median, high = ticks[len(ticks) // 2], ticks[int(len(ticks) * 0.99)]
    loops = sorted(min(step.loops) for step in taken)
    return (
        f"  {name:13} {len(taken) / of:4.0%} of steps  decide {calls / decide_s:9,.0f} calls/s  "
        f"tick median {median:.2f} ms, p99 {high:.2f} ms   plain loop {loops[len(loops) // 2] / 1e6:.1f} M turns/s"
    )


def main() -> None:
    # As in a worker.
    calm_collector()
    for kind, (nodes, visitors, steps) in KINDS.items():
        gate, taken = run(nodes, visitors, steps)
        loops = sorted(max(step.loops) for step in taken)
        calm = CALM * loops[int(steps * 0.98)]
        print(f"{kind}: {visitors:,} visitors, {gate.snapshot((WARM + steps) / 10).waiting:,} on the node's list")
        print(report("all", taken, steps))
        print(report("undisturbed", (step for step in taken if min(step.loops) >= calm), steps), flush=True)


if __name__ == "__main__":
    main()
