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
    assert len(written) >= 2
    assert written[0].startswith(f"{name}=")
    again = KEYS.read(written[0].partition(";")[0].partition("=")[2], "checkout")
    assert isinstance(again, Ticket | Pass)
    assert again.first_seen == NOW - 100.0
    assert written[1].startswith(f"{other}=; Path=/; Max-Age=0; ")
    assert all(each.startswith(f"{other}=; Path=/") and "; Max-Age=0; " in each for each in written[1:])
    assert "; Secure" in written[1]


def test_over_https_the_prefixed_cookie_wins():
    """Another host may have set the other one."""
    edge = Edge()
    edge.fill()
    assert isinstance(ask(edge, "https", f"{PLAIN}=forged; {PREFIXED}={PASS}"), Forward)
    assert isinstance(ask(edge, "https", f"{PLAIN}={PASS}; {PREFIXED}={TICKET}"), Answer)


@pytest.mark.parametrize(
    "junk", ["", "forged", PASS + "x", "t1.checkout", KEYS.seal(new_ticket("other", NOW, bytes(16)))]
)
def test_a_cookie_that_is_not_authentic_hides_none_of_the_other_name(junk):
    """The visitor keeps what they have, and the junk is replaced or removed."""
    for scheme, right, other in (("https", PREFIXED, PLAIN), ("http", PLAIN, PREFIXED)):
        edge = Edge()
        edge.fill()
        verdict = ask(edge, scheme, f"{right}={junk}; {other}={PASS}")
        assert isinstance(verdict, Forward)
        written = set_by(verdict)
        assert [each.partition("=")[0] for each in written if "Max-Age=0" not in each] == [right]
        assert any(each.startswith(f"{other}=;") for each in written)
        waiting = ask(edge, scheme, f"{right}={junk}; {other}={TICKET}")
        assert isinstance(waiting, Answer)
        [again] = [each for each in set_by(waiting) if "Max-Age=0" not in each]
        held = KEYS.read(again.partition(";")[0].partition("=")[2], "checkout")
        assert isinstance(held, Ticket)
        assert held.first_seen == pytest.approx(NOW - 100.0, abs=1.0)


def test_the_end_of_a_session_removes_both_cookies():
    """Otherwise the pass of the other name would go on."""
    edge = Edge()
    context = edge.pipeline.classify(head("https", f"{PLAIN}={PASS}"))
    verdict = edge.pipeline.decide(context, edge.now, 0.5)
    assert isinstance(verdict, Forward)
    added = edge.pipeline.observe(context, verdict, [("Stanchion-Command", "complete")], edge.now)
    assert [value.partition(";")[0] for _, value in added][:2] == [f"{PREFIXED}=", f"{PLAIN}="]
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


# Several cookies of one name


def ticket_from(ago_s: float) -> str:
    return KEYS.seal(new_ticket("checkout", NOW - ago_s, bytes([int(ago_s) % 256]) * 16))


def pass_until(left_s: float, digest: str = "") -> str:
    return KEYS.seal(Pass("b" * 22, "checkout", NOW - 900.0, NOW - 800.0, NOW + left_s, digest))


ELSEWHERE = KEYS.binding_digest("b" * 22, "safari iphone", "198.51.100.0/24")


@pytest.mark.parametrize(
    ("values", "is_inside", "first_seen"),
    [
        ([ticket_from(50), PASS], True, None),
        ([PASS, ticket_from(50)], True, None),
        ([pass_until(-1), ticket_from(50)], False, 50),
        ([pass_until(-1), pass_until(400)], True, None),
        ([ticket_from(50), ticket_from(200), ticket_from(100)], False, 200),
        ([pass_until(400, ELSEWHERE), ticket_from(70)], False, 70),
        (["junk", ticket_from(60)], False, 60),
        (["junk", PASS + "x", "t1.checkout"], False, 0),
        ([ticket_from(90_000), ticket_from(30)], False, 30),
    ],
)
def test_of_several_cookies_the_best_one_counts(values, is_inside, first_seen):
    """Any pass that is valid here, otherwise the earliest ticket that counts. Their order says nothing."""
    for ordered in (values, values[::-1]):
        edge = Edge()
        edge.fill()
        verdict = edge.ask(cookie="; ".join(f"{PLAIN}={value}" for value in ordered))
        assert isinstance(verdict, Forward) is is_inside
        right = [value for value in set_by(verdict) if "Max-Age=0" not in value]
        assert len(right) == 1
        if first_seen is not None:
            held = KEYS.read(right[0].partition(";")[0].partition("=")[2], "checkout")
            assert isinstance(held, Ticket)
            assert held.first_seen == pytest.approx(NOW - first_seen, abs=1.0)


class Jar:
    """The cookies of a browser: one for each name, domain and path (RFC 6265, 5.3), sent by domain and path (5.4)."""

    def __init__(self, host: str) -> None:
        self.host = host
        self.cookies: dict[tuple[str, str, str], str] = {}

    def keep(self, verdict: Verdict) -> None:
        for line in set_by(verdict):
            pair, *attributes = line.split("; ")
            name, _, value = pair.partition("=")
            named = dict(each.partition("=")[::2] for each in attributes)
            domain = named.get("Domain", "").lstrip(".")
            assert not domain or self.host == domain or self.host.endswith(f".{domain}"), line
            key = name, f".{domain}" if domain else self.host, named["Path"]
            self.cookies.pop(key, None)
            if named["Max-Age"] != "0":
                self.cookies[key] = value

    def header(self, target: str) -> str:
        """Longer paths come first, then older cookies."""
        covers = [
            (key, value) for key, value in self.cookies.items()
            if target == key[2] or target.startswith(key[2].rstrip("/") + "/")
        ]  # fmt: skip
        covers.sort(key=lambda each: -len(each[0][2]))
        return "; ".join(f"{key[0]}={value}" for key, value in covers)


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("host", ["www.shop.example", "shop.example"])
@pytest.mark.parametrize(
    ("before", "after"), [(None, "shop.example"), ("shop.example", None), (".shop.example", "shop.example")]
)
def test_a_change_of_the_domain_costs_no_place(scheme, host, before, after):
    """In mid-sale. At the end the browser holds one cookie, and it is the pass."""
    jar, edge = Jar(host), Edge()

    def ask_as(edge: Edge, domain: str | None, target: str = "/checkout") -> Verdict:
        yaml = YAML + (f"\ncookies: {{domain: {domain}}}\n" if domain else "")
        other = Edge(yaml)
        other.pipeline.rooms = edge.pipeline.rooms
        context = other.pipeline.classify(edge.head(target, jar.header(target), scheme=scheme, host=host))
        context.room = edge.pipeline.rooms.by_name["checkout"]
        verdict = other.pipeline.decide(context, edge.now, 0.5)
        jar.keep(verdict)
        return verdict

    edge.fill()
    assert isinstance(ask_as(edge, before), Answer)
    edge.now += 70.0  # a sign of life is due, so the next answer sets the cookie again
    for _ in range(3):
        edge.pass_time(3.0)
        ask_as(edge, after, "/checkout/address")
    assert isinstance(ask_as(edge, after, "/checkout/pay"), Forward)
    ask_as(edge, after, "/checkout/pay")
    assert isinstance(ask_as(edge, after, "/checkout/pay"), Forward)
    assert len(jar.cookies) == 1
    assert next(iter(jar.cookies.values())).startswith("p1.")


@pytest.mark.parametrize(
    "stale",
    [
        (".shop.example", "/"),
        ("www.shop.example", "/checkout"),
        (".www.shop.example", "/"),
        (".shop.example", "/checkout/pay"),
        (".shop.example", "/checkout/"),
    ],
)
def test_a_cookie_that_another_host_or_page_has_set_is_removed(stale):
    """It is older than the visitor's place, or newer, or junk: with the first answer it is gone."""
    for value in (ticket_from(10), ticket_from(1000), "junk"):
        edge, jar = Edge(), Jar("www.shop.example")
        edge.fill()
        jar.cookies[PLAIN, "www.shop.example", "/"] = PASS
        jar.cookies[(PLAIN, *stale)] = value
        for _ in range(2):
            head = edge.head("/checkout/pay", jar.header("/checkout/pay"), host=jar.host)
            verdict = edge.pipeline.decide(edge.pipeline.classify(head), edge.now, 0.5)
            assert isinstance(verdict, Forward)
            jar.keep(verdict)
        assert list(jar.cookies) == [(PLAIN, "www.shop.example", "/")]
        assert set_by(verdict) == []


def test_the_end_of_a_session_removes_every_variant():
    edge = Edge()
    cookie = f"{PLAIN}={PASS}; {PLAIN}={TICKET}"
    context = edge.pipeline.classify(edge.head(cookie=cookie, host="www.shop.example"))
    verdict = edge.pipeline.decide(context, edge.now, 0.5)
    assert isinstance(verdict, Forward)
    added = edge.pipeline.observe(context, verdict, [("Stanchion-Command", "complete")], edge.now)
    assert all("Max-Age=0" in value for _, value in added)
    assert len({value for _, value in added}) >= 3
