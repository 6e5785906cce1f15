"""The pipeline without sockets: real gate, real tickets, real page; time and chance are passed in."""

import json
import random
from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import GateSettings
from edge.decision.bypass import Bypass
from edge.decision.context import DecisionContext
from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.messages.cluster import RoomEvent
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.redemption import RedemptionClient
from edge.rooms.table import build_rooms
from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.shield.shield import Shield
from waiting_room.assets import Assets
from waiting_room.ticket import Keyring, Pass, new_ticket

NOW = 1_795_000_000.0
KEYS = Keyring([b"k" * 32])
ASSETS = Assets.load()
HTML = "text/html,application/xhtml+xml,*/*;q=0.8"

YAML = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
rooms:
  - name: checkout
    match: {paths: ["/checkout*"], bypass: ["/checkout/terms"]}
    capacity: {admissions_per_second: 2, burst_seconds: 1}
    session: {duration_seconds: 600}
    page: {message: "We open at ten"}
  - name: tickets
    match: {host: "*.tickets.example", paths: ["*"]}
    capacity: {admissions_per_second: 2}
"""


class Edge:
    """A pipeline with a clock in hand."""

    def __init__(
        self,
        yaml: str = YAML,
        redemption: RedemptionClient | None = None,
        shield: Shield | None = None,
        bypass: Bypass | None = None,
    ) -> None:
        self.settings: Settings = parse_settings(yaml)
        self.now = NOW
        self.events: list[RoomEvent] = []
        self.metrics = Metrics()
        self.chance = random.Random(7)
        rooms = build_rooms(self.settings, ASSETS, lambda name: [[0] * 69], 0, NOW, 0.0)
        self.pipeline = Pipeline(
            rooms,
            KEYS,
            Responses(ASSETS),
            self.metrics,
            self.settings.cookies,
            self.chance.randbytes,
            self.events.append,
            shield,
            redemption=redemption,
            bypass=bypass,
        )

    def ask(
        self, target: str = "/checkout", cookie: str = "", accept: str = "application/json", **head: str
    ) -> Verdict:
        asked = self.head(target, cookie, accept, **head)
        return self.pipeline.decide(self.pipeline.classify(asked), self.now, self.chance.random())

    def head(
        self, target: str = "/checkout", cookie: str = "", accept: str = "application/json", **head: str
    ) -> RequestHead:
        asked = RequestHead(head.pop("method", "GET"), target, "shop.example", "http", "203.0.113.9", cookie, accept)
        return replace(asked, **head)

    def fill(self) -> None:
        """Empty the bucket, so that the next visitor waits."""
        while isinstance(self.ask(), Forward):
            pass

    def pass_time(self, seconds: float) -> None:
        steps = max(1, round(seconds / 0.1))
        for _ in range(steps):
            self.now += seconds / steps
            for room in self.pipeline.rooms.rooms:
                room.tick(self.now)

    def counted(self, name: str, **labels: str) -> float:
        self.metrics.flush()
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def header(verdict: Verdict, name: str) -> str | None:
    headers = verdict.headers + verdict.cookies if isinstance(verdict, Answer) else verdict.response_headers
    found = [value for key, value in headers if key == name and "Max-Age=0" not in value]
    assert len(found) <= 1
    return found[0] if found else None


def cookie_of(verdict: Verdict) -> str:
    return (header(verdict, "Set-Cookie") or "").partition(";")[0]


def status(verdict: Verdict) -> dict[str, Any]:
    assert isinstance(verdict, Answer)
    document: dict[str, Any] = json.loads(verdict.body)
    return document


def test_a_path_of_no_room_goes_straight_through() -> None:
    """No ticket, no state, and nothing is added to the request."""
    assert Edge().ask("/products/7") == Forward(None, (), ())


@pytest.mark.parametrize(
    "target", ["/robots.txt", "/.well-known/acme-challenge/x", "/checkout/a.css", "/checkout/terms"]
)
def test_a_bypassed_path_never_queues(target: str) -> None:
    """Files and requests of machines pass while the line is full; a form sent to such a path does not."""
    edge = Edge()
    edge.fill()
    assert edge.ask(target) == Forward(None, (), ())
    if target.startswith("/checkout"):
        assert isinstance(edge.ask(target, method="POST"), Answer)


def test_an_empty_line_admits_a_first_visit_with_a_pass() -> None:
    """The request is forwarded, the upstream is told the ticket, and the visitor gets a pass."""
    verdict = Edge().ask()
    assert isinstance(verdict, Forward)
    assert verdict.visitor_pass is not None
    told = dict(verdict.request_headers)
    assert told["X-Stanchion-Room"] == "checkout"
    assert told["X-Stanchion-Ticket"] == verdict.visitor_pass.id
    assert float(told["X-Stanchion-Admitted-At"]) == NOW
    assert header(verdict, "Stanchion-State") == "admitted"
    cookie = header(verdict, "Set-Cookie") or ""
    assert cookie.startswith("stanchion_checkout=p1.")
    assert cookie.endswith("; Path=/; Max-Age=600; HttpOnly; SameSite=Lax")


def test_a_full_room_answers_with_position_and_appointment_and_never_429() -> None:
    """The status document, and the fields of every response to a waiting visitor."""
    edge = Edge()
    edge.fill()
    verdict = edge.ask()
    assert isinstance(verdict, Answer)
    assert verdict.status == 200
    said = status(verdict)
    assert said["state"] == "waiting"
    assert said["room"] == "checkout"
    assert said["position"] >= 1
    assert said["poll_after_seconds"] >= 1
    assert said["eta_seconds"]["p50"] <= said["eta_seconds"]["p90"]
    assert said["message"] == "We open at ten"
    named = dict(verdict.headers)
    assert named["Cache-Control"] == "no-store"
    assert named["Vary"] == "Accept, Cookie"
    assert named["X-Robots-Tag"] == "noindex"
    assert named["Stanchion-State"] == "waiting"
    assert int(named["Retry-After"]) >= said["poll_after_seconds"]


def test_browsers_get_the_page_and_programs_the_document() -> None:
    """The same status in two forms."""
    edge = Edge()
    edge.fill()
    page = edge.ask(accept=HTML)
    assert isinstance(page, Answer)
    assert page.body.startswith(b"<!doctype html>")
    assert header(page, "Content-Security-Policy")
    assert header(edge.ask(accept="*/*"), "Content-Type") == "application/json"


def test_a_waiting_visitor_keeps_their_arrival_and_is_admitted() -> None:
    """`first_seen` stays, most polls sign nothing again, and at last the pass comes."""
    edge = Edge()
    edge.fill()
    first = edge.ask()
    cookie, since = cookie_of(first), status(first)["first_seen"]
    for _ in range(60):
        edge.pass_time(1.0)
        verdict = edge.ask(cookie=cookie)
        if isinstance(verdict, Forward):
            break
        assert status(verdict)["first_seen"] == since
        assert header(verdict, "Set-Cookie") is None
    assert isinstance(verdict, Forward)
    assert cookie_of(verdict).startswith("stanchion_checkout=p1.")


def test_a_node_measures_the_fairness_of_its_own_admissions() -> None:
    """Waits and overtaking are measured, and a visitor that shows a redeemed ticket is not counted twice."""
    edge = Edge()
    edge.fill()
    cookie = cookie_of(edge.ask())
    while not isinstance(edge.ask(cookie=cookie), Forward):
        edge.pass_time(0.5)
    edge.ask(cookie=cookie)
    seen = edge.pipeline.rooms.by_name["checkout"].fairness.snapshot()
    assert seen.admissions == edge.counted("stanchion_admissions_total", room="checkout")
    assert seen.wait_max_s == pytest.approx(edge.now - NOW, abs=0.01)
    assert seen.kendall == 0.0
    assert edge.counted("stanchion_wait_seconds_count", room="checkout") == seen.admissions


def test_visitors_of_one_millisecond_have_places_of_their_own() -> None:
    """The clock does not move between them, and still each has a place."""
    edge = Edge()
    edge.fill()
    cookies = [cookie_of(edge.ask()) for _ in range(50)]
    edge.pass_time(0.1)
    assert edge.pipeline.rooms.by_name["checkout"].gate.snapshot(edge.now).waiting >= 45
    told = [verdict for cookie in cookies if isinstance(verdict := edge.ask(cookie=cookie), Answer)]
    assert len(told) >= 45  # the polls of those near the front are parked
    assert len({status(verdict)["first_seen"] for verdict in told}) == 1


def test_a_waiting_ticket_is_signed_again_once_a_minute() -> None:
    """A new sign of life, at the same place in line."""
    edge = Edge(YAML.replace("admissions_per_second: 2, burst_seconds: 1", "admissions_per_second: 0.001"))
    edge.fill()
    first = edge.ask()
    edge.pass_time(61)
    again = edge.ask(cookie=cookie_of(first))
    assert cookie_of(again) not in ("", cookie_of(first))
    assert status(again)["first_seen"] == status(first)["first_seen"]
    edge.pass_time(1)
    assert header(edge.ask(cookie=cookie_of(again)), "Set-Cookie") is None


def test_a_pass_skips_the_line_until_it_ends() -> None:
    """After it ends, its holder is a first visitor."""
    edge = Edge(YAML.replace("duration_seconds: 600", "duration_seconds: 60, renew: false"))
    cookie = cookie_of(edge.ask())
    edge.fill()
    edge.pass_time(59)
    edge.fill()
    assert isinstance(edge.ask(cookie=cookie), Forward)
    edge.pass_time(2.5)
    edge.fill()
    assert isinstance(edge.ask(cookie=cookie), Answer)
    assert edge.counted("stanchion_ticket_rejections_total", room="checkout", reason="expired") == 1


def test_a_pass_in_use_is_renewed_after_a_tenth_of_its_time() -> None:
    """Not at every request. The renewed pass lasts a whole session, and the id stays."""
    edge = Edge()
    first = edge.ask(cookie=cookie_of(edge.ask()))  # the pass is shown once
    edge.pass_time(30)
    assert header(edge.ask(cookie=cookie_of(first)), "Set-Cookie") is None
    edge.pass_time(40)
    renewed = edge.ask(cookie=cookie_of(first))
    assert isinstance(first, Forward)
    assert isinstance(renewed, Forward)
    assert first.visitor_pass is not None
    assert renewed.visitor_pass is not None
    assert renewed.visitor_pass.id == first.visitor_pass.id
    assert renewed.visitor_pass.expires >= edge.now + 600


def test_a_redeemed_ticket_shown_again_gets_the_same_pass() -> None:
    """After a lost response, from a second tab, by a double click, whatever the line is like."""
    edge = Edge()
    edge.fill()
    cookie = cookie_of(edge.ask())
    verdict: Verdict = edge.ask(cookie=cookie)
    while not isinstance(verdict, Forward):
        edge.pass_time(0.5)
        verdict = edge.ask(cookie=cookie)
    admitted = edge.counted("stanchion_admissions_total", room="checkout")
    for _ in range(20):
        again = edge.ask(cookie=cookie)
        assert isinstance(again, Forward)
        assert again.visitor_pass == verdict.visitor_pass
    assert edge.counted("stanchion_admissions_total", room="checkout") == admitted


def seal(change: str) -> str:
    good = KEYS.seal(Pass("i" * 22, "checkout", NOW - 9, NOW - 5, NOW + 500))
    ticket = KEYS.seal(new_ticket("checkout", NOW - 100, bytes(16)))
    other = Keyring([b"f" * 32])
    return {
        "tampered": "stanchion_checkout=" + good.replace("checkout", "checkouu"),
        "later end": "stanchion_checkout=" + good.replace(str(int(NOW + 500)), str(int(NOW + 9500))),
        "truncated": "stanchion_checkout=" + good[:-5],
        "foreign key": "stanchion_checkout=" + other.seal(Pass("i" * 22, "checkout", NOW - 9, NOW - 5, NOW + 500)),
        "foreign room": "stanchion_checkout=" + KEYS.seal(Pass("i" * 22, "tickets", NOW - 9, NOW - 5, NOW + 500)),
        "future": "stanchion_checkout=" + KEYS.seal(new_ticket("checkout", NOW + 60, bytes(16))),
        "future pass": "stanchion_checkout=" + KEYS.seal(Pass("i" * 22, "checkout", NOW, NOW + 60, NOW + 500)),
        "oversized": "stanchion_checkout=" + good + "A" * 5000,
        "duplicated": f"stanchion_checkout={good}x; stanchion_checkout={ticket}x",
        "ended": "stanchion_checkout=" + KEYS.seal(Pass("i" * 22, "checkout", NOW - 900, NOW - 900, NOW - 1)),
        "empty": "stanchion_checkout=",
        "bytes": "stanchion_checkout=\udcff\udcfe\x00",
        "relabelled": "stanchion_checkout=p1" + ticket[2:],
    }[change]


@pytest.mark.parametrize(
    "change",
    [
        *("tampered", "later end", "truncated", "foreign key", "foreign room", "future", "future pass"),
        *("oversized", "duplicated", "ended", "empty", "bytes", "relabelled"),
    ],
)
def test_a_rejected_cookie_is_a_first_visit(change: str) -> None:
    """Never an error, never an admission: a new ticket, and a counter by reason."""
    edge = Edge()
    edge.fill()
    verdict = edge.ask(cookie=seal(change))
    assert isinstance(verdict, Answer)
    assert verdict.status == 200
    assert cookie_of(verdict).startswith("stanchion_checkout=t1.")
    assert status(verdict)["first_seen"] == status(edge.ask())["first_seen"]
    edge.metrics.flush()
    counted = sum(
        sample.value
        for family in edge.metrics.registry.collect()
        for sample in family.samples
        if sample.name == "stanchion_ticket_rejections_total"
    )
    assert counted == 1


@pytest.mark.parametrize("target", ["/checkout", "/_stanchion/status?room=checkout"])
def test_a_request_context_is_not_changed_by_deciding(target: str) -> None:
    """A cached head's context serves many requests: while its visitor waits, is admitted, and when their pass ends."""
    edge = Edge()
    edge.fill()
    cookie = cookie_of(edge.ask())
    for _ in range(2):
        context = edge.pipeline.classify(edge.head(target, cookie))
        before = fields_of(context)
        for seconds in (0.5, 1.0, 70.0, 700.0):
            verdict = edge.pipeline.decide(context, edge.now, 0.5)
            cookie = cookie_of(verdict) or cookie if not isinstance(verdict, Deferred) else cookie
            edge.pass_time(seconds)
        assert fields_of(context) == before


def fields_of(context: DecisionContext) -> dict[str, object]:
    """Return all fields of a context."""
    return {each.name: getattr(context, each.name) for each in fields(context)}


@given(
    cookie=st.text(max_size=300), target=st.text(max_size=60), accept=st.text(max_size=40), host=st.text(max_size=20)
)
def test_no_head_raises(cookie: str, target: str, accept: str, host: str) -> None:
    """Any text in a head yields a verdict, and without an authentic pass no visitor is admitted."""
    edge = SHARED
    verdict = edge.ask(target, cookie, accept, host=host)
    assert isinstance(verdict, Answer) or verdict.room is None


SHARED = Edge(YAML.replace("admissions_per_second: 2", "admissions_per_second: 0.0001"))
SHARED.fill()
while isinstance(SHARED.ask("/", host="a.tickets.example"), Forward):
    pass


def test_the_status_address_admits_without_forwarding() -> None:
    """A poll is answered `waiting` with an appointment, then `admitted` with the pass; the upstream sees nothing."""
    edge = Edge()
    edge.fill()
    poll = "/_stanchion/status?room=checkout"
    waiting = edge.ask(poll)
    assert status(waiting)["state"] == "waiting"
    cookie = cookie_of(waiting)
    for _ in range(60):
        edge.pass_time(1.0)
        told = edge.ask(poll, cookie=cookie)
        if status(told)["state"] == "admitted":
            break
    assert status(told)["state"] == "admitted"
    assert header(told, "Stanchion-State") == "admitted"
    edge.fill()
    assert isinstance(edge.ask(cookie=cookie_of(told)), Forward)
    assert status(edge.ask(poll, cookie=cookie_of(told)))["state"] == "admitted"


@pytest.mark.parametrize(
    ("target", "method", "code"),
    [
        ("/_stanchion/status", "GET", 404),
        ("/_stanchion/status?room=nope", "GET", 404),
        ("/_stanchion/status?room=checkout", "POST", 405),
        ("/_stanchion/else", "GET", 404),
        ("/_stanchion/static/nope.css", "GET", 404),
        ("/_stanchion/static/../../setup.cfg", "GET", 404),
    ],
)
def test_faults_at_the_edges_own_addresses_are_problem_documents(target: str, method: str, code: int) -> None:
    """They never reach the upstream (RFC 9457)."""
    verdict = Edge().ask(target, method=method)
    assert isinstance(verdict, Answer)
    assert verdict.status == code
    assert json.loads(verdict.body)["status"] == code
    assert header(verdict, "Content-Type") == "application/problem+json"


def test_static_files_are_immutable_and_revalidated_by_etag() -> None:
    """Their names carry the hash of their content."""
    edge = Edge()
    asset = next(iter(ASSETS))
    served = edge.ask(asset.url)
    assert isinstance(served, Answer)
    assert served.body == asset.body
    assert "immutable" in (header(served, "Cache-Control") or "")
    packed = edge.ask(asset.url, accept_encoding="br, gzip;q=0.8")
    assert isinstance(packed, Answer)
    assert packed.body == asset.gzipped
    assert header(packed, "Content-Encoding") == "gzip"
    again = edge.ask(asset.url, if_none_match=asset.etag)
    assert isinstance(again, Answer)
    assert (again.status, again.body) == (304, b"")


def test_a_page_that_reloads_without_its_cookie_explains_cookies() -> None:
    """With scripts off the page loads itself again. Without a cookie the visitor would never advance."""
    edge = Edge()
    edge.fill()
    first = edge.ask(accept=HTML)
    again = edge.ask(accept=HTML, referer="http://shop.example/checkout")
    elsewhere = edge.ask(accept=HTML, referer="http://shop.example/products/7")
    assert isinstance(again, Answer)
    assert b'data-view="cookies"' in again.body
    for verdict in (first, elsewhere):
        assert isinstance(verdict, Answer)
        assert b'data-view="waiting"' in verdict.body


def test_sold_out_stops_admissions_until_a_restock() -> None:
    """It holds for waiting visitors, not for admitted ones."""
    edge = Edge()
    inside = edge.ask()
    assert isinstance(inside, Forward)
    context = edge.pipeline.classify(RequestHead("GET", "/checkout", "shop.example", "http", "203.0.113.9"))
    edge.pipeline.observe(context, inside, [("Stanchion-Stock", "0"), ("Stanchion-Command", "sold-out")], NOW)
    assert edge.events == [RoomEvent("checkout", 0, True)]
    told = status(edge.ask())
    assert (told["state"], told["stock"]) == ("sold_out", 0)
    assert told["poll_after_seconds"] == 15
    assert isinstance(edge.ask(cookie=cookie_of(inside)), Forward)
    edge.pipeline.apply(RoomEvent("checkout", 3, False), NOW)
    assert isinstance(edge.ask(), Forward)


@pytest.mark.parametrize("command", ["complete", "revoke", "Complete"])
def test_the_upstream_ends_a_session(command: str) -> None:
    """The pass is removed and its vacancy is free for the next visitor."""
    edge = Edge(YAML.replace("burst_seconds: 1}", "burst_seconds: 1, total_active_users: 1}", 1))
    first = edge.ask()
    assert isinstance(first, Forward)
    edge.pass_time(5)
    assert isinstance(edge.ask(), Answer), "the room is full of active visitors, though the bucket is not empty"
    context = edge.pipeline.classify(RequestHead("GET", "/checkout", "shop.example", "http", "203.0.113.9"))
    [(name, value)] = edge.pipeline.observe(context, first, [("Stanchion-Command", command)], edge.now)
    assert (name, value.partition(";")[0]) == ("Set-Cookie", "stanchion_checkout=")
    assert "Max-Age=0" in value
    edge.pass_time(5)
    assert isinstance(edge.ask(), Forward)


@pytest.mark.parametrize(
    ("secure", "scheme", "is_secure"),
    [("auto", "http", False), ("auto", "https", True), ("always", "http", True), ("never", "https", False)],
)
def test_cookies_have_the_secure_attribute_as_set(secure: str, scheme: str, is_secure: bool) -> None:
    """`auto` follows the scheme that the client used."""
    edge = Edge(YAML + f"\ncookies: {{secure: {secure}}}\n")
    assert ("; Secure" in (header(edge.ask(scheme=scheme), "Set-Cookie") or "")) is is_secure


def test_rooms_are_matched_by_host_too() -> None:
    """The first room of the file with matching host and path. Hosts ignore case, port and a trailing dot."""
    for host in ("a.tickets.example", "A.Tickets.Example:8443", "a.tickets.example."):
        verdict = Edge().ask("/anything", host=host)
        assert isinstance(verdict, Forward)
        assert verdict.room == "tickets"
    elsewhere = Edge().ask("/anything", host="tickets.example")
    assert isinstance(elsewhere, Forward)
    assert elsewhere.room is None


def test_a_reload_keeps_the_line() -> None:
    """The gate, its threshold and its bucket stay, and what the upstream stated of the stock."""
    edge = Edge()
    edge.fill()
    before = edge.pipeline.rooms.by_name["checkout"]
    before.learn_stock(RoomEvent("checkout", 4), edge.now)
    changed = parse_settings(YAML.replace("admissions_per_second: 2,", "admissions_per_second: 20,"))
    after = build_rooms(changed, ASSETS, lambda name: [[0] * 69], 0, edge.now, 0.0, edge.pipeline.rooms)
    room = after.by_name["checkout"]
    assert room.gate is before.gate
    assert room.stock.free == 4
    snapshot = room.gate.snapshot(edge.now)
    assert snapshot.admissions_per_second == 20
    assert snapshot.bucket_level < 1


def test_a_node_gets_its_share_of_the_capacity() -> None:
    """Capacity and budget are divided by machines times workers."""
    settings = parse_settings(YAML.replace("secret_keys_env", "workers: 2\ncluster: {machines: 5}\nsecret_keys_env"))
    rooms = build_rooms(settings, ASSETS, lambda name: [[0] * 69], 0, NOW, 0.0)
    assert rooms.by_name["checkout"].gate.snapshot(NOW).admissions_per_second == pytest.approx(0.2)
    assert GateSettings(admissions_per_second=0.2, nodes=10).room_rate == pytest.approx(2.0)
