"""Claims in cookies, staff links and senders that never wait, at the pipeline alone: what they may not do."""

from collections.abc import Callable

import pytest

from edge.decision.bypass import Bypass
from edge.decision.claims import CLAIM_COOKIE, Claims, cookie_of
from edge.decision.cookies import Cookies
from edge.decision.link_opening import link_in, without_link
from edge.messages.verdict import Answer, Forward, Verdict
from edge.operations.metrics import Metrics
from edge.rooms.binding import Binding
from edge.settings.bypass import BypassSettings
from edge.settings.loading import parse_settings
from edge.shield.crawlers import Crawlers, Found
from edge.shield.shield import Shield
from tests.edge.decision.machine import settled
from tests.edge.decision.test_pipeline import KEYS, NOW, Edge
from tests.edge.decision.test_pipeline import cookie_of as set_cookie
from waiting_room.links import BY_INVITE, BY_SHOP, BY_STAFF_LINK, Link

YAML = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
rooms:
  - name: checkout
    match: {paths: ["/checkout*"]}
    capacity: {admissions_per_second: 0}
    lanes: [{name: members, share: 30}, {name: guests, share: 20}]
  - name: tickets
    match: {paths: ["/tickets*"]}
    capacity: {admissions_per_second: 0}
    session: {bind: [browser, network], bind_ipv4_bits: 16}
    lanes: [{name: press, share: 30}, {name: members, share: 30}]
abuse: {reads_per_minute: 60}
"""
GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1)"
LINK = "kT3v9qXzAbC1dEf2"


def claim(edge: Edge, kind: str, lane: str = "", room: str = "checkout", until: float = NOW + 100, **head: str) -> str:
    """Return a cookie with a claim of the browser that sends this head."""
    bindings = {each.name: Binding(KEYS, each.settings.session) for each in edge.pipeline.rooms.rooms}
    claims = Claims(KEYS.links, Cookies(edge.settings.cookies), bindings, frozenset())
    given = claims.give(kind, room, lane, LINK, until, edge.head(**head), NOW)
    return given[0][1].partition(";")[0]


def lane_of(verdict: Verdict) -> str:
    """Return the lane of the ticket that a response sets."""
    return set_cookie(settled(verdict)).split(".")[2].partition("~l")[2].partition("~")[0]


def staff_link(room: str) -> str:
    return KEYS.links.seal(Link(BY_STAFF_LINK, room, "", LINK, 0, NOW + 100))


def _status(verdict: Verdict) -> int:
    assert isinstance(verdict, Answer)
    return verdict.status


def crawler_bypass(find: Callable[[], bool]) -> Bypass:
    """Return a bypass for Googlebot with a lookup that ends at once."""

    def look_up(_: str, __: str, found: Found) -> None:
        found(find(), NOW)

    return Bypass(BypassSettings(crawlers=("google",)), b"", Crawlers(["google"], look_up), Metrics())


def test_an_expired_claim_is_no_lane_however_the_cookies_are_separated() -> None:
    edge = Edge(YAML)
    held = claim(edge, BY_INVITE, "members")
    expired = claim(edge, BY_INVITE, "members", until=NOW - 1)
    for around in ("{}", "a=1; {}", "a=1;{}", "{};a=1", "a=1;  {} ;b", "{0};{0}"):
        assert lane_of(edge.ask(cookie=around.format(held))) == "members", around
        assert lane_of(edge.ask(cookie=around.format(expired))) == "", around


def test_an_expired_claim_of_an_unverified_crawler_is_no_lane() -> None:
    edge = Edge(YAML, bypass=crawler_bypass(lambda: False))
    expired = claim(edge, BY_INVITE, "members", until=NOW - 1, user_agent=GOOGLEBOT)
    for _ in range(2):  # looked up, then known
        assert lane_of(edge.ask(cookie=expired, user_agent=GOOGLEBOT)) == ""


def test_a_request_with_an_expired_claim_is_counted_once_for_the_limits() -> None:
    edge = Edge(YAML, shield=Shield(parse_settings(YAML).abuse))
    expired = claim(edge, BY_INVITE, "members", until=NOW - 1)
    refused = [_status(edge.ask(cookie=expired)) == 403 for _ in range(70)]
    assert refused == [False] * 60 + [True] * 10


def test_an_invite_counts_before_the_shops_word_and_neither_replaces_the_other() -> None:
    edge = Edge(YAML)
    invited = claim(edge, BY_INVITE, "guests")
    word = claim(edge, BY_SHOP, "members", room="", until=NOW + 86_400)
    assert word.startswith(f"{CLAIM_COOKIE}=")
    for both in (f"{invited}; {word}", f"{word}; {invited}"):
        assert lane_of(edge.ask(cookie=both)) == "guests"
        edge.now = NOW + 101
        assert lane_of(edge.ask(cookie=both)) == "members"  # the invite has expired, the shop's word has not
        edge.now = NOW


def test_the_shops_word_counts_in_each_room_that_has_the_lane() -> None:
    """The rooms bind passes to networks of different sizes."""
    edge = Edge(YAML)
    word = claim(edge, BY_SHOP, "members", room="")
    assert lane_of(edge.ask(cookie=word)) == "members"
    assert lane_of(edge.ask("/tickets", word)) == "members"
    assert lane_of(edge.ask("/tickets", word, client_ip="198.51.100.1")) == ""
    assert lane_of(edge.ask(cookie=word, user_agent="Safari/605")) == ""
    unknown = claim(edge, BY_SHOP, "press", room="")
    assert lane_of(edge.ask(cookie=f"{unknown}; {word}")) == "members"


def test_a_link_to_one_room_opens_no_other_and_keeps_the_claim_of_another() -> None:
    edge = Edge(YAML)
    assert _status(edge.ask(f"/tickets?stanchion_staff={staff_link('checkout')}")) == 403
    jar = [set_cookie(edge.ask(f"/{room}?stanchion_staff={staff_link(room)}")) for room in ("checkout", "tickets")]
    assert len({each.partition("=")[0] for each in jar}) == 2
    for target in ("/checkout", "/tickets"):
        assert isinstance(edge.ask(target, "; ".join(jar)), Forward)
    assert isinstance(edge.ask("/tickets", jar[0]), Answer)
    # The claim of one room in the cookie of another.
    assert isinstance(edge.ask("/tickets", f"{cookie_of(BY_STAFF_LINK, 'tickets')}={jar[0].partition('=')[2]}"), Answer)


def test_the_edge_answers_its_own_addresses_also_to_senders_that_never_wait() -> None:
    edge = Edge(YAML, bypass=crawler_bypass(lambda: True))
    staff = claim(edge, BY_STAFF_LINK)
    for target in ("/_stanchion/leave?room=checkout", "/_stanchion/here?room=checkout"):
        assert isinstance(settled(edge.ask(target, staff, method="POST")), Answer), target
        assert isinstance(settled(edge.ask(target, user_agent=GOOGLEBOT, method="POST")), Answer), target
    assert isinstance(settled(edge.ask(cookie=staff)), Forward)
    assert isinstance(settled(edge.ask(user_agent=GOOGLEBOT)), Forward)


def test_a_link_is_opened_also_where_a_check_would_let_the_visitor_pass() -> None:
    """A load balancer that checks passes first asks for the whole decision, so the shop never sees the token."""
    edge = Edge(YAML.replace("admissions_per_second: 0", "admissions_per_second: 2"))
    cookie = set_cookie(edge.ask())
    target = f"/checkout?stanchion_staff={staff_link('checkout')}"
    for asked, passes in (("/checkout", True), (target, False)):
        checked = edge.pipeline.check(edge.pipeline.classify(edge.head(asked, cookie)), edge.now)
        assert (checked is not None) == passes


@pytest.mark.parametrize("value", ["/x.css", "%2Fx.css", "/../../products", "a/b", "T%20", "", "x" * 500, "?y", ";a"])
def test_the_value_of_a_link_never_becomes_part_of_the_path(value: str) -> None:
    """Else a request with it would be one for an address that no room covers, and go to the shop."""
    paths = YAML.replace('["/checkout*"]', '["/checkout"], bypass: ["*.css"]')
    for kind in ("invite", "staff"):
        for before, after in (("?", ""), ("?a=1&", ""), ("?", "&b=2"), ("?stanchion_staff=S&", "")):
            target = f"/checkout{before}stanchion_{kind}={value}{after}"
            assert _status(Edge(paths).ask(target)) == 403, target
        assert without_link(f"/checkout?a=1&stanchion_{kind}={value}&b=2") == "/checkout?a=1&b=2"


def test_what_a_mail_program_adds_to_a_link_does_not_stay_in_the_address() -> None:
    edge = Edge(YAML)
    for added in ("%20", ")", ">", "%E2%80%9D"):
        opened = edge.ask(f"/checkout/x?a=1&stanchion_staff={staff_link('checkout')}{added}")
        assert isinstance(opened, Answer)
        assert opened.cookies[0] == ("Location", "http://shop.example/checkout/x?a=1")


def test_two_links_in_one_address_are_opened_one_after_the_other() -> None:
    target = "/checkout?stanchion_staff=A&stanchion_invite=B&c=3"
    assert link_in(target) == (BY_STAFF_LINK, "A")
    assert link_in(without_link(target)) == (BY_INVITE, "B")
    assert without_link(without_link(target)) == "/checkout?c=3"
    for none in ("/checkout", "/checkout?", "/checkout?xstanchion_staff=A", "/checkout&stanchion_staff=A", "/a?b&&c="):
        assert link_in(none) is None
        assert without_link(none) == none
