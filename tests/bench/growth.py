"""The cost of one decision while a thousand or a million visitors wait: the real gate, no sockets."""

import time

from controller import Gate, GateSettings


def decide_us(waiting: int, polls: int = 50_000) -> float:
    """Return the microseconds of CPU of a poll while `waiting` visitors wait."""
    now = 1_000_000.0
    gate = Gate(GateSettings(admissions_per_second=10.0, poll_min_s=1.0, poll_max_s=15.0), now)
    first_seen = [now - 600.0 + 590.0 * at / waiting for at in range(waiting)]
    for at, each in enumerate(first_seen):
        gate.decide(each, now + 14.0 * at / waiting, 0.5)
    now += 14.0
    gate.tick(now)
    asked = [first_seen[at * 7919 % waiting] for at in range(polls)]
    best = float("inf")
    for _ in range(3):
        began = time.process_time()
        for each in asked:
            gate.decide(each, now, 0.5)
        best = min(best, time.process_time() - began)
    return best / polls * 1e6
