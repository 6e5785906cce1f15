"""The page of an admitted visitor if the shop fails: it tries again by itself, less and less often, without a form."""

import asyncio
from itertools import pairwise

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import PROTECTED, ScriptedEdge

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_it_loads_itself_again_after_growing_pauses(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/failing")
    async with asyncio.timeout(60):
        while len(edge.failed_at) < 4:
            await asyncio.sleep(0.05)
    edge.is_failing = False
    await expect(page).to_have_title(PROTECTED, timeout=30_000)
    pauses = [later - earlier for earlier, later in pairwise(edge.failed_at)]
    for pause_s, full_s in zip(pauses, (1.0, 1.6, 2.56, 4.1), strict=False):
        assert pause_s >= 0.74 * full_s, f"it waits three quarters of {full_s} s at least"
    assert set(edge.failed) == {"GET"}


async def test_a_visitor_without_a_network_keeps_the_page_until_it_is_back(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/failing")
    await page.context.set_offline(True)
    await page.clock.run_for(20_000)
    await expect(page.locator("h1")).to_have_text("The shop is not available", timeout=30_000)
    edge.is_failing = False
    async with page.expect_navigation():
        await page.context.set_offline(False)
    await expect(page).to_have_title(PROTECTED)


async def test_without_scripts_it_loads_itself_too(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/failing", java_script_enabled=False)
    edge.is_failing = False
    await expect(page).to_have_title(PROTECTED)


async def test_a_failed_form_is_not_sent_again(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/cart")
    await page.evaluate("document.forms[0].action = '/failing'")
    await page.click("button")
    await expect(page.locator("h1")).to_have_text("We do not know whether the shop received what you sent")
    await expect(page.locator("a.button")).to_be_hidden()
    await page.clock.run_for(120_000)
    assert edge.failed == ["POST"]
