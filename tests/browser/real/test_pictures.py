"""Every view looks as its reference picture does. After a wanted change: `python -m tests.browser.real.pictures`."""

import pytest
from playwright.async_api import Browser

from tests.browser.real.pictures import FOLDER, difference, pictures

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browsers]

MOST_DIFFERING = 0.01
"""A line of text that is missing or has moved changes more; another rounding of edges changes less."""


async def test_every_view_looks_like_its_picture(chromium: Browser) -> None:
    page = await chromium.new_page()
    differing: dict[str, float] = {}
    names = set()
    async for name, png in pictures(chromium):
        names.add(name)
        reference = FOLDER / name
        share = await difference(page, reference.read_bytes(), png) if reference.exists() else 1.0
        if share > MOST_DIFFERING:
            differing[name] = round(share, 3)
    await page.close()
    assert differing == {}, "if the change is wanted: python -m tests.browser.real.pictures"
    assert {reference.name for reference in FOLDER.glob("*.png")} == names


async def test_the_comparison_sees_a_missing_line(chromium: Browser) -> None:
    """A comparison that allows everything would hold nothing."""
    page = await chromium.new_page(viewport={"width": 390, "height": 844}, device_scale_factor=0.5)
    html = '<p style="font:20px/24px monospace;margin:20px">first line here</p>'
    await page.set_content(html + html)
    both = await page.screenshot()
    await page.set_content(html)
    one = await page.screenshot()
    assert await difference(page, both, both) == 0.0
    assert await difference(page, both, one) > 0.0005
    await page.set_viewport_size({"width": 380, "height": 844})
    assert await difference(page, both, await page.screenshot()) == 1.0
    await page.close()
