"""A request with a verdict that depends on other nodes waits, keeps the bytes behind it, and loses nothing."""

import asyncio
import time
from collections.abc import Callable

import pytest

from edge.messages.processes import CheckOutcomeName, RedemptionQuestion
from edge.messages.verdict import Deferred, Verdict
from edge.rooms.redemption import RedemptionClient, record_of
from tests.edge.conftest import KEYS
from tests.edge.decision.test_pipeline import NOW, YAML, status
from tests.edge.decision.test_pipeline import Edge as Gated
from waiting_room.ticket import Keyring, Pass, Ticket

IDENT = "a" * 22


class Supervisor:
    """Answers redemption checks when the test says so."""

    def __init__(self) -> None:
        self.asked: list[RedemptionQuestion] = []
        self.timers: list[Callable[[], object]] = []
        self.redemption = RedemptionClient(self.asked.append, lambda _, call: self.timers.append(call))

    async def wait_asked(self, count: int = 1) -> None:
        async with asyncio.timeout(10):
            while len(self.asked) < count:
                await asyncio.sleep(0.01)

    def answer(self, outcome: CheckOutcomeName, record: str = "", at: int = -1) -> None:
        question = self.asked[at]
        self.redemption.receive(question.answered(outcome, record))


def ticket(first_seen: float | None = None) -> str:
    now = time.time()
    sealed = Keyring(KEYS).seal(Ticket(IDENT, "checkout", now - 60.0 if first_seen is None else first_seen, now))
    return f"Cookie: stanchion_checkout={sealed}"


async def test_a_body_and_what_is_pipelined_behind_it_arrive_whole_and_in_order(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption)
    visitor = await edge.connect()
    body = b"x" * 300_000
    head = f"POST /checkout HTTP/1.1\r\nHost: shop.example\r\n{ticket()}\r\nContent-Length: {len(body)}\r\n\r\n"
    visitor.send(head.encode() + body + b"GET /elsewhere HTTP/1.1\r\nHost: shop.example\r\n\r\n")
    await supervisor.wait_asked()
    await asyncio.sleep(0.05)
    assert upstream.requests == []
    supervisor.answer("granted")
    assert (await visitor.response()).body == b"ok"
    assert (await visitor.response()).body == b"ok"
    assert [request.line.split()[1] for request in upstream.requests] == ["/checkout", "/elsewhere"]
    assert upstream.requests[0].body == body


async def test_requests_with_the_same_ticket_ask_once(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption, rate=1.0)
    visitors = [await edge.connect() for _ in range(20)]
    shown = ticket()
    answers = asyncio.gather(*(visitor.get("/checkout", shown) for visitor in visitors))
    await supervisor.wait_asked()
    await asyncio.sleep(0.1)
    supervisor.answer("granted")
    assert {answer["Stanchion-State"] for answer in await answers} == {"admitted"}
    assert len(supervisor.asked) == 1
    assert len({request["X-Stanchion-Admitted-At"] for request in upstream.requests}) == 1


async def test_a_ticket_redeemed_elsewhere_gets_the_pass_that_was_given_there(edge_in_front_of, upstream):
    """The request goes on with that pass, and no admission is lost."""
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption)
    answer = asyncio.ensure_future((await edge.connect()).get("/checkout", ticket()))
    await supervisor.wait_asked()
    now = time.time()
    binding_digest = Keyring(KEYS).binding_digest(IDENT, "", "127.0.0.0/24")
    given = Pass(IDENT, "checkout", now - 60.0, now - 5.0, float(int(now + 500)), binding_digest)
    supervisor.answer("already_redeemed", record_of(given))
    assert (await answer)["Stanchion-State"] == "admitted"
    [request] = upstream.requests
    assert float(request["X-Stanchion-Admitted-At"]) == pytest.approx(given.admitted_at, abs=0.001)


async def test_a_ticket_of_a_session_that_ended_elsewhere_is_a_first_visit(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption, rate=1.0)
    answer = asyncio.ensure_future((await edge.connect()).get("/checkout", ticket()))
    await supervisor.wait_asked()
    now = time.time()
    supervisor.answer("already_redeemed", record_of(Pass(IDENT, "checkout", now - 900.0, now - 800.0, now - 200.0)))
    response = await answer
    assert response["Stanchion-State"] == "waiting"
    assert IDENT not in response["Set-Cookie"]
    assert upstream.requests == []


@pytest.mark.parametrize(("policy", "state"), [("admit", "admitted"), ("hold", "waiting")])
def test_without_an_answer_the_settings_decide(policy: str, state: str) -> None:
    supervisor = Supervisor()
    text = YAML.replace("secret_keys_env", 'cluster: {redis_url: "redis://127.0.0.1:1"}\nsecret_keys_env', 1)
    gated = Gated(
        text.replace("    page:", f"    when_redis_down: {policy}\n    page:", 1), redemption=supervisor.redemption
    )
    gated.pass_time(30)
    place = Keyring(KEYS).seal(Ticket(IDENT, "checkout", NOW - 60.0, NOW))
    asking = gated.ask("/_stanchion/status?room=checkout", cookie=f"stanchion_checkout={place}")
    assert isinstance(asking, Deferred)
    said: list[Verdict] = []
    asking.ask(said.append)
    assert supervisor.asked[0].holds_if_unverified is (policy == "hold")
    supervisor.timers[0]()
    assert [status(verdict)["state"] for verdict in said] == [state]


async def test_a_visitor_that_leaves_meanwhile_comes_back_to_the_same_pass(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption)
    shown = ticket()
    visitor = await edge.connect()
    visitor.send(f"GET /checkout HTTP/1.1\r\nHost: shop.example\r\n{shown}\r\n\r\n".encode())
    await supervisor.wait_asked()
    visitor.writer.close()
    await asyncio.sleep(0.05)
    supervisor.answer("granted")
    assert upstream.requests == []
    again = await edge.get("/checkout", shown)
    assert again["Stanchion-State"] == "admitted"
    assert len(supervisor.asked) == 1


async def test_newcomers_and_passes_need_no_redemption_check(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption)
    first = await edge.get("/checkout")
    assert first["Stanchion-State"] == "admitted"
    shown = f"Cookie: {first['Set-Cookie'].partition(';')[0]}"
    assert (await edge.get("/checkout", shown))["Stanchion-State"] == "admitted"
    assert supervisor.asked == []


async def test_the_edge_drains_while_a_redemption_check_is_open(edge_in_front_of, upstream):
    supervisor = Supervisor()
    edge = await edge_in_front_of(upstream, redemption=supervisor.redemption)
    answer = asyncio.ensure_future((await edge.connect()).get("/checkout", ticket()))
    await supervisor.wait_asked()
    stopping = asyncio.ensure_future(edge.stop(5.0))
    await asyncio.sleep(0.05)
    supervisor.answer("granted")
    assert (await answer).body == b"ok"
    await stopping
