"""Parked polls: of the visitors that are present the oldest is admitted first, once, and every poll is answered."""

from collections.abc import Callable

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from controller import Admit, Door, Gate, GateSettings, Park, Verdict, Wait
from controller.polling.appointments import PARKED_MOST_S, parking
from controller.polling.parked_polls import MOST, ParkedPolls

PARK_S = parking(GateSettings(admissions_per_second=5.0)).parked_s


def nobody(place: float, now: float) -> bool:
    return False


def everybody(place: float, now: float) -> bool:
    return True


def test_the_oldest_admitted_visitors_are_answered_and_the_others_when_their_time_is_over() -> None:
    parked, said = ParkedPolls(), []
    for place in (3.0, 1.0, 2.0):
        parked.park(place, 0.0, 3.0, lambda now, place=place: said.append((place, now)))
    parked.answer(0.5, 9.0, lambda place, now: place < 2.0)
    assert said == [(1.0, 0.5)]
    assert parked.is_due
    parked.answer(2.9, 2.0, nobody)
    assert said == [(1.0, 0.5)]
    parked.answer(3.0, 1.0, nobody)
    assert said[1:] == [(3.0, 3.0), (2.0, 3.0)]
    assert not parked
    assert not parked.is_due


def test_every_poll_is_answered_when_the_gate_is_replaced_or_the_clock_is_set_back() -> None:
    parked, said = ParkedPolls(), []
    parked.park(1.0, 100.0, 103.0, said.append)
    parked.park(2.0, 100.0, 103.0, said.append)
    parked.answer(40.0, 0.0, nobody)
    assert said == [40.0, 40.0]
    parked.park(2.0, 41.0, 44.0, said.append)
    parked.answer_all(41.5)
    assert said[2:] == [41.5]
    assert not parked


def test_a_removed_poll_is_not_answered() -> None:
    parked, said = ParkedPolls(), []
    number = parked.park(1.0, 0.0, 2.0, said.append)
    assert parked.remove(number)
    assert not parked.remove(number)
    parked.answer(5.0, 9.0, everybody)
    assert said == []
    assert not parked


def test_of_two_polls_of_one_visitor_the_later_stays_parked() -> None:
    """The earlier is answered at the next step, not from within `park`: a chain would recurse as deep as it is long."""
    parked, said = ParkedPolls(), []
    parked.park(1.0, 0.0, 2.0, lambda now: said.append(("earlier", now)))
    parked.park(1.0, 0.5, 2.5, lambda now: said.append(("later", now)))
    assert said == []
    parked.answer(0.6, 0.0, nobody)
    assert said == [("earlier", 0.6)]
    parked.answer(0.7, 9.0, everybody)
    assert said == [("earlier", 0.6), ("later", 0.7)]


def test_an_answer_may_bring_the_next_poll_at_once() -> None:
    """A poll pipelined behind a parked one is served when that is answered: it parks from within `answer`."""
    parked, said = ParkedPolls(), []

    def again(now: float) -> None:
        said.append(now)
        parked.answer(now, 9.0, everybody)
        if len(said) < 5000:
            parked.park(1.0, now, now + 1.0, again)

    parked.park(1.0, 0.0, 1.0, again)
    parked.answer(0.5, 9.0, everybody)
    assert len(said) == 5000


def test_the_number_of_parked_polls_is_bounded() -> None:
    parked = ParkedPolls()
    for i in range(MOST):
        assert not parked.is_full
        parked.park(float(i), 0.0, 1.0, str)
    assert parked.is_full


def sale(rate: float, nodes: int = 1) -> Gate:
    """A gate in front of which 200 visitors wait; each has an appointment."""
    gate = Gate(GateSettings(admissions_per_second=rate, nodes=nodes), now=0.0)
    for i in range(200):
        gate.decide(i * 1e-3, i * 1e-3, 0.5)
    gate.tick(0.3)
    return gate


#: A place between those of the visitors that polled this node: another node answered this visitor's first poll.
ELSEWHERE = 7.5


def park_front(door: Door, first: float, count: int, now: float) -> dict[float, Verdict]:
    """Poll for `count` visitors at the front and park them. Return the verdicts by place, as they come."""
    said: dict[float, Verdict] = {}

    def answering(place: float) -> Callable[[float], object]:
        return lambda then: said.update({place: door.settle(place, then, 0.5, then - now)})

    for i in range(count):
        place = (first + i) * 1e-3
        verdict = door.poll(place, now, 0.5)
        if isinstance(verdict, Admit):
            said[place] = verdict
        else:
            assert isinstance(verdict, Park)
            door.park(place, verdict, answering(place))
    return said


def test_parked_visitors_are_admitted_with_the_next_token_in_order() -> None:
    """Fifty a second: sixty visitors that all poll at one moment are admitted as fast as tokens come."""
    door = Door(sale(50.0))
    now = 0.2
    for _ in range(12):
        now += 0.1
        door.tick(now)
    said = park_front(door, 50, 60, now)
    order = list(said)
    for _ in range(12):
        now += 0.1
        door.tick(now)
        order += [place for place in said if place not in order]
    assert order == sorted(order)
    assert len([v for v in said.values() if isinstance(v, Admit)]) >= 58


def test_a_visitor_further_back_is_not_parked() -> None:
    assert isinstance(Door(sale(10.0)).poll(0.199, 1.5, 0.5), Wait)


def test_a_caller_that_does_not_park_gets_a_wait() -> None:
    door = Door(sale(5.0))
    assert isinstance(door.poll(0.007, 0.3, 0.5, may_park=False), Wait)
    verdict = door.poll(0.007, 0.3, 0.5)
    assert isinstance(verdict, Park)
    assert verdict.wait.poll_after_s > 0.0
    assert door.parked_count == 0


def test_a_visitor_is_not_admitted_from_a_parked_poll_while_the_room_has_no_vacancy() -> None:
    vacancies = 0
    door = Door(sale(5.0), lambda now: vacancies > 0)
    said = park_front(door, 7, 1, 0.3)
    for step in range(4, 12):
        door.tick(step * 0.1)
    assert said == {}
    vacancies = 1
    door.tick(1.2)
    assert isinstance(said[0.007], Admit)


def test_a_visitor_that_hangs_up_is_not_admitted_and_is_expected_no_longer() -> None:
    door = Door(sale(5.0, nodes=4))
    place, said = 0.0075, []
    verdict = door.poll(place, 0.3, 0.5)
    assert isinstance(verdict, Park)
    number = door.park(place, verdict, said.append)
    waiting = door.gate.snapshot(0.3).waiting
    door.hang_up(place, number)
    door.tick(2.0)
    assert said == []
    assert door.gate.snapshot(0.3).waiting < waiting


def test_a_visitor_parked_in_vain_polls_again_at_once() -> None:
    """The shortest interval counts from their request on, and they were there for longer. A gate that knows the whole
    line asks them back 0.6 s before their admission."""
    door = Door(sale(5.0), lambda now: False)
    said = park_front(door, 7, 1, 0.3)
    assert said == {}
    door.answer_older(1.0, 0.3 + PARK_S)
    (verdict,) = said.values()
    assert isinstance(verdict, Wait)
    assert verdict.eta_p50_s == pytest.approx(0.71)
    assert verdict.poll_after_s == pytest.approx(0.11)


def test_a_parked_visitor_is_expected_while_parked() -> None:
    """Their lease does not end before their response is due; it ends soon afterwards if they do not poll again."""
    door = Door(sale(5.0, nodes=4))
    gate = door.gate
    park_front(door, ELSEWHERE, 1, 0.3)
    now = 0.3
    until = now + PARK_S
    while now < until:
        gate.tick(now)
        assert 0.0075 in gate._line.book
        now += 0.1
    while now < until + 0.5:
        gate.tick(now)
        now += 0.1
    assert 0.0075 not in gate._line.book


def test_a_visitor_parked_in_vain_is_soon_expected_at_another_node() -> None:
    """Where many nodes share the line: otherwise they would be counted here and at the node they poll next."""
    door = Door(sale(5.0, nodes=4))
    gate = door.gate
    said = park_front(door, ELSEWHERE, 1, 0.3)
    now = 0.3 + PARK_S
    gate.tick(now)
    while gate._bucket.take(now):
        pass
    door.answer_older(1.0, now)
    (verdict,) = said.values()
    assert isinstance(verdict, Wait)
    assert verdict.poll_after_s == 0.01
    assert 0.0075 in gate._line.book
    for _ in range(5):
        now += 0.1
        gate.tick(now)
    assert 0.0075 not in gate._line.book


def test_a_parked_visitor_gets_an_appointment_if_their_admission_moved_away() -> None:
    """What is left of the shortest interval counts from their request, a longer interval from now."""
    gate = sale(5.0)
    verdict = gate.decide(0.15, 0.3, 0.5)
    assert isinstance(verdict, Wait)
    gate.park(0.15, 0.3)
    settled = gate.settle(0.15, 0.3 + PARK_S, 0.5, PARK_S)
    assert isinstance(settled, Wait)
    assert settled.poll_after_s == verdict.poll_after_s > 10.0


@pytest.mark.parametrize(("nodes", "is_hasty_parked"), [(1, True), (4, False)])
def test_a_visitor_that_polls_early_is_not_parked_at_one_of_many_nodes(nodes: int, is_hasty_parked: bool) -> None:
    """They are parked at the other nodes as well, so the first node with a token would admit them. At a single node
    they gain nothing, and a visitor that reloads the page, or has two tabs, loses nothing."""
    gate = sale(5.0, nodes)
    for place, now, is_parked in ((0.008, 0.35, is_hasty_parked), (0.009, 1.6, True)):
        gate.tick(now)
        while gate._bucket.take(now):
            pass
        verdict = gate.decide(place, now, 0.5)
        assert isinstance(verdict, Wait)
        assert gate.may_park(place, verdict) is is_parked


def test_a_node_that_sees_a_sample_parks_visitors_of_more_seconds() -> None:
    """A visitor that would be asked back after the shortest interval is parked instead, if that takes no more polls."""
    one, of_many = sale(10.0), sale(10.0, nodes=4)
    near = Wait(1.0, 1, 1.3, 2.0)
    nearly = Wait(1.0, 1, 2.6, 4.0)
    far = Wait(1.0, 1, 2.8, 4.0)
    assert [one.may_park(9.0, verdict) for verdict in (near, nearly, far)] == [True, False, False]
    assert [of_many.may_park(9.0, verdict) for verdict in (near, nearly, far)] == [True, True, False]


def test_a_node_with_few_visitors_parks_them_longer_and_from_further_back() -> None:
    """Four fifths of its capacity must go to visitors from the middle of the line: it chooses among those that wait.
    A visitor that loads a page sees nothing meanwhile, so a page load is parked near the front only."""
    gate, near, far = sale(10.0, nodes=4), Wait(1.0, 1, 2.6, 4.0), Wait(15.0, 3000, 300.0, 400.0)
    assert not gate.may_park(9.0, far)
    assert gate.park(9.0, 0.3) == pytest.approx(0.3 + PARK_S)
    gate._line.traffic._believed = 0.05
    gate.tick(0.4)
    assert gate.may_park(9.0, far)
    assert gate.may_park(9.0, near, is_page=True)
    assert not gate.may_park(9.0, far, is_page=True)
    assert gate.park(9.0, 0.4) == pytest.approx(0.4 + PARKED_MOST_S)


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
def test_of_the_visitors_present_the_oldest_are_admitted_and_no_more_than_the_bucket_gives(
    polls: list[tuple[int, int]], rate: float, nodes: int
) -> None:
    """Parked or polling: nobody waits while a younger visitor passes, and no window sees more than burst + rate * w."""
    crowd = Crowd(Door(sale(rate, nodes)))
    for i, pause_ms in polls:
        crowd.pass_time(pause_ms * 1e-3)
        crowd.poll(i * 1e-3)
    times = [at for at, _ in crowd.admitted]
    depth = crowd.door.gate.settings.depth_at(rate)
    for k in range(len(times)):
        for j in range(k, len(times)):
            assert j - k + 1 <= depth + rate * (times[j] - times[k]) + 1e-6


class Crowd:
    """Visitors at a door; those that may be parked are."""

    def __init__(self, door: Door) -> None:
        self.door = door
        self.now = self.ticked = 0.3
        self.present: set[float] = set()
        self.admitted: list[tuple[float, float]] = []

    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        while self.ticked + 0.1 <= self.now:
            self.ticked += 0.1
            self.door.tick(self.ticked)

    def poll(self, place: float) -> None:
        if any(place == other for _, other in self.admitted):
            return
        self.present.add(place)
        self.door.answer_older(place, self.now)
        verdict = self.door.poll(place, self.now, 0.5)
        if isinstance(verdict, Admit):
            self.note(place, self.now)
        elif isinstance(verdict, Park):
            self.door.park(place, verdict, lambda then: self.answer(place, then))
        else:
            self.present.discard(place)

    def answer(self, place: float, then: float) -> None:
        if place in self.present and isinstance(self.door.settle(place, then, 0.5, 0.0), Admit):
            self.note(place, then)
        self.present.discard(place)

    def note(self, place: float, then: float) -> None:
        self.present.discard(place)
        self.admitted.append((then, place))
        passed = [other for other in self.present if other < place and other <= self.door.gate.threshold]
        assert not passed, f"{place} passed {passed}"
