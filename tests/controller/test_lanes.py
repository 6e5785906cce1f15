"""The divider of a room's lanes: exact shares, work-conserving, and never a token that the room does not have."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import Admit, Gate, GateSettings
from controller.lanes import LaneDivider
from controller.law.bucket import LeakyBucket

STEP_S = 0.1


class Lanes:
    """Gates with visitors that poll in every step until they are admitted."""

    def __init__(self, shares: list[float], rate: float) -> None:
        self.rate = rate
        self.gates = [Gate(GateSettings(rate * share, poll_min_s=0.1, poll_max_s=0.2), 0.0) for share in shares]
        self.divider = LaneDivider(shares, rate)
        self.lines: list[list[float]] = [[] for _ in shares]
        self.admitted: list[list[tuple[float, float]]] = [[] for _ in shares]
        self.now = 0.0
        self.vacancies: int | None = None

    def arrive(self, lane: int, count: int) -> None:
        self.lines[lane] += [self.now + at * 1e-6 for at in range(count)]

    def step(self, seconds: float) -> None:
        for _ in range(round(seconds / STEP_S)):
            self.now += STEP_S
            for gate in self.gates:
                gate.tick(self.now)
            self.divider.divide(self.gates, [self.now] * len(self.gates), STEP_S)
            for lane, gate in reversed(list(enumerate(self.gates))):
                self._poll(lane, gate)

    def _poll(self, lane: int, gate: Gate) -> None:
        waiting = []
        for visitor in self.lines[lane]:
            left = self.vacancies
            if left is not None and not self.divider.has_turn(lane):
                left = 0
            if isinstance(gate.decide(visitor, self.now, 0.5, left), Admit):
                self.divider.took(lane)
                self.admitted[lane].append((visitor, self.now))
                if self.vacancies is not None:
                    self.vacancies -= 1
            else:
                waiting.append(visitor)
        self.lines[lane] = waiting

    def counts(self, since: float) -> list[int]:
        return [sum(at > since for _, at in lane) for lane in self.admitted]


def test_full_lanes_get_their_shares() -> None:
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(0, 900)
    lanes.arrive(1, 400)
    lanes.step(4.0)
    since = lanes.now
    lanes.step(16.0)
    general, named = lanes.counts(since)
    assert named / (general + named) == pytest.approx(0.3, abs=0.02)
    assert general + named >= 0.99 * 50 * 16


@pytest.mark.parametrize("full", [0, 1])
def test_one_lane_uses_all_that_the_empty_one_leaves(full: int) -> None:
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(full, 1100)
    lanes.step(4.0)
    since = lanes.now
    lanes.step(14.0)
    assert lanes.counts(since)[full] >= 0.99 * 50 * 14


def test_a_lane_below_its_share_waits_for_nobody_and_the_rest_is_used() -> None:
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(0, 900)
    for _ in range(120):
        lanes.arrive(1, 1)  # ten a second, of fifteen
        lanes.step(STEP_S)
    assert max(at - visitor for visitor, at in lanes.admitted[1]) <= 0.5
    assert sum(lanes.counts(2.0)) >= 0.99 * 50 * 10


def test_a_lane_takes_its_share_back_as_soon_as_visitors_wait_in_it() -> None:
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(0, 1500)
    lanes.step(10.0)
    lanes.arrive(1, 300)
    lanes.step(2.0)
    since = lanes.now
    lanes.step(8.0)
    general, named = lanes.counts(since)
    assert named / (general + named) == pytest.approx(0.3, abs=0.03)


def test_each_lane_admits_in_order_of_arrival() -> None:
    lanes = Lanes([0.5, 0.3, 0.2], 40.0)
    for lane in range(3):
        lanes.arrive(lane, 200)
    lanes.step(12.0)
    for admitted in lanes.admitted:
        assert [visitor for visitor, _ in admitted] == sorted(visitor for visitor, _ in admitted)


@settings(max_examples=12, deadline=None)
@given(
    shares=st.lists(st.integers(1, 10), min_size=1, max_size=4),
    arrivals=st.lists(st.tuples(st.integers(0, 3), st.integers(0, 40)), min_size=5, max_size=15),
)
def test_no_window_admits_more_than_the_capacity_and_the_buckets(
    shares: list[int], arrivals: list[tuple[int, int]]
) -> None:
    rate = 20.0
    lanes = Lanes([share / sum(shares) for share in shares], rate)
    for lane, count in arrivals:
        lanes.arrive(lane % len(shares), count)
        lanes.step(0.5)
    times = sorted(at for lane in lanes.admitted for _, at in lane)
    burst = rate + 3.0 * len(shares) + 1.0  # burst_seconds of 1, `burst_floor` a lane, and the step
    for first, start in enumerate(times):
        for count, end in enumerate(times[first:], 1):
            assert count <= burst + rate * (end - start) + 1e-6


def test_nothing_is_lent_while_the_line_stands_still() -> None:
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(0, 300)
    lanes.step(1.0)
    for gate in lanes.gates:
        gate.hold(True, lanes.now)
    before = lanes.counts(0.0)
    lanes.step(5.0)
    assert lanes.counts(0.0) == before
    for gate in lanes.gates:
        gate.hold(False, lanes.now)
    held_until = lanes.now
    lanes.step(1.0)
    assert sum(lanes.counts(held_until)) <= 50 + 50 + 6


@pytest.mark.parametrize("shares", [[], [1.2], [0.5, 0.4], [1.0, 0.0]])
def test_shares_that_do_not_add_up_are_refused(shares: list[float]) -> None:
    with pytest.raises(ValueError, match="add up to 1"):
        LaneDivider(shares, 10.0)


def test_a_bucket_takes_in_what_fits_and_gives_back_what_it_has() -> None:
    bucket = LeakyBucket(1.0, 5.0, 0.0, 3.0)
    assert bucket.adjust(4.0, 0.0) == 2.0
    assert bucket.level(0.0) == 5.0
    assert bucket.adjust(-7.0, 0.0) == -5.0
    assert bucket.level(0.0) == 0.0


def test_full_lanes_take_turns_while_vacancies_are_scarce() -> None:
    """The rate is no limit; two vacancies a step are, and each visitor asks for one."""
    lanes = Lanes([0.7, 0.3], 400.0)
    lanes.arrive(1, 300)
    lanes.arrive(0, 300)
    for _ in range(100):
        lanes.vacancies = 2
        lanes.step(STEP_S)
    general, named = lanes.counts(1.0)
    assert general + named >= 175
    assert named / (general + named) == pytest.approx(0.3, abs=0.03)


def test_a_lane_that_begins_to_wait_has_no_claim_on_the_time_before() -> None:
    lanes = Lanes([0.5, 0.5], 400.0)
    lanes.arrive(0, 400)
    for _ in range(50):
        lanes.vacancies = 2
        lanes.step(STEP_S)
    lanes.arrive(1, 200)
    since = lanes.now
    for _ in range(50):
        lanes.vacancies = 2
        lanes.step(STEP_S)
    first, second = lanes.counts(since + 0.5)
    assert abs(first - second) <= 8


def test_a_divider_that_follows_another_one_lends_on() -> None:
    """A reload makes a new divider for the same gates; the plans stay."""
    lanes = Lanes([0.7, 0.3], 50.0)
    lanes.arrive(0, 900)
    lanes.step(8.0)
    planned = lanes.gates[0].settings.room_rate
    assert planned >= 0.98 * 50.0
    before, lanes.divider = lanes.divider, LaneDivider([0.7, 0.3], 50.0)
    lanes.divider.follow(before)
    lanes.step(STEP_S)
    assert lanes.gates[0].settings.room_rate == pytest.approx(planned, rel=0.02)
