"""However many visitors wait, their polls fill a node's budget and no more. Virtual visitors, real gate."""

import random

import pytest

from controller import Gate, GateSettings, Wait

WINDOW_S = 20


def used(
    visitors: int, budget: float, *, arrive_s: float, rate: float, seconds: int, poll_max_s: float = 15.0
) -> list[float]:
    """Return polls / budget for each window of 20 s. Visitors poll up to a tenth late, as the page's script does."""
    chance = random.Random(1)
    gate = Gate(GateSettings(admissions_per_second=rate, poll_budget_per_s=budget, poll_max_s=poll_max_s), now=0.0)
    due: dict[int, list[float]] = {}
    for at in range(visitors):
        due.setdefault(int(at * arrive_s / visitors * 10), []).append(at * arrive_s / visitors)
    polls = [0] * (seconds // WINDOW_S)
    for step in range(seconds * 10):
        now = step / 10 + 0.05
        called = due.pop(step, [])
        polls[step // (WINDOW_S * 10)] += len(called)
        for first_seen in called:
            verdict = gate.decide(first_seen, max(now, first_seen), chance.random())
            if isinstance(verdict, Wait):
                back_s = verdict.poll_after_s * (1.0 + 0.1 * chance.random())
                due.setdefault(max(step + 1, int((now + back_s) * 10)), []).append(first_seen)
        gate.tick(now + 0.05)
    return [count / WINDOW_S / budget for count in polls]


def test_200_000_visitors_that_arrive_at_once_keep_the_budget_and_use_it() -> None:
    """Ten thousand arrive a second, which cannot be refused; from then on the budget of 2,000 holds at once."""
    rush, *after = used(200_000, 2000.0, arrive_s=20.0, rate=50.0, seconds=300)
    assert rush > 5.0
    assert 0.85 <= sum(after) / len(after) <= 1.0
    assert all(0.65 <= each <= 1.2 for each in after), after


@pytest.mark.parametrize(
    ("visitors", "budget", "arrive_s", "rate"),
    [
        pytest.param(20_000, 500.0, 20.0, 5.0, id="slow"),
        pytest.param(20_000, 500.0, 20.0, 0.0, id="held"),
        pytest.param(60_000, 1000.0, 300.0, 20.0, id="arrivals go on"),
    ],
)
def test_the_budget_holds(visitors: int, budget: float, arrive_s: float, rate: float) -> None:
    windows = used(visitors, budget, arrive_s=arrive_s, rate=rate, seconds=300)[5:]
    assert 0.85 <= sum(windows) / len(windows) <= 1.03, windows
    assert max(windows) <= 1.1, windows


def test_within_the_budget_no_interval_is_stretched() -> None:
    """1,000 visitors at one poll in 15 s are 67 polls a second."""
    gate = Gate(GateSettings(admissions_per_second=1.0, poll_budget_per_s=200.0), now=0.0)
    for step in range(3000):
        gate.tick(step / 10)
        for at in range(7 if step % 10 else 4):
            gate.decide(-((step * 7 + at) % 1000) / 1000 - 1.0, step / 10, 0.5)
    assert gate.snapshot(300.0).budget_stretch == 1.0
