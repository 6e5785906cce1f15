"""The position that a visitor is told never grows, whichever node tells it, with and without scripts."""

import random

import pytest

from edge.decision.visitor_responses import keeps_told
from edge.messages.verdict import Answer
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, status
from waiting_room.ticket import Keyring, Ticket

POLL = "/_stanchion/status?room=checkout"


class Scattering(Edge):
    """An edge with scattered estimates of the position, as of nodes that each see a part of the line."""

    def __init__(self) -> None:
        super().__init__(YAML.replace("admissions_per_second: 2, burst_seconds: 1", "admissions_per_second: 0.0001"))
        self.fill()
        for _ in range(300):
            self.ask()

    def told(self, target: str, cookie: str, accept: str, off: int) -> tuple[int, str]:
        """Return the position that an answer tells when `off` more or fewer visitors seem to be ahead."""
        mine = KEYS.read(cookie.partition("=")[2], "checkout")
        assert isinstance(mine, Ticket)
        ahead = [self.ask() for _ in range(max(0, off))]
        assert len(ahead) == max(0, off)
        answer = self.ask(target, cookie, accept)
        assert isinstance(answer, Answer)
        if answer.headers and b"<!doctype" in answer.body:
            shown = int(answer.body.partition(b'<dd id="place">')[2].partition(b"<")[0].decode().replace(",", ""))
        else:
            shown = status(answer)["position"]
        return shown, cookie_of(answer) or cookie


@pytest.mark.parametrize(("target", "accept"), [(POLL, "application/json"), ("/checkout", HTML), ("/checkout", "*/*")])
def test_a_lower_position_is_told_and_a_higher_one_is_not(target, accept):
    """The ticket carries what was told, so a node that never saw the visitor knows it too."""
    edge = Scattering()
    ticket = Ticket("v" * 22, "checkout", edge.now, float(int(edge.now)), told=40)
    cookie = "stanchion_checkout=" + KEYS.seal(ticket)
    shown, after = edge.told(target, cookie, accept, 0)
    assert shown == 40, "some 300 visitors are ahead, but the visitor was told 40"
    assert after == cookie
    lower = Ticket("w" * 22, "checkout", NOW - 1000.0, float(int(edge.now)), told=40)
    shown, after = edge.told(target, "stanchion_checkout=" + KEYS.seal(lower), accept, 0)
    assert shown == 1
    again = KEYS.read(after.partition("=")[2], "checkout")
    assert isinstance(again, Ticket)
    assert (again.told, again.id, again.first_seen) == (1, lower.id, lower.first_seen)


def test_a_line_told_by_nodes_that_differ_only_falls():
    """Any sequence of estimates: what is told falls, follows within a twentieth, and seldom costs a cookie."""
    chance, told, cookies = random.Random(3), 0, 0
    for step in range(400):
        estimate = max(1, round((400 - step) * chance.uniform(0.9, 1.4)))
        if told and keeps_told(estimate, told):
            continue
        assert not told or estimate < told
        told, cookies = estimate, cookies + 1
    assert told <= 3
    assert cookies < 90


@pytest.mark.parametrize("told", [0, 1, 7, 1_234_567])
@pytest.mark.parametrize("return_after_s", [0, 90])
def test_a_ticket_keeps_what_was_told(told, return_after_s):
    ticket = Ticket("x" * 22, "checkout", NOW, NOW, return_after_s, told=told)
    assert Keyring([b"k" * 32]).read(KEYS.seal(ticket), "checkout") == ticket


def test_a_visitor_that_is_moved_back_is_told_the_truth():
    """Their place is further back, and the page says so."""
    moved = Ticket("y" * 22, "checkout", NOW - 9000.0, NOW - 9000.0, told=3).renewed(NOW, away_s=300.0)
    assert moved.moved_back_s > 0.0
    assert moved.told == 0
    assert Ticket("z" * 22, "checkout", NOW, NOW, told=3).renewed(NOW + 70.0).told == 3
