"""Which requests make a visitor: preflights, speculative requests, parts of pages, robots, siblings, other sites."""

import json
from typing import Any

import pytest

from edge.decision.visits import CROSS_FORM, GUEST, PREFLIGHT, SPECULATIVE, VISIT, is_same_site, kind_of
from edge.messages.head import FetchMetadata, RequestHead
from edge.messages.verdict import Answer, Forward, Verdict
from tests.edge.decision.test_pipeline import HTML, KEYS, NOW, YAML, Edge, cookie_of, header
from waiting_room.ticket import Pass

PASS = "stanchion_checkout=" + KEYS.seal(Pass("a" * 22, "checkout", NOW - 60.0, NOW - 5.0, NOW + 500.0))
APP = "https://app.shop.example"
ONE_SEAT = YAML.replace("burst_seconds: 1}", "burst_seconds: 1, burst_floor: 1, total_active_users: 1}", 1)

#: Of `FetchMetadata`; a compiled class does not name its attributes.
SAID = ("origin", "site", "dest", "asked_method", "asked_fields", "purpose", "is_by_script")


def ask(edge: Edge, target: str = "/checkout", cookie: str = "", accept: str = HTML, **head: Any) -> Verdict:
    """Ask with what a browser says. origin, site, dest, purpose, asked_method, asked_fields: of `FetchMetadata`."""
    said = {key: head.pop(key) for key in list(head) if key in SAID}
    return edge.ask(target, cookie, accept, metadata=FetchMetadata(**said), **head)


def waiting_edge(yaml: str = YAML) -> Edge:
    edge = Edge(yaml)
    edge.fill()
    return edge


def set_cookies(verdict: Verdict) -> list[str]:
    fields = verdict.headers + verdict.cookies if isinstance(verdict, Answer) else verdict.response_headers
    return [value for name, value in fields if name == "Set-Cookie"]


PREFLIGHT_OF = {"method": "OPTIONS", "origin": APP, "asked_method": "PUT", "asked_fields": "x-cart, content-type"}


def test_a_preflight_reaches_the_shop_and_takes_nothing():
    """However long the line is, and however many preflights come."""
    edge = waiting_edge()
    for _ in range(20):
        assert ask(edge, accept="*/*", **PREFLIGHT_OF) == Forward(None, (), ())
    edge.pass_time(1.0)
    assert edge.pipeline.rooms.by_name["checkout"].gate.snapshot(edge.now).waiting <= 1


def test_a_preflight_with_a_cookie_is_none():
    """Browsers send none. So nobody reaches the shop with a session by asking as a preflight does."""
    assert isinstance(ask(waiting_edge(), cookie="session=1", **PREFLIGHT_OF), Answer)


CORS = YAML.replace('page: {message: "We open at ten"}', f'cors: {{origins: ["{APP}", "https://*.partner.example"]}}')


@pytest.mark.parametrize("target", ["/checkout/pay", "/_stanchion/status?room=checkout"])
@pytest.mark.parametrize(
    ("origin", "may"),
    [
        (APP, True),
        ("https://a.partner.example", True),
        ("https://partner.example", False),
        ("http://app.shop.example", False),
    ],
)
def test_the_rooms_policy_answers_a_preflight(target, origin, may):
    """For the origins that it names, with credentials. The shop is not asked."""
    answer = ask(waiting_edge(CORS), target, accept="*/*", **{**PREFLIGHT_OF, "origin": origin})
    assert isinstance(answer, Answer)
    assert (answer.status, answer.body, answer.cookies) == (204, b"", ())
    assert header(answer, "Access-Control-Allow-Origin") == (origin if may else None)
    if may:
        assert header(answer, "Access-Control-Allow-Credentials") == "true"
        assert header(answer, "Access-Control-Allow-Headers") == "x-cart, content-type"
        assert header(answer, "Access-Control-Allow-Methods") == ("GET, HEAD" if "status" in target else "PUT")


@pytest.mark.parametrize("target", ["/checkout/pay", "/_stanchion/status?room=checkout"])
def test_an_app_of_another_origin_can_follow_its_place(target):
    """It may read every answer of the edge: the first, those with a ticket, and nothing if its origin is not named."""
    edge = waiting_edge(CORS)
    for _ in range(100):  # polls near the front are parked
        edge.ask()
    first = ask(edge, target, accept="application/json", origin=APP, site="same-site", dest="empty", fetch_mode="cors")
    again = ask(edge, target, cookie_of(first), "application/json", origin=APP, site="same-site", fetch_mode="cors")
    for answer in (first, again):
        assert isinstance(answer, Answer)
        assert header(answer, "Access-Control-Allow-Origin") == APP
    assert json.loads(again.body)["position"] >= 1
    other = ask(edge, target, accept="application/json", origin="https://evil.example", site="same-site")
    assert header(other, "Access-Control-Allow-Origin") is None


SPECULATIVE_BY = [
    {"purpose": "prefetch"},
    {"purpose": "prefetch;prerender"},
    {"purpose": "prefetch;anonymous-client-ip"},
    {"purpose": "Preview"},
    {"purpose": ";prefetch"},
]


@pytest.mark.parametrize("said", SPECULATIVE_BY)
@pytest.mark.parametrize("is_full", [True, False])
def test_a_speculative_request_without_a_pass_takes_nothing(said, is_full):
    """A 503 that nothing keeps, whether there is a line or not. With a ticket too: the visitor has not asked."""
    edge = waiting_edge() if is_full else Edge()
    for cookie in ("", cookie_of(edge.ask()) if is_full else ""):
        answer = ask(edge, cookie=cookie, fetch_mode="navigate", **said)
        assert isinstance(answer, Answer)
        assert answer.status == 503
        assert header(answer, "Cache-Control") == "no-store"
        assert set_cookies(answer) == []
    if not is_full:
        assert isinstance(ask(edge, fetch_mode="navigate"), Forward)


@pytest.mark.parametrize("said", SPECULATIVE_BY)
def test_a_speculative_request_with_a_pass_goes_through(said):
    assert isinstance(ask(waiting_edge(), cookie=PASS, fetch_mode="navigate", **said), Forward)


def test_another_purpose_is_not_speculative():
    assert isinstance(ask(Edge(), fetch_mode="navigate", purpose="checkout-7"), Forward)


@pytest.mark.parametrize(
    "how",
    [
        {"method": "HEAD"},
        {"method": "OPTIONS"},
        {"dest": "manifest", "site": "same-origin", "fetch_mode": "cors"},
        {"dest": "image", "site": "same-origin", "fetch_mode": "no-cors"},
        {"dest": "font", "site": "same-site", "fetch_mode": "cors"},
        {"dest": "empty", "site": "cross-site", "fetch_mode": "no-cors"},
        {"dest": "iframe", "site": "cross-site", "fetch_mode": "navigate"},
    ],
)
def test_a_guest_takes_no_place_no_token_and_no_seat(how):
    """It reaches the shop while nobody waits. In a line it is told so, without a cookie."""
    edge = Edge(ONE_SEAT)
    forwarded = ask(edge, accept="*/*", **how)
    assert isinstance(forwarded, Forward)
    assert forwarded.visitor_pass is None
    assert set_cookies(forwarded) == []
    assert isinstance(edge.ask(), Forward), "the token and the vacancy are there for a visitor"
    for _ in range(10):
        answer = ask(edge, accept="*/*", **how)
        assert isinstance(answer, Answer)
        assert set_cookies(answer) == []
        assert answer.status == (200 if how.get("method") or how["dest"] == "iframe" else 503)
    edge.pass_time(1.0)
    assert edge.pipeline.rooms.by_name["checkout"].gate.snapshot(edge.now).waiting == 0
    assert isinstance(ask(edge, cookie=PASS, accept="*/*", **how), Forward)


def test_a_flood_of_guests_is_bounded():
    """A room of 2 a second lets one a second through."""
    edge = Edge()
    count = 0
    for _ in range(1000):
        count += isinstance(ask(edge, method="HEAD"), Forward)
        edge.now += 0.01
    assert count <= 12
    assert isinstance(edge.ask(), Forward)


# Other sites


@pytest.mark.parametrize(
    "how",
    [
        {"site": "cross-site", "dest": "document", "fetch_mode": "navigate", "origin": "https://pay.example"},
        {"origin": "https://pay.example"},
        {"origin": "null"},
    ],
)
def test_a_form_of_another_site_gets_a_page_that_loads_itself(how):
    """No cookie is set, so the visitor's own pass is not overwritten. While nobody waits, the form reaches the shop."""
    edge = waiting_edge()
    answer = ask(edge, "/checkout/done", method="POST", **how)
    assert isinstance(answer, Answer)
    assert set_cookies(answer) == []
    assert b'http-equiv="refresh" content="0"' in answer.body
    forwarded = ask(Edge(), "/checkout/done", method="POST", **how)
    assert isinstance(forwarded, Forward)
    assert set_cookies(forwarded) == []


def test_a_form_of_another_site_takes_a_token():
    """It may change something, so it is no way around the capacity."""
    edge = Edge()
    how = {"method": "POST", "site": "cross-site", "dest": "document", "fetch_mode": "navigate"}
    assert sum(isinstance(ask(edge, **how), Forward) for _ in range(20)) == 2


@pytest.mark.parametrize(
    ("origin", "host", "domain", "is_same"),
    [
        ("https://shop.example", "shop.example:8443", "", True),
        ("https://www.shop.example", "api.shop.example", "", True),
        ("https://shop.co.uk", "other.co.uk", "", False),
        ("https://www.shop.co.uk", "shop.co.uk", "", True),
        ("https://evil.example", "shop.example", "", False),
        ("https://shop.example.evil.test", "shop.example", "", False),
        ("http://127.0.0.2", "127.0.0.1:80", "", False),
        ("http://[::1]:80", "[::1]", "", True),
        ("https://a.b.co.uk", "b.co.uk", "b.co.uk", True),
        ("capacitor://localhost", "shop.example", "", False),
    ],
)
def test_sites(origin, host, domain, is_same):
    assert is_same_site(origin, host, domain) is is_same


def test_fetch_metadata_beats_the_origin():
    """A browser knows the public suffixes."""

    def kind(**said: str) -> int:
        head = RequestHead("POST", "/", "shop.example", "https", "192.0.2.1", accept=HTML, fetch_mode="navigate")
        head.metadata = FetchMetadata(**said)
        return kind_of(head)

    assert kind(origin="https://evil.example", site="same-origin", dest="document") == VISIT
    assert kind(origin="https://shop.example", site="cross-site", dest="document") == CROSS_FORM
    assert kind(origin="https://shop.example", site="same-site", dest="document") == VISIT
    assert kind(purpose="prefetch") == SPECULATIVE
    assert kind(dest="manifest", site="cross-site") in (GUEST, CROSS_FORM)
    assert PREFLIGHT not in (kind(asked_method="PUT"), kind(origin="https://shop.example", asked_method="PUT"))


# Requests that change something


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
@pytest.mark.parametrize(
    ("accept", "mode"),
    [("*/*", ""), ("application/json", "cors"), (HTML, "cors"), ("application/json, */*", "same-origin")],
)
def test_a_script_that_changes_something_is_not_told_that_it_did(method, accept, mode):
    """503 with the document, also if a page is named before JSON. The ticket is kept."""
    answer = ask(waiting_edge(), method=method, accept=accept, fetch_mode=mode, dest="empty")
    assert isinstance(answer, Answer)
    assert answer.status == 503
    assert json.loads(answer.body)["state"] == "waiting"
    assert int(header(answer, "Retry-After") or 0) >= 1
    assert cookie_of(answer).startswith("stanchion_checkout=t1.")


@pytest.mark.parametrize("mode", ["navigate", "", "same-origin"])
def test_a_form_that_is_sent_while_waiting_gets_the_page(mode):
    """A service worker sends a navigation on with the mode 'same-origin'."""
    answer = ask(waiting_edge(), method="POST", fetch_mode=mode, site="same-origin")
    assert isinstance(answer, Answer)
    assert answer.status == 200
    assert answer.body.startswith(b"<!doctype html>")


# Admissions that nobody uses


def active(edge: Edge) -> int:
    return edge.pipeline.rooms.by_name["checkout"].vacancies.active(edge.now)


LIMITED = YAML.replace(
    "admissions_per_second: 2, burst_seconds: 1}", "admissions_per_second: 50, total_active_users: 20}", 1
)


def test_an_admission_that_nobody_uses_gives_its_seat_back():
    """After `session.confirm_seconds`, and not before."""
    edge = Edge(LIMITED)
    for _ in range(20):
        assert isinstance(edge.ask(user_agent="Mozilla/5.0 Chrome/150"), Forward)
    assert isinstance(edge.ask(), Answer)
    edge.pass_time(14.0)
    assert active(edge) == 20
    edge.pass_time(2.0)
    assert active(edge) == 0
    assert isinstance(edge.ask(), Forward)


def test_a_visitor_that_shows_the_pass_stays_counted():
    """Shown once is enough, the cookie is then replaced, and parallel requests count once."""
    edge = Edge(LIMITED)
    cookie = cookie_of(edge.ask())
    edge.now += 1.0
    confirmed = [cookie_of(edge.ask(cookie=cookie)) for _ in range(5)]
    assert all(each.startswith("stanchion_checkout=p1.") and each != cookie for each in confirmed)
    edge.pass_time(30.0)
    assert active(edge) == 1
    assert header(edge.ask(cookie=confirmed[0]), "Set-Cookie") is None
    edge.pass_time(600.0)
    assert active(edge) == 0


def test_a_pass_that_is_shown_late_counts_again():
    """It is valid all the time, and counts once however many requests show it."""
    edge = Edge(LIMITED)
    cookie = cookie_of(edge.ask())
    edge.pass_time(40.0)
    assert active(edge) == 0
    for _ in range(5):
        assert isinstance(edge.ask(cookie=cookie), Forward)
    assert active(edge) == 1
    edge.pass_time(600.0)
    assert active(edge) == 0


@pytest.mark.parametrize("shown_after_s", [None, 1.0, 40.0])
@pytest.mark.parametrize("ends_after_s", [2.0, 50.0])
def test_a_completed_session_gives_one_seat_back(shown_after_s, ends_after_s):
    """Whether its pass was shown in time, late or never, and whenever it ends."""
    edge = Edge(LIMITED)
    other = edge.ask(cookie=cookie_of(edge.ask()))  # another visitor; they stay
    assert isinstance(other, Forward)
    first = edge.ask()
    assert isinstance(first, Forward)
    visitor_pass = first.visitor_pass
    at = edge.now
    if shown_after_s is not None and shown_after_s < ends_after_s:
        edge.pass_time(shown_after_s)
        shown = edge.ask(cookie=cookie_of(first))
        assert isinstance(shown, Forward)
        visitor_pass = shown.visitor_pass
    edge.pass_time(at + ends_after_s - edge.now)
    assert visitor_pass is not None
    edge.pipeline.rooms.by_name["checkout"].end_session(visitor_pass, edge.now)
    assert active(edge) == 1
    edge.pass_time(60.0)
    assert active(edge) == 1


@pytest.mark.parametrize(
    "agent",
    [
        "UptimeRobot/2.0",
        "facebookexternalhit/1.1",
        "Slackbot-LinkExpanding 1.0",
        "Mozilla/5.0 (compatible; Googlebot/2.1)",
    ],
)
def test_a_robot_that_says_so_holds_no_seat(agent):
    """Unless it keeps the cookie: then it counts like anybody."""
    edge = Edge(ONE_SEAT.replace("burst_seconds: 1", "burst_seconds: 9"))
    for _ in range(5):
        cookie = cookie_of(edge.ask(user_agent=agent))
    assert active(edge) == 0
    edge.ask(cookie=cookie, user_agent=agent)
    assert active(edge) == 1
    assert isinstance(edge.ask(), Answer)


def test_without_confirmation_every_admission_counts():
    edge = Edge(LIMITED.replace("duration_seconds: 600", "duration_seconds: 600, confirm_seconds: null"))
    cookie = cookie_of(edge.ask())
    assert header(edge.ask(cookie=cookie), "Set-Cookie") is None
    edge.pass_time(100.0)
    assert active(edge) == 1


# The first requests of one page

SCRIPT = {"fetch_mode": "cors", "site": "same-origin", "dest": "empty", "referer": "https://shop.example/checkout"}


@pytest.mark.parametrize("is_full", [True, False])
def test_the_first_requests_of_one_page_make_one_visitor(is_full):
    """Five at once, without a cookie: all get the same place, or the same pass."""
    edge = Edge(YAML.replace("admissions_per_second: 2", "admissions_per_second: 50"))
    if is_full:
        edge.fill()
    before = edge.counted("stanchion_admissions_total", room="checkout")
    got = [ask(edge, f"/checkout/api/{n}", accept="application/json", **SCRIPT) for n in range(5)]
    idents = {KEYS.read(cookie_of(each).partition("=")[2], "checkout").id for each in got}  # type: ignore[union-attr]
    assert len(idents) == 1
    assert edge.counted("stanchion_admissions_total", room="checkout") - before == (0 if is_full else 1)


@pytest.mark.parametrize(
    "other",
    [
        {"client_ip": "203.0.113.10"},
        {"user_agent": "another"},
        {"accept_language": "fr"},
        {"referer": "https://shop.example/checkout/2"},
        {"fetch_mode": "navigate", "dest": "document"},
    ],
)
def test_requests_of_other_pages_do_not_join(other):
    edge = Edge(YAML.replace("admissions_per_second: 2", "admissions_per_second: 50"))
    ask(edge, "/checkout/api/1", accept="application/json", **SCRIPT)
    ask(edge, "/checkout/api/2", accept="application/json", **{**SCRIPT, **other})
    assert edge.counted("stanchion_admissions_total", room="checkout") == 2


def test_two_visitors_behind_one_address_are_not_one():
    """Both open the same page in the same second. Once an address is asked twice, nobody joins anybody."""
    edge = Edge(YAML.replace("admissions_per_second: 2", "admissions_per_second: 50"))
    places = [
        KEYS.read(
            cookie_of(ask(edge, f"/checkout/api/{n}", accept="application/json", **SCRIPT)).partition("=")[2],
            "checkout",
        )
        for n in (1, 1, 2, 2)
    ]
    assert len({place.id for place in places}) >= 3  # type: ignore[union-attr]
    assert places[0].id != places[1].id  # type: ignore[union-attr]
    navigations = {cookie_of(ask(edge, fetch_mode="navigate", dest="document")) for _ in range(3)}
    assert len(navigations) == 3


def test_nobody_joins_after_a_second():
    edge = Edge(YAML.replace("admissions_per_second: 2", "admissions_per_second: 50"))
    ask(edge, "/checkout/api/1", accept="application/json", **SCRIPT)
    edge.now += 1.5
    ask(edge, "/checkout/api/2", accept="application/json", **SCRIPT)
    assert edge.counted("stanchion_admissions_total", room="checkout") == 2


FORM_LIKE = {"method": "POST", "accept": HTML}


@pytest.mark.parametrize(
    ("how", "is_page"),
    [
        (FORM_LIKE, True),
        (FORM_LIKE | {"fetch_mode": "navigate"}, True),
        (FORM_LIKE | {"fetch_mode": "navigate", "accept": "*/*"}, True),
        (FORM_LIKE | {"fetch_mode": "same-origin"}, True),  # by a service worker
        (FORM_LIKE | {"is_by_script": True}, False),
        (FORM_LIKE | {"accept": "text/html, application/json"}, False),
        (FORM_LIKE | {"fetch_mode": "cors"}, False),
        (FORM_LIKE | {"fetch_mode": "same-origin", "is_by_script": True}, False),
        ({"method": "PUT", "accept": HTML}, False),
        ({"method": "PATCH", "accept": HTML, "fetch_mode": "same-origin"}, False),
        ({"method": "DELETE", "accept": HTML}, False),
    ],
)
def test_a_page_answers_only_what_a_browser_shows(how, is_page):
    """To a script a 200 would say that its order was taken."""
    answer = ask(waiting_edge(), **how)
    assert isinstance(answer, Answer)
    if is_page:
        assert answer.status == 200
        assert header(answer, "Stanchion-State") == "waiting"
        return
    assert answer.status == 503
    assert header(answer, "Retry-After")
    assert header(answer, "Content-Type") == "application/json"
    assert set_cookies(answer)
