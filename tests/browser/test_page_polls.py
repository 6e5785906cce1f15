"""When the waiting page polls: never early, never twice at once, and on time after sleep."""

from time import time

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import (
    Fault,
    ScriptedEdge,
    waiting,
)
from tests.browser.visitor import STATUS, dispatch, fail, poll, poll_with_delay, settle, wake

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_never_polls_early(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(10, 30, poll_after_s=30)]
    page = await arrive()
    await page.clock.fast_forward(25_000)
    await wake(page)
    await page.clock.fast_forward(2000)
    await settle(page)
    assert edge.polls == []
    await poll(page, 8)
    assert len(edge.polls) == 1


async def test_the_round_trip_time_is_subtracted_from_the_interval(arrive: Arrive, edge: ScriptedEdge) -> None:
    """After a response that took one second, the next poll is sent 0.8 s earlier."""
    edge.answers = [waiting(7, 20, poll_after_s=10)]
    page = await arrive()
    await poll_with_delay(page, edge, 1000)
    await page.clock.fast_forward(9000)
    await settle(page)
    assert len(edge.polls) == 1
    await poll(page, 0.5)
    assert len(edge.polls) == 2


@pytest.mark.parametrize("parked_ms", [0, 1300])
async def test_after_a_parked_poll_the_next_one_is_sent_at_once(
    arrive: Arrive, edge: ScriptedEdge, parked_ms: int
) -> None:
    """Two polls are at least half a second apart, and the time of a parked poll counts."""
    edge.answers = [waiting(1, 1, poll_after_s=0.0)]
    page = await arrive()
    await poll_with_delay(page, edge, parked_ms)
    await page.clock.fast_forward(50)
    await settle(page)
    assert len(edge.polls) == (2 if parked_ms else 1)
    if not parked_ms:
        await poll(page, 0.5)
        assert len(edge.polls) == 2


async def test_there_are_never_two_polls_in_flight(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A poll without a response is cancelled after its timeout. Until then no event starts a second one."""
    edge.answers = [Fault.SILENT, waiting(7, 20)]
    page = await arrive()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    for _ in range(3):
        await wake(page)
        await dispatch(page, "window", "new Event('online')")
        await page.clock.fast_forward(1000)
    await settle(page)
    assert len(edge.polls) == 1
    await fail(page, 11)
    await poll(page, 3)
    await expect(page.locator("#place")).to_have_text("7")


async def test_a_waking_tab_polls_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The timers of a sleeping tab stand still. If it wakes after its appointment, it polls at once."""
    edge.pages = [waiting(10, 600, poll_after_s=60)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await page.clock.set_system_time((time() + 300) * 1000)
    async with page.expect_response(STATUS):
        await wake(page)
    await expect(page.locator("#place")).to_have_text("3")


async def test_a_clock_set_back_does_not_delay_the_poll(arrive: Arrive, edge: ScriptedEdge) -> None:
    """If the visitor's clock is set back by two hours, the next poll is not two hours late."""
    edge.pages = [waiting(10, 30, poll_after_s=20)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await page.clock.set_system_time((time() - 7200) * 1000)
    async with page.expect_response(STATUS):
        await wake(page)
    await expect(page.locator("#place")).to_have_text("3")


async def test_the_page_continues_after_the_back_forward_cache(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A page in the cache does not poll, and continues when it is shown again."""
    edge.pages = [waiting(10, 30, poll_after_s=20)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await dispatch(page, "window", "new PageTransitionEvent('pagehide', {persisted: true})")
    await page.clock.fast_forward(60_000)
    await settle(page)
    assert edge.polls == []
    async with page.expect_response(STATUS):
        await dispatch(page, "window", "new PageTransitionEvent('pageshow', {persisted: true})")
    await expect(page.locator("#place")).to_have_text("3")


async def test_leaving_the_page_cancels_its_poll(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A page in the cache has no open poll, and polls again when it is shown again."""
    edge.answers = [Fault.SILENT, waiting(3, 20)]
    page = await arrive()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    async with page.expect_event("requestfailed"):
        await dispatch(page, "window", "new PageTransitionEvent('pagehide', {persisted: true})")
    async with page.expect_response(STATUS):
        await dispatch(page, "window", "new PageTransitionEvent('pageshow', {persisted: true})")
    await expect(page.locator("#place")).to_have_text("3")
