"""The preview in a real browser: it works from a file, loads nothing, and shows each page in its scheme and size."""

import struct
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, expect

from edge.cli.page.chromium import take_pictures
from edge.cli.page.sheet import SCREENS, alone, sheet
from edge.cli.page.views import views_of_room
from edge.settings.loading import load_settings
from tests.browser.conftest import CHROMIUM
from tests.edge.cli.test_page import settings

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: The background of a page in the light and in the dark scheme (static/waiting.css).
PAPER = {"light": "rgb(250, 249, 246)", "dark": "rgb(19, 21, 20)"}


async def test_the_sheet_shows_every_choice_from_a_file(chromium: Browser, tmp_path: Path) -> None:
    views = views_of_room(load_settings(settings(tmp_path)), "tour")
    file = tmp_path / "sheet.html"
    file.write_text(sheet(views, ["en", "ar"], None, "edge.yaml"), encoding="utf-8")
    context = await chromium.new_context(offline=True, color_scheme="dark", viewport={"width": 1300, "height": 900})
    try:
        page = await context.new_page()
        asked: list[str] = []
        faults: list[str] = []

        def note(request: Request) -> None:
            if not request.url.startswith(("data:", "about:", file.as_uri())):
                asked.append(request.url)

        page.on("request", note)
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda line: faults.append(line.text) if line.type == "error" else None)
        await page.goto(file.as_uri())
        await expect(page.locator("#count")).to_have_text(f"{2 * len(views.documents('en'))} pages")
        for scheme, paper in PAPER.items():
            frame = page.frame_locator(f'iframe[title="waiting, 390 × 844, {scheme}"]')
            await expect(frame.locator("h1")).to_have_text("You are in line")
            await expect(frame.locator("html")).to_have_css("background-color", paper)
        await page.locator("#language").select_option("ar")
        await page.locator("#view").select_option("sold out for good")
        await page.get_by_label("667 × 375").check()
        await expect(page.locator("#count")).to_have_text("4 pages")
        frame = page.frame_locator('iframe[title="sold out for good, 667 × 375, light"]')
        await expect(frame.locator("html")).to_have_attribute("dir", "rtl")
        assert await frame.locator("html").evaluate("() => innerWidth") == 667
        assert (asked, faults) == ([], [])
    finally:
        await context.close()


async def test_a_picture_is_as_wide_as_the_screen_and_shows_the_page(tmp_path: Path) -> None:
    views = views_of_room(load_settings(settings(tmp_path)), "tour")
    body = views.documents("ar")["waiting"]
    pages = {f"{scheme}.png": (alone(body, views, None, scheme), *SCREENS["320"]) for scheme in PAPER}
    await take_pictures(CHROMIUM, tmp_path, pages)
    taken = {name: (tmp_path / name).read_bytes() for name in pages}
    for png in taken.values():
        width, height = struct.unpack(">II", png[16:24])
        assert (width, height >= 568) == (320, True)
    assert taken["light.png"] != taken["dark.png"]
