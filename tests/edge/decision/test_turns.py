"""Turns that a visitor takes by a click: no place is lost, and a missing click costs no capacity."""

import heapq
import json
import random
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.operations.admission_tracer import AdmissionTracer
from edge.rooms.offers import BINS, Offers
from edge.settings.watching import TracingSettings
from tests.edge.decision.machine import Machine, settled
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, header, status
from waiting_room.ticket import Pass, Ticket

SCHEMA = jsonschema_rs.validator_for(json.loads((Path(__file__).parents[3] / "docs/status.schema.json").read_bytes()))
STATUS, ENTER = "/_stanchion/status?room=checkout", "/_stanchion/here?room=checkout"
T = 60.0
ASKS = YAML.replace("duration_seconds: 600}", f"duration_seconds: 600, presence_seconds: {T}}}", 1)
CAME = {"method": "POST", "referer": "http://shop.example/checkout?item=7"}


def credential_in(cookie: str) -> Ticket | Pass:
    read = KEYS.read(cookie.partition("=")[2], "checkout")
    assert isinstance(read, (Ticket, Pass))
    return read


def offered(edge: Edge, count: int = 1) -> list[str]:
    """Return the cookies of visitors with an offered turn."""
    edge.fill()
    cookies = []
    for _ in range(count):
        edge.now += 0.01
        cookies.append(cookie_of(edge.ask()))
    edge.pass_time(10.0)
    return [cookie_of(settled(edge.ask(STATUS, cookie))) for cookie in cookies]


def test_a_visitor_takes_their_turn_by_a_click() -> None:
    edge = Edge(ASKS)
    (mine,) = offered(edge)
    told = status(edge.ask(STATUS, mine))
    SCHEMA.validate(told)
    assert (told["state"], told["position"], told["confirm"]["url"]) == ("waiting", None, ENTER)
    assert told["confirm"]["by"].endswith("Z")
    assert 0.0 < told["poll_after_seconds"] <= 15.0
    page = edge.ask("/checkout?item=7", mine, HTML)
    assert isinstance(page, Answer), "the pass opens nothing yet"
    assert b'data-view="turn"' in page.body
    assert b'<dd id="left">1:00' in page.body
    assert ENTER.encode() in page.body
    entered = edge.ask(ENTER, mine, HTML, **CAME)
    assert isinstance(entered, Answer)
    assert (entered.status, header(entered, "Location")) == (303, "/checkout?item=7")
    assert isinstance(edge.ask("/checkout?item=7", cookie_of(entered), HTML), Forward)
    for result in ("offered", "taken"):
        assert edge.counted("stanchion_turns_total", room="checkout", result=result) == 1


class Tracer(AdmissionTracer):
    """Notes which visitors it is told of."""

    def __init__(self) -> None:
        self.told: list[tuple[str, str]] = []

    def admitted(self, room: str, ticket_id: str, first_seen: float, now: float) -> None:
        self.told.append((room, ticket_id))

    def follow(self, forward: Forward, room: str, ticket_id: str) -> None:
        pass

    def use(self, settings: TracingSettings) -> None:
        pass

    def close(self) -> None:
        pass


def test_a_turn_that_is_taken_is_an_admission_like_any_other() -> None:
    """It is counted for the room and the lane, and traced. An offered turn is none yet."""
    edge = Edge(ASKS.replace("    page:", "    lanes: [{name: members, share: 30}]\n    page:", 1))
    tracer = Tracer()
    for room in edge.pipeline.rooms.rooms:
        room.tracer = tracer
    (mine,) = offered(edge)
    of_room = {"room": "checkout"}
    before = edge.counted("stanchion_admissions_total", **of_room)
    assert edge.counted("stanchion_lane_admissions_total", lane="general", **of_room) == before == len(tracer.told)
    edge.ask(ENTER, mine, HTML, **CAME)
    assert edge.counted("stanchion_admissions_total", **of_room) == before + 1
    assert edge.counted("stanchion_lane_admissions_total", lane="general", **of_room) == before + 1
    assert tracer.told[-1] == ("checkout", credential_in(mine).id)
    assert len(tracer.told) == before + 1


def test_the_session_begins_with_the_click() -> None:
    edge = Edge(ASKS)
    (mine,) = offered(edge)
    edge.now += T - 20.0
    entered = edge.ask(ENTER, mine, method="POST")
    assert status(entered)["state"] == "admitted"
    given = credential_in(cookie_of(entered))
    assert isinstance(given, Pass)
    assert given.expires >= edge.now + 600.0
    assert not given.is_offered


def test_a_visitor_that_has_just_come_is_not_asked() -> None:
    """While nobody waits, they are let in as without the setting."""
    verdict = Edge(ASKS).ask()
    assert isinstance(verdict, Forward)
    assert verdict.visitor_pass is not None
    assert not verdict.visitor_pass.is_offered


def test_a_visitor_that_misses_their_turn_is_let_in_next_when_they_click() -> None:
    """However many stand behind them, and long after."""
    edge = Edge(ASKS)
    (mine,) = offered(edge)
    edge.now += T + 1.0
    told = status(edge.ask(STATUS, mine))
    SCHEMA.validate(told)
    assert (told["state"], told["confirm"]) == ("waiting", {"by": None, "url": ENTER})
    page = edge.ask(cookie=mine, accept=HTML)
    assert isinstance(page, Answer)
    assert b'data-view="missed"' in page.body
    edge.pass_time(2000.0)
    edge.fill()
    others = [cookie_of(edge.ask()) for _ in range(50)]
    edge.pass_time(1.0)
    settled(edge.ask(STATUS, others[0]))
    late = edge.ask(ENTER, mine, HTML, **CAME)
    edge.pass_time(2.0)
    assert isinstance(late, Answer)
    got = cookie_of(late)
    assert isinstance(edge.ask(cookie=got), Forward)
    assert edge.counted("stanchion_turns_total", room="checkout", result="late") == 1


def test_a_late_click_without_a_token_keeps_the_place_at_the_front() -> None:
    edge = Edge(ASKS.replace("admissions_per_second: 2, burst_seconds: 1}", "admissions_per_second: 0.5}", 1))
    (mine,) = offered(edge)
    others = [cookie_of(edge.ask()) for _ in range(20)]
    edge.now += T + 1.0
    edge.fill()
    waits = cookie_of(edge.ask(ENTER, mine, HTML, **CAME))
    ticket = credential_in(waits)
    assert isinstance(ticket, Ticket)
    assert ticket.first_seen == credential_in(mine).first_seen
    assert all(ticket.first_seen < credential_in(other).first_seen for other in others)
    edge.pass_time(5.0)
    again = cookie_of(settled(edge.ask(STATUS, waits)))
    assert isinstance(edge.ask(cookie=cookie_of(edge.ask(ENTER, again, HTML, **CAME))), Forward)


def test_a_lost_answer_costs_no_turn() -> None:
    """The browser still has the ticket: it is told of the turn again, at every worker."""
    machine = Machine(ASKS)
    first, second = (worker.edge for worker in machine.workers)
    first.fill()
    ticket = cookie_of(first.ask())
    machine.pass_time(5.0)
    assert status(machine.ask(0, STATUS, ticket))["confirm"]["by"]
    for worker in (0, 1, 1):
        told = machine.ask(worker, STATUS, ticket)
        assert status(told)["confirm"]["by"]
        assert isinstance(credential_in(cookie_of(told)), Pass)
    entered = machine.ask(1, ENTER, ticket, method="POST")
    assert status(entered)["state"] == "admitted"
    assert isinstance(second.ask(cookie=cookie_of(entered)), Forward)


def test_no_other_program_is_let_in_by_a_turn_that_is_not_taken() -> None:
    edge = Edge(ASKS)
    (mine,) = offered(edge)
    head = edge.head("/checkout", mine)
    assert edge.pipeline.check(edge.pipeline.classify(head), edge.now) is None
    image = edge.ask("/checkout/a", mine, "image/png", method="POST")
    assert isinstance(image, Answer)
    assert image.status == 503


class Visitors:
    """Pages that poll at their appointments. clicks(n): after how many seconds the n-th visitor clicks, or None."""

    def __init__(self, edge: Edge, people: int, clicks: Callable[[int], float | None]) -> None:
        self.edge = edge
        self.clicks = clicks
        self.entered: list[tuple[float, int]] = []
        self._due: list[tuple[float, int, int, str]] = []
        self._order = count()
        self._seen: set[int] = set()
        self.cookies = dict.fromkeys(range(people), "")
        edge.fill()
        for n in range(people):
            edge.now += 0.0001
            first = edge.ask()
            if not isinstance(first, Forward):  # one of the first visitors: they are not asked
                self._note(n, first)

    def _plan(self, at: float, n: int, target: str) -> None:
        heapq.heappush(self._due, (at, next(self._order), n, target))

    def _note(self, n: int, verdict: Verdict) -> None:
        if isinstance(verdict, Deferred):
            verdict.ask(lambda later: self._note(n, later))
            return
        assert isinstance(verdict, Answer)
        self.cookies[n] = cookie_of(verdict) or self.cookies[n]
        told: dict[str, Any] = status(verdict)
        if told["state"] == "admitted":
            self.entered.append((self.edge.now, n))
            return
        if told.get("confirm") and n not in self._seen:
            self._seen.add(n)
            after = self.clicks(n)
            if after is not None:
                self._plan(self.edge.now + after, n, ENTER)
        self._plan(self.edge.now + told["poll_after_seconds"], n, STATUS)

    def play(self, seconds: float) -> None:
        edge, end, gone = self.edge, self.edge.now + seconds, {n for _, n in self.entered}
        while edge.now < end:
            edge.pass_time(0.1)
            while self._due and self._due[0][0] <= edge.now:
                _, _, n, target = heapq.heappop(self._due)
                if n not in gone:
                    self._note(n, edge.ask(target, self.cookies[n], method="POST" if target == ENTER else "GET"))
                    gone = {n for _, n in self.entered} if target == ENTER else gone


def test_half_of_the_visitors_do_not_click_and_the_capacity_is_used() -> None:
    """Visitors that click use 99 % of it, and over the time never more than all of it, whatever the others do."""
    rate, measured_s = 10.0, 120.0
    chance = random.Random(5)
    edge = Edge(
        ASKS.replace("admissions_per_second: 2,", f"admissions_per_second: {rate:g},", 1).replace(f"{T}", "20.0")
    )
    line = Visitors(edge, 3400, lambda n: chance.expovariate(0.2) if n % 2 else None)
    line.play(40.0)
    before = len(line.entered)
    line.play(measured_s)
    used = (len(line.entered) - before) / (rate * measured_s)
    room = edge.pipeline.rooms.by_name["checkout"]
    assert 0.99 <= used <= 1.02, (used, room.offers)
    order = [n for _, n in line.entered]
    # A visitor clicks within 20 s, in which 400 others are called.
    assert max(abs(n - 2 * at) for at, n in enumerate(order)) < 2 * 20 * rate


@settings(max_examples=50, deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.0, 3.0), st.integers(0, 3), st.integers(0, 30)), max_size=200),
    st.floats(10.0, 120.0),
)
def test_every_token_of_a_turn_is_used_by_a_click_or_given_back(
    steps: list[tuple[float, int, int]], within_s: float
) -> None:
    """Tokens taken = clicks + tokens kept + tokens given back, and nothing is kept when all turns are over."""
    clicked: set[str] = set()
    offers, now, given_back, made = Offers(within_s, clicked.__contains__), NOW, 0.0, 0
    for passed, fresh, at in steps:
        now += passed
        for _ in range(fresh):
            offers.add(str(made), now)
            made += 1
        if made:
            clicked.add(str(at % made))
        back = offers.step(now)
        offers.kept -= back
        given_back += back
        assert -1e-6 <= offers.kept <= made + 1e-6
        assert offers.taken + offers.kept + given_back == pytest.approx(made, abs=1e-6)
        assert 1.0 <= offers.called_per_token() <= 20.0
    for _ in range(BINS):
        now += within_s
        given_back += (back := offers.step(now))
        offers.kept -= back
    assert len(offers) == 0
    assert offers.kept == pytest.approx(0.0, abs=1e-6)
    assert offers.taken + offers.missed == made
    assert given_back == pytest.approx(offers.missed, abs=1e-6)


@settings(max_examples=15, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(("poll", "enter", "page", "wait", "late")), st.integers(0, 3), st.integers(0, 1)),
        max_size=30,
    )
)
def test_a_place_is_let_in_once_for_any_order_of_clicks(steps: list[tuple[str, int, int]]) -> None:
    """Polls and clicks at two workers, early, late and repeated: no visitor loses their place or is let in twice."""
    machine = Machine(ASKS)
    machine.workers[0].edge.fill()
    jars = {n: cookie_of(machine.ask(0, "/checkout")) for n in range(4)}
    first_seen = {n: credential_in(cookie).first_seen for n, cookie in jars.items()}
    inside: set[int] = set()
    for name, n, worker in steps:
        if name in ("wait", "late"):
            machine.pass_time(1.0 if name == "wait" else T)
            continue
        target, method = {"poll": (STATUS, "GET"), "enter": (ENTER, "POST"), "page": ("/checkout", "GET")}[name]
        verdict = machine.ask(worker, target, jars[n], method=method)
        if isinstance(verdict, Deferred):
            continue
        jars[n] = cookie_of(verdict) or jars[n]
        read = credential_in(jars[n])
        assert read.first_seen == first_seen[n]
        if n in inside and machine.workers[0].edge.now < read.expires:
            assert isinstance(read, Pass)
        elif isinstance(read, Pass) and not read.is_offered:
            inside.add(n)
    counted = sum(
        worker.edge.counted("stanchion_turns_total", room="checkout", result=result)
        for worker in machine.workers
        for result in ("taken", "late")
    )
    assert counted == len(inside)
