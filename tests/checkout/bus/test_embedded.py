"""The embedded bus keeps the contract, and says which file it cannot open."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from checkout.bus.bus import Bus, BusError
from checkout.bus.embedded import EmbeddedBus
from tests.checkout.bus.contract import BusContract, OpenBus, messages, numbers, take_some


class TestEmbeddedBus(BusContract):
    @pytest.fixture
    def connect(self, tmp_path: Path) -> OpenBus:
        @asynccontextmanager
        async def connect(lease_s: float) -> AsyncIterator[Bus]:
            bus = await EmbeddedBus.open(str(tmp_path / "bus.db"), lease_s=lease_s)
            try:
                yield bus
            finally:
                await bus.close()

        return connect


async def test_a_bus_in_memory_works() -> None:
    bus = await EmbeddedBus.open(":memory:")
    await bus.publish("t", messages(1, 2))
    assert numbers(await take_some(bus, "t", "g")) == [1, 2]
    await bus.close()


async def test_a_file_that_cannot_be_opened_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(BusError, match="nowhere"):
        await EmbeddedBus.open(str(tmp_path / "nowhere" / "bus.db"))
