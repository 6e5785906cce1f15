"""A ticket is redeemed once over all nodes: by one machine's service, and over a real Redis by any number of them."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry

from edge.messages.processes import RedemptionAnswer, RedemptionQuestion
from edge.rooms.redeemed_tickets import given_up, reason_of
from edge.rooms.redemption import (
    AlreadyRedeemed,
    CheckOutcome,
    Granted,
    RedemptionClient,
    Unverified,
    moment_of,
    record_of,
)
from edge.supervisor.redemption_service import KEPT_S, MOST, RedemptionService
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.running import wait_until
from waiting_room.status import MOVED
from waiting_room.ticket import Pass, Ticket

NOW = 1_795_000_000.123


def given(ident: str = "i" * 22, at: float = NOW, binding_digest: str = "bAAAAnBBBB") -> Pass:
    return Pass(ident, "checkout", NOW - 60.0, at, float(int(at + 600)), binding_digest)


class Node:
    """A node and its machine's service, without the channel between them."""

    def __init__(self, service: RedemptionService) -> None:
        self.outcomes: list[CheckOutcome] = []
        self.timers: list[Callable[[], object]] = []
        self.client = RedemptionClient(
            lambda question: service.ask(question, self.client.receive), lambda _, call: self.timers.append(call)
        )

    def ask(self, wanted: Pass, before: Pass | None = None, *, holds_if_unverified: bool = False) -> None:
        self.client.ask(wanted, before, self.outcomes.append, holds_if_unverified=holds_if_unverified)

    async def answered(
        self, wanted: Pass, before: Pass | None = None, *, holds_if_unverified: bool = False
    ) -> CheckOutcome:
        count = len(self.outcomes)
        self.ask(wanted, before, holds_if_unverified=holds_if_unverified)

        async def is_answered() -> bool:
            return len(self.outcomes) > count

        await wait_until(is_answered, "the answer")
        return self.outcomes[-1]


def service(url: str | None = None) -> RedemptionService:
    return RedemptionService(url, None, "test", CollectorRegistry())


@contextlib.asynccontextmanager
async def machines(url: str, count: int) -> AsyncIterator[list[RedemptionService]]:
    services = [service(url) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in services]
        yield services
        for task in tasks:
            task.cancel()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running_redis(tmp_path) as server:
        yield server


def test_workers_of_one_machine_redeem_a_ticket_once() -> None:
    """The second one learns which pass the first one gave."""
    shared = service()
    one, two = Node(shared), Node(shared)
    one.ask(first := given())
    two.ask(given(at=NOW + 1))
    assert one.outcomes == [Granted()]
    [redeemed] = two.outcomes
    assert isinstance(redeemed, AlreadyRedeemed)
    assert (record_of(redeemed.given), redeemed.given.binding_digest) == (record_of(first), first.binding_digest)


def test_a_ticket_is_redeemed_again_only_from_the_redemption_that_stands() -> None:
    """Of two nodes that want to redeem it again, one does."""
    node = Node(service())
    first, second, third = given(), given(at=NOW + 100), given(at=NOW + 200)
    for wanted, before in ((first, None), (second, first), (third, first), (third, second)):
        node.ask(wanted, before)
    assert [type(each) for each in node.outcomes] == [Granted, Granted, AlreadyRedeemed, Granted]
    assert moment_of(None) == ""


def test_requests_with_the_same_ticket_share_one_question() -> None:
    """An answer that is late, or for another worker process, is ignored."""
    sent: list[RedemptionQuestion] = []
    timers: list[Callable[[], object]] = []
    client = RedemptionClient(sent.append, lambda _, call: timers.append(call))
    outcomes: list[CheckOutcome] = []
    client.ask(given(), None, outcomes.append)
    assert client.is_open("checkout", "i" * 22)
    client.wait("checkout", "i" * 22, outcomes.append)
    [question] = sent
    client.receive(RedemptionAnswer(question.number, "checkout", "o" * 22, "granted"))
    client.receive(RedemptionAnswer(77, "checkout", "i" * 22, "granted"))
    assert outcomes == []
    client.receive(question.answered("granted"))
    assert outcomes == [Granted(), Granted()]
    client.receive(question.answered("granted"))
    timers[0]()
    assert len(outcomes) == 2
    assert not client.is_open("checkout", "i" * 22)


def test_without_an_answer_in_time_the_outcome_is_unverified() -> None:
    timers: list[Callable[[], object]] = []
    client = RedemptionClient(lambda _: None, lambda _, call: timers.append(call))
    outcomes: list[CheckOutcome] = []
    client.ask(given(), None, outcomes.append)
    timers[0]()
    assert outcomes == [Unverified()]


def test_the_memory_of_a_machine_is_bounded() -> None:
    shared = service()
    node = Node(shared)
    for at in range(MOST + 100):
        node.ask(given(f"{at}"))
    assert len(shared) == MOST


@pytest.mark.serial
async def test_one_of_any_number_of_machines_is_granted(server: RedisServer) -> None:
    """A thousand tickets, each shown at four machines at the same time, in any order."""
    chance = random.Random(3)
    async with machines(server.url, 4) as services:
        nodes = [Node(each) for each in services]

        async def all_answered() -> bool:
            return sum(len(node.outcomes) for node in nodes) == asked

        asked = 0
        # A hundred at a time: with more questions than Redis answers within its time limit, nodes go on alone.
        for first in range(0, 1000, 100):
            wanted = [(node, f"{at}") for at in range(first, first + 100) for node in nodes]
            chance.shuffle(wanted)
            for node, ident in wanted:
                asked += 1
                node.ask(given(ident, at=NOW + chance.random()))
                if chance.random() < 0.02:
                    await asyncio.sleep(0)
            await wait_until(all_answered, "all were answered")
    outcomes = Counter(type(each) for node in nodes for each in node.outcomes)
    assert outcomes == {Granted: 1000, AlreadyRedeemed: 3000}
    passes = {
        (redeemed.given.id, record_of(redeemed.given))
        for node in nodes
        for redeemed in node.outcomes
        if isinstance(redeemed, AlreadyRedeemed)
    }
    assert len(passes) == 1000, "all nodes learn the same pass of a ticket"


async def test_a_ticket_is_redeemed_again_over_machines_too(server: RedisServer) -> None:
    async with machines(server.url, 2) as services:
        one, two = (Node(each) for each in services)
        first, second = given(), given(at=NOW + 100)
        assert isinstance(await one.answered(first), Granted)
        assert isinstance(await two.answered(second), AlreadyRedeemed)
        assert isinstance(await two.answered(second, first), Granted)
        assert isinstance(await two.answered(given(at=NOW + 200), first), AlreadyRedeemed)
        async with redis.asyncio.Redis.from_url(server.url) as client:
            [key] = await client.keys("stanchion:test:used:*")
            assert 0 < await client.ttl(key) <= KEPT_S


async def test_without_redis_the_settings_decide(server: RedisServer) -> None:
    """Either visitors are admitted and the machine remembers it, or they wait and nothing is noted."""
    async with machines(server.url, 1) as [shared]:
        one, two = Node(shared), Node(shared)
        assert isinstance(await one.answered(given("a")), Granted)
        await server.kill()
        assert isinstance(await one.answered(given("b"), holds_if_unverified=False), Unverified)
        assert isinstance(await two.answered(given("b", at=NOW + 1)), AlreadyRedeemed)
        assert isinstance(await one.answered(given("a", at=NOW + 1)), AlreadyRedeemed), "this machine knows by itself"
        assert isinstance(await one.answered(given("c"), holds_if_unverified=True), Unverified)
        await server.start()

        async def is_granted() -> bool:
            return isinstance(await two.answered(given("c"), holds_if_unverified=True), Granted)

        await wait_until(is_granted, "Redis is asked again")


async def test_a_value_in_redis_that_is_no_record_leaves_the_ticket_unverified(server: RedisServer) -> None:
    """Another program wrote it; neither the supervisor nor the worker ends by it."""
    async with machines(server.url, 1) as [shared], redis.asyncio.Redis.from_url(server.url) as client:
        await client.set(f"stanchion:test:used:checkout:{'i' * 22}", b"\xff nonsense")
        assert isinstance(await Node(shared).answered(given(), holds_if_unverified=True), Unverified)
        assert isinstance(await Node(shared).answered(given("j" * 22)), Granted)


async def test_a_place_moves_once_between_machines(server: RedisServer) -> None:
    """Of two machines that are asked to end one ticket, one is granted it; the other reads which device took it."""
    ticket = Ticket("i" * 22, "checkout", NOW - 60.0, NOW)
    async with machines(server.url, 2) as (one, two):
        assert await Node(one).answered(given_up(ticket, MOVED, "bAAAAnBBBB", NOW)) == Granted()
        refused = await Node(two).answered(given_up(ticket, MOVED, "bCCCCnDDDD", NOW + 1))
    assert isinstance(refused, AlreadyRedeemed)
    assert reason_of(refused.given) == MOVED
    assert refused.given.binding_digest.endswith("~bAAAAnBBBB")
