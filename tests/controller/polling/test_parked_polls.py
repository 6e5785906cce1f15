"""Answers that are held: who is there is let in oldest first, once, and nobody is forgotten."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller import Admit, Gate, GateSettings, ParkedPolls, Verdict, Wait
from controller.polling.appointments import HELD_MOST_S, holding
from controller.polling.parked_polls import MOST

HOLD_S = holding(GateSettings(admissions_per_second=5.0), is_exact=True)[0]


def nobody(place: float, now: float) -> bool:
    return False


def everybody(place: float, now: float) -> bool:
    return True


def test_the_oldest_who_are_let_in_are_answered_and_the_others_when_their_time_is_over() -> None:
    held, said = ParkedPolls(), []
    for place in (3.0, 1.0, 2.0):
        held.hold(place, 0.0, 3.0, lambda now, place=place: said.append((place, now)))
    held.call(0.5, 9.0, lambda place, now: place < 2.0)
    assert said == [(1.0, 0.5)]
    assert held.is_pressing
    held.call(2.9, 2.0, nobody)
    assert said == [(1.0, 0.5)]
    held.call(3.0, 1.0, nobody)
    assert said[1:] == [(3.0, 3.0), (2.0, 3.0)]
    assert not held
    assert not held.is_pressing


def test_all_are_answered_when_others_are_to_judge_them_or_the_clock_is_put_back() -> None:
    held, said = ParkedPolls(), []
    held.hold(1.0, 100.0, 103.0, said.append)
    held.hold(2.0, 100.0, 103.0, said.append)
    held.call(40.0, 0.0, nobody)
    assert said == [40.0, 40.0]
    held.hold(2.0, 41.0, 44.0, said.append)
    held.release(41.5)
    assert said[2:] == [41.5]
    assert not held


def test_who_has_gone_is_not_answered() -> None:
    held, said = ParkedPolls(), []
    number = held.hold(1.0, 0.0, 2.0, said.append)
    held.forget(number)
    held.forget(number)
    held.call(5.0, 9.0, everybody)
    assert said == []
    assert not held


def test_of_two_requests_of_one_visitor_the_later_is_held() -> None:
    """The earlier is answered at the next step, not from within: a chain of them would go as deep as it is long."""
    held, said = ParkedPolls(), []
    held.hold(1.0, 0.0, 2.0, lambda now: said.append(("earlier", now)))
    held.hold(1.0, 0.5, 2.5, lambda now: said.append(("later", now)))
    assert said == []
    held.call(0.6, 0.0, nobody)
    assert said == [("earlier", 0.6)]
    held.call(0.7, 9.0, everybody)
    assert said == [("earlier", 0.6), ("later", 0.7)]


def test_an_answer_may_lead_to_the_next_request_at_once() -> None:
    """What is pipelined behind a poll is served when that is answered: it calls, and is held, from within a call."""
    held, said = ParkedPolls(), []

    def again(now: float) -> None:
        said.append(now)
        held.call(now, 9.0, everybody)
        if len(said) < 5000:
            held.hold(1.0, now, now + 1.0, again)

    held.hold(1.0, 0.0, 1.0, again)
    held.call(0.5, 9.0, everybody)
    assert len(said) == 5000


def test_it_is_full_some_time() -> None:
    held = ParkedPolls()
    for i in range(MOST):
        assert not held.is_full
        held.hold(float(i), 0.0, 1.0, str)
    assert held.is_full


def sale(rate: float, nodes: int = 1) -> Gate:
    """A gate in front of which 200 people wait; each was asked back."""
    gate = Gate(GateSettings(admissions_per_second=rate, nodes=nodes), now=0.0)
    for i in range(200):
        gate.decide(i * 1e-3, i * 1e-3, 0.5)
    gate.tick(0.3)
    return gate


ELSEWHERE = 7.5  # between those who asked this node: another one answered their first request


def hold_front(gate: Gate, held: ParkedPolls, first: float, count: int, now: float) -> dict[float, Verdict]:
    """So many poll, whose turn is next, and are held; they were asked to by this node, or by another."""
    said: dict[float, Verdict] = {}

    def answering(place: float) -> Callable[[float], object]:
        return lambda then: said.update({place: gate.settle(place, then, 0.5, then - now)})

    for i in range(count):
        place = (first + i) * 1e-3
        verdict = gate.decide(place, now, 0.5)
        if isinstance(verdict, Admit):
            said[place] = verdict
        else:
            assert isinstance(verdict, Wait)
            assert gate.may_park(place, verdict)
            held.hold(place, now, gate.park(place, now), answering(place))
    return said


def test_whose_turn_is_near_comes_in_with_the_next_token_and_not_at_the_next_poll() -> None:
    """Fifty a second: ten people who all poll at one moment are in a fifth of a second later, in their order."""
    gate, held = sale(50.0), ParkedPolls()
    now = 0.2
    for _ in range(12):
        now += 0.1
        gate.tick(now)
    said = hold_front(gate, held, 50, 60, now)
    order = list(said)
    for _ in range(12):
        now += 0.1
        gate.tick(now)
        held.call(now, gate.threshold, gate.would_admit)
        order += [place for place in said if place not in order]
    assert order == sorted(order)
    assert len([v for v in said.values() if isinstance(v, Admit)]) >= 58


def test_who_is_further_back_is_not_held() -> None:
    gate = sale(10.0)
    verdict = gate.decide(0.199, 1.5, 0.5)
    assert isinstance(verdict, Wait)
    assert not gate.may_park(0.199, verdict)


def test_who_was_held_in_vain_is_asked_back_at_once() -> None:
    """The shortest interval counts from their request on, and they were there for longer. Who knows the whole line has
    them back 0.6 s before their turn."""
    gate, held = sale(5.0), ParkedPolls()
    said = hold_front(gate, held, 7, 1, 0.3)
    assert said == {}
    held.call(0.3 + HOLD_S, gate.threshold, nobody)
    (verdict,) = said.values()
    assert isinstance(verdict, Wait)
    assert verdict.eta_p50_s == pytest.approx(0.71)
    assert verdict.poll_after_s == pytest.approx(0.11)


def test_who_is_held_is_expected_for_as_long() -> None:
    """Their lease does not end before their answer is due; soon after it, if they do not ask again."""
    gate, held = sale(5.0, nodes=4), ParkedPolls()
    hold_front(gate, held, ELSEWHERE, 1, 0.3)
    now = 0.3
    until = now + HOLD_S
    while now < until:
        gate.tick(now)
        assert 0.0075 in gate._line.book
        now += 0.1
    while now < until + 0.5:
        gate.tick(now)
        now += 0.1
    assert 0.0075 not in gate._line.book


def test_who_was_held_in_vain_is_expected_elsewhere_at_once() -> None:
    """Where many nodes share the line: here and where they ask next, they would be counted twice."""
    gate, held = sale(5.0, nodes=4), ParkedPolls()
    said = hold_front(gate, held, ELSEWHERE, 1, 0.3)
    now = 0.3 + HOLD_S
    gate.tick(now)
    while gate._bucket.take(now):
        pass
    held.call(now, 0.0, nobody)
    (verdict,) = said.values()
    assert isinstance(verdict, Wait)
    assert verdict.poll_after_s == 0.01
    assert 0.0075 in gate._line.book
    for _ in range(5):
        now += 0.1
        gate.tick(now)
    assert 0.0075 not in gate._line.book


def test_whose_turn_has_moved_away_while_they_were_held_is_asked_back_in_time_for_it() -> None:
    """What is left of the shortest interval counts from their request, a longer one from now."""
    gate = sale(5.0)
    verdict = gate.decide(0.15, 0.3, 0.5)
    assert isinstance(verdict, Wait)
    gate.park(0.15, 0.3)
    settled = gate.settle(0.15, 0.3 + HOLD_S, 0.5, HOLD_S)
    assert isinstance(settled, Wait)
    assert settled.poll_after_s == verdict.poll_after_s > 10.0


@pytest.mark.parametrize(("nodes", "is_hasty_held"), [(1, True), (4, False)])
def test_who_polls_sooner_than_asked_is_not_held_at_one_of_many_nodes(nodes: int, is_hasty_held: bool) -> None:
    """They are at the others as well, so the first of them to call would let them in. Where there is but one they gain
    nothing, and whoever reloads the page, or has it open twice, loses nothing."""
    gate = sale(5.0, nodes)
    for place, now, is_held in ((0.008, 0.35, is_hasty_held), (0.009, 1.6, True)):
        gate.tick(now)
        while gate._bucket.take(now):
            pass
        verdict = gate.decide(place, now, 0.5)
        assert isinstance(verdict, Wait)
        assert gate.may_park(place, verdict) is is_held


def test_a_node_that_sees_a_sample_holds_the_part_of_more_seconds() -> None:
    """Whoever would be asked back in the shortest interval is rather there, as far as that does not take more polls."""
    one, of_many = sale(10.0), sale(10.0, nodes=4)
    near = Wait(1.0, 1, 1.3, 2.0)
    nearly = Wait(1.0, 1, 2.6, 4.0)
    far = Wait(1.0, 1, 2.8, 4.0)
    assert [one.may_park(9.0, verdict) for verdict in (near, nearly, far)] == [True, False, False]
    assert [of_many.may_park(9.0, verdict) for verdict in (near, nearly, far)] == [True, True, False]


def test_a_node_that_few_come_to_holds_them_longer_and_from_far_back() -> None:
    """Four fifths of its capacity must go to visitors out of the middle of the line: it chooses among those who wait.
    Whoever loads a page sees nothing meanwhile, so they wait when their turn is near only."""
    gate, near, far = sale(10.0, nodes=4), Wait(1.0, 1, 2.6, 4.0), Wait(15.0, 3000, 300.0, 400.0)
    assert not gate.may_park(9.0, far)
    assert gate.park(9.0, 0.3) == pytest.approx(0.3 + HOLD_S)
    gate._line.returns._believed = 0.05
    gate.tick(0.4)
    assert gate.may_park(9.0, far)
    assert gate.may_park(9.0, near, is_page=True)
    assert not gate.may_park(9.0, far, is_page=True)
    assert gate.park(9.0, 0.4) == pytest.approx(0.4 + HELD_MOST_S)


@settings(max_examples=200, deadline=None)
@given(
    polls=st.lists(st.tuples(st.integers(0, 199), st.integers(0, 400)), min_size=1, max_size=120),
    rate=st.sampled_from([0.5, 5.0, 50.0]),
    nodes=st.sampled_from([1, 4]),
)
@example(
    polls=[
        (32, 396), (11, 21), (176, 41), (103, 13), (144, 377), (65, 307), (36, 50), (6, 34), (118, 36), (186, 99),
        (48, 17), (71, 46), (176, 60), (101, 43), (76, 304),
    ],
    rate=5.0,
    nodes=1,
)  # fmt: skip
def test_of_all_who_are_there_the_oldest_come_in_and_no_more_than_the_bucket_gives(
    polls: list[tuple[int, int]], rate: float, nodes: int
) -> None:
    """Held or asking: nobody waits while somebody younger passes, and no window sees more than burst + rate * w."""
    crowd = Crowd(sale(rate, nodes))
    for i, pause_ms in polls:
        crowd.pass_time(pause_ms * 1e-3)
        crowd.poll(i * 1e-3)
    times = [at for at, _ in crowd.came]
    depth = crowd.gate.settings.depth_at(rate)
    for k in range(len(times)):
        for j in range(k, len(times)):
            assert j - k + 1 <= depth + rate * (times[j] - times[k]) + 1e-6


class Crowd:
    """People in front of a gate; those who may be held are."""

    def __init__(self, gate: Gate) -> None:
        self.gate, self.held = gate, ParkedPolls()
        self.now = self.ticked = 0.3
        self.there: set[float] = set()
        self.came: list[tuple[float, float]] = []

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while self.ticked + 0.1 <= self.now:
            self.ticked += 0.1
            self.gate.tick(self.ticked)
            self.held.call(self.ticked, self.gate.threshold, self.gate.would_admit)

    def poll(self, place: float) -> None:
        if any(place == other for _, other in self.came):
            return
        self.there.add(place)
        if self.held.is_pressing:
            self.held.call(self.now, self.gate.threshold, self.gate.would_admit, place)
        verdict = self.gate.decide(place, self.now, 0.5)
        if isinstance(verdict, Admit):
            self.note(place, self.now)
        elif isinstance(verdict, Wait) and self.gate.may_park(place, verdict):
            self.held.hold(place, self.now, self.gate.park(place, self.now), lambda then: self.answer(place, then))
        else:
            self.there.discard(place)

    def answer(self, place: float, then: float) -> None:
        if place in self.there and isinstance(self.gate.settle(place, then, 0.5, 0.0), Admit):
            self.note(place, then)
        self.there.discard(place)

    def note(self, place: float, then: float) -> None:
        self.there.discard(place)
        self.came.append((then, place))
        passed = [other for other in self.there if other < place and other <= self.gate.threshold]
        assert not passed, f"{place} passed {passed}"
