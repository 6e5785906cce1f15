"""Binding: copies of a pass are noticed, and a bound pass does not count elsewhere, without an error."""

import logging
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.verdict import Answer, Forward, Verdict
from edge.rooms.binding import browser_family, network_prefix
from edge.rooms.redeemed_tickets import MOST, REDEEM_AGAIN_S, RedeemedTickets
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, header, status
from waiting_room.ticket import Keyring, Pass, Ticket, new_ticket

WINDOWS = (
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
)
NEWER = WINDOWS.replace("126", "131")
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 17_5 like Mac OS X) AppleWebKit/605.1.15 Version/17.5 Mobile Safari/604.1"
HOME: dict[str, Any] = {"user_agent": WINDOWS, "client_ip": "203.0.113.9"}
NEIGHBOUR = HOME | {"client_ip": "203.0.113.200"}
MOBILE = HOME | {"client_ip": "198.51.100.7"}
PHONE = MOBILE | {"user_agent": IPHONE}


def bound_to(*what: str) -> Edge:
    named = ", ".join(what)
    return Edge(YAML.replace("{duration_seconds: 600}", f"{{duration_seconds: 600, bind: [{named}]}}"))


def admitted(edge: Edge, **head: Any) -> str:
    verdict = edge.ask(**(HOME | head))
    assert isinstance(verdict, Forward)
    return cookie_of(verdict)


def is_in(verdict: Verdict) -> bool:
    return isinstance(verdict, Forward)


@pytest.mark.parametrize(
    ("bind", "head", "honoured", "differs"),
    [
        (("browser",), HOME, True, None),
        (("browser",), HOME | {"user_agent": NEWER}, True, None),
        (("browser",), NEIGHBOUR, True, None),
        (("browser",), MOBILE, True, "network"),
        (("browser",), HOME | {"user_agent": IPHONE}, False, "browser"),
        (("browser",), PHONE, False, "browser and network"),
        (("network",), MOBILE, False, "network"),
        (("network",), HOME | {"user_agent": IPHONE}, True, "browser"),
        (("browser", "network"), MOBILE, False, "network"),
        ((), PHONE, True, "browser and network"),
    ],
)
def test_a_pass_counts_where_it_is_bound_and_a_copy_is_noticed(
    bind: tuple[str, ...], head: dict[str, Any], honoured: bool, differs: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "edge.passes")
    edge = bound_to(*bind)
    cookie = admitted(edge)
    edge.fill()
    assert is_in(edge.ask(cookie=cookie, **head)) is honoured
    counted = edge.counted(
        "stanchion_pass_binding_mismatches_total",
        room="checkout",
        differs=differs or "",
        honoured="yes" if honoured else "no",
    )
    assert counted == (differs is not None)
    assert len(caplog.records) == (differs is not None)
    assert is_in(edge.ask(cookie=cookie, **HOME)), "the visitor that it was given to is in all the same"


def test_a_mismatch_shows_the_waiting_page_and_keeps_the_place() -> None:
    """The page shows the place of the first arrival, and the cookie holds a ticket for it."""
    edge = bound_to("browser")
    edge.fill()
    first = edge.ask(**HOME)
    waiting, since = cookie_of(first), status(first)["first_seen"]
    while not is_in(verdict := edge.ask(cookie=waiting, **HOME)):
        edge.pass_time(0.5)
    cookie = cookie_of(verdict)
    newcomer = edge.ask(**HOME)
    edge.fill()
    told = edge.ask(cookie=cookie, accept=HTML, **PHONE)
    assert isinstance(told, Answer)
    assert (told.status, header(told, "Stanchion-State")) == (200, "waiting")
    place = cookie_of(told)
    assert place.startswith("stanchion_checkout=t1.")
    again = status(edge.ask(cookie=place, **PHONE))
    assert again["first_seen"] == since
    assert again["position"] <= status(newcomer)["position"]


def test_a_copied_pass_changes_hands_once_a_minute_and_never_multiplies() -> None:
    """Given to a crowd, it stays one pass."""
    edge = bound_to("network")
    cookie = admitted(edge)
    crowd = [HOME | {"client_ip": f"198.51.{at}.1"} for at in range(20)]
    edge.pass_time(5)  # the bucket is full, so it is not the line that makes them wait
    places = [cookie_of(edge.ask(cookie=cookie, **each)) for each in crowd]
    inside: list[int] = []
    for _ in range(100):
        edge.pass_time(REDEEM_AGAIN_S / 50)
        for at, each in enumerate(crowd):
            verdict = edge.ask(cookie=places[at], **each)
            if is_in(verdict) and at not in inside:
                inside.append(at)
                places[at] = cookie_of(verdict)
    assert 1 <= len(inside) <= 2, "two minutes"
    assert not is_in(edge.ask(cookie=cookie, **HOME)), "the pass from before the move counts nowhere"
    holders = [at for at, each in enumerate(crowd) if is_in(edge.ask(cookie=places[at], **each))]
    assert len(holders) == 1


def test_a_visitor_that_changes_networks_is_admitted_again_after_a_minute() -> None:
    """However long ago they were admitted."""
    edge = bound_to("network")
    cookie = admitted(edge)
    edge.pass_time(REDEEM_AGAIN_S + 1)
    assert is_in(edge.ask(cookie=cookie, **MOBILE)), "a minute after the admission: at once"
    assert edge.counted("stanchion_admissions_total", room="checkout") == 2


def test_a_requeued_visitor_keeps_the_place_longer_than_the_pass_would_have_lasted() -> None:
    edge = bound_to("network")
    cookie = admitted(edge)
    edge.fill()
    place = cookie_of(edge.ask(cookie=cookie, **MOBILE))
    edge.now += 3000
    assert is_in(edge.ask(cookie=place, **MOBILE))
    assert edge.counted("stanchion_ticket_rejections_total", room="checkout", reason="used") == 0


def test_a_ticket_is_redeemed_once() -> None:
    """Shown again it gives the same pass while that lasts. A copy kept for later is a first visit."""
    edge = Edge()
    edge.fill()
    first = edge.ask(**HOME)
    ticket, since = cookie_of(first), status(first)["first_seen"]
    while not is_in(verdict := edge.ask(cookie=ticket, **HOME)):
        edge.pass_time(0.5)
    edge.now += 300
    again = edge.ask(cookie=ticket, **HOME)
    assert cookie_of(again) == cookie_of(verdict)
    edge.now += 400
    edge.fill()
    told = edge.ask(cookie=ticket, **HOME)
    assert isinstance(told, Answer)
    assert status(told)["first_seen"] > since
    assert edge.counted("stanchion_ticket_rejections_total", room="checkout", reason="used") == 1


@pytest.mark.parametrize("shown", [HOME, PHONE])
def test_an_ended_session_leaves_no_place(shown: dict[str, Any]) -> None:
    """Neither the ticket nor a copy of the pass has a place after the shop ended the session."""
    edge = bound_to("browser")
    verdict = edge.ask(**HOME)
    assert isinstance(verdict, Forward)
    assert verdict.visitor_pass is not None
    ticket = "stanchion_checkout=" + KEYS.seal(Ticket(verdict.visitor_pass.id, "checkout", NOW, NOW))
    facts = edge.pipeline.classify(edge.head(**HOME))
    edge.pipeline.observe(facts, verdict, [("Stanchion-Command", "complete")], edge.now)
    edge.fill()
    edge.pass_time(1.0)
    for cookie in (ticket, cookie_of(verdict)) if shown is PHONE else (ticket,):
        edge.fill()
        told = edge.ask(cookie=cookie, **shown)
        assert not is_in(told)
        assert not cookie_of(told).startswith(f"stanchion_checkout=t1.checkout.{verdict.visitor_pass.id}")


def test_passes_without_a_binding_digest_count_everywhere() -> None:
    """A node that does not know the digest reads it as a part of the id."""
    edge = bound_to("browser", "network")
    old = "stanchion_checkout=" + KEYS.seal(Pass("i" * 22, "checkout", NOW - 9, NOW - 5, NOW + 500))
    assert is_in(edge.ask(cookie=old, **PHONE))
    fields = admitted(edge).partition("=")[2].split(".")
    assert len(fields) == 7
    assert fields[2][22] == "~"


def test_binding_digests_hold_over_a_change_of_keys() -> None:
    """The newest key makes them, and all keys are tried. No two passes have the same digest."""
    old, new = b"o" * 32, b"n" * 32
    ticket = new_ticket("checkout", NOW, bytes(16))
    held = Pass(ticket.id, "checkout", NOW, NOW, NOW + 600, Keyring([old]).binding_digest(ticket.id, "chrome", "net"))
    assert Keyring([new, old]).differing(held, "chrome", "net") == ()
    assert Keyring([new, old]).differing(held, "safari", "net") == ("browser",)
    assert Keyring([new]).differing(held, "chrome", "net") == ("browser", "network")
    assert Keyring([old]).binding_digest("another", "chrome", "net") != held.binding_digest
    assert Keyring([old]).read(Keyring([old]).seal(held), "checkout") == held


@pytest.mark.parametrize(
    ("agent", "family"),
    [
        (WINDOWS, "chrome windows"),
        (WINDOWS + " Edg/126.0", "edge windows"),
        (IPHONE, "safari iphone"),
        (IPHONE.replace("Version/17.5", "CriOS/126"), "chrome iphone"),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", "firefox linux"),
        ("okhttp/4.12.0", "okhttp"),
        ("", ""),
    ],
)
def test_a_family_is_a_browser_and_its_system(agent: str, family: str) -> None:
    assert browser_family(agent) == family


@given(st.one_of(st.text(), st.ip_addresses().map(str)))
def test_every_address_is_in_one_network(address: str) -> None:
    """Also a text that is not an address: nothing raises, and equal texts give equal networks."""
    assert network_prefix(address, 24, 48) == network_prefix(address, 24, 48)
    assert network_prefix("::ffff:192.0.2.1", 24, 48) == network_prefix("192.0.2.99", 24, 48)
    assert network_prefix("2001:db8:1::1", 24, 48) == network_prefix("2001:db8:1:ffff::2", 24, 48)


def test_a_pass_that_another_node_superseded_is_forgotten() -> None:
    """Neither the pass nor its ticket gives the old pass again. News of an earlier time changes nothing."""
    redeemed = RedeemedTickets()
    given = Pass("i" * 22, "checkout", NOW, NOW + 10, NOW + 600)
    redeemed.add(given)
    redeemed.supersede(given.id, NOW + 5)
    assert redeemed.get(given.id) == given
    assert not redeemed.is_superseded(given)
    redeemed.supersede(given.id, NOW + 100)
    assert redeemed.get(given.id) is None
    assert redeemed.is_superseded(given)


def test_the_memory_of_redeemed_tickets_is_bounded() -> None:
    redeemed = RedeemedTickets()
    for at in range(2 * MOST):
        given = Pass(f"{at}", "checkout", NOW, NOW + at, NOW + at + 600)
        redeemed.add(given)
        redeemed.requeue(given, NOW)
    assert len(redeemed) == MOST
    assert not redeemed.is_superseded(given)
