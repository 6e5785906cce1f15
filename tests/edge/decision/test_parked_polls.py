"""Parked polls in the edge: a poll near the front is answered when its visitor is admitted or its time is over."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path

import aiohttp
import pytest

from edge.messages.cluster import RoomEvent
from edge.messages.processes import RedemptionQuestion
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.rooms.redemption import RedemptionClient
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, header, status
from tests.edge.running import one_room, running_edge, running_upstream
from waiting_room.ticket import new_ticket

STATUS = "/_stanchion/status?room=checkout"
FOUR = YAML.replace("admissions_per_second: 2, burst", "admissions_per_second: 8, burst") + "cluster: {machines: 4}\n"


class ParkedPoll:
    """A poll that was parked, as its connection sees it."""

    def __init__(self, verdict: Verdict) -> None:
        assert isinstance(verdict, Deferred)
        self.said: list[Verdict] = []
        self.forget = verdict.ask(self._hear)

    def _hear(self, verdict: Verdict) -> None:
        """Do as the connection does: ask a further deferred verdict at once."""
        if isinstance(verdict, Deferred):
            verdict.ask(self._hear)
        else:
            self.said.append(verdict)

    @property
    def state(self) -> str:
        """The state that the visitor was told, '' if nothing yet."""
        return status(self.said[0])["state"] if self.said else ""


def full(people: int, yaml: str = YAML, redemption: RedemptionClient | None = None) -> tuple[Edge, list[str]]:
    """Return an edge of two a second with an empty bucket, and the cookies of the waiting visitors, oldest first."""
    edge = Edge(yaml, redemption)
    came = []
    while len(came) < people + 2:
        edge.now += 0.002  # within a millisecond chance decides which visitor is first
        came.append(edge.ask())
    assert [isinstance(verdict, Forward) for verdict in came] == [True, True, *[False] * people]
    return edge, [cookie_of(verdict) for verdict in came[2:]]


def test_a_visitor_near_the_front_is_admitted_by_the_parked_poll() -> None:
    edge, (first, second) = full(2)
    polls = [ParkedPoll(edge.ask(STATUS, cookie)) for cookie in (second, first)]
    edge.pass_time(0.3)
    assert [poll.state for poll in polls] == ["", ""]
    edge.pass_time(0.4)
    assert [poll.state for poll in polls] == ["", "admitted"]
    edge.pass_time(0.5)
    assert [poll.state for poll in polls] == ["admitted", "admitted"]
    assert isinstance(edge.ask(cookie=cookie_of(polls[1].said[0])), Forward)
    assert edge.counted("stanchion_polls_total", room="checkout") == 6
    assert edge.counted("stanchion_admissions_total", room="checkout") == 4


def test_a_poll_far_from_the_front_is_answered_at_once() -> None:
    edge, cookies = full(10)
    assert status(edge.ask(STATUS, cookies[9]))["state"] == "waiting"


def test_a_page_load_is_parked_as_well() -> None:
    """A visitor without scripts is admitted without a second reload."""
    edge, (mine,) = full(1)
    parked = ParkedPoll(edge.ask(cookie=mine, accept=HTML))
    edge.pass_time(0.7)
    assert isinstance(parked.said[0], Forward)


def test_a_visitor_that_hung_up_is_not_admitted() -> None:
    edge, (first, second) = full(2)
    gone, stays = ParkedPoll(edge.ask(STATUS, first)), ParkedPoll(edge.ask(STATUS, second))
    assert gone.forget is not None
    gone.forget()
    edge.pass_time(0.7)
    assert stays.state == "admitted"
    assert gone.said == []
    assert edge.counted("stanchion_admissions_total", room="checkout") == 3


def test_a_visitor_parked_in_vain_is_asked_back_at_once() -> None:
    """The room holds meanwhile."""
    edge, (mine,) = full(1)
    parked = ParkedPoll(edge.ask(STATUS, mine))
    room = edge.pipeline.rooms.by_name["checkout"]
    room.set_missing(("redis",), edge.now)
    edge.pass_time(2.0)
    told = status(parked.said[0])
    assert told["state"] == "waiting"
    assert told["poll_after_seconds"] <= 1.0
    assert header(parked.said[0], "Retry-After") == "1"


@pytest.mark.parametrize("why", ["redis", "upstream", "stock", "operator"])
def test_while_the_line_stands_still_polls_near_the_front_are_parked_and_page_loads_are_answered(why: str) -> None:
    """So the oldest are there when the line goes on; a visitor that loads the page sees it at once."""
    edge, (mine,) = full(1)
    room = edge.pipeline.rooms.by_name["checkout"]
    if why in ("redis", "operator"):
        room.set_missing((why,), edge.now)
    elif why == "upstream":
        edge.pipeline.set_upstream_down(True, edge.now)
    else:
        edge.pipeline.apply(RoomEvent("checkout", 0, False, 3, 7), edge.now)
    parked = ParkedPoll(edge.ask(STATUS, mine))
    assert isinstance(edge.ask(cookie=mine, accept=HTML), Answer)
    edge.pass_time(5.0)
    told = status(parked.said[0])
    assert told["paused"] == why
    assert told["eta_seconds"] is None
    assert told["position"] == 1


def spend_tokens(edge: Edge) -> None:
    gate = edge.pipeline.rooms.by_name["checkout"].gate
    while gate.inner._bucket.take(edge.now - gate.origin_s):
        pass


def test_a_visitor_that_polls_early_is_not_parked_where_there_are_other_nodes() -> None:
    """They would be parked at each node. A visitor that another node asked to come is parked."""
    one, (mine,) = full(1)
    assert isinstance(one.ask(STATUS, mine), Deferred)
    of_four, (hasty, patient) = full(2, FOUR)
    assert status(of_four.ask(STATUS, hasty))["state"] == "waiting"
    of_four.pass_time(1.1)
    spend_tokens(of_four)
    assert isinstance(of_four.ask(STATUS, patient), Deferred)
    assert isinstance(of_four.ask(STATUS, hasty), Answer)


def test_a_node_with_few_visitors_parks_polls_from_far_back_but_no_page_load() -> None:
    edge, cookies = full(30, FOUR)
    assert status(edge.ask(STATUS, cookies[29]))["state"] == "waiting"
    edge.pipeline.rooms.by_name["checkout"].gate.inner._line.traffic._believed = 0.05
    edge.pass_time(1.3)
    spend_tokens(edge)
    page = edge.ask(cookie=cookies[28], accept=HTML)
    assert isinstance(page, Answer)
    assert isinstance(edge.ask(STATUS, cookies[27]), Deferred)


def test_an_older_parked_visitor_is_admitted_before_one_that_polls() -> None:
    """Also between two control steps: a token has come, and the younger visitor is the first to poll."""
    edge, (first, second) = full(2)
    parked = ParkedPoll(edge.ask(STATUS, first))
    edge.pass_time(0.4)
    assert parked.state == ""
    edge.now += 0.15
    asked = edge.ask(STATUS, second)
    assert parked.state == "admitted"
    assert isinstance(asked, Deferred)


def test_an_older_visitor_that_polls_is_admitted_before_a_younger_parked_one() -> None:
    """Of two visitors present at one moment the older never waits while the younger passes."""
    edge, (mine,) = full(1, FOUR)
    older = "stanchion_checkout=" + KEYS.seal(
        new_ticket("checkout", NOW - 100.0, bytes(16))
    )  # another node knows this visitor
    edge.pass_time(1.1)
    spend_tokens(edge)
    parked = ParkedPoll(edge.ask(STATUS, mine))
    edge.pass_time(0.3)
    edge.now += 0.13
    assert status(edge.ask(STATUS, older))["state"] == "admitted"
    assert parked.state == ""
    edge.pass_time(0.6)
    assert parked.state == "admitted"


def test_two_tabs_of_one_visitor_get_one_pass() -> None:
    edge, (mine,) = full(1)
    earlier, later = ParkedPoll(edge.ask(STATUS, mine)), ParkedPoll(edge.ask(STATUS, mine))
    edge.pass_time(0.1)
    assert (earlier.state, later.state) == ("waiting", "")
    assert status(earlier.said[0])["poll_after_seconds"] > 0.5
    edge.pass_time(0.6)
    assert later.state == "admitted"
    assert isinstance(edge.ask(cookie=mine), Forward)
    assert edge.counted("stanchion_admissions_total", room="checkout") == 3


def test_a_visitor_admitted_by_a_parked_poll_is_checked_once() -> None:
    """The same visitor polls again between two control steps, when there is a token already."""
    questions: list[RedemptionQuestion] = []
    redemption = RedemptionClient(questions.append, lambda seconds, call: None)
    edge, (mine,) = full(1, redemption=redemption)
    first = ParkedPoll(edge.ask(STATUS, mine))
    edge.pass_time(0.4)
    edge.now += 0.15
    second = ParkedPoll(edge.ask(STATUS, mine))
    (question,) = questions
    redemption.receive(question.answered("granted"))
    assert (first.state, second.state) == ("admitted", "admitted")
    assert edge.counted("stanchion_admissions_total", room="checkout") == 3


def test_a_reload_answers_every_parked_poll() -> None:
    edge, (mine,) = full(1)
    parked = ParkedPoll(edge.ask(STATUS, mine))
    edge.pipeline.answer_parked(edge.now)
    assert parked.state == "waiting"


def test_visitors_that_were_parked_at_a_reload_are_asked_back_at_once() -> None:
    """Otherwise the visitors next to the front are away for a second, and a higher capacity is not used meanwhile."""
    edge, (_, mine) = full(2, FOUR)
    edge.pass_time(1.1)
    spend_tokens(edge)
    parked = ParkedPoll(edge.ask(STATUS, mine))
    edge.pipeline.answer_parked(edge.now)
    assert status(parked.said[0])["poll_after_seconds"] <= 0.1


def test_a_parked_visitor_waits_for_a_vacancy() -> None:
    """Two visitors may be active, and two are. The third is parked, whatever the bucket holds, and is admitted when one
    of them leaves."""
    edge = Edge(YAML.replace("burst_seconds: 1}", "burst_seconds: 1, total_active_users: 2}", 1))
    first, _, third = edge.ask(), edge.ask(), edge.ask()
    assert isinstance(first, Forward)
    assert first.visitor_pass is not None
    edge.pass_time(1.0)
    parked = ParkedPoll(edge.ask(STATUS, cookie_of(third)))
    edge.pass_time(0.5)
    assert parked.state == ""
    edge.pipeline.rooms.by_name["checkout"].end_session(first.visitor_pass, edge.now)
    edge.pass_time(0.2)
    assert parked.state == "admitted"


async def test_over_a_socket_one_poll_is_enough(tmp_path: Path) -> None:
    """With a worker and its control steps: a visitor that polls half a second early is admitted by that request, and a
    visitor that hangs up delays nobody. At four a second, without parking at most one would be admitted."""

    async def shop(request: aiohttp.web.Request) -> aiohttp.web.Response:
        return aiohttp.web.Response(text="shop")

    capacity = {"admissions_per_second": 4.0, "burst_seconds": 1.0}
    async with running_upstream(shop) as upstream:
        text = one_room(upstream, capacity=capacity).replace("workers: 2", "workers: 1")
        async with running_edge(text, tmp_path) as edge:
            waiting: list[aiohttp.ClientSession] = []

            async def poll(session: aiohttp.ClientSession) -> str:
                async with session.get(f"{edge.url}/_stanchion/status?room=checkout") as answer:
                    return str(json.loads(await answer.read())["state"])

            async with AsyncExitStack() as stack:
                while len(waiting) < 5:
                    session = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
                    await stack.enter_async_context(session)
                    async with session.get(f"{edge.url}/checkout") as answer:
                        if answer.headers["Stanchion-State"] == "waiting":
                            waiting.append(session)
                gone = asyncio.ensure_future(poll(waiting[0]))
                await asyncio.sleep(0.1)
                gone.cancel()
                told = await asyncio.gather(*(poll(session) for session in waiting[1:]))
                assert told.count("admitted") >= 3, "visitors within a second or so of admission need no second poll"
