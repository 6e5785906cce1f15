"""The parts of the gate, each by its own rule: bucket, PID, leases, show-up, meter."""

from math import inf, nan

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller.law.bucket import LeakyBucket
from controller.law.pi import Gains, PiController
from controller.law.threshold import ThresholdLaw
from controller.line.leases import LeaseBook
from controller.line.line import Line
from controller.line.meter import RateMeter
from controller.line.return_rate import ReturnRate, TrafficShare
from controller.polling.appointments import appointment, first_appointment
from controller.settings import GateSettings


def test_a_jump_ahead_and_back_mints_no_tokens() -> None:
    """A clock that jumps and returns grants one bucket at most, and takes the time of it back."""
    bucket = LeakyBucket(rate=10.0, depth=10.0, now=0.0, level=0.0)
    taken = 0
    for _ in range(5):
        for now in (1000.0, 0.0):
            while bucket.take(now):
                taken += 1
    assert taken <= 50
    assert bucket.level(0.5) == pytest.approx(0.0)
    assert bucket.level(2.0) > 0.0  # one bucket's worth of time later it goes on


@given(st.lists(st.tuples(st.floats(-5.0, 5.0), st.booleans()), max_size=60), st.floats(0.1, 50.0))
def test_the_bucket_stays_within_its_depth(steps: list[tuple[float, bool]], rate: float) -> None:
    """The level is within 0..depth whatever the clock does."""
    bucket = LeakyBucket(rate, depth=max(1.0, rate), now=0.0)
    now = 0.0
    for step, takes in steps:
        now += step
        if takes:
            bucket.take(now, reserve=2.0)
        assert 0.0 <= bucket.level(now) <= bucket.depth


def test_the_integral_stands_still_while_clamped() -> None:
    """Anti-windup: after any time at the limit, an error of the other sign takes effect at once."""
    pi = PiController(Gains(kp=1.0, ki=1.0, low=-1.0, high=1.0))
    for _ in range(1000):
        pi.step(5.0, 0.1)
    assert pi.terms.output == 1.0
    assert pi.step(-1.0, 0.1) < 0.5


@given(st.floats(-1.0, 1.0), st.integers(1, 50))
def test_the_pid_is_independent_of_the_step(error: float, parts: int) -> None:
    """One second in one step or in fifty integrates the same."""
    one = PiController(Gains(kp=0.0, ki=0.5))
    many = PiController(Gains(kp=0.0, ki=0.5))
    one.step(error, 1.0)
    for _ in range(parts):
        many.step(error, 1.0 / parts)
    assert many.terms.output == pytest.approx(one.terms.output, abs=1e-9)


def test_rates_do_not_depend_on_the_tick() -> None:
    """Ten events a second are ten a second at any tick."""
    for dt in (0.05, 0.1, 1.0):
        meter = RateMeter(3.0)
        for _ in range(int(20 / dt)):
            meter.count += round(10 * dt) if dt >= 0.1 else 1
            meter.tick(dt)
        assert meter.rate == pytest.approx(10.0 if dt >= 0.1 else 20.0, rel=0.01)


#: Few visitors and moments, so that leases are moved, and moved back, and given anew to who has gone.
LEASES = st.lists(
    st.tuples(
        st.one_of(st.floats(0.0, 100.0), st.integers(0, 9).map(float)),
        st.one_of(st.floats(0.0, 50.0), st.integers(0, 9).map(float)),
        st.sampled_from(["add", "add", "remove", "expire"]),
    ),
    max_size=200,
)


@given(LEASES)
@example([(1.0, 3.0, "add"), (1.0, 7.0, "add"), (1.0, 3.0, "add"), (9.0, 5.0, "expire")])
@settings(max_examples=150)
def test_the_book_agrees_with_a_dictionary(calls: list[tuple[float, float, str]]) -> None:
    """Rank, nth and length are those of the sorted first_seen of the leases that still run."""
    book = LeaseBook(capacity=10_000, now=0.0)
    model: dict[float, int] = {}
    clock = 0.0
    for first_seen, due, what in calls:
        if what == "add":
            book.add(first_seen, max(due, clock))
            model[first_seen] = max(int(max(due, clock) / 0.1), int(clock / 0.1))
        elif what == "remove":
            assert book.remove(first_seen) == (model.pop(first_seen, None) is not None)
        else:
            clock = max(clock, due)
            gone = sorted(f for f, slot in model.items() if slot < int(clock / 0.1))
            assert book.overdue(clock) == len(gone)
            assert sorted(book.expire(clock)) == gone
            for first_seen in gone:
                del model[first_seen]
        book.refresh()
        line = sorted(model)
        assert len(book) == len(line)
        for i, f in enumerate(line):
            assert book.rank(f) == i
            assert book.nth(i) == f
        assert book.nth(len(line)) is None


def test_a_full_book_samples_instead_of_growing() -> None:
    """Beyond its capacity the book forgets every other lease and counts the others twice."""
    book = LeaseBook(capacity=1000, now=0.0)
    for i in range(10_000):
        book.add(i * 1e-2, 5.0 + (i % 50) / 10)
    book.refresh()
    assert len(book.due) <= 1000
    assert len(book) == pytest.approx(10_000, rel=0.1)
    assert book.rank(50.0) == pytest.approx(5000, rel=0.1)


def test_resampling_keeps_the_shape_of_the_line() -> None:
    """A node that now sees twice or half of the line counts twice or half as many before everybody."""
    for ratio in (0.5, 2.0, 8.0 / 3.0):
        book = LeaseBook(capacity=100_000, now=0.0)
        for i in range(1000):
            book.add(float(i), 10.0)
        book.resample(ratio)
        assert len(book) == pytest.approx(1000 * ratio, rel=0.01)
        assert book.rank(500.0) == pytest.approx(500 * ratio, rel=0.01)


def test_ghosts_among_newcomers_are_noticed() -> None:
    """The share of first requests that are followed by a second comes out of the counts."""
    showup = ReturnRate(is_sampled=False)
    for i in range(300):
        showup.due(fresh=1, proven=1)
        showup.visit()
        if i % 5 == 0:
            showup.visit()
    assert showup.settle() == pytest.approx(0.2, abs=0.05)


def test_an_even_load_is_left_alone_and_a_skewed_one_is_seen() -> None:
    """The share of the traffic moves only on evidence."""
    even, skewed = TrafficShare(4), TrafficShare(4)
    even.be_sure(counts_from=0.0)
    skewed.be_sure(counts_from=0.0)
    for i in range(2000):
        come_back(even, i % 4 == 0, i)
        come_back(skewed, i % 20 < 11, i)
    assert even.share == 0.25
    assert skewed.share == pytest.approx(0.55, abs=0.03)
    assert even.surplus(part=0.25) == even.surplus(part=0.1) == 0.0  # no evidence that others have less
    assert skewed.surplus(part=0.25) == pytest.approx(0.3, abs=0.03)
    assert skewed.surplus(part=0.7) == 0.0


def come_back(returns: TrafficShare, kept: bool, i: int) -> None:
    """The i-th lease has come due, a second after the one before, and its visitor is here or not."""
    if kept:
        returns.back += 1
    else:
        returns.missed([float(i)], clock=float(i))


def test_a_node_that_starves_knows_it_before_it_knows_how_late_visitors_come() -> None:
    """It would never learn that otherwise. And lateness makes no node seem crowded. Any other share is not believed so
    early, and what was counted by guess holds only until enough is counted for sure."""
    starving, slow, hasty, crowded = TrafficShare(4), TrafficShare(4), TrafficShare(4), TrafficShare(4)
    for i in range(2000):
        come_back(starving, i % 20 == 0, i)
        come_back(slow, i % 8 == 0, i)  # half of them late beyond what is waited for
        come_back(hasty, i % 20 < 9, i)  # a quarter of the others, and those who ask all the time
        come_back(crowded, i % 20 < 11, i)
    assert starving.share == pytest.approx(0.05, abs=0.02)
    assert slow.share == hasty.share == 0.25
    assert crowded.share == pytest.approx(0.55, abs=0.03)
    starving.be_sure(counts_from=2000.0)
    crowded.be_sure(counts_from=2000.0)
    assert starving.share == pytest.approx(0.05, abs=0.02)
    assert crowded.share == pytest.approx(0.55, abs=0.03)
    for i in range(2000, 3000):
        come_back(crowded, i % 4 == 0, i)
    assert crowded.share == 0.25


def test_leases_that_do_not_allow_for_lateness_do_not_count_once_it_is_known() -> None:
    """Half of those who are a second late were missed; that they were is no sign of where they went."""
    returns = TrafficShare(4)
    returns.be_sure(counts_from=1000.0)
    for i in range(2000):
        come_back(returns, i % 8 == 0 if i < 1000 else i % 4 == 0, i)
        assert returns.share == 0.25


def test_expected_places_count_newcomers_by_their_share() -> None:
    """nth is the inverse of ahead, also when most newcomers are ghosts."""
    line = Line(capacity=10_000, clock=0.0, young_s=17.0, nodes=1)
    for i in range(500):
        line.expect(float(i), 10.0, is_first=i % 2 == 0)
    line.showup.share = 0.2
    line.book.refresh()
    line._fresh.refresh()
    line.freshest = 0.0
    for place in (10.0, 100.0, 250.0):
        at = line.nth(place)
        assert at is not None
        assert line.ahead(at) == pytest.approx(place, abs=2.0, rel=0.02)


def test_a_newcomer_whose_turn_is_near_is_asked_back_once() -> None:
    """In two steps the second would be a shortest interval, and too late."""
    s = GateSettings(admissions_per_second=10.0)
    for eta_s, expected_s in ((0.4, 1.0), (1.7, 1.7), (1.9, 1.9)):
        after_s = appointment(eta_s, 10.0, s.poll_min_s, s.poll_max_s, is_exact=True)
        assert first_appointment(s, eta_s, after_s, is_probed=True, u=0.5, is_joined=False) == expected_s
    after_s = appointment(20.0, 10.0, s.poll_min_s, s.poll_max_s, is_exact=True)
    assert first_appointment(s, 20.0, after_s, is_probed=True, u=0.5, is_joined=False) == 10.0


def test_after_a_standstill_joined_nodes_call_at_once() -> None:
    """The room's bucket filled up while nobody could come, so there is nothing to wait for."""
    book = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=1)
    for i in range(500):
        book.expect(float(i), 100.0, is_first=False)
    book.tick(0.1, 0.1)
    called = {}
    for still_s in (0.0, 3.0):
        law = ThresholdLaw()
        for _ in range(round(still_s / 0.1)):
            law.step(book, 10.0, 10.0, 10.0, 10.0, 0.1, True, 0.2)
        law.step(book, 10.0, 10.0, 10.0, 10.0, 0.1, False, 0.2)
        called[still_s] = law.ahead
    assert called[3.0] > called[0.0] + 30.0  # BOOST_S of the flow


def test_the_integral_can_be_moved_within_its_bounds() -> None:
    """By what other nodes say, of whom one may say anything."""
    pi = PiController(Gains(kp=0.0, ki=1.0, low=-1.0, high=1.0))
    for by, expected in ((0.5, 0.5), (-0.25, 0.25), (2.0, 0.25), (nan, 0.25), (-inf, 0.25)):
        pi.shift(by)
        assert pi.step(0.0, 0.1) == expected


def test_fast_pollers_say_nothing_about_the_line() -> None:
    """Polls long before their time count neither as kept appointments nor as newcomers who came back."""
    line = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(1000):
        line.expect(float(i % 10), 15.0, is_first=False)
        line.visit(float(i % 10), 5.0, line.book.due.get(float(i % 10)))
    assert line.returns.share == 0.25
    assert line.showup.settle() == 1.0


def test_who_was_asked_back_after_a_stretched_interval_is_a_newcomer_still_and_no_ghost() -> None:
    """The longest interval may be shorter again by then, and they no longer young."""
    line = Line(capacity=1000, clock=0.0, young_s=32.0, nodes=1)
    for i in range(100):
        line.expect(i * 1e-3, 30.0, is_first=True)
    line.tick(29.9, 29.9)
    line.young_s = 17.0
    for i in range(100):
        line.visit(i * 1e-3, 29.9, line.book.due[i * 1e-3])
    line.tick(31.0, 31.0)
    assert line.showup.share == 1.0


def test_after_a_resampling_nobody_is_counted_as_back_for_one_interval() -> None:
    """Those who stand in for others keep no appointments, so who does proves nothing."""
    line = Line(capacity=1000, clock=0.0, young_s=17.0, nodes=4)
    for i in range(100):
        line.expect(-50.0 - i, 1.0, is_first=False)
    line.tick(0.9, 0.9)
    line.resample(2.0, nodes=2)
    for i in range(100):
        line.visit(-50.0 - i, 50.0, line.book.due[-50.0 - i])
    assert line.returns.back == 0
    line.tick(30.0, 30.0)
    for i in range(100):
        line.expect(-50.0 - i, 30.5, is_first=False)
        line.visit(-50.0 - i, 80.0, line.book.due[-50.0 - i])
    assert line.returns.back == 100


def test_the_first_of_a_new_line_come_back_before_the_bucket_overflows() -> None:
    """Chance keeps those behind them apart, and all of joined nodes, which hear of each other late."""
    s = GateSettings(admissions_per_second=10.0)
    for eta_s, u, is_joined, expected_s in (
        (0.1, 0.9, False, 1.0),
        (1.0, 0.9, False, 1.0),
        (1.5, 0.8, False, 1.2),
        (8.0, 0.8, False, 1.4),
        (0.1, 0.8, True, 1.4),
    ):
        after_s = first_appointment(s, eta_s, 1.0, is_probed=False, u=u, is_joined=is_joined)
        assert after_s == pytest.approx(expected_s)


def test_a_line_that_learns_how_late_visitors_come_counts_only_leases_from_then_on() -> None:
    """Those that are open last for one longest interval; whose visitors go elsewhere count after that."""
    line = Line(1000, 0.0, 17.0, nodes=4)
    line.knows_lateness = True
    line.tick(0.0, 0.0)
    shares = []
    for step in range(1, 300):
        now = step / 10
        for i in range(3):
            line.expect(-now - i * 1e-3, now, False)
        line.tick(now + 0.1, now + 0.1)
        shares.append(line.returns.share)
    assert set(shares[:170]) == {0.25}
    assert shares[-1] < 0.01


def test_who_comes_in_time_polls_no_faster_than_asked_though_leases_were_longer_before() -> None:
    """A lease allows for how late visitors come. Once they come less late, whoever holds one from before is back long
    before it ends, and is one of those who came back all the same."""
    line = Line(1000, 0.0, 17.0, nodes=4)
    line.late_s = 2.0
    line.tick(0.0, 0.0)
    line.expect(-50.0, 17.1, False)  # back in 15 s, and late
    line.late_s = 0.0
    line.tick(15.0, 15.0)
    line.visit(-50.0, 65.0, line.book.due[-50.0])
    assert -50.0 not in line.hasty
    assert line.returns.back == 1
    for step in range(160, 200):
        line.tick(step / 10, step / 10)
    line.expect(-50.0, 37.1, False)  # by now all leases that are open know better
    line.visit(-50.0, 70.0, line.book.due[-50.0])
    assert -50.0 in line.hasty
