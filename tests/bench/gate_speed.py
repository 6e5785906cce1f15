"""How fast is the gate? `python tests/bench/gate_speed.py`: decide calls a second and ticks, 100,000 live.

Prints figures and asserts nothing: absolute times belong to the machine.
"""

import random
from time import process_time

from controller import Gate, GateSettings, Wait
from edge.workers.loop import calm_collector

LIVE = 100_000
CALLS = 300_000
#: Steps fall between the moments at which leases end, a tenth of a second apart as well: one on such a moment finds, as
#: its number is rounded, those of none or of two. In a worker that is rare.
BETWEEN_S = 0.03


def main() -> None:
    """100,000 visitors on one node of 50/s who keep their appointments; then the calls alone. The collector is as it is
    in a worker."""
    calm_collector()
    chance = random.Random(1)
    gate = Gate(GateSettings(admissions_per_second=50.0, nodes=4), now=0.0)
    line = [i * 3e-4 for i in range(LIVE)]
    wheel: dict[int, list[float]] = {}
    for first_seen in line:
        wheel.setdefault(int(first_seen * 10), []).append(first_seen)
    ticks: list[float] = []
    spent, calls, step = 0.0, 0, 0
    while calls < CALLS:
        now = step / 10
        due = wheel.pop(step, [])
        draws = [chance.random() for _ in due]
        start = process_time()
        verdicts = [gate.decide(f, max(now, f), d) for f, d in zip(due, draws, strict=True)]
        taken = process_time() - start
        start = process_time()
        gate.tick(now + BETWEEN_S)
        if step > 450:  # everybody is there and knows their interval
            spent += taken
            calls += len(due)
            ticks.append(process_time() - start)
        for first_seen, verdict in zip(due, verdicts, strict=True):
            if isinstance(verdict, Wait):
                wheel.setdefault(max(step + 1, int((now + verdict.poll_after_s) * 10)), []).append(first_seen)
        step += 1
    ticks.sort()
    print(f"waiting         {gate.snapshot(step / 10).waiting:,}")
    print(f"decide          {calls / spent:,.0f} calls/s ({1e6 * spent / calls:.2f} us)")
    median, high = 1e3 * ticks[len(ticks) // 2], 1e3 * ticks[int(len(ticks) * 0.99)]
    print(f"tick            median {median:.2f} ms, p99 {high:.2f} ms")


if __name__ == "__main__":
    main()
