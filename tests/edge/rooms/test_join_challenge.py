"""Join challenges: a solution counts once, for the visitor it was asked of; without one a visitor waits longer."""

import base64
import json
import time
from typing import Any
from urllib.parse import quote

import pytest
from altcha.v1 import solve_challenge
from hypothesis import given
from hypothesis import strategies as st

from edge.messages.verdict import Answer, Forward, Verdict
from edge.rooms.join_challenge import JoinChallenges
from edge.settings.model import AbuseSettings
from edge.settings.room import JoinSettings
from edge.shield.shield import Shield
from tests.edge import conftest
from tests.edge.decision.test_pipeline import HTML, NOW, YAML, Edge, cookie_of, header, status
from waiting_room.ticket import JoinToken, Keyring, Ticket

SETTINGS = JoinSettings(proof="all", difficulty=100, no_script_wait_seconds=60, challenge_ttl_seconds=120)
KEYS = Keyring([b"k" * 32]).challenge_keys
SLIP = JoinToken("i" * 22, "checkout", NOW)
HERE = "203.0.113.0/24"
POLL = "/_stanchion/status?room=checkout"


def solved(challenge: dict[str, Any], /, **changes: Any) -> str:
    """Return the solution as the script sends it, in base64."""
    found = solve_challenge(challenge["challenge"], challenge["salt"], "SHA-256", challenge["maxnumber"])
    assert found is not None
    named = {name: challenge[name] for name in ("algorithm", "challenge", "salt", "signature")}
    return base64.b64encode(json.dumps({**named, "number": found.number, **changes}).encode()).decode()


def joining(keys: tuple[bytes, ...] = KEYS, room: str = "checkout") -> JoinChallenges:
    return JoinChallenges(room, SETTINGS, keys)


def challenge(
    by: JoinChallenges | None = None, now: float = NOW, join_token: JoinToken = SLIP, network: str = HERE
) -> dict[str, Any]:
    made: dict[str, Any] = json.loads((joining() if by is None else by).challenge(join_token, network, now, 0))
    return made


def test_a_solution_counts_once() -> None:
    one, solution = joining(), solved(challenge())
    assert one.fault_in(solution, SLIP, HERE, NOW) is None
    assert one.fault_in(solution, SLIP, HERE, NOW) == "replayed"
    assert one.fault_in(solved(challenge()), SLIP, HERE, NOW) is None


def test_a_solution_replayed_at_another_node_gives_the_same_place() -> None:
    """The id of the ticket is the join token's."""
    solution = solved(challenge())
    places = [joining().ticket(SLIP, solution, HERE, NOW + at)[0] for at in range(3)]
    assert {(place.id, place.first_seen) for place in places if place} == {(SLIP.id, NOW)}


FORGERIES = {
    "another number": ("forged", lambda: solved(challenge(), number=1_000_001)),
    "another salt": ("forged", lambda: solved(challenge(), salt="x" + challenge()["salt"])),
    "a later expiry": (
        "forged",
        lambda: solved(made := challenge(), salt=made["salt"].replace(str(int(NOW + 120)), str(int(NOW + 999)))),
    ),
    "an easier hash": ("forged", lambda: solved(challenge(), algorithm="SHA-1")),
    "another key": ("forged", lambda: solved(challenge(joining((b"another",))))),
    "another room's": ("foreign", lambda: solved(challenge(joining(room="tickets")))),
    "another visitor's": ("foreign", lambda: solved(challenge(join_token=JoinToken("o" * 22, "checkout", NOW)))),
    "another network's": ("foreign", lambda: solved(challenge(network="198.51.100.0/24"))),
    "expired": ("expired", lambda: solved(challenge(now=NOW - 121))),
    "no number": ("malformed", lambda: solved(challenge(), number="7")),
    "no text": ("malformed", lambda: solved(challenge(), salt=["a"])),
    "no object": ("malformed", lambda: base64.b64encode(b"5").decode()),
    "no base64": ("malformed", lambda: "*" * 40),
    "deep": ("malformed", lambda: base64.b64encode(b"[" * 1500).decode()),
    "long": ("malformed", lambda: "A" * 4000),
}


@pytest.mark.parametrize("kind", FORGERIES)
def test_a_solution_that_was_not_asked_for_does_not_count(kind: str) -> None:
    fault, forged = FORGERIES[kind]
    assert joining().fault_in(forged(), SLIP, HERE, NOW) == fault


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode())))
def test_no_text_raises(text: str) -> None:
    assert joining().fault_in(text, SLIP, HERE, NOW) in ("malformed", "forged")


@given(st.dictionaries(st.sampled_from(list(challenge())), st.one_of(st.text(), st.integers(), st.none()), max_size=3))
def test_no_change_of_a_solution_raises(changes: dict[str, Any]) -> None:
    assert joining().fault_in(solved(CHALLENGE, **changes), SLIP, HERE, NOW) in ("malformed", "forged", None)


CHALLENGE = challenge()


def test_challenges_outlive_a_change_of_keys() -> None:
    old, new = Keyring([b"o" * 32]).challenge_keys, Keyring([b"n" * 32, b"o" * 32]).challenge_keys
    assert joining(new).fault_in(solved(challenge(joining(old))), SLIP, HERE, NOW) is None
    assert joining(old).fault_in(solved(challenge(joining(new))), SLIP, HERE, NOW) == "forged"


def test_the_memory_of_solutions_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("edge.rooms.join_challenge.MOST_SOLUTIONS", 4)
    one, given = joining(), [solved(challenge()) for _ in range(12)]
    assert [one.fault_in(each, SLIP, HERE, NOW) for each in given] == [None] * 12
    assert [one.fault_in(each, SLIP, HERE, NOW) for each in given[-4:]] == ["replayed"] * 4
    assert one.fault_in(given[0], SLIP, HERE, NOW) is None


# ---- on the way of a request ----------------------------------------------------------------------------------------


def room(shield: Shield | None = None, **join: Any) -> Edge:
    said = ", ".join(f"{key}: {value}" for key, value in ({"proof": "all", "difficulty": 100} | join).items())
    return Edge(YAML.replace("    page:", f"    join: {{{said}}}\n    page:", 1), shield=shield)


def answered(edge: Edge, told: Verdict, **head: str) -> Verdict:
    """Solve the challenge and poll, as the page does."""
    solution = quote(solved(status(told)["challenge"]), safe="")
    return edge.ask(f"{POLL}&altcha={solution}", cookie=cookie_of(told), **head)


def test_a_place_counts_from_the_arrival_however_slow_the_device() -> None:
    edge = room()
    told = edge.ask()
    said = status(told)
    assert (said["state"], said["position"]) == ("joining", None)
    assert header(told, "Stanchion-State") == "joining"
    assert cookie_of(told).startswith("stanchion_checkout=j1.")
    edge.pass_time(100)
    others = [edge.ask() for _ in range(3)]
    assert {status(other)["state"] for other in others} == {"joining"}, "however empty the line is"
    joined = answered(edge, told)
    assert status(joined)["state"] == "admitted"
    assert status(joined)["first_seen"] == status(edge.ask(POLL, cookie=cookie_of(joined)))["first_seen"]
    assert status(joined)["first_seen"].startswith("2026-11-18T11:06:40"), "the arrival"
    assert edge.counted("stanchion_join_challenges_total", room="checkout", result="solved") == 1


def test_a_visitor_that_joined_is_admitted_like_any_other() -> None:
    edge = room()
    while status(joined := answered(edge, edge.ask()))["state"] == "admitted":
        pass
    cookie = cookie_of(joined)
    assert cookie.startswith("stanchion_checkout=t1.")
    for _ in range(60):
        edge.pass_time(1.0)
        if isinstance(edge.ask(cookie=cookie), Forward):
            return
    raise AssertionError("never let in")


def test_without_a_solution_the_wait_is_longer_and_the_place_later() -> None:
    """The page states the wait and polls by itself. The place counts from then."""
    edge = room(no_script_wait_seconds=60)
    told = edge.ask(accept=HTML)
    assert isinstance(told, Answer)
    assert b"If scripts are off, it takes about 1 minute instead" in told.body
    assert b'<noscript><meta http-equiv="refresh" content="60"></noscript>' in told.body
    join_token = cookie_of(told)
    edge.pass_time(30)
    early = edge.ask(cookie=join_token)
    assert status(early)["state"] == "joining"
    assert status(early)["poll_after_seconds"] == pytest.approx(30, abs=0.1)
    assert not cookie_of(early), "the join_token is as it was: asking early does not begin anew"
    edge.pass_time(31)
    for _ in range(10):  # visitors ahead
        answered(edge, edge.ask())
    joined = edge.ask(POLL, cookie=join_token)
    assert status(joined)["state"] == "waiting"
    opened = Keyring([b"k" * 32]).read(cookie_of(joined).partition("=")[2], "checkout")
    assert isinstance(opened, Ticket)
    assert opened.first_seen == pytest.approx(edge.now, abs=0.01)
    assert edge.counted("stanchion_join_challenges_total", room="checkout", result="waited") == 1


def test_a_replayed_solution_is_refused() -> None:
    edge = room()
    told = edge.ask()
    target = f"{POLL}&altcha={quote(solved(status(told)['challenge']), safe='')}"
    assert status(edge.ask(target, cookie=cookie_of(told)))["state"] == "admitted"
    again = edge.ask(target, cookie=cookie_of(told))
    assert status(again)["state"] == "joining"
    assert edge.counted("stanchion_join_challenges_total", room="checkout", result="replayed") == 1


def test_a_solution_counts_only_in_the_network_it_was_asked_of() -> None:
    edge = room()
    told = answered(edge, edge.ask(), client_ip="198.51.100.1")
    assert status(told)["state"] == "joining"
    assert edge.counted("stanchion_join_challenges_total", room="checkout", result="foreign") == 1


def test_a_page_that_comes_back_without_its_join_token_explains_cookies() -> None:
    edge = room()
    edge.ask(accept=HTML)
    told = edge.ask(accept=HTML, referer="http://shop.example/checkout")
    assert isinstance(told, Answer)
    assert b'data-view="cookies"' in told.body


@pytest.mark.parametrize(("agent", "times"), [("Mozilla/5.0 Firefox/128.0", 1.0), ("python-requests/2", 4.0)])
def test_the_bot_score_raises_the_difficulty(agent: str, times: float) -> None:
    edge = room(Shield(AbuseSettings()), difficulty=1000)
    asked = edge.ask(user_agent=agent, accept_language="de")
    assert status(asked)["challenge"]["maxnumber"] == 2000 * times


def test_a_challenge_may_be_for_suspects_only() -> None:
    edge = room(Shield(AbuseSettings()), proof="suspects")
    assert isinstance(edge.ask(user_agent="Mozilla/5.0 Firefox/128.0", accept_language="de"), Forward)
    assert status(edge.ask(user_agent="curl/8.5"))["state"] == "joining"


async def test_over_http_only_the_authentic_solution_gives_a_place(edge_in_front_of: Any, upstream: Any) -> None:
    """Forged, expired, replayed and foreign solutions get a new challenge. None is an error."""
    edge = await edge_in_front_of(upstream, room="join: {proof: all, difficulty: 100}")
    visitor = await edge.connect()
    told = await visitor.get("/checkout", "Accept: application/json")
    cookie = f"Cookie: {told['Set-Cookie'].partition(';')[0]}"
    asked = json.loads(told.body)["challenge"]
    join_token = Keyring(conftest.KEYS).read(cookie.partition("=")[2], "checkout")
    assert isinstance(join_token, JoinToken)
    by = joining(Keyring(conftest.KEYS).challenge_keys)
    expired = challenge(by, time.time() - 1000, join_token, "127.0.0.0/24")
    foreign = challenge(by, time.time(), join_token, "192.0.2.0/24")
    for solution in ("nonsense", solved(asked, number=3_000_000), solved(expired), solved(foreign), "%00", "&room=x"):
        answer = await visitor.get(f"{POLL}&altcha={quote(solution, safe='&')}", cookie)
        assert (answer.status, answer["Stanchion-State"]) == (200, "joining")
    true = f"{POLL}&altcha={quote(solved(asked), safe='')}"
    joined = await visitor.get(true, cookie)
    assert joined["Stanchion-State"] == "admitted"
    assert (await visitor.get(true, cookie))["Stanchion-State"] == "joining"
    held = f"Cookie: {joined['Set-Cookie'].partition(';')[0]}"
    assert (await visitor.get("/checkout", held)).body == b"ok"
    assert [request["X-Stanchion-Ticket"] for request in upstream.requests] == [join_token.id]
