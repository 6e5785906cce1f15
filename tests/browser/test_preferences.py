"""What visitors set in their system, and how they hold their phone: forced colours, less motion, zoom, landscape."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page

from tests.browser.test_accessibility import OVERFLOW
from tests.browser.views import LANGUAGES, ORIGIN, documents, serve

pytestmark = pytest.mark.asyncio(loop_scope="session")

LANDSCAPE = {"width": 667, "height": 375}
"""The smallest phone that is still common, on its side."""


async def opened(chromium: Browser, pages: dict[str, bytes], **options: Any) -> Page:
    """Open a window on these pages, without scripts of the edge."""
    context = await chromium.new_context(**options)
    await serve(context, pages)
    return await context.new_page()


@pytest.mark.parametrize("view", ["waiting", "shop down", "draw"])
async def test_a_phone_on_its_side_shows_what_to_do_without_scrolling(chromium: Browser, view: str) -> None:
    """In every language."""
    pages = {f"/{language}": documents(language)[view] for language in LANGUAGES.names}
    frames = "".join(f'<iframe width="667" height="375" src="{path}"></iframe>' for path in pages)
    page = await opened(chromium, {**pages, "/": f"<!doctype html><title>all</title>{frames}".encode()})
    await page.goto(ORIGIN + "/", wait_until="load")
    small = [frame for frame in page.frames if frame != page.main_frame]
    assert len(small) == len(LANGUAGES.names)
    bottoms = {
        frame.url: await frame.evaluate("document.getElementById('next').getBoundingClientRect().bottom")
        for frame in small
    }
    await page.context.close()
    assert {url: bottom for url, bottom in bottoms.items() if bottom > LANDSCAPE["height"]} == {}


async def test_a_phone_on_its_side_has_no_overflow_and_the_texts_beside_the_figures(chromium: Browser) -> None:
    pages = {
        f"/{language}/{view}": documents(language)[view] for language in ("de", "ar") for view in ("waiting", "draw")
    }
    page = await opened(chromium, pages, viewport=LANDSCAPE)
    for path in pages:
        await page.goto(ORIGIN + path)
        assert await page.evaluate(OVERFLOW) == []
        next_x, figures_x = [
            (await page.locator(selector).bounding_box() or {"x": 0.0})["x"] for selector in ("#next", "#figures")
        ]
        assert (next_x < figures_x) is path.startswith("/de")
    await page.context.close()


async def test_forced_colours_keep_what_colours_say(chromium: Browser) -> None:
    """The bar, notices and buttons have borders, because their backgrounds are gone. The colours are the visitor's."""
    made = documents("en")
    pages = {"/line": made["moved back"], "/cookies": made["cookies"], "/error": made["error"]}
    page = await opened(chromium, pages, forced_colors="active")
    borders = """[...document.querySelectorAll("progress, .notice, .button")].filter((e) => e.checkVisibility())
        .map((e) => [e.className || e.tagName, getComputedStyle(e).borderTopWidth])"""
    seen = set()
    for path in pages:
        await page.goto(ORIGIN + path)
        for name, width in await page.evaluate(borders):
            assert width == "1px", (path, name)
            seen.add(name)
    await page.context.close()
    assert seen == {"PROGRESS", "notice", "button"}


async def test_less_motion_means_none(chromium: Browser) -> None:
    page = await opened(chromium, {"/": documents("en")["waiting"]}, reduced_motion="reduce")
    await page.goto(ORIGIN + "/")
    moving = """[...document.querySelectorAll("*")].filter((e) => {
        const bar = getComputedStyle(e, "::-webkit-progress-value");
        return [getComputedStyle(e), bar].some((s) => s.transitionDuration !== "0s" || s.animationName !== "none");
    }).map((e) => e.outerHTML)"""
    assert await page.evaluate(moving) == []
    await page.emulate_media(reduced_motion="no-preference")
    await page.context.close()


async def test_nothing_is_cut_or_covered_at_a_zoom_of_400_percent(chromium: Browser) -> None:
    """WCAG 1.4.4, 1.4.10 and 2.4.11: a window of 1280 x 1024 px at 400 % has 320 x 256 px. The focus is seen."""
    pages = {f"/{view.replace(' ', '-')}": body for view, body in documents("de").items()}
    page = await opened(chromium, pages, viewport={"width": 320, "height": 256}, device_scale_factor=4)
    for path in pages:
        await page.goto(ORIGIN + path)
        assert await page.evaluate(OVERFLOW) == [], path
    await page.goto(ORIGIN + "/cookies")
    for _ in range(2):
        await page.keyboard.press("Tab")
        box = await page.evaluate("(({top, bottom}) => [top, bottom])(document.activeElement.getBoundingClientRect())")
        assert box[0] >= 0
        assert box[1] <= 256
    await page.context.close()
