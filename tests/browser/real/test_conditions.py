"""The waiting page in Chromium under what browsers do to pages: no network, a frozen tab, the way back, other tabs."""

from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Watch
from tests.browser.real.lines import ASK, Line, line_before

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browsers]

TIMEOUT_MS = 30_000


async def visit(chromium: Browser, line: Line, watch: Watch | None = None) -> Page:
    """Open the protected address as a new visitor, in a private window, as all contexts of Playwright are."""
    context = await chromium.new_context()
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    if watch is not None:
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
    await page.goto(line.url)
    await expect(page.locator("#place")).to_have_text("1", timeout=TIMEOUT_MS)
    return page


async def gets_in(page: Page, line: Line) -> None:
    line.open()
    await expect(page.locator("h1")).to_have_text("the shop: GET", timeout=TIMEOUT_MS)
    assert line.shop.at("/checkout/order") == [("GET", "")], "the shop was asked once"


async def test_a_page_without_a_network_says_so_and_keeps_the_place(chromium: Browser, tmp_path: Path) -> None:
    async with line_before(tmp_path) as line:
        page = await visit(chromium, line)
        await page.context.set_offline(True)
        await expect(page.locator("#notice")).to_contain_text("Connection lost", timeout=TIMEOUT_MS)
        await expect(page.locator("#place")).to_be_visible()
        await page.context.set_offline(False)
        await expect(page.locator("#notice")).to_be_hidden(timeout=TIMEOUT_MS)
        await gets_in(page, line)
        await page.context.close()


async def test_a_frozen_tab_gets_in_when_it_wakes_up(chromium: Browser, tmp_path: Path) -> None:
    """Chromium freezes tabs in the background: no timer fires and no answer is handled. The turn comes meanwhile."""
    async with line_before(tmp_path) as line:
        page = await visit(chromium, line)
        session = await page.context.new_cdp_session(page)
        await session.send("Page.setWebLifecycleState", {"state": "frozen"})
        line.open()
        other = await chromium.new_context()
        next_visitor = await other.new_page()
        await next_visitor.goto(line.url)
        await expect(next_visitor.locator("h1")).to_have_text("the shop: GET", timeout=TIMEOUT_MS)
        await session.send("Page.setWebLifecycleState", {"state": "active"})
        await expect(page.locator("h1")).to_have_text("the shop: GET", timeout=TIMEOUT_MS)
        await other.close()
        await page.context.close()


async def test_a_slow_processor_changes_nothing(chromium: Browser, tmp_path: Path) -> None:
    """A tab in the background is throttled; so is a cheap phone. Twenty times slower, the page is as right."""
    async with line_before(tmp_path) as line:
        page = await visit(chromium, line)
        session = await page.context.new_cdp_session(page)
        await session.send("Emulation.setCPUThrottlingRate", {"rate": 20})
        await gets_in(page, line)
        await page.context.close()


async def test_the_way_back_leads_to_the_line(chromium: Browser, tmp_path: Path) -> None:
    """The visitor goes to another page and back, by the cache of whole pages if the browser has it there."""
    async with line_before(tmp_path) as line:
        page = await visit(chromium, line)
        await page.goto(f"{line.edge.url}/")
        await expect(page.locator("h1")).to_have_text("shop")
        await page.go_back()
        await expect(page.locator("#place")).to_have_text("1", timeout=TIMEOUT_MS)
        await gets_in(page, line)
        await page.context.close()


async def test_two_tabs_have_one_place(chromium: Browser, tmp_path: Path) -> None:
    async with line_before(tmp_path) as line:
        page = await visit(chromium, line)
        second = await page.context.new_page()
        await second.goto(line.url)
        await expect(second.locator("#place")).to_have_text("1", timeout=TIMEOUT_MS)
        line.open()
        for tab in (page, second):
            await expect(tab.locator("h1")).to_have_text("the shop: GET", timeout=TIMEOUT_MS)
        await page.context.close()


async def test_a_service_worker_of_the_shop_changes_nothing(chromium: Browser, tmp_path: Path) -> None:
    """Both the waiting page and the client of single-page shops work with a worker between them and the edge."""
    async with line_before(tmp_path, has_worker=True) as line:
        context = await chromium.new_context()
        context.set_default_timeout(TIMEOUT_MS)
        page, client = await context.new_page(), await context.new_page()
        for tab in (page, client):
            await tab.goto(f"{line.edge.url}/")
            await tab.wait_for_function("navigator.serviceWorker.controller !== null")
        await page.goto(f"{line.edge.url}/checkout/page")
        await expect(page.locator("#place")).to_have_text("1", timeout=TIMEOUT_MS)
        await client.evaluate(ASK)
        await client.wait_for_function("seen.length > 0")
        line.open()
        await expect(page.locator("h1")).to_have_text("the shop: GET", timeout=TIMEOUT_MS)
        assert await client.evaluate("answer") == [200, "<title>shop</title><h1>the shop: POST note=1</h1>"]
        assert line.shop.at("/checkout/order") == [("POST", "note=1")]
        await context.close()
