"""The bus in Redis keeps the contract on a real server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from checkout.bus.bus import Bus, BusError
from checkout.bus.redis import RedisBus
from tests.checkout.bus.contract import BusContract, OpenBus
from tests.checkout.servers import RedisServer, redis_server
from tests.ports import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[RedisServer]:
    with redis_server() as server:
        yield server


class TestRedisBus(BusContract):
    @pytest.fixture
    def connect(self, server: RedisServer) -> OpenBus:
        with Redis.from_url(server.url) as client:
            client.flushall()

        @asynccontextmanager
        async def connect(lease_s: float) -> AsyncIterator[Bus]:
            bus = RedisBus(server.url, lease_s=lease_s)
            try:
                yield bus
            finally:
                await bus.close()

        return connect


async def test_a_server_that_does_not_answer_is_an_error() -> None:
    bus = RedisBus(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BusError):
        await bus.last("t")
    with pytest.raises(BusError):
        await bus.take("t", "g", 1)
    await bus.close()
