"""Steps of a visitor on the waiting page. The visitor's clock is moved by the test; nothing waits for real time."""

import re

from playwright.async_api import Page

from tests.browser.scripted_edge import ScriptedEdge

STATUS = re.compile(r"/_stanchion/status\?room=checkout$")


async def settle(page: Page) -> None:
    """Wait until the page has handled all earlier events and has sent the requests that follow from them."""
    await page.evaluate("fetch('/cart').catch(() => null)")


async def poll_with_delay(page: Page, edge: ScriptedEdge, milliseconds: int) -> None:
    """Let the first poll take this long. After that the clock stands still."""
    await page.clock.pause_at((await page.evaluate("Date.now()") + 500) / 1000)
    edge.may_answer.clear()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    await page.clock.fast_forward(milliseconds)
    async with page.expect_response(STATUS) as response:
        edge.may_answer.set()
    await (await response.value).finished()
    await settle(page)


async def poll(page: Page, after_s: float) -> None:
    """Move the visitor's clock until the page polls, and wait until it has handled the response."""
    async with page.expect_response(STATUS) as response:
        await page.clock.fast_forward(int(after_s * 1000))
    await (await response.value).finished()
    await settle(page)


async def fail(page: Page, after_s: float) -> None:
    """Do the same for a poll without a response."""
    async with page.expect_event("requestfailed", lambda request: STATUS.search(request.url) is not None):
        await page.clock.fast_forward(int(after_s * 1000))
    await settle(page)


async def dispatch(page: Page, target: str, event: str) -> None:
    await page.evaluate(f"{target}.dispatchEvent({event})")


async def wake(page: Page) -> None:
    """Make the page believe that its tab has become visible."""
    await dispatch(page, "document", "new Event('visibilitychange')")
