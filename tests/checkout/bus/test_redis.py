"""The bus in Redis keeps the contract on a real server."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from redis import Redis

from checkout.bus.bus import Bus, BusError, Message
from checkout.bus.redis import RedisBus
from tests.checkout.bus.contract import BusContract, OpenBus, take_some
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


async def test_a_foreign_entry_is_a_message_without_a_text(server: RedisServer) -> None:
    """Nothing ends because another program has added an entry. The consumer finds that it holds no event."""
    with Redis.from_url(server.url) as client:
        client.flushall()
        client.xadd("shop-events:{t}", {"x": "y"}, "5-0")
    bus = RedisBus(server.url)
    assert await bus.last("t") == Message(5, "")
    assert [delivery.message for delivery in await take_some(bus, "t", "g")] == [Message(5, "")]
    await bus.close()


async def test_a_server_that_does_not_answer_is_an_error() -> None:
    bus = RedisBus(f"redis://127.0.0.1:{free_port()}/0")
    with pytest.raises(BusError):
        await bus.last("t")
    with pytest.raises(BusError):
        await bus.take("t", "g", 1)
    await bus.close()
