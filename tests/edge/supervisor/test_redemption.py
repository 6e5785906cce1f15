"""A place is used once over all nodes: by one machine's desk, and over a real Redis by any number of them."""

import asyncio
import contextlib
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry

from edge.rooms.redemption import AlreadyRedeemed, Granted, Outcome, RedemptionClient, Unverified, moment_of, record_of
from edge.supervisor.redemption_service import KEPT_S, MOST, Question, RedemptionService
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.running import wait_until
from waiting_room.ticket import Pass

NOW = 1_795_000_000.123


def given(ident: str = "i" * 22, at: float = NOW, binding_digest: str = "bAAAAnBBBB") -> Pass:
    return Pass(ident, "checkout", NOW - 60.0, at, float(int(at + 600)), binding_digest)


class Node:
    """A node and its machine's desk, without the channel between them."""

    def __init__(self, desk: RedemptionService) -> None:
        self.said: list[Outcome] = []
        self.timers: list[Callable[[], object]] = []
        self._desk = desk
        self.grants = RedemptionClient(self._send, lambda _, call: self.timers.append(call))

    def _send(self, question: dict[str, Any]) -> None:
        number, room, ticket = question["number"], question["room"], question["ticket"]

        def answer(outcome: str, record: str) -> None:
            self.grants.receive(
                {"number": number, "room": room, "ticket": ticket, "outcome": outcome, "record": record}
            )

        self._desk.ask(Question((room, ticket), question["before"], question["record"], question["is_patient"], answer))

    def ask(self, wanted: Pass, before: Pass | None = None, *, is_patient: bool = False) -> None:
        self.grants.ask(wanted, before, self.said.append, is_patient=is_patient)

    async def answered(self, wanted: Pass, before: Pass | None = None, *, is_patient: bool = False) -> Outcome:
        count = len(self.said)
        self.ask(wanted, before, is_patient=is_patient)

        async def heard() -> bool:
            return len(self.said) > count

        await wait_until(heard, "the answer")
        return self.said[-1]


def desk(url: str | None = None) -> RedemptionService:
    return RedemptionService(url, None, "test", CollectorRegistry())


@contextlib.asynccontextmanager
async def machines(url: str, count: int) -> AsyncIterator[list[RedemptionService]]:
    desks = [desk(url) for _ in range(count)]
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(each.run()) for each in desks]
        yield desks
        for task in tasks:
            task.cancel()


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running_redis(tmp_path) as server:
        yield server


def test_workers_of_one_machine_use_a_place_once() -> None:
    """At once, and who comes second learns which pass was given."""
    shared = desk()
    one, two = Node(shared), Node(shared)
    one.ask(first := given())
    two.ask(given(at=NOW + 1))
    assert one.said == [Granted()]
    [used] = two.said
    assert isinstance(used, AlreadyRedeemed)
    assert (record_of(used.given), used.given.binding_digest) == (record_of(first), first.binding_digest)


def test_a_place_moves_from_the_use_that_is_known() -> None:
    """From any other it does not, so of two that want to move it one does."""
    node = Node(desk())
    first, second, third = given(), given(at=NOW + 100), given(at=NOW + 200)
    for wanted, before in ((first, None), (second, first), (third, first), (third, second)):
        node.ask(wanted, before)
    assert [type(each) for each in node.said] == [Granted, Granted, AlreadyRedeemed, Granted]
    assert moment_of(None) == ""


def test_who_asks_with_the_same_ticket_meanwhile_hears_the_same_answer() -> None:
    """One question goes out; what comes late, or for another worker, counts for nothing."""
    sent: list[dict[str, Any]] = []
    timers: list[Callable[[], object]] = []
    grants = RedemptionClient(sent.append, lambda _, call: timers.append(call))
    said: list[Outcome] = []
    grants.ask(given(), None, said.append)
    assert grants.is_open("checkout", "i" * 22)
    grants.wait("checkout", "i" * 22, said.append)
    right = {"number": sent[0]["number"], "room": "checkout", "ticket": "i" * 22, "outcome": "granted", "record": ""}
    grants.receive(right | {"ticket": "o" * 22})
    grants.receive(right | {"number": 77})
    assert said == []
    grants.receive(right)
    assert said == [Granted(), Granted()]
    grants.receive(right)
    timers[0]()
    assert len(said) == 2
    assert not grants.is_open("checkout", "i" * 22)


def test_a_supervisor_that_says_nothing_is_not_waited_for() -> None:
    timers: list[Callable[[], object]] = []
    grants = RedemptionClient(lambda _: None, lambda _, call: timers.append(call))
    said: list[Outcome] = []
    grants.ask(given(), None, said.append)
    timers[0]()
    assert said == [Unverified()]


def test_what_a_machine_remembers_is_bounded() -> None:
    shared = desk()
    node = Node(shared)
    for at in range(MOST + 100):
        node.ask(given(f"{at}"))
    assert len(shared._used) == MOST


@pytest.mark.serial
async def test_of_any_number_of_machines_one_is_granted(server: RedisServer) -> None:
    """A thousand places, each wanted by four machines at the same time, in any order."""
    chance = random.Random(3)
    async with machines(server.url, 4) as desks:
        nodes = [Node(each) for each in desks]

        async def all_answered() -> bool:
            return sum(len(node.said) for node in nodes) == asked

        asked = 0
        for first in range(0, 1000, 100):  # who asks more than Redis answers within its time goes on alone
            wanted = [(node, f"{at}") for at in range(first, first + 100) for node in nodes]
            chance.shuffle(wanted)
            for node, ident in wanted:
                asked += 1
                node.ask(given(ident, at=NOW + chance.random()))
                if chance.random() < 0.02:
                    await asyncio.sleep(0)
            await wait_until(all_answered, "all were answered")
    said = Counter(type(each) for node in nodes for each in node.said)
    assert said == {Granted: 1000, AlreadyRedeemed: 3000}
    told = {
        (used.given.id, record_of(used.given))
        for node in nodes
        for used in node.said
        if isinstance(used, AlreadyRedeemed)
    }
    assert len(told) == 1000, "all of them are told the same pass of a place"


async def test_a_place_moves_over_machines_too(server: RedisServer) -> None:
    async with machines(server.url, 2) as desks:
        one, two = (Node(each) for each in desks)
        first, second = given(), given(at=NOW + 100)
        assert isinstance(await one.answered(first), Granted)
        assert isinstance(await two.answered(second), AlreadyRedeemed)
        assert isinstance(await two.answered(second, first), Granted)
        assert isinstance(await two.answered(given(at=NOW + 200), first), AlreadyRedeemed)
        async with redis.asyncio.Redis.from_url(server.url) as client:
            [key] = await client.keys("stanchion:test:used:*")
            assert 0 < await client.ttl(key) <= KEPT_S


async def test_without_redis_the_settings_say_what_is_better(server: RedisServer) -> None:
    """Let in: the machine remembers for itself. Wait: nothing is used up, and all goes on when Redis is back."""
    async with machines(server.url, 1) as [shared]:
        one, two = Node(shared), Node(shared)
        assert isinstance(await one.answered(given("a")), Granted)
        await server.kill()
        assert isinstance(await one.answered(given("b"), is_patient=False), Unverified)
        assert isinstance(await two.answered(given("b", at=NOW + 1)), AlreadyRedeemed)
        assert isinstance(await one.answered(given("a", at=NOW + 1)), AlreadyRedeemed), "this machine knows by itself"
        assert isinstance(await one.answered(given("c"), is_patient=True), Unverified)
        await server.start()

        async def is_granted() -> bool:
            return isinstance(await two.answered(given("c"), is_patient=True), Granted)

        await wait_until(is_granted, "Redis is asked again")
