"""The bus in NATS JetStream keeps the contract on a real server, and comes back with it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import nats
import pytest

from checkout.bus.bus import Bus, BusError
from checkout.bus.nats import NatsBus
from tests.checkout.bus.contract import BusContract, OpenBus, messages, take_some
from tests.checkout.servers import NatsServer, nats_server
from tests.ports import free_port


@pytest.fixture(scope="module")
def server() -> Iterator[NatsServer]:
    with nats_server() as server:
        yield server


class TestNatsBus(BusContract):
    @pytest.fixture
    async def connect(self, server: NatsServer) -> OpenBus:
        client = await nats.connect(server.url)
        stream = client.jetstream()
        for info in await stream.streams_info():
            await stream.delete_stream(str(info.config.name))
        await client.close()

        @asynccontextmanager
        async def connect(lease_s: float) -> AsyncIterator[Bus]:
            bus = await NatsBus.open(server.url, lease_s=lease_s)
            try:
                yield bus
            finally:
                await bus.close()

        return connect

    async def test_it_goes_on_after_a_restart_of_the_server(self, bus: Bus, server: NatsServer) -> None:
        """A kill -9 of the server loses no message that it has taken, and the connection comes back."""
        await bus.publish("t", messages(1, 2))
        server.kill()
        await asyncio.to_thread(server.start)
        async with asyncio.timeout(30):
            while True:
                try:
                    await bus.publish("t", messages(2, 3))
                    break
                except BusError:
                    await asyncio.sleep(0.05)
        assert await bus.after("t", 0, 10) == messages(1, 2, 3)


async def test_a_foreign_message_is_left_out_by_groups_and_named_to_readers(server: NatsServer) -> None:
    """It has no number, so it has no place in the topic."""
    bus = await NatsBus.open(server.url)
    await bus.clear("foreign")
    await bus.publish("foreign", messages(1))
    client = await nats.connect(server.url)
    await client.jetstream().publish("shop.foreign", b"hello")
    await client.close()
    await bus.publish("foreign", messages(1))
    assert [delivery.message.number for delivery in await take_some(bus, "foreign", "g")] == [1]
    with pytest.raises(BusError, match="another program"):
        await bus.after("foreign", 0, 10)
    await bus.close()


async def test_a_server_that_does_not_answer_is_an_error() -> None:
    with pytest.raises(BusError, match="the event bus nats://127"):
        await NatsBus.open(f"nats://127.0.0.1:{free_port()}")
