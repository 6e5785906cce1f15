"""The waiting page for everybody: without scripts, for screen readers, readable on every screen."""

import asyncio
import re
from time import time

import pytest
from playwright.async_api import Route, expect

from tests.browser.conftest import Arrive, Watch
from tests.browser.scripted_edge import (
    PROTECTED,
    Reply,
    ScriptedEdge,
    admitted,
    sold_out,
    waiting,
)
from tests.browser.visitor import poll

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_screen_readers_get_the_place_once_a_minute(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The place is announced once a minute, a change of state at once."""
    edge.pages = [waiting(1000, 6000)]
    edge.answers = [waiting(1000 - n, 6000 - 6 * n, stock=n) for n in range(1, 14)]
    page = await arrive()
    for n in range(1, 10):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#live")).to_have_text("")
    for n in range(10, 13):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#live")).to_have_text(re.compile(r"^Your place in line: 99\d\. Estimated wait: "))
    edge.answers = [sold_out(poll_after_s=10)]
    await poll(page, 6)
    await expect(page.locator("#live")).to_have_text(re.compile("^Sold out for now"))


async def test_a_visitor_without_scripts_gets_in(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Without scripts the page reloads itself."""
    edge.pages = [waiting(3, 130, poll_after_s=1), waiting(2, 20, poll_after_s=1), admitted()]
    edge.may_load = asyncio.Semaphore(1)
    page = await arrive(java_script_enabled=False)
    await expect(page.locator("#place")).to_have_text("3")
    await expect(page.locator("#wait")).to_have_text("about 2 minutes")
    edge.may_load.release()
    await expect(page.locator("#place")).to_have_text("2")
    edge.may_load.release()
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")
    assert edge.polls == []


async def shorten_rescue(route: Route) -> None:
    """Shorten the slow refresh (if a page's script does not load) from twenty seconds to one."""
    response = await route.fetch()
    await route.fulfill(response=response, body=(await response.text()).replace('content="20"', 'content="1"'))


async def test_a_visitor_gets_in_if_the_script_does_not_load(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A missing file must not make a visitor wait for ever."""
    edge.pages = [waiting(3, 130), admitted()]
    page = await arrive("/cart")
    await page.route("**/waiting.*.js", lambda route: route.abort())
    await page.route("**/checkout", shorten_rescue)
    await page.goto(edge.url)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")


async def test_the_script_cancels_every_refresh(arrive: Arrive, edge: ScriptedEdge) -> None:
    """With the script the page is loaded once, and polls keep it up to date."""
    edge.pages = [waiting(3, 130, poll_after_s=1)]
    edge.answers = [waiting(2, 120, poll_after_s=1)]
    page = await arrive("/cart")
    await page.route("**/checkout", shorten_rescue)
    await page.goto(edge.url)
    started = time()
    while time() < started + 1.5:  # longer than the delay of either refresh
        await poll(page, 1.2)
    assert edge.visits == ["GET"]


MEASURE_CONTRAST = """() => {
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const rgba = parse(getComputedStyle(e).backgroundColor);
            if (rgba.length === 3 || rgba[3] > 0) return rgba.slice(0, 3);
        }
    };
    const found = {};
    for (const e of document.querySelectorAll("main *")) {
        const hasText = [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!hasText || !e.checkVisibility()) continue;
        const pair = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((a, b) => b - a);
        found[e.textContent] = (pair[0] + 0.05) / (pair[1] + 0.05);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/checkout", "/broken/502"])
async def test_text_has_enough_contrast(arrive: Arrive, edge: ScriptedEdge, scheme: str, path: str) -> None:
    """WCAG 1.4.3: every text has a contrast of at least 4.5:1 to its background."""
    edge.pages = [waiting(1240, 95, message="One per person.", stock=3)]
    edge.answers = [Reply(503, retry_after=60)]
    page = await arrive(path, color_scheme=scheme)
    if path == "/checkout":
        await poll(page, 6)
        await expect(page.locator("#notice")).to_be_visible()
    contrasts = await page.evaluate(MEASURE_CONTRAST)
    assert len(contrasts) >= 4
    assert {text: c for text, c in contrasts.items() if c < 4.5} == {}


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_the_page_fits_the_screen(arrive: Arrive, edge: ScriptedEdge, width: int) -> None:
    """WCAG 1.4.10: the page does not scroll sideways, even with a place above a million and a very long word."""
    edge.pages = [waiting(1_234_567, 20_000, message="x" * 200, stock=1_000_000)]
    page = await arrive(viewport={"width": width, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    box = await page.locator("#place").bounding_box()
    assert box is not None
    assert await page.locator("#place").evaluate("e => e.scrollWidth <= e.clientWidth + 1")


async def test_the_error_page_explains_the_error(arrive: Arrive) -> None:
    page = await arrive("/broken/502")
    await expect(page).to_have_title("The shop is not answering")
    await expect(page.get_by_text("Please try again in a few seconds.")).to_be_visible()
    await expect(page.get_by_role("link", name="Try again")).to_be_visible()


async def test_the_watch_notices_violations(arrive: Arrive, watch: Watch) -> None:
    """Inline code is refused, and the fixture `watch` of every test records it."""
    page = await arrive()
    async with page.expect_event("console"):
        await page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.broken = 1'}))"
        )
    assert await page.evaluate("window.broken") is None
    assert any("script-src" in fault for fault in watch.faults)
    watch.faults.clear()
