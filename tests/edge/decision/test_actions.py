"""Leaving the line and moving a place: no place is doubled, none is lost, and no other site acts for a visitor."""

import json
import re
from html import unescape
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages.head import FetchMetadata
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from tests.edge.decision.machine import Machine
from tests.edge.decision.test_pipeline import HTML, KEYS, YAML, Edge, cookie_of, header, status
from waiting_room.places import first_id, next_id, place_of
from waiting_room.ticket import Pass, Ticket
from waiting_room.transfer import TRANSFER_S, read_token, transfer_token

STATUS = "/_stanchion/status?room=checkout"
LEAVE, JOIN, TRANSFER, MOVE = (
    f"/_stanchion/{each}"
    for each in ("leave?room=checkout&sure=1", "join?room=checkout", "transfer?room=checkout", "move?room=checkout")
)
CAME = {"method": "POST", "referer": "http://shop.example/checkout?item=7"}
#: A slow room, in which nobody is near the front.
SLOW = YAML.replace("admissions_per_second: 2, burst_seconds: 1", "admissions_per_second: 0.01, burst_seconds: 1", 1)


def ticket_in(cookie: str) -> Ticket:
    read = KEYS.read(cookie.partition("=")[2], "checkout")
    assert isinstance(read, Ticket)
    return read


def waiting(edge: Edge, count: int = 1) -> list[str]:
    """Return the cookies of visitors in a line, oldest first."""
    edge.fill()
    cookies = []
    for _ in range(count):
        edge.now += 0.01
        cookies.append(cookie_of(edge.ask()))
    return cookies


def position(edge: Edge, cookie: str) -> int:
    return int(status(edge.ask(STATUS, cookie))["position"])


def link_of(verdict: Verdict) -> str:
    """Return the target of the link that a page shows."""
    assert isinstance(verdict, Answer)
    found = re.search(r'<a href="http://shop\.example(/_stanchion/move[^"]+)"', verdict.body.decode())
    assert found
    return unescape(found[1])


def test_a_visitor_that_leaves_gives_the_place_up_and_those_behind_move_up() -> None:
    edge = Edge(SLOW)
    cookies = waiting(edge, 30)
    mine, behind = cookies[20], cookies[25]
    edge.pass_time(1.0)
    before = position(edge, behind)
    edge.now += 0.1
    answer = edge.ask(LEAVE, mine, HTML, **CAME)
    assert isinstance(answer, Answer)
    assert (answer.status, header(answer, "Location")) == (303, "/checkout?item=7")
    for other in cookies[15:20]:
        edge.ask(LEAVE, other, **CAME)
    assert position(edge, behind) == before - 6
    page = edge.ask("/checkout?item=7", cookie_of(answer), HTML)
    assert isinstance(page, Answer)
    assert 'data-view="left"' in page.body.decode()
    assert "Refresh" not in page.body.decode()
    assert edge.counted("stanchion_places_given_up_total", room="checkout", reason="left") == 6


def test_a_ticket_that_was_left_is_never_admitted_and_its_pages_say_why() -> None:
    """With the old cookie, in another tab, after the line has gone."""
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    edge.ask(LEAVE, mine, **CAME)
    edge.pass_time(1000.0)
    told = status(edge.ask(STATUS, mine))
    assert (told["state"], told["paused"], told["poll_after_seconds"]) == ("closed", "left", None)
    assert not isinstance(edge.ask(cookie=mine), Forward)
    assert isinstance(edge.ask(), Forward), "a new visitor finds the line empty"


def test_a_visitor_is_asked_before_they_leave() -> None:
    """The page that asks never reloads itself, so there is time to click without scripts too."""
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    page = edge.ask("/_stanchion/leave?room=checkout", mine, HTML, **CAME)
    assert isinstance(page, Answer)
    assert (page.status, page.cookies) == (200, ())
    assert b"/_stanchion/leave?room=checkout&amp;sure=1&amp;back=/checkout%3Fitem%3D7" in page.body
    assert b"refresh" not in page.body
    assert status(edge.ask(STATUS, mine))["state"] == "waiting"


def test_a_visitor_that_left_can_join_again_at_the_end() -> None:
    edge = Edge(SLOW)
    mine, other = waiting(edge, 2)
    left = cookie_of(edge.ask(LEAVE, mine, HTML, **CAME))
    edge.now += 5.0
    joined = edge.ask(JOIN, left, HTML, **CAME)
    assert isinstance(joined, Answer)
    assert (joined.status, header(joined, "Location")) == (303, "/checkout?item=7")
    again = cookie_of(joined)
    assert status(edge.ask(STATUS, again))["state"] == "waiting"
    assert ticket_in(again).id != ticket_in(mine).id
    assert place_of(ticket_in(again)) > place_of(ticket_in(other))


def test_joining_again_takes_no_place_from_a_visitor_that_has_one() -> None:
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    answer = edge.ask(JOIN, mine, HTML, **CAME)
    assert isinstance(answer, Answer)
    assert answer.cookies == ()
    assert status(edge.ask(STATUS, mine))["state"] == "waiting"


def test_a_place_moves_to_the_device_that_opens_the_link() -> None:
    edge = Edge(SLOW)
    cookies = waiting(edge, 30)
    mine = cookies[20]
    edge.pass_time(1.0)
    before = position(edge, mine)
    page = edge.ask(TRANSFER, mine, HTML, **CAME)
    link = link_of(page)
    assert isinstance(page, Answer)
    assert "<svg" in page.body.decode()
    opened = edge.ask(link, "", HTML)
    assert isinstance(opened, Answer)
    assert 'method="post"' in opened.body.decode()
    assert opened.cookies == ()
    assert status(edge.ask(STATUS, mine))["state"] == "waiting", "opening the link moves nothing"
    taken = edge.ask(link, "", HTML, method="POST", user_agent="Mozilla/5.0 (iPhone) Safari/605")
    assert isinstance(taken, Answer)
    assert (taken.status, header(taken, "Location")) == (303, "/checkout?item=7")
    phone = cookie_of(taken)
    assert place_of(ticket_in(phone)) == place_of(ticket_in(mine))
    assert ticket_in(phone).id == next_id(ticket_in(mine).id)
    assert position(edge, phone) == before
    told = status(edge.ask(STATUS, mine))
    assert (told["state"], told["paused"], told["poll_after_seconds"]) == ("closed", "moved", None)
    old = edge.ask("/checkout", mine, HTML)
    assert isinstance(old, Answer)
    assert 'data-view="moved"' in old.body.decode()


def test_a_link_works_once_and_again_only_for_the_device_that_took_the_place() -> None:
    """So an answer that was lost on its way loses no place, and nobody else gets it."""
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    link = link_of(edge.ask(TRANSFER, mine, HTML, **CAME))
    phone = {"method": "POST", "user_agent": "Mozilla/5.0 (iPhone) Safari/605", "client_ip": "198.51.100.7"}
    first, again = (cookie_of(edge.ask(link, "", HTML, **phone)) for _ in range(2))
    assert first == again != ""
    for other in ({"user_agent": "Mozilla/5.0 (Android) Chrome/130"}, {"client_ip": "192.0.2.1"}):
        refused = edge.ask(link, "", HTML, **{**phone, **other})
        assert isinstance(refused, Answer)
        assert (refused.status, refused.cookies) == (410, ())


def test_a_place_can_move_on_and_back() -> None:
    edge = Edge(SLOW)
    (cookie,) = waiting(edge)
    first = ticket_in(cookie)
    for times in range(1, 4):
        link = link_of(edge.ask(TRANSFER, cookie, HTML, **CAME))
        cookie = cookie_of(edge.ask(link, "", HTML, method="POST", user_agent=f"device {times}"))
        moved = ticket_in(cookie)
        assert moved.id == f"{first.id}{times}"
        assert first_id(moved.id) == first.id
        assert place_of(moved) == place_of(first)
    assert status(edge.ask(STATUS, cookie))["state"] == "waiting"


def test_a_link_expires_and_cannot_be_forged() -> None:
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    token = transfer_token(KEYS, ticket_in(mine), edge.now)
    assert read_token(KEYS, token, "checkout", edge.now + TRANSFER_S - 2.0) is not None
    assert read_token(KEYS, token, "checkout", edge.now + TRANSFER_S) is None
    assert read_token(KEYS, token, "tickets", edge.now) is None
    assert read_token(KEYS, token[:-1] + ("A" if token[-1] != "A" else "B"), "checkout", edge.now) is None
    assert read_token(KEYS, mine.partition("=")[2], "checkout", edge.now) is None
    for bad in ("", "x1.9.t1", "x1." + "9" * 600, "%C3%A9.%FF"):
        refused = edge.ask(f"{MOVE}&t={bad}", "", HTML, method="POST")
        assert isinstance(refused, Answer)
        assert refused.status == 410


def test_a_ticket_that_was_used_moves_nowhere() -> None:
    """The visitor was admitted after the link was made: the place is used up, and stays used up."""
    edge = Edge()
    (mine,) = waiting(edge)
    link = link_of(edge.ask(TRANSFER, mine, HTML, **CAME))
    edge.pass_time(30.0)
    assert isinstance(edge.ask(cookie=mine), Forward)
    refused = edge.ask(link, "", HTML, method="POST")
    assert isinstance(refused, Answer)
    assert (refused.status, refused.cookies) == (410, ())


@pytest.mark.parametrize("target", [LEAVE, JOIN, TRANSFER])
@pytest.mark.parametrize(
    "said",
    [
        FetchMetadata(site="cross-site", origin="https://evil.example", dest="document"),
        FetchMetadata(origin="https://evil.example"),
        FetchMetadata(origin="null"),
        FetchMetadata(site="cross-site", dest="empty"),
    ],
)
def test_no_other_site_acts_for_a_visitor(target: str, said: FetchMetadata) -> None:
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    answer = edge.ask(target, mine, HTML, method="POST", metadata=said)
    assert isinstance(answer, Answer)
    assert (answer.status, answer.cookies) == (403, ())
    assert status(edge.ask(STATUS, mine))["state"] == "waiting"


@pytest.mark.parametrize(
    ("target", "method", "code"),
    [
        (LEAVE, "GET", 405),
        (TRANSFER, "GET", 405),
        (JOIN, "PUT", 405),
        (MOVE, "DELETE", 405),
        ("/_stanchion/leave", "POST", 404),
        ("/_stanchion/leave?room=nowhere", "POST", 404),
        ("/_stanchion/leave/", "POST", 405),
    ],
)
def test_what_is_no_action_is_refused(target: str, method: str, code: int) -> None:
    answer = Edge().ask(target, method=method)
    assert isinstance(answer, Answer)
    assert answer.status == code


def test_a_program_reads_json() -> None:
    edge = Edge(SLOW)
    mine, other = waiting(edge, 2)
    made = status(edge.ask(TRANSFER, mine, method="POST"))
    assert made["url"].startswith("http://shop.example/_stanchion/move?room=checkout&t=x1.")
    assert made["expires_at"].endswith("Z")
    moved = edge.ask(made["url"].removeprefix("http://shop.example"), "", method="POST")
    assert status(moved)["status_url"] == STATUS
    assert status(edge.ask(STATUS, cookie_of(moved)))["state"] == "waiting"
    left = status(edge.ask(LEAVE, other, method="POST"))
    assert (left["state"], left["paused"]) == ("closed", "left")


@pytest.mark.parametrize("referer", ["https://evil.example/x", "http://shop.example//evil.example", "", "junk"])
def test_a_visitor_is_sent_back_to_a_path_of_the_shop(referer: str) -> None:
    edge = Edge(SLOW)
    (mine,) = waiting(edge)
    for target in (LEAVE, f"{LEAVE}&back=//evil.example", f"{LEAVE}&back=/_stanchion/leave"):
        assert header(edge.ask(target, mine, HTML, method="POST", referer=referer), "Location") == "/"


def test_a_requeued_visitor_can_leave_too() -> None:
    """Their ticket was redeemed before: the pass is shown by another browser, and they are in line again."""
    edge = Edge()
    edge.fill()
    given = Pass("a" * 22, "checkout", edge.now - 60.0, edge.now - 50.0, edge.now + 500.0, "bAAAAnBBBB")
    stolen = "stanchion_checkout=" + KEYS.seal(given)
    requeued = cookie_of(edge.ask(cookie=stolen))
    edge.ask(LEAVE, requeued, method="POST")
    assert status(edge.ask(STATUS, requeued))["paused"] == "left"


# ---- invariants ------------------------------------------------------------------------------------------------------

DEVICES = 4
STEPS = st.lists(
    st.tuples(
        st.sampled_from(("poll", "leave", "join", "link", "take", "take", "wait")),
        st.integers(0, DEVICES - 1),
        st.integers(0, 7),
        st.integers(0, 1),
    ),
    max_size=40,
)


class Browsers:
    """Devices with cookies of their own, which also remember old ones, at the two workers of a machine."""

    def __init__(self, yaml: str) -> None:
        self.machine = Machine(yaml)
        self.jars: list[list[str]] = [[""] for _ in range(DEVICES)]
        self.links: list[str] = []
        self.admitted: dict[str, int] = {}
        self.places: dict[str, int] = {}

    def ask(self, worker: int, device: int, target: str, cookie: str, method: str = "GET") -> Verdict:
        verdict = self.machine.ask(
            worker, target, cookie, HTML, method=method, user_agent=f"device{device}/1", referer=CAME["referer"]
        )
        self._note(verdict, device)
        return verdict

    def _note(self, verdict: Verdict, device: int) -> None:
        if isinstance(verdict, Deferred):
            return
        fresh = cookie_of(verdict)
        if fresh:
            self.jars[device].append(fresh)
            read = KEYS.read(fresh.partition("=")[2], "checkout")
            if isinstance(read, Ticket):
                place = self.places.setdefault(first_id(read.id), place_of(read))
                assert place_of(read) == place, "a place does not change when it moves"
            elif isinstance(read, Pass):
                self.admitted.setdefault(f"{read.id} {read.admitted_at}", device)

    def step(self, name: str, device: int, at: int, worker: int) -> None:
        jar = self.jars[device]
        cookie = jar[-1 - at % len(jar)]  # also old ones: a copy, a tab that was asleep
        match name:
            case "poll":
                self.ask(worker, device, "/checkout", cookie)
            case "leave":
                self.ask(worker, device, LEAVE, cookie, "POST")
            case "join":
                self.ask(worker, device, JOIN, cookie, "POST")
            case "link":
                page = self.ask(worker, device, TRANSFER, cookie, "POST")
                if isinstance(page, Answer) and page.status == 200:
                    self.links.append(link_of(page))
            case "take" if self.links:
                self.ask(worker, device, self.links[at % len(self.links)], cookie, "POST")
            case "wait":
                self.machine.pass_time(0.5)

    def live(self) -> dict[str, Any]:
        """Return the places that still count, with the states of their tickets."""
        found: dict[str, list[str]] = {}
        for ident, cookie in {ticket_in(each).id: each for jar in self.jars for each in jar if "=t1." in each}.items():
            for worker in range(2):
                verdict = self.machine.ask(worker, STATUS, cookie)
                if isinstance(verdict, Answer) and json.loads(verdict.body)["state"] == "closed":
                    break
            else:
                found.setdefault(first_id(ident), []).append(ident)
        return found


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_no_place_is_doubled_and_none_is_lost(steps: list[tuple[str, int, int, int]]) -> None:
    """Of all tickets of one place at most one counts; and one counts unless its visitor left."""
    browsers = Browsers(SLOW)
    for worker in browsers.machine.workers:
        worker.edge.fill()
    browsers.admitted.clear()
    for step in steps:
        browsers.step(*step)
    live = browsers.live()
    assert all(len(tickets) == 1 for tickets in live.values()), live
    left = sum(
        worker.edge.counted("stanchion_places_given_up_total", room="checkout", reason="left")
        for worker in browsers.machine.workers
    )
    assert len(live) == len(browsers.places) - left


@settings(max_examples=60, deadline=None)
@given(STEPS)
def test_a_place_is_admitted_once_whatever_was_done_with_it(steps: list[tuple[str, int, int, int]]) -> None:
    """In a room that admits, each place is redeemed once at most: by one of its tickets."""
    browsers = Browsers(YAML)
    for step in steps:
        browsers.step(*step)
    browsers.machine.pass_time(60.0)
    for _ in range(3):
        for device in range(DEVICES):
            for at in range(len(browsers.jars[device])):
                browsers.step("poll", device, at, at % 2)
    passes = [key.partition(" ")[0] for key in browsers.admitted]
    assert len({first_id(ident) for ident in passes}) == len(browsers.admitted)
