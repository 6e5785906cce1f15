"""Absence, where a room counts it: a visitor that was away for too long is requeued further back by the excess."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.verdict import Answer
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, header, status
from waiting_room.ticket import RENEW_AFTER_S, Keyring, Ticket

SLOW = YAML.replace("admissions_per_second: 2, burst_seconds: 1", "admissions_per_second: 0.000001")


def room(**settings: Any) -> Edge:
    said = ", ".join(f"{key}: {value}" for key, value in settings.items())
    edge = Edge(SLOW.replace("    page:", f"    ticket: {{{said}}}\n    page:", 1))
    edge.fill()
    return edge


def comes_back(edge: Edge, after_s: float, accept: str = "application/json") -> tuple[str, Any]:
    """Return a visitor's first arrival, and the answer when they come back after `after_s`."""
    first = edge.ask()
    edge.now += after_s
    return status(first)["first_seen"], edge.ask(cookie=cookie_of(first), accept=accept)


@pytest.mark.parametrize(("after_s", "back_s"), [(61, 0), (899, 0), (905, 5), (1000, 100), (4000, 3100)])
def test_a_long_absence_moves_a_visitor_back_by_the_excess(after_s: float, back_s: float) -> None:
    """Second for second beyond the appointment and the allowance. The visitor is told once."""
    edge = room(away_seconds=900)
    since, answer = comes_back(edge, after_s)
    said = status(answer)
    moved = said.get("moved_back_seconds", 0)
    assert moved == pytest.approx(back_s, abs=1)
    assert (said["first_seen"] > since) is (back_s > 0)
    again = status(edge.ask(cookie=cookie_of(answer)))
    assert "moved_back_seconds" not in again
    assert again["first_seen"] == said["first_seen"]
    assert edge.counted("stanchion_tickets_requeued_total", room="checkout") == (moved > 0)


def test_without_the_setting_a_place_is_kept() -> None:
    edge = room()
    since, answer = comes_back(edge, 80_000)
    assert status(answer)["first_seen"] == since
    assert "moved_back_seconds" not in status(answer)


def test_a_visitor_that_keeps_polling_keeps_their_place() -> None:
    """At any interval up to the allowance, for hours."""
    edge = room(away_seconds=300)
    cookie, since = cookie_of(first := edge.ask()), status(first)["first_seen"]
    for gap_s in (1, 15, 59, 60, 61, 120, 239, 240) * 12:
        edge.now += gap_s
        answer = edge.ask(cookie=cookie)
        cookie = cookie_of(answer) or cookie
        assert status(answer)["first_seen"] == since
        edge.now += 0.5
        assert status(edge.ask())["first_seen"] > since


def test_a_long_appointment_is_not_an_absence() -> None:
    """A low budget of polls makes appointments long, and the ticket states the appointment."""
    edge = Edge(
        SLOW.replace("    page:", "    ticket: {away_seconds: 300}\n    polling: {max_seconds: 3600}\n    page:", 1)
    )
    edge.fill()
    tickets = [edge.ask() for _ in range(60)]
    edge.pass_time(30)
    again = edge.ask(cookie=cookie_of(tickets[-1]))
    after_s = status(again)["poll_after_seconds"]
    assert after_s > 600
    edge.now += after_s + 200
    assert "moved_back_seconds" not in status(edge.ask(cookie=cookie_of(again)))
    edge.now += 700
    assert "moved_back_seconds" in status(edge.ask(cookie=cookie_of(again)))


def test_the_page_explains_the_move_and_what_to_do() -> None:
    edge = room(away_seconds=1800)
    _, told = comes_back(edge, 2700, HTML)
    assert isinstance(told, Answer)
    assert b"moved back by about 15 minutes" in told.body
    assert b"return with this browser within 30 minutes" in told.body
    unchanged = edge.ask(cookie=cookie_of(told), accept=HTML)
    assert isinstance(unchanged, Answer)
    assert b'id="notice" hidden' in unchanged.body
    without = room().ask(accept=HTML)
    assert isinstance(without, Answer)
    assert b"with this browser and you keep your place" in without.body


def test_an_old_copy_of_a_ticket_hides_no_absence() -> None:
    """Each copy states when its visitor was last seen."""
    edge = room(away_seconds=300)
    first = cookie_of(edge.ask())
    edge.now += 400
    moved = status(edge.ask(cookie=first))
    edge.now += 400
    again = status(edge.ask(cookie=first))
    assert again["first_seen"] > moved["first_seen"]


moments = st.integers(0, 10**9).map(lambda ms: NOW + ms / 1000)


@given(moments, moments, moments, st.floats(300, 1e6), st.integers(0, 86_400))
def test_nobody_is_moved_behind_a_newcomer_or_forward(
    a: float, b: float, c: float, away_s: float, return_after_s: int
) -> None:
    first_seen, seen, now = sorted((a, b, c))
    ticket = Ticket("i" * 22, "checkout", first_seen, seen, return_after_s)
    assert first_seen <= ticket.renewed(now, away_s).first_seen <= now
    assert ticket.renewed(now).first_seen == first_seen


@given(st.integers(0, 86_400))
def test_a_ticket_states_its_long_appointment(return_after_s: int) -> None:
    """Nodes that do not know the field read it as a part of the id."""
    ticket = Ticket("i" * 22, "checkout", NOW, NOW, return_after_s)
    sealed = KEYS.seal(ticket)
    assert KEYS.read(sealed, "checkout") == ticket
    assert len(sealed.split(".")) == 6


def test_a_ticket_is_signed_again_at_most_once_a_minute() -> None:
    """The other answers to polls set no cookie."""
    edge = room(away_seconds=900)
    cookie, signed = cookie_of(edge.ask()), 0
    for _ in range(120):
        edge.now += 5
        answer = edge.ask(cookie=cookie)
        signed += header(answer, "Set-Cookie") is not None
        cookie = cookie_of(answer) or cookie
    assert signed <= 600 / RENEW_AFTER_S
    assert isinstance(Keyring([b"k" * 32]).read(cookie.partition("=")[2], "checkout"), Ticket)
