"""The way between machines over a real Redis: it carries, it breaks, it says so, and it comes back by itself."""

import asyncio
import contextlib
import logging
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import redis.asyncio
from prometheus_client import CollectorRegistry

from edge.supervisor.redis_bus import RedisBus
from tests.edge.cluster.redis_server import RedisServer, running_redis
from tests.edge.running import wait_until


class Machine:
    """A bus and what it heard."""

    def __init__(self, url: str, name: str) -> None:
        self.heard: list[dict[str, Any]] = []
        self.changes: list[bool] = []
        self.registry = CollectorRegistry()
        self.bus = RedisBus(url, None, "stanchion:test", name, self.heard.append, self.changes.append, self.registry)
        self._sent = 0

    def beat(self) -> None:
        self._sent += 1
        self.bus.send({"kind": "news", "number": self._sent})

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)


@contextlib.asynccontextmanager
async def machines(url: str, *names: str) -> AsyncIterator[list[Machine]]:
    """Machines that send ten times a second."""
    all_of_them = [Machine(url, name) for name in names]

    async def beat() -> None:
        while True:
            await asyncio.sleep(0.1)
            for machine in all_of_them:
                machine.beat()

    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(beat()), *(group.create_task(machine.bus.run()) for machine in all_of_them)]
        yield all_of_them
        for task in tasks:
            task.cancel()


async def both_hear(a: Machine, b: Machine) -> None:
    """From now on, not from before."""
    binding_digest = [len(machine.heard) for machine in (a, b)]

    async def more() -> bool:
        return all(len(m.heard) > mark and m.bus.is_up for m, mark in zip((a, b), binding_digest, strict=True))

    await wait_until(more, "both machines hear each other")


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[RedisServer]:
    async with running_redis(tmp_path) as server:
        yield server


async def test_machines_hear_each_other_and_not_themselves(server: RedisServer) -> None:
    """Every message reaches every other machine, unchanged and in order."""
    async with machines(server.url, "a", "b") as [a, b]:
        await both_hear(a, b)
        await both_hear(a, b)
        numbers = [message["number"] for message in b.heard]
        assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
        assert a.metric("stanchion_redis_up") == 1


async def test_wiping_redis_changes_nothing(server: RedisServer) -> None:
    """It keeps nothing, so there is nothing to lose."""
    async with machines(server.url, "a", "b") as [a, b]:
        await both_hear(a, b)
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await client.flushall()
        await both_hear(a, b)
        assert a.changes == [True]


async def fill(client: redis.asyncio.Redis) -> None:
    for number in range(10_000):
        await client.set(f"filler {number}", "x" * 1000)


async def test_a_full_redis_still_carries(tmp_path: Path) -> None:
    """Memory is what it is out of, and carrying takes none."""
    async with running_redis(tmp_path, "--maxmemory", "1mb", "--maxmemory-policy", "noeviction") as server:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            with pytest.raises(redis.exceptions.OutOfMemoryError):
                await fill(client)
        async with machines(server.url, "a", "b") as [a, b]:
            await both_hear(a, b)


async def test_a_killed_redis_is_noticed_said_once_and_found_again(
    server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    """One line and one metric when it goes, one when it is back, however many tries lie between."""
    caplog.set_level(logging.INFO, "edge.cluster")
    async with machines(server.url, "a", "b") as [a, b]:
        await both_hear(a, b)
        await server.kill()

        async def noticed() -> bool:
            return not a.bus.is_up and not b.bus.is_up and (a.metric("stanchion_redis_failures_total") or 0) >= 3

        await wait_until(noticed, "both notice")
        assert a.metric("stanchion_redis_up") == 0
        await server.start()
        await both_hear(a, b)
        assert a.changes == [True, False, True]
    said = [record.getMessage() for record in caplog.records if record.name == "edge.cluster"]
    assert sum("cannot be reached" in line for line in said) == 2, "one line a machine"
    assert sum("joined" in line for line in said) == 4


async def test_a_redis_that_hangs_is_as_good_as_gone(server: RedisServer) -> None:
    """It is stopped, not killed: connections stay open and nothing comes. It counts as broken until it moves again."""
    async with machines(server.url, "a", "b") as [a, b]:
        await both_hear(a, b)
        assert server.process is not None
        server.process.send_signal(signal.SIGSTOP)

        async def noticed() -> bool:
            return not a.bus.is_up and not b.bus.is_up

        await wait_until(noticed, "both notice")
        server.process.send_signal(signal.SIGCONT)
        await both_hear(a, b)


async def test_news_that_cannot_be_sent_is_dropped_oldest_first() -> None:
    """A Redis that is gone costs no memory: the queue is bounded, and what is dropped is counted."""
    machine = Machine("redis://127.0.0.1:1/0", "a")
    for _ in range(1000):
        machine.beat()
    assert machine.metric("stanchion_redis_dropped_messages_total") == 1000 - 256
