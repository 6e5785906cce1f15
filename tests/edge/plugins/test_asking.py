"""The plugin listener without sockets: a load balancer's bytes in, what it is told out."""

import json
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from edge.messages.refusal import Refusal
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.plugins.asked_heads import AskedHeadCache
from edge.plugins.asking import Allowed, AskDecider
from edge.plugins.endpoint import endpoints_of
from edge.plugins.report import take_reports
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.response_writer import ResponseWriter
from edge.support.client_address import TrustedProxies
from tests.edge.decision.test_pipeline import HTML, YAML, Edge

ON = {"enabled": True}
SHOP_FIELDS = ("X-Stanchion-Room", "X-Stanchion-Ticket", "X-Stanchion-Admitted-At")


class AskedEdge:
    """An edge with a load balancer that the test plays."""

    def __init__(self, trusted: tuple[str, ...] = (), text: str = YAML, **plugins: Any) -> None:
        plugins = {
            "listen": "tcp://127.0.0.1:0",
            "endpoints": {"accel": ON, "auth_request": ON, "forward_auth": ON, "ext_authz": ON},
            **plugins,
        }
        self.edge = Edge(text + yaml.safe_dump({"plugins": plugins}))
        self.timers: list[tuple[float, Callable[[], None]]] = []
        self.decider = AskDecider(self.edge.pipeline, self.edge.metrics, lambda: self.edge.now, self._later)
        proxies = TrustedProxies(trusted)
        proxies.is_empty = False
        endpoints = endpoints_of(self.edge.settings.plugins)
        self.cache = AskedHeadCache(self.decider, proxies, endpoints, max_fields=100, max_target=8192)

    def _later(self, seconds: float, call: Callable[[], None]) -> Callable[[], None]:
        timer = (seconds, call)
        self.timers.append(timer)
        return lambda: self.timers.remove(timer)

    def read(self, target: str, peer: str = "127.0.0.1", /, **fields: str) -> ParsedHead:
        lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
        read = self.cache.read(f"GET {target} HTTP/1.1\r\nHost: shop.example\r\n{lines}\r\n".encode(), peer)
        assert not isinstance(read, Refusal), read
        return read

    def verdict(self, target: str, /, **fields: str) -> Verdict:
        return self.decider.decide(self.read(target, **fields).context, self.edge.now, self.edge.chance.random())

    def ask(self, dialect: str, uri: str = "/checkout", cookie: str = "", accept: str = HTML, **fields: str) -> Answer:
        """Ask about a visitor's request as the load balancer of this dialect does."""
        sent = {"Accept": accept, "X_Forwarded_For": "203.0.113.9", "X_Forwarded_Proto": "https", **fields}
        if cookie:
            sent["Cookie"] = cookie
        target = f"/api/authz/{dialect}"
        if dialect == "ext-authz":
            target += uri
        else:
            sent = {"X_Forwarded_Method": "GET", "X_Forwarded_Uri": uri, **sent}
        verdict = self.verdict(target, **sent)
        assert isinstance(verdict, Answer), verdict
        return verdict

    def fill(self) -> None:
        self.edge.fill()


def fields_of(answer: Answer) -> dict[str, str]:
    return dict(answer.headers + answer.cookies)


def cookie_of(answer: Answer) -> str:
    return fields_of(answer)["Set-Cookie"].partition(";")[0]


@pytest.mark.parametrize("dialect", ["accel", "forward-auth", "ext-authz"])
def test_an_allowed_request_is_an_empty_200_with_every_field_for_the_shop(dialect: str) -> None:
    told = AskedEdge().ask(dialect)
    assert isinstance(told, Allowed)
    fields = fields_of(told)
    assert (told.status, told.body) == (200, b"")
    assert fields["X-Stanchion-Room"] == "checkout"
    assert all(fields[name] for name in SHOP_FIELDS)
    assert fields["Stanchion-State"] == "admitted"
    assert "__Host-stanchion_checkout=p1." in fields["Set-Cookie"]
    assert not {"content-type", "cache-control", "expires", "vary"} & {name.lower() for name in fields}
    assert fields.get("X-Accel-Redirect") == ("@shop" if dialect == "accel" else None)
    written = ResponseWriter().write(told, b"", b"")
    assert written.endswith(b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("dialect", ["accel", "auth-request", "forward-auth", "ext-authz"])
def test_outside_of_rooms_every_field_for_the_shop_is_empty(dialect: str) -> None:
    """Some load balancers pass on the visitor's own field if the answer has none."""
    told = AskedEdge().ask(dialect, "/products")
    assert isinstance(told, Allowed)
    assert [fields_of(told)[name] for name in SHOP_FIELDS] == ["", "", ""]
    assert "Set-Cookie" not in fields_of(told)


@pytest.mark.parametrize(("dialect", "status"), [("accel", 200), ("forward-auth", 503), ("ext-authz", 403)])
def test_a_waiting_visitor_gets_the_page_with_a_status_that_the_dialect_carries(dialect: str, status: int) -> None:
    asked = AskedEdge()
    asked.fill()
    told = asked.ask(dialect)
    assert not isinstance(told, Allowed)
    assert told.status == status
    assert b"<!doctype html>" in told.body.lower()
    assert fields_of(told)["Stanchion-State"] == "waiting"
    assert cookie_of(told).startswith("__Host-stanchion_checkout=t1.")


def test_an_error_keeps_its_status_if_the_dialect_carries_it() -> None:
    asked = AskedEdge()
    for dialect in ("accel", "forward-auth"):
        assert asked.ask(dialect, X_Forwarded_Method="TRACE").status == 405
        assert asked.ask(dialect, X_Forwarded_Host="a b").status == 400


def test_the_status_of_an_endpoint_replaces_only_what_it_cannot_carry() -> None:
    text = YAML.replace('page: {message: "We open at ten"}', "page: {status_code: 503}")
    endpoints = {"accel": ON, "forward_auth": {**ON, "status_code": 418}, "ext_authz": {**ON, "status_code": 418}}
    asked = AskedEdge(text=text, endpoints=endpoints)
    asked.fill()
    assert [asked.ask(dialect).status for dialect in ("accel", "forward-auth", "ext-authz")] == [503, 503, 418]


def test_auth_request_checks_passes_and_gives_no_place_in_line() -> None:
    asked = AskedEdge()
    newcomer = asked.ask("auth-request")
    assert (newcomer.status, newcomer.body, newcomer.cookies) == (403, b"", ())
    assert asked.edge.counted("stanchion_polls_total", room="checkout") == 0
    visitor = asked.ask("accel")
    inside = asked.ask("auth-request", cookie=cookie_of(visitor))
    assert isinstance(inside, Allowed)
    assert fields_of(inside)["X-Stanchion-Ticket"] == fields_of(visitor)["X-Stanchion-Ticket"]
    asked.edge.now += 601
    assert asked.ask("auth-request", cookie=cookie_of(visitor)).status == 403
    assert asked.edge.counted("stanchion_ticket_rejections_total", room="checkout", reason="expired") == 0


def test_only_the_first_cookie_is_sent_where_others_would_be_lost() -> None:
    """The second one removes a cookie of another scheme, and browsers ignore that cookie anyway."""
    asked = AskedEdge()
    other = "stanchion_checkout=t1.checkout.forged.1.1.x"
    assert [name for name, _ in asked.ask("accel", cookie=other).cookies].count("Set-Cookie") >= 2
    told = [value for name, value in asked.ask("forward-auth", cookie=other).cookies if name == "Set-Cookie"]
    assert [value[:28] for value in told] == ["__Host-stanchion_checkout=p1"]


# Cookies by redirect


def test_a_visitor_that_showed_a_ticket_gets_the_pass_by_a_redirect() -> None:
    asked = AskedEdge(cookie_on_allow="redirect")
    asked.fill()
    ticket = cookie_of(asked.ask("forward-auth"))
    asked.edge.pass_time(30)
    told = asked.ask("forward-auth", "/checkout?a=1", cookie=ticket)
    assert (told.status, told.body) == (303, b"")
    assert fields_of(told)["Location"] == "https://shop.example/checkout?a=1"
    confirmed = asked.ask("forward-auth", "/checkout?a=1", cookie=cookie_of(told))
    assert (confirmed.status, cookie_of(confirmed) == cookie_of(told)) == (303, False), "a pass is confirmed when shown"
    again = asked.ask("forward-auth", "/checkout?a=1", cookie=cookie_of(confirmed))
    assert isinstance(again, Allowed)


def test_a_newcomer_passes_by_an_address_that_notices_refused_cookies() -> None:
    asked = AskedEdge(cookie_on_allow="redirect")
    told = asked.ask("forward-auth", "/checkout?a=1&b=%2F")
    location = fields_of(told)["Location"].removeprefix("https://shop.example")
    assert location.startswith("/_stanchion/enter?")
    kept = asked.verdict(location, Cookie=cookie_of(told), X_Forwarded_Proto="https")
    assert isinstance(kept, Answer)
    assert (kept.status, fields_of(kept)["Location"]) == (303, "https://shop.example/checkout?a=1&b=%2F")
    refused = asked.verdict(location, X_Forwarded_Proto="https")
    assert isinstance(refused, Answer)
    assert refused.status == 403
    assert b"cookie" in refused.body


@pytest.mark.parametrize("to", ["//evil.example/x", "https://evil.example/", "/\\evil.example", "/a%0d%0aX:y", ""])
def test_nobody_is_sent_to_another_site(to: str) -> None:
    asked = AskedEdge(cookie_on_allow="redirect")
    told = asked.verdict(f"/_stanchion/enter?room=checkout&to={to}", Cookie="stanchion_checkout=x")
    assert isinstance(told, Answer)
    location = fields_of(told).get("Location", "http://shop.example/")
    assert location.startswith("http://shop.example/")
    assert "\r" not in location


def test_an_app_gets_its_pass_with_the_document() -> None:
    """It would lose the cookie of an allowed request, and follows no redirect."""
    asked = AskedEdge(cookie_on_allow="redirect")
    told = asked.ask("forward-auth", accept="application/json", X_Forwarded_Method="POST")
    assert told.status == 503
    assert json.loads(told.body)["state"] == "admitted"
    again = asked.ask("forward-auth", accept="application/json", cookie=cookie_of(told), X_Forwarded_Method="POST")
    assert isinstance(again, Allowed)


def test_a_pass_that_is_due_for_renewal_lets_a_form_through() -> None:
    asked = AskedEdge(cookie_on_allow="redirect")
    cookie = cookie_of(asked.ask("forward-auth"))
    asked.edge.now += 400
    assert isinstance(asked.ask("forward-auth", cookie=cookie, X_Forwarded_Method="POST"), Allowed)
    assert asked.ask("forward-auth", cookie=cookie).status == 303


# Where a request comes from


def test_the_address_that_the_load_balancer_saw_counts() -> None:
    asked = AskedEdge()
    for sent, seen in (("198.51.100.7, 203.0.113.9", "203.0.113.9"), ("203.0.113.9", "203.0.113.9"), ("", "127.0.0.1")):
        read = asked.read("/api/authz/accel", X_Forwarded_Uri="/checkout", X_Forwarded_For=sent)
        assert read.context.head.client_ip == seen


def test_a_trusted_proxy_in_front_of_the_load_balancer_is_believed() -> None:
    asked = AskedEdge(trusted=("203.0.113.0/24",))
    read = asked.read(
        "/api/authz/accel", X_Forwarded_Uri="/checkout", X_Forwarded_For="1.2.3.4, 198.51.100.7, 203.0.113.9"
    )
    assert read.context.head.client_ip == "198.51.100.7"


def test_the_same_bytes_from_another_load_balancer_are_read_anew() -> None:
    asked = AskedEdge()
    sent = {"X_Forwarded_Uri": "/checkout", "Cookie": "a=1"}
    ips = [asked.read("/api/authz/accel", peer, **sent).context.head.client_ip for peer in ("10.0.0.1", "10.0.0.2")]
    assert ips == ["10.0.0.1", "10.0.0.2"]


def test_the_forwarded_host_and_uri_choose_the_room() -> None:
    asked = AskedEdge()
    told = asked.ask("forward-auth", "/any", X_Forwarded_Host="box.tickets.example")
    assert fields_of(told)["X-Stanchion-Room"] == "tickets"
    assert fields_of(told)["Set-Cookie"].startswith("__Host-stanchion_tickets=")


def test_without_the_forwarded_uri_the_load_balancer_is_told_what_to_send() -> None:
    told = AskedEdge().verdict("/api/authz/forward-auth")
    assert isinstance(told, Answer)
    assert told.status == 400
    assert b"X-Forwarded-Uri" in told.body


def test_other_paths_do_not_exist() -> None:
    asked = AskedEdge(endpoints={"accel": ON})
    for path in ("/", "/checkout", "/api/authz/forward-auth", "/api/authz/ext-authz/checkout", "/api/authz/accel/x"):
        told = asked.verdict(path, X_Forwarded_Uri="/products")
        assert isinstance(told, Answer)
        assert told.status == 404, path


def test_the_query_that_caddy_appends_to_the_endpoint_is_ignored() -> None:
    told = AskedEdge().verdict("/api/authz/forward-auth?a=1", X_Forwarded_Uri="/products?a=1")
    assert isinstance(told, Allowed)


def test_the_status_address_is_served_as_in_path() -> None:
    asked = AskedEdge()
    asked.fill()
    told = asked.verdict("/_stanchion/status?room=checkout", X_Forwarded_For="203.0.113.9", X_Forwarded_Proto="https")
    assert isinstance(told, Answer)
    assert told.status == 200
    assert cookie_of(told).startswith("__Host-")


def test_a_head_that_came_before_is_answered_from_the_cache_alike() -> None:
    asked = AskedEdge()
    cookie = cookie_of(asked.ask("accel"))
    first, second, third = (asked.ask("accel", cookie=cookie) for _ in range(3))
    assert first.cookies == second.cookies == third.cookies


# Parked polls


def test_a_parked_poll_is_answered_before_the_load_balancer_gives_up() -> None:
    asked = AskedEdge(max_park_seconds=1.5)
    asked.fill()
    ticket = cookie_of(asked.ask("accel"))
    verdict = asked.verdict("/api/authz/accel", X_Forwarded_Uri="/checkout", X_Forwarded_Proto="https", Cookie=ticket)
    assert isinstance(verdict, Deferred)
    told: list[Verdict] = []
    verdict.ask(told.append)
    [(seconds, call)] = asked.timers
    assert (seconds, told) == (1.5, [])
    call()
    [answer] = told
    assert isinstance(answer, Answer)
    assert fields_of(answer)["Stanchion-State"] == "waiting"
    assert asked.timers == []


def test_a_parked_poll_is_allowed_as_soon_as_the_visitor_is_admitted() -> None:
    asked = AskedEdge()
    asked.fill()
    ticket = cookie_of(asked.ask("accel"))
    verdict = asked.verdict("/api/authz/accel", X_Forwarded_Uri="/checkout", X_Forwarded_Proto="https", Cookie=ticket)
    assert isinstance(verdict, Deferred)
    told: list[Verdict] = []
    verdict.ask(told.append)
    asked.edge.pass_time(3)
    [answer] = told
    assert isinstance(answer, Allowed)
    assert asked.timers == []


def test_a_load_balancer_that_hangs_up_ends_the_parked_poll() -> None:
    asked = AskedEdge()
    asked.fill()
    ticket = cookie_of(asked.ask("accel"))
    verdict = asked.verdict("/api/authz/accel", X_Forwarded_Uri="/checkout", X_Forwarded_Proto="https", Cookie=ticket)
    assert isinstance(verdict, Deferred)
    hang_up = verdict.ask(lambda later: pytest.fail(f"nobody waits for {later!r}"))
    assert hang_up is not None
    hang_up()
    assert asked.timers == []
    asked.edge.pass_time(3)


def test_decisions_are_counted_by_dialect() -> None:
    asked = AskedEdge()
    asked.ask("forward-auth")
    asked.fill()
    asked.ask("forward-auth")
    assert asked.edge.counted("stanchion_asks_total", dialect="forward-auth", decision="allow") == 1
    assert asked.edge.counted("stanchion_asks_total", dialect="forward-auth", decision="answer") == 1


def test_what_the_listener_does_not_have_stays_so_for_the_next_visitor() -> None:
    """A head that differs in its cookie only is read by a template."""
    asked = AskedEdge()
    for path in ("/checkout", "/api/report", "/api/authz/none"):
        for cookie in ("a=1", "a=2", "a=2", "a=2"):
            told = asked.verdict(path, Cookie=cookie)
            assert isinstance(told, Answer)
            assert told.status == 404


# Reports


def test_a_report_is_taken_line_by_line() -> None:
    edge = Edge()
    visitor = edge.ask()
    assert isinstance(visitor, Forward)
    shown = visitor.visitor_pass
    assert shown is not None
    cookie = dict(visitor.response_headers)["Set-Cookie"].partition(";")[0]
    lines = [
        {"status": 200, "seconds": "0.01"},
        {"room": "checkout", "status": 200, "stanchion-stock": "41", "stanchion-held": 3},
        {"room": "nowhere", "status": 200},
        {"room": "checkout", "status": "many"},
    ]
    told, _, _ = take_reports("\n".join(map(json.dumps, lines)).encode(), edge.pipeline, edge.now)
    assert (told.status, json.loads(told.body)) == (200, {"taken": 2, "refused": 2})
    room = edge.pipeline.rooms.by_name["checkout"]
    assert (room.stock.free, room.stock.held) == (41, 3)
    assert isinstance(edge.ask(cookie=cookie), Forward)
    ended = {"room": "checkout", "ticket": shown.id, "admitted_at": f"{shown.admitted_at:.3f}", "status": 200}
    for _ in range(2):
        edge.now += 1
        take_reports(json.dumps([ended | {"stanchion-command": "complete"}]).encode(), edge.pipeline, edge.now)
    assert edge.counted("stanchion_sessions_ended_total", room="checkout", command="complete") == 1
    assert edge.events[-1].ended == shown.id
    edge.fill()
    assert isinstance(edge.ask(cookie=cookie), Answer)


def test_an_ended_session_ends_at_every_node() -> None:
    edge, other = Edge(), Edge()
    visitor = edge.ask()
    assert isinstance(visitor, Forward)
    assert visitor.visitor_pass is not None
    cookie = dict(visitor.response_headers)["Set-Cookie"].partition(";")[0]
    assert isinstance(other.ask(cookie=cookie), Forward)
    report = {"room": "checkout", "ticket": visitor.visitor_pass.id, "status": 200, "stanchion-command": "revoke"}
    edge.now += 1
    take_reports(json.dumps(report).encode(), edge.pipeline, edge.now)
    other.now += 2
    other.pipeline.apply(edge.events[-1], other.now)
    other.fill()
    assert isinstance(other.ask(cookie=cookie), Answer)


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b'{"status": -1}', b"\xff", b'{"status": 200, "room": 7}'])
def test_a_report_that_does_not_fit_changes_nothing(body: bytes) -> None:
    told, taken, _ = take_reports(body, Edge().pipeline, 0.0)
    assert json.loads(told.body)["taken"] == taken == 0
