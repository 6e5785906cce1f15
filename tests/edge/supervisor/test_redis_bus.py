"""The bus between machines over a real Redis: it carries messages, breaks, says so, and reconnects by itself."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry

from edge.messages.cluster import ClusterMessage, NodeSummary
from edge.supervisor.redis_bus import MAX_QUEUED, RedisBus
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.running import wait_until

CHANNEL = "stanchion:test"


class Machine:
    """A bus and what it received. Its messages are numbered."""

    def __init__(self, url: str, name: str) -> None:
        self.received: list[ClusterMessage] = []
        self.changes: list[bool] = []
        self.registry = CollectorRegistry()
        self.bus = RedisBus(url, None, CHANNEL, name, self.registry)
        self._sent = 0

    async def run(self) -> None:
        await self.bus.run(self.received.append, self.changes.append)

    def send(self) -> None:
        self._sent += 1
        self.bus.send(NodeSummary("checkout", "node", self._sent, 0.0, 0.0, 0.0, 0.0, 0.0, (), ()))

    @property
    def numbers(self) -> list[int]:
        """The numbers of all messages that were received."""
        return [message.beat for message in self.received if isinstance(message, NodeSummary)]

    def metric(self, name: str, **labels: str) -> float | None:
        return self.registry.get_sample_value(name, labels)


@contextlib.asynccontextmanager
async def sending(*machines: Machine) -> AsyncIterator[None]:
    """The machines' buses run, and each sends ten messages a second."""

    async def send() -> None:
        while True:
            await asyncio.sleep(0.1)
            for machine in machines:
                machine.send()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(send()), *(group.create_task(machine.run()) for machine in machines)]
        yield
        for task in tasks:
            task.cancel()
        _, left = await asyncio.wait(tasks, timeout=20.0)
        where = [task.get_stack() for task in left]
        for task in left:
            task.cancel()
        assert not left, f"a cancellation was lost: {where}"


@contextlib.asynccontextmanager
async def two_machines(url: str) -> AsyncIterator[tuple[Machine, Machine]]:
    a, b = Machine(url, "a"), Machine(url, "b")
    async with sending(a, b):
        yield a, b


async def wait_both_receive(a: Machine, b: Machine) -> None:
    """Wait until both have received something new."""
    before = [len(machine.received) for machine in (a, b)]

    async def is_more() -> bool:
        return all(len(m.received) > count and m.bus.is_up for m, count in zip((a, b), before, strict=True))

    await wait_until(is_more, "both machines hear each other")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running_redis(tmp_path) as server:
        yield server


async def test_machines_receive_each_others_messages_and_not_their_own(server: RedisServer) -> None:
    """Every message reaches every other machine, unchanged and in order."""
    async with two_machines(server.url) as (a, b):
        await wait_both_receive(a, b)
        await wait_both_receive(a, b)
        assert b.numbers == list(range(b.numbers[0], b.numbers[0] + len(b.numbers)))
        assert a.metric("stanchion_redis_up") == 1


async def test_wiping_redis_changes_nothing(server: RedisServer) -> None:
    """Redis stores nothing of the bus, so nothing is lost."""
    async with two_machines(server.url) as (a, b):
        await wait_both_receive(a, b)
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await client.flushall()
        await wait_both_receive(a, b)
        assert a.changes == [True]


async def fill(client: redis.asyncio.Redis) -> None:
    for number in range(10_000):
        await client.set(f"filler {number}", "x" * 1000)


async def test_a_full_redis_still_carries_messages(tmp_path: Path) -> None:
    """It is out of memory, and carrying a message takes none."""
    async with running_redis(tmp_path, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as server:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                await fill(client)
        async with two_machines(server.url) as (a, b):
            await wait_both_receive(a, b)


async def test_a_killed_redis_is_noticed_logged_once_and_found_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One line and one metric when it goes, one when it is back, however many attempts lie between."""
    caplog.set_level(logging.INFO, "edge.cluster")
    async with two_machines(server.url) as (a, b):
        await wait_both_receive(a, b)
        await server.kill()

        async def have_noticed() -> bool:
            return not a.bus.is_up and not b.bus.is_up and (a.metric("stanchion_redis_failures_total") or 0) >= 3

        await wait_until(have_noticed, "both notice")
        assert a.metric("stanchion_redis_up") == 0
        await server.start()
        await wait_both_receive(a, b)
        assert a.changes == [True, False, True]
    lines = [record.getMessage() for record in caplog.records if record.name == "edge.cluster"]
    assert sum("cannot be reached" in line for line in lines) == 2, "one line a machine"
    assert sum("joined" in line for line in lines) == 4


async def test_a_redis_that_hangs_counts_as_gone(server: RedisServer) -> None:
    """It is stopped, not killed: connections stay open and nothing comes, until it goes on."""
    async with two_machines(server.url) as (a, b):
        await wait_both_receive(a, b)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)

        async def have_noticed() -> bool:
            return not a.bus.is_up and not b.bus.is_up

        await wait_until(have_noticed, "both notice")
        server.process.send_signal(signal.SIGCONT)
        await wait_both_receive(a, b)


async def test_the_oldest_messages_are_dropped_while_redis_is_gone() -> None:
    """The queue is bounded, so that no memory is lost, and what is dropped is counted."""
    machine = Machine("redis://127.0.0.1:1/0", "a")
    for _ in range(1000):
        machine.send()
    assert machine.metric("stanchion_redis_dropped_messages_total") == 1000 - MAX_QUEUED


async def test_messages_that_are_not_understood_are_counted_and_end_nothing(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """A later version's messages and damaged ones: one log line for each reason, and the bus goes on."""
    caplog.set_level(logging.INFO, "edge.cluster")
    later = msgspec.msgpack.encode(["Weather", "later", {"type": "Weather", "sun": True}])
    async with two_machines(server.url) as (a, b), redis.asyncio.Redis.from_url(server.url) as client:
        await wait_both_receive(a, b)
        for payload in (later, later, b"", b'{"kind": "news"}', b"\xff" * 1000):
            await client.publish(CHANNEL, payload)

        async def are_counted() -> bool:
            counts = {
                reason: a.metric("stanchion_redis_ignored_messages_total", reason=reason)
                for reason in ("unknown", "malformed")
            }
            return counts == {"unknown": 2, "malformed": 3}

        await wait_until(are_counted, "all of them are counted")
        await wait_both_receive(a, b)
        assert a.changes == [True]
        assert all(isinstance(message, NodeSummary) for message in a.received)
    lines = [record.getMessage() for record in caplog.records if "ignoring" in record.getMessage()]
    assert len(lines) == 4, "one a machine and reason"
