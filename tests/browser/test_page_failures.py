"""The waiting page while the edge does not answer: it backs off, says so, and recovers."""

from time import time

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import (
    Fault,
    Reply,
    ScriptedEdge,
    early,
    waiting,
)
from tests.browser.visitor import STATUS, dispatch, fail, poll, settle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_the_page_backs_off_and_recovers(arrive: Arrive, edge: ScriptedEdge) -> None:
    """One failure is not shown. After several the page says so, polls less and less often, and then recovers."""
    edge.answers = [Fault.DROPPED]
    page = await arrive()
    await fail(page, 6)
    await expect(page.locator("#notice")).to_be_hidden()
    await fail(page, 2.1)
    await expect(page.locator("#notice")).to_have_text("Connection lost. Your place is kept. Trying again.")
    await expect(page.locator("#place")).to_have_text("1,240")
    await expect(page.locator("#live")).to_have_text("Connection lost. Your place is kept. Trying again.")
    await fail(page, 4.1)
    await fail(page, 8.1)
    polls = len(edge.polls)
    await page.clock.fast_forward(7500)
    await settle(page)
    assert len(edge.polls) == polls, "the fifth poll is sent after 8 to 16 s"
    await fail(page, 8.6)
    edge.answers = [waiting(800, 60)]
    await poll(page, 33)
    await expect(page.locator("#place")).to_have_text("800")
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(page.locator("#live")).to_have_text("Connected again.")


async def test_a_returning_network_ends_the_back_off(arrive: Arrive, edge: ScriptedEdge) -> None:
    """When the network is back, the page polls at once instead of after its long pause."""
    edge.answers = [waiting(800, 60)]
    page = await arrive()
    await page.context.set_offline(True)
    for after_s in (6, 2.1, 4.1, 8.1, 16.1, 32.1):
        await fail(page, after_s)
    async with page.expect_response(STATUS):
        await page.context.set_offline(False)
    await expect(page.locator("#place")).to_have_text("800")


async def test_retry_after_is_respected(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [Reply(503, retry_after=120), waiting(800, 60)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("#notice")).to_be_visible()
    await page.clock.fast_forward(115_000)
    await dispatch(page, "window", "new Event('online')")
    await page.clock.fast_forward(2000)
    await settle(page)
    assert len(edge.polls) == 1
    await poll(page, 10)
    await expect(page.locator("#place")).to_have_text("800")


async def test_a_foreign_response_is_a_failure(arrive: Arrive, edge: ScriptedEdge) -> None:
    """If a proxy in between answers with its own page, the visitor keeps waiting."""
    edge.answers = [Reply(200), Reply(200), waiting(500, 60)]
    page = await arrive()
    await poll(page, 6)
    await poll(page, 2.1)
    await expect(page.locator("#notice")).to_have_text("Connection lost. Your place is kept. Trying again.")
    await poll(page, 4.1)
    await expect(page.locator("#place")).to_have_text("500")


async def test_a_very_late_appointment_does_not_fire_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A timer of a browser that is set for more than 25 days would fire at once."""
    edge.pages = [early(time() + 30e5, poll_after_s=30e5)]
    page = await arrive()
    await page.clock.run_for(2000)
    await settle(page)
    assert edge.polls == []
    await expect(page.locator("#countdown")).to_be_hidden()
