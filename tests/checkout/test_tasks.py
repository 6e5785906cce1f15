"""Background services end with their block, and the block ends if one of them fails."""

import asyncio

import pytest

from checkout.tasks import background


async def test_services_end_with_the_block() -> None:
    """After the block no service runs any more."""
    ended = asyncio.Event()

    async def service() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with background(service()):
        await asyncio.sleep(0)
        assert not ended.is_set()
    assert ended.is_set()


async def test_a_swallowed_cancellation_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a library in a service swallows a cancellation, the service is cancelled again."""
    monkeypatch.setattr("checkout.tasks.CANCEL_AGAIN_S", 0.01)
    swallowed = 0

    async def service() -> None:
        nonlocal swallowed
        while swallowed < 2:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                swallowed += 1
        await asyncio.Event().wait()

    async with asyncio.timeout(10), background(service()):
        await asyncio.sleep(0)
    assert swallowed == 2


async def test_failing_service_ends_the_block_with_its_own_error() -> None:
    """The block is cancelled, and the error is raised without a group."""

    async def service() -> None:
        raise ValueError("broken")

    with pytest.raises(ValueError, match="broken"):
        async with background(service()):
            await asyncio.Event().wait()


async def test_an_error_of_the_block_is_not_wrapped() -> None:
    """An error of the block is raised without a group."""

    async def service() -> None:
        await asyncio.Event().wait()

    with pytest.raises(KeyError):
        async with background(service()):
            raise KeyError
