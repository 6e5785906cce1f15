"""Names and attributes of the cookies, and callbacks that come without them because another site sent them."""

import pytest

from edge.decision.cookies import Cookies
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward, Verdict
from edge.settings.model import CookieSettings
from tests.edge.decision.test_pipeline import KEYS, NOW, YAML, Edge
from waiting_room.ticket import Pass, Ticket, new_ticket

PASS = KEYS.seal(Pass("a" * 22, "checkout", NOW - 60.0, NOW - 5.0, NOW + 500.0))
TICKET = KEYS.seal(new_ticket("checkout", NOW - 100.0, bytes(16)))
PLAIN, PREFIXED = "stanchion_checkout", "__Host-stanchion_checkout"


def head(scheme: str, cookie: str = "") -> RequestHead:
    return RequestHead("GET", "/checkout", "shop.example", scheme, "203.0.113.9", cookie)


def set_by(verdict: Verdict) -> list[str]:
    headers = verdict.cookies if isinstance(verdict, Answer) else verdict.response_headers
    return [value for name, value in headers if name == "Set-Cookie"]


def ask(edge: Edge, scheme: str, cookie: str = "") -> Verdict:
    context = edge.pipeline.classify(head(scheme, cookie))
    return edge.pipeline.decide(context, edge.now, 0.5)


@pytest.mark.parametrize(
    ("secure", "domain", "scheme", "name", "attributes"),
    [
        ("auto", None, "https", PREFIXED, "; Secure"),
        ("auto", None, "http", PLAIN, ""),
        ("always", None, "http", PREFIXED, "; Secure"),
        ("never", None, "https", PLAIN, ""),
        ("auto", "shop.example", "https", PLAIN, "; Domain=shop.example; Secure"),
    ],
)
def test_the_name_follows_the_scheme(secure, domain, scheme, name, attributes):
    cookies = Cookies(CookieSettings(secure=secure, domain=domain))
    [(_, written)] = cookies.write(PLAIN, "x", 60, head(scheme))
    assert written == f"{name}=x; Path=/; Max-Age=60; HttpOnly; SameSite=Lax{attributes}"


@pytest.mark.parametrize(("scheme", "name", "other"), [("https", PREFIXED, PLAIN), ("http", PLAIN, PREFIXED)])
def test_a_cookie_of_the_other_name_keeps_its_place_and_is_replaced(scheme, name, other):
    """When HTTPS is put in front of the edge, no visitor starts anew, and none keeps two cookies."""
    edge = Edge()
    edge.fill()
    verdict = ask(edge, scheme, f"{other}={TICKET}")
    assert isinstance(verdict, Answer)
    edge.now += 70.0  # so that a sign of life is due
    written = set_by(ask(edge, scheme, f"lang=de; {other}={TICKET}"))
    assert len(written) == 2
    assert written[0].startswith(f"{name}=")
    again = KEYS.read(written[0].partition(";")[0].partition("=")[2], "checkout")
    assert isinstance(again, Ticket | Pass)
    assert again.first_seen == NOW - 100.0
    assert written[1].startswith(f"{other}=; Path=/; Max-Age=0; ")
    assert "; Secure" in written[1]


def test_over_https_the_prefixed_cookie_wins():
    """Another host may have set the other one."""
    edge = Edge()
    edge.fill()
    assert isinstance(ask(edge, "https", f"{PLAIN}=forged; {PREFIXED}={PASS}"), Forward)
    assert isinstance(ask(edge, "https", f"{PLAIN}={PASS}; {PREFIXED}={TICKET}"), Answer)


def test_the_end_of_a_session_removes_both_cookies():
    """Otherwise the pass of the other name would go on."""
    edge = Edge()
    context = edge.pipeline.classify(head("https", f"{PLAIN}={PASS}"))
    verdict = edge.pipeline.decide(context, edge.now, 0.5)
    assert isinstance(verdict, Forward)
    added = edge.pipeline.observe(context, verdict, [("Stanchion-Command", "complete")], edge.now)
    assert [value.partition(";")[0] for _, value in added] == [f"{PREFIXED}=", f"{PLAIN}="]
    assert all("Max-Age=0" in value for _, value in added)


CALLBACKS = YAML.replace('bypass: ["/checkout/terms"]', 'callbacks: ["/checkout/paid"]')


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_a_callback_needs_no_cookie(method):
    edge = Edge(CALLBACKS)
    edge.fill()
    assert edge.ask("/checkout/paid", method=method) == Forward(None, (), ())
    assert edge.ask("/checkout/paid?order=7", method=method) == Forward(None, (), ())


@pytest.mark.parametrize(
    "target", ["/checkout", "/checkout/paid/x", "/checkout/paidx", "/checkout/paid/../pay", "/checkout/paid/..;/pay"]
)
def test_no_other_path_passes_as_a_callback(target):
    edge = Edge(CALLBACKS)
    edge.fill()
    assert isinstance(edge.ask(target, method="POST"), Answer)
