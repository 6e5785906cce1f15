"""Services beside a block: they end with it, and it ends with them."""

import asyncio

import pytest

from checkout.tasks import beside


async def test_services_end_with_the_block() -> None:
    """When the block is left no service runs any more."""
    ended = asyncio.Event()

    async def service() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with beside(service()):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_swallowed_cancellation_does_not_hang(monkeypatch: pytest.MonkeyPatch) -> None:
    """A service in which a library swallows a cancellation is cancelled again."""
    monkeypatch.setattr("checkout.tasks.AGAIN_S", 0.01)
    swallowed = 0

    async def service() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(10), beside(service()):
        await asyncio.sleep(0)
    assert swallowed == 2


async def test_failing_service_ends_the_block_with_its_own_error() -> None:
    """The block is cancelled, and the error comes out as itself."""

    async def service() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with beside(service()):
            await asyncio.Event().wait()


async def test_error_of_the_block_comes_out_as_itself() -> None:
    """What the block raises is not wrapped either."""

    async def service() -> None:
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        async with beside(service()):
            raise KeyError
