"""The gate's contract: what the edge may rely on."""

from dataclasses import replace
from heapq import heapify, heappop, heappush
from math import inf
from random import Random

import pytest

from controller import Admit, Gate, GateSettings, SettingsError, Verdict, Wait


def crowd_at(gate: Gate, now: float, visitors: int, spacing_s: float = 1e-3) -> list[Verdict]:
    """Return the verdicts on this many first polls, one after the other."""
    return [gate.decide(first_seen=now + i * spacing_s, now=now + i * spacing_s, u=0.5) for i in range(visitors)]


def test_an_empty_room_admits_every_visitor_up_to_the_burst() -> None:
    """While nobody waits, a visitor is admitted at once; beyond the burst they wait."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    assert [type(v) for v in crowd_at(gate, 0.0, 12)] == [Admit] * 10 + [Wait] * 2


def test_a_rush_upon_a_full_bucket_wastes_next_to_nothing() -> None:
    """The bucket is full again when the visitors that found it empty may first poll again, and they do, for any u."""
    gate = Gate(GateSettings(admissions_per_second=50.0), now=0.0)
    gate.tick(10.0)
    before = gate.snapshot(now=10.0).wasted
    due = [(10.0 + i / 600.0, 10.0 + i / 600.0) for i in range(600)]
    now = ticked = 10.0
    while now < 12.0:
        now, first_seen = heappop(due)
        while ticked < now:
            ticked += 0.1
            gate.tick(ticked)
        verdict = gate.decide(first_seen, now, u=0.9)
        if isinstance(verdict, Wait):
            heappush(due, (now + verdict.poll_after_s, first_seen))
    assert gate.snapshot(now).wasted - before <= 5.0  # a tenth of a second of the capacity


def test_capacity_zero_closes_the_room() -> None:
    """A closed room admits nobody, gives no ETA, asks visitors to poll rarely, and opens without a burst."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    gate.reconfigure(GateSettings(admissions_per_second=0.0), now=0.0)
    (verdict,) = crowd_at(gate, 0.0, 1)
    assert isinstance(verdict, Wait)
    assert verdict.eta_p50_s is None
    assert verdict.eta_p90_s is None
    assert verdict.poll_after_s >= 1.0
    assert gate.snapshot(now=0.0).is_closed
    gate.reconfigure(GateSettings(admissions_per_second=10.0), now=60.0)
    assert gate.snapshot(now=60.0).bucket_level <= 1.0


def test_without_a_vacancy_nobody_is_admitted() -> None:
    """Whatever the bucket holds."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=0.0)
    assert isinstance(gate.decide(first_seen=0.0, now=0.0, u=0.5, vacancies=0), Wait)
    assert isinstance(gate.decide(first_seen=0.0, now=2.0, u=0.5, vacancies=3), Admit)


def test_the_eta_follows_the_vacancies() -> None:
    """When vacancies are scarcer than tokens the ETA follows the vacancies, and nothing is integrated."""
    gate = Gate(GateSettings(admissions_per_second=100.0), now=0.0)
    etas: list[float | None] = []
    line = [i / 100 for i in range(200)]
    due = {f: f for f in line}
    now = 0.0
    free = 0.0
    while now < 30.0:
        now += 0.1
        free += 0.2  # two vacancies a second
        for first_seen in [f for f, at in due.items() if at <= now]:
            verdict = gate.decide(first_seen, now, 0.5, vacancies=int(free))
            if isinstance(verdict, Admit):
                free -= 1.0
                del due[first_seen]
            elif isinstance(verdict, Wait):
                due[first_seen] = now + verdict.poll_after_s
                if first_seen == line[-1]:
                    etas.append(verdict.eta_p50_s)
        gate.tick(now)
    waiting = len(due)
    assert etas[-1] is not None
    assert 0.3 * waiting / 2.0 < etas[-1] < 3.0 * waiting / 2.0
    settled = gate.snapshot(now).pi.i
    for i in range(50):
        gate.decide(line[-1], now + i / 10, 0.5, vacancies=0)
        gate.tick(now + i / 10)
    assert gate.snapshot(now + 5.0).pi.i == settled


@pytest.mark.parametrize("nodes", [1, 4])
def test_the_short_way_of_a_poll_changes_no_verdict(nodes: int) -> None:
    """Nearly every poll takes a short way through the gate; one of two gates must take the long way for each.

    Both see the same crowd. A third of it never comes back, and some visitors poll early, late or long after all
    others. The short way is no part of the gate's contract, so the test has to switch it off from inside.
    """
    s = GateSettings(admissions_per_second=5.0, nodes=nodes)
    quick, thorough = Gate(s, now=0.0), Gate(s, now=0.0)
    chance = Random(3)
    due = [(min(chance.expovariate(0.1), 40.0), at) for at in range(800)]
    first: dict[int, float] = {}
    heapify(due)
    short_ways = waits = 0
    ticked = 0.0
    while due and (now := due[0][0]) < 90.0:
        _, visitor = heappop(due)
        while ticked < now:
            ticked += 0.1
            quick.tick(ticked)
            thorough.tick(ticked)
        thorough._view.sure_until = thorough._line._proven_until = -inf
        first_seen = first.setdefault(visitor, now)
        short_ways += first_seen < quick._line._proven_until and (nodes > 1 or first_seen <= quick._view.sure_until)
        u = chance.random()
        verdict = quick.decide(first_seen, now, u)
        assert thorough.decide(first_seen, now, u) == verdict
        if isinstance(verdict, Wait) and chance.random() < 0.97 and (visitor % 3 or now > first_seen):
            waits += 1
            late_s = chance.choice([0.0, 0.0, 0.0, 0.0, -0.5 * verdict.poll_after_s, 0.3, 12.0])
            heappush(due, (now + verdict.poll_after_s + late_s, visitor))
    assert quick.snapshot(now) == thorough.snapshot(now)
    assert min(short_ways, waits - short_ways) > 200


def test_a_restart_never_brings_a_fresh_burst() -> None:
    """A gate resumed from a checkpoint has the tokens of then and what the time away is worth."""
    config = GateSettings(admissions_per_second=10.0)
    gate = Gate(config, now=0.0)
    crowd_at(gate, 0.0, 20)
    gate.tick(0.1)
    again = Gate(config, now=0.3, resume=gate.checkpoint(now=0.1))
    assert again.snapshot(now=0.3).bucket_level <= gate.snapshot(now=0.3).bucket_level + 1e-9
    assert again.snapshot(now=0.3).threshold == pytest.approx(gate.snapshot(now=0.1).threshold)


def test_a_node_that_joins_a_running_sale_listens_first() -> None:
    """Resumed from an empty checkpoint, a gate admits nobody until it has seen the line."""
    gate = Gate(GateSettings(admissions_per_second=10.0), now=100.0, resume={})
    assert all(isinstance(v, Wait) for v in crowd_at(gate, 100.0, 5))
    gate.tick(100.6)
    assert isinstance(gate.decide(first_seen=90.0, now=100.6, u=0.5), Wait)
    for i in range(20):
        gate.tick(101.0 + i / 10)
    assert isinstance(gate.decide(first_seen=90.0, now=103.0, u=0.5), Admit)


def test_a_new_share_moves_neither_threshold_nor_tokens() -> None:
    """A smaller bucket keeps what fits."""
    gate = Gate(GateSettings(admissions_per_second=20.0), now=0.0)
    crowd_at(gate, 0.0, 200)
    for i in range(10):
        gate.tick(0.3 + i / 10)
    before = gate.snapshot(now=1.2)
    gate.reconfigure(GateSettings(admissions_per_second=40.0), now=1.2)
    after = gate.snapshot(now=1.2)
    assert after.threshold == before.threshold
    assert after.bucket_level == pytest.approx(before.bucket_level)
    assert after.admissions_per_second == 40.0


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("admissions_per_second", -1.0),
        ("admissions_per_second", float("nan")),
        ("burst_seconds", -0.1),
        ("poll_min_s", 0.0),
        ("poll_max_s", 0.5),
        ("nodes", 0),
        ("poll_budget_per_s", 0.0),
    ],
)
def test_a_faulty_setting_is_named(field: str, value: float) -> None:
    """Impossible settings are refused with the name of the setting."""
    with pytest.raises(SettingsError, match=field):
        replace(GateSettings(admissions_per_second=1.0), **{field: value})


def test_the_poll_budget_stretches_the_intervals() -> None:
    """However many visitors wait, their polls come down to the budget, beyond poll_max if need be."""
    gate = Gate(GateSettings(admissions_per_second=1.0, poll_budget_per_s=50.0), now=0.0)
    due = {i * 1e-3: i * 1e-3 for i in range(3000)}
    seen: list[int] = []
    now = 0.0
    while now < 200.0:
        now += 0.1
        called = [f for f, at in due.items() if at <= now]
        for first_seen in called:
            verdict = gate.decide(first_seen, now, (first_seen * 7919.0) % 1.0)
            if isinstance(verdict, Wait):
                due[first_seen] = now + verdict.poll_after_s
            else:
                del due[first_seen]
        seen.append(len(called))
        gate.tick(now)
    assert sum(seen[-600:]) / 60.0 < 70.0
    assert gate.snapshot(now).budget_stretch > 1.0
