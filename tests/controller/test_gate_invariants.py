"""The gate's invariants, under any order of calls at any time."""

from dataclasses import replace

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import Admit, Gate, GateSettings, Wait

# Any order of calls at any time: what a hostile clock and a hostile crowd can do.
CALLS = st.lists(
    st.tuples(
        st.sampled_from(["decide", "decide", "decide", "tick", "share", "resume", "nodes"]),
        st.one_of(st.floats(0.0, 0.3), st.floats(0.0, 5.0), st.floats(-3.0, 0.0), st.sampled_from([3600.0, -3600.0])),
        st.floats(-20.0, 20.0),
        st.floats(0.0, 0.999),
    ),
    max_size=120,
)


@given(calls=CALLS, rate=st.floats(0.1, 30.0), burst=st.floats(0.0, 3.0), nodes=st.integers(1, 5))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_never_more_than_burst_and_rate(
    calls: list[tuple[str, float, float, float]], rate: float, burst: float, nodes: int
) -> None:
    """In any window the gate admits at most depth + rate * w, w being the clock's forward movement.

    Whatever the clock does, and across new shares, another number of nodes and restarts.
    """
    config = GateSettings(admissions_per_second=rate, burst_seconds=burst, nodes=nodes)
    gate = Gate(config, now=1000.0)
    now, moved, most = 1000.0, 0.0, rate
    deepest = config.depth_at(rate)
    admissions: list[float] = []
    for what, step, age, u in calls:
        now += step
        moved += max(step, 0.0)
        if what == "tick":
            gate.tick(now)
        elif what == "share":
            rate = u * 30.0
            gate.reconfigure(replace(gate.settings, admissions_per_second=rate), now)
        elif what == "nodes":
            config = GateSettings(admissions_per_second=rate, burst_seconds=burst, nodes=1 + int(u * 5))
            gate.reconfigure(config, now)
        elif what == "resume":
            config = GateSettings(admissions_per_second=rate, burst_seconds=burst, nodes=nodes)
            gate = Gate(config, now, resume=gate.checkpoint(now))
        elif isinstance(gate.decide(now - age, now, u), Admit):
            admissions.append(moved)
        most = max(most, rate)
        deepest = max(deepest, GateSettings(admissions_per_second=rate, burst_seconds=burst, nodes=5).depth_at(rate))
    for i, start in enumerate(admissions):
        for j in range(i, len(admissions)):
            assert j - i + 1 <= deepest + most * (admissions[j] - start) + 1e-6


@given(calls=CALLS, ages=st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0)), gap=st.floats(0.0, 3.0))
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_older_never_waits_while_the_younger_is_admitted(
    calls: list[tuple[str, float, float, float]], ages: tuple[float, float], gap: float
) -> None:
    """Of two visitors that poll in the same state, if the younger is admitted so is the older."""
    one, other = (Gate(GateSettings(admissions_per_second=3.0), now=1000.0) for _ in "12")
    now = 1000.0
    for what, step, age, u in calls:
        now += max(-1.0, min(step, 5.0))
        for gate in (one, other):
            if what == "tick":
                gate.tick(now)
            else:
                gate.decide(now - abs(age), now, u)
    now += gap
    older, younger = now - max(ages), now - min(ages)
    if isinstance(one.decide(younger, now, 0.5), Admit):
        assert isinstance(other.decide(older, now, 0.5), Admit)


@given(
    visitors=st.integers(1, 60),
    rate=st.floats(0.5, 20.0),
    stalls=st.lists(st.tuples(st.integers(0, 300), st.floats(0.0, 30.0)), max_size=3),
)
@settings(max_examples=25, deadline=None)
def test_nobody_starves(visitors: int, rate: float, stalls: list[tuple[int, float]]) -> None:
    """Every visitor that keeps their appointments is admitted, also over stalls, in a few times the ideal time."""
    gate = Gate(GateSettings(admissions_per_second=rate), now=0.0)
    due = {i * 1e-3: i * 1e-3 for i in range(visitors)}
    now, steps = 0.0, 0
    pauses = dict(stalls)
    limit = 30.0 + 3.0 * visitors / rate
    idle = sum(pauses.values())
    while due and now < limit + idle:
        steps += 1
        now += 0.1 + pauses.get(steps, 0.0)
        for first_seen in sorted(due):
            if due[first_seen] <= now:
                verdict = gate.decide(first_seen, now, 0.5)
                if isinstance(verdict, Admit):
                    del due[first_seen]
                elif isinstance(verdict, Wait):
                    due[first_seen] = now + verdict.poll_after_s
        gate.tick(now)
    assert not due


@given(calls=CALLS)
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_every_wait_keeps_its_bounds(calls: list[tuple[str, float, float, float]]) -> None:
    """Without a budget every interval is within poll_min..poll_max, every position at least 1, and p50 <= p90."""
    config = GateSettings(admissions_per_second=5.0, poll_min_s=1.0, poll_max_s=15.0, nodes=3)
    gate = Gate(config, now=0.0)
    now = 0.0
    for what, step, age, u in calls:
        now += step
        if what == "tick":
            gate.tick(now)
            continue
        verdict = gate.decide(now - age, now, u)
        if isinstance(verdict, Wait):
            assert 1.0 <= verdict.poll_after_s <= 15.0
            assert verdict.position is not None
            assert verdict.position >= 1
            assert verdict.eta_p50_s is not None
            assert verdict.eta_p90_s is not None
            assert 0.0 <= verdict.eta_p50_s <= verdict.eta_p90_s
