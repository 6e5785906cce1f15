"""Standstills of a gate: whatever the reason and whenever it comes, the line freezes and goes on in order."""

from dataclasses import replace
from heapq import heapify, heappop, heappush
from math import inf

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from controller import HEARTBEAT_S, Admit, Door, Gate, GateSettings, Park, Wait
from controller.fleet.membership import WAIT_MOST_S
from controller.fleet.summary import SILENT_S

CONFIG = GateSettings(admissions_per_second=20.0)
REASONS = ("capacity", "hold")


def stop(gate: Gate, reason: str, now: float) -> None:
    if reason == "hold":
        gate.hold(True, now)
    else:
        gate.reconfigure(replace(gate.settings, admissions_per_second=0.0), now)


def go(gate: Gate, reason: str, now: float) -> None:
    if reason == "hold":
        gate.hold(False, now)
    else:
        gate.reconfigure(CONFIG, now)


class Sale:
    """One gate behind its door, and visitors that keep their appointments. Time goes on in steps of 0.1 s."""

    def __init__(self, visitors: int, gate: Gate | None = None) -> None:
        self.gate = gate or Gate(CONFIG, 0.0)
        self.door = Door(self.gate)
        self.now = 0.0
        self.due = [(0.001 * i, 0.001 * i) for i in range(visitors)]
        self.admitted: list[tuple[float, float]] = []
        self.told: dict[float, list[int]] = {}
        heapify(self.due)

    def arrive(self, visitors: int) -> None:
        for i in range(visitors):
            heappush(self.due, (self.now + 1e-4 * i, self.now + 1e-4 * i))

    def until(self, end: float) -> None:
        while self.now < end:
            self.now += 0.1
            while self.due and self.due[0][0] <= self.now:
                at, place = heappop(self.due)
                self.door.answer_older(place, at)
                self._take(place, at, self.door.poll(place, at, 0.5, may_park=at > place))
            self.door.tick(self.now)

    def _take(self, place: float, at: float, verdict: Admit | Wait | Park) -> None:
        if isinstance(verdict, Admit):
            self.admitted.append((at, place))
        elif isinstance(verdict, Wait):
            if verdict.position is not None:
                self.told.setdefault(place, []).append(verdict.position)
            heappush(self.due, (at + verdict.poll_after_s + 0.02, place))
        else:
            self.door.park(place, verdict, lambda now: self._take(place, now, self.door.settle(place, now, 0.5, 1.0)))

    def admitted_within(self, start: float, end: float) -> int:
        return sum(start <= at < end for at, _ in self.admitted)


@pytest.mark.parametrize("reason", REASONS)
@pytest.mark.parametrize("seconds", [1.0, 60.0, 600.0])
def test_the_line_goes_on_in_order_and_at_full_rate(reason: str, seconds: float) -> None:
    """Nobody is admitted meanwhile, the first at once after it, no burst follows, and hardly a pair is out of order."""
    sale = Sale(400)
    sale.until(8.0)
    before = len(sale.admitted)
    stop(sale.gate, reason, sale.now)
    level = sale.gate.snapshot(sale.now).bucket_level
    end = sale.now + seconds
    sale.until(end)
    assert len(sale.admitted) == before
    assert sale.gate.snapshot(sale.now).bucket_level <= level
    go(sale.gate, reason, sale.now)
    assert sale.gate.snapshot(sale.now).bucket_level <= level
    sale.until(end + 30.0)
    assert len(sale.admitted) == 400
    assert sale.admitted_within(end, end + 0.3) >= 1
    assert sale.admitted_within(end, end + 2.0) >= 0.8 * 2.0 * 20.0
    for second in range(10):
        assert sale.admitted_within(end + second, end + second + 1.0) <= 20 + max(3.0, level) + 1
    places = [place for _, place in sale.admitted]
    swapped = sum(places[i] > places[j] for i in range(400) for j in range(i + 1, 400))
    assert swapped <= 0.002 * 400 * 399 / 2


@pytest.mark.parametrize("reason", REASONS)
def test_places_told_do_not_swing_meanwhile(reason: str) -> None:
    """Visitors near the front come back within seconds, and everybody hears the same place again."""
    sale = Sale(300)
    sale.until(5.0)
    stop(sale.gate, reason, sale.now)
    sale.until(sale.now + 20.0)
    sale.told = {}
    sale.until(sale.now + 60.0)
    sale.arrive(50)
    sale.until(sale.now + 40.0)
    assert all(max(told) - min(told) <= 1 for told in sale.told.values())
    newest = max(sale.told)
    assert max(sale.told[newest]) > max(told[-1] for place, told in sale.told.items() if place < 1.0)


@pytest.mark.parametrize("reason", REASONS)
def test_a_verdict_of_a_line_that_stands_still_has_no_eta(reason: str) -> None:
    gate = Gate(CONFIG, 0.0)
    stop(gate, reason, 0.0)
    verdict = gate.decide(0.0, 0.0, 0.5)
    assert isinstance(verdict, Wait)
    assert verdict.eta_p50_s is verdict.eta_p90_s is None
    assert verdict.position == 1
    assert gate.is_frozen
    assert gate.snapshot(0.0).is_frozen
    assert gate.snapshot(0.0).eta_last_s is None


@pytest.mark.parametrize("opens_at", [10.0, None])
def test_a_page_load_is_parked_for_an_opening_that_is_near_and_known(opens_at: float | None) -> None:
    """Otherwise visitors that load pages miss the opening by up to the shortest interval."""
    gate = Gate(CONFIG, 0.0)
    door = Door(gate)
    gate.hold(True, 0.5, opens_at)
    door.tick(0.6)
    assert isinstance(door.poll(1.0, 1.0, 0.5, is_page=True), Wait)
    for step in range(11, 96):
        door.tick(step / 10.0)
        if step == 50:
            assert isinstance(door.poll(1.0, 5.0, 0.5, is_page=True), Wait), "the opening is too far away"
    verdict = door.poll(1.0, 9.5, 0.5, is_page=True)
    assert isinstance(verdict, Park if opens_at else Wait)
    if isinstance(verdict, Park):
        admitted: list[Admit | Wait] = []
        door.park(1.0, verdict, lambda now: admitted.append(door.settle(1.0, now, 0.5, now - 9.5)))
        gate.hold(False, 10.0)
        door.tick(10.0)
        assert admitted == [Admit()]


def test_a_room_that_opens_from_a_capacity_of_0_admits_the_oldest_first() -> None:
    """A line that forms before the first admission; the capacity was never known."""
    closed = Gate(replace(CONFIG, admissions_per_second=0.0), 0.0)
    sale = Sale(300, closed)
    sale.until(60.0)
    assert not sale.admitted
    closed.reconfigure(CONFIG, sale.now)
    sale.until(60.0 + 20.0)
    places = [place for _, place in sale.admitted]
    assert len(places) == 300
    swapped = sum(places[i] > places[j] for i in range(300) for j in range(i + 1, 300))
    assert swapped <= 0.005 * 300 * 299 / 2
    assert sale.admitted_within(60.0, 61.1) <= 22 + 3


def fleet(config: GateSettings, names: str = "ab") -> dict[str, Gate]:
    return {name: Gate(config, 0.0) for name in names}


def beat(gates: dict[str, Gate], now: float) -> None:
    news = [gate.summary(name, int(now / HEARTBEAT_S), now) for name, gate in gates.items()]
    for name, gate in gates.items():
        gate.observe(name, news, now)


def joined_line(now: float, seconds: float = 3.0) -> tuple[dict[str, Gate], float]:
    """Return two joined gates with a line, and the time."""
    gates = fleet(GateSettings(admissions_per_second=10.0, nodes=2, room_admissions_per_second=20.0))
    for step in range(round(seconds * 10)):
        now += 0.1
        for k, gate in enumerate(gates.values()):
            for i in range(30):
                gate.decide(i + k / 2, now, 0.5)
            gate.tick(now)
        if step % 2:
            beat(gates, now)
    return gates, now


def test_joined_nodes_wait_for_one_that_is_silent_and_go_on_with_it() -> None:
    """Its visitors cannot be admitted meanwhile, so the others' would overtake them."""
    gates, now = joined_line(100.0)
    awake = gates["a"]
    silent_from, froze_at = now, inf
    while now < silent_from + 3.0:
        now += HEARTBEAT_S
        awake.decide(29.0, now, 0.5)
        awake.tick(now)
        awake.observe("a", [awake.summary("a", int(now / HEARTBEAT_S), now)], now)
        if awake.is_frozen:
            froze_at = min(froze_at, now)
    assert silent_from + SILENT_S <= froze_at <= silent_from + SILENT_S + 3 * HEARTBEAT_S
    gates["b"].tick(now)
    beat(gates, now)
    assert not awake.is_frozen
    assert not gates["b"].is_frozen


def test_nodes_wait_for_a_silent_one_for_some_seconds_only() -> None:
    gates, now = joined_line(100.0)
    awake, end = gates["a"], now + WAIT_MOST_S + SILENT_S + 2.0
    while now < end:
        now += HEARTBEAT_S
        awake.decide(29.0, now, 0.5)
        awake.tick(now)
        awake.observe("a", [awake.summary("a", int(now / HEARTBEAT_S), now)], now)
    assert not awake.is_frozen


def test_nobody_waits_for_a_node_that_says_that_it_ends() -> None:
    gates, now = joined_line(100.0)
    awake = gates["a"]
    last = replace(gates["b"].summary("b", int(now / HEARTBEAT_S), now), is_last=True)
    awake.observe("a", [awake.summary("a", int(now / HEARTBEAT_S), now), last], now)
    for _ in range(30):
        now += HEARTBEAT_S
        awake.tick(now)
        awake.observe("a", [awake.summary("a", int(now / HEARTBEAT_S), now)], now)
        assert not awake.is_frozen


def test_two_nodes_that_are_held_do_not_keep_each_other_still() -> None:
    """A node waits for another one's own reasons only, and for a while only."""
    gates, now = joined_line(100.0)
    for gate in gates.values():
        gate.hold(True, now)
    for _ in range(100):
        now += 0.1
        for gate in gates.values():
            gate.tick(now)
        beat(gates, now)
    assert all(gate.is_frozen for gate in gates.values())
    for gate in gates.values():
        gate.hold(False, now)
    for _ in range(3):
        now += HEARTBEAT_S
        beat(gates, now)
    assert not any(gate.is_frozen for gate in gates.values())


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["poll", "poll", "poll", "tick", "tick", "hold", "go", "close", "open"]),
        st.one_of(st.floats(0.0, 0.3), st.floats(0.0, 5.0), st.sampled_from([60.0, -30.0])),
        st.floats(0.0, 20.0),
    ),
    max_size=150,
)


@given(steps=STEPS, rate=st.floats(0.5, 30.0), burst=st.floats(0.0, 2.0))
@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_frozen_line_admits_nobody_and_frozen_time_makes_no_tokens(
    steps: list[tuple[str, float, float]], rate: float, burst: float
) -> None:
    """At most depth + rate * (time in which the line was not frozen) are admitted in any window."""
    config = GateSettings(admissions_per_second=rate, burst_seconds=burst)
    gate = Gate(config, 1000.0)
    now, going_s = 1000.0, 0.0
    is_held = is_closed = False
    admitted: list[float] = []
    for what, step, age in steps:
        now += step
        going_s += 0.0 if is_held or is_closed else max(step, 0.0)
        if what == "tick":
            gate.tick(now)
        elif what in ("hold", "go"):
            is_held = what == "hold"
            gate.hold(is_held, now)
        elif what in ("close", "open"):
            is_closed = what == "close"
            gate.reconfigure(replace(config, admissions_per_second=0.0) if is_closed else config, now)
        elif isinstance(gate.decide(now - age, now, 0.5), Admit):
            assert not is_held
            assert not is_closed
            admitted.append(going_s)
        assert gate.is_frozen == (is_held or is_closed)
    for i, start in enumerate(admitted):
        for j in range(i, len(admitted)):
            assert j - i + 1 <= config.depth_at(rate) + rate * (admitted[j] - start) + 1e-6


@given(steps=STEPS, ages=st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0)))
@settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_the_older_of_two_is_never_left_waiting_while_the_younger_passes(
    steps: list[tuple[str, float, float]], ages: tuple[float, float]
) -> None:
    one, other = (Gate(CONFIG, 1000.0) for _ in "12")
    now = 1000.0
    for what, step, age in steps:
        now += step
        for gate in (one, other):
            if what == "tick":
                gate.tick(now)
            elif what in ("hold", "go"):
                gate.hold(what == "hold", now)
            elif what in ("close", "open"):
                gate.reconfigure(replace(CONFIG, admissions_per_second=0.0 if what == "close" else 20.0), now)
            else:
                gate.decide(now - age, now, 0.5)
    if isinstance(one.decide(now - min(ages), now, 0.5), Admit):
        assert isinstance(other.decide(now - max(ages), now, 0.5), Admit)


def crashed(sale: Sale, down_s: float) -> Sale:
    """Return the sale after a restart of everything: its visitors keep their appointments, or try again."""
    saved = sale.gate.checkpoint(sale.now) | {"level": 0.0, "returning": 1.0}
    back = sale.now + down_s
    after = Sale(0, Gate(CONFIG, back, resume=saved))
    waiting = {place for _, place in sale.due}
    parked = [0.001 * i for i in range(400)]
    inside = {place for _, place in sale.admitted}
    late = [(max(at, back + 0.3 + 0.5 * (place * 7 % 1.0)), place) for at, place in sale.due]
    late += [(back + 0.3 + (place * 977) % 1.0, place) for place in parked if place not in waiting | inside]
    after.due, after.now = late, back
    heapify(after.due)
    return after


def test_after_a_crash_the_first_to_return_wait_for_the_visitors_that_were_next() -> None:
    """Then the line goes on in order, without a burst."""
    before = Sale(400)
    before.until(8.0)
    sale = crashed(before, 3.0)
    end = sale.now
    sale.until(end + 40.0)
    assert len(sale.admitted) + len(before.admitted) == 400
    assert sale.admitted[0][0] <= end + 2.0
    for second in range(10):
        assert sale.admitted_within(end + second, end + second + 1.0) <= 20 + 11
    places = [place for _, place in (*before.admitted, *sale.admitted)]
    swapped = sum(places[i] > places[j] for i in range(400) for j in range(i + 1, 400))
    assert swapped <= 0.005 * 400 * 399 / 2


def test_after_a_crash_nobody_waits_long_for_visitors_that_are_gone() -> None:
    before = Sale(400)
    before.until(8.0)
    gate = Gate(CONFIG, 11.0, resume=before.gate.checkpoint(8.0) | {"level": 0.0, "returning": 1.0})
    now, oldest = 11.0, min(place for _, place in before.due)
    while isinstance(gate.decide(oldest, now, 0.5), Wait):
        now += 0.1
        gate.tick(now)
        assert now < 15.0
