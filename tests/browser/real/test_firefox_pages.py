"""Every view in Firefox: axe-core, the keyboard, zoom, forced colours, and scripts under the page's policy."""

import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from tests.browser.firefox import TAB, Firefox, running_firefox
from tests.browser.test_accessibility import ALL, DIRECTIONS, OVERFLOW, RUN, VISUAL, WIDTHS
from tests.browser.test_own_page import EXAMPLE
from tests.browser.views import ASSETS, AXE, LANGUAGES, NOW, STATUSES, VIEWS, documents
from waiting_room.face import Face
from waiting_room.frame import PAGE_HEADERS
from waiting_room.page import WaitingPage

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browsers]

RELOADS = re.compile(rb'<meta http-equiv="refresh"[^>]*>')
#: Firefox's preference for `prefers-color-scheme`.
SCHEMES = {"light": 1, "dark": 0}
SCHEME = "layout.css.prefers-color-scheme.content-override"
#: What a visitor with a high-contrast theme has: the browser replaces the colours of every page.
FORCED = {"ui.useAccessibilityTheme": 1, "browser.display.document_color_use": 2}


@asynccontextmanager
async def served(pages: Mapping[str, bytes], *, has_scripts: bool = False) -> AsyncIterator[str]:
    """Serve pages with their policy, at an origin that is yielded."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        asset = ASSETS.get(request.path.rpartition("/")[2])
        if asset is not None and (has_scripts or not request.path.endswith(".js")):
            return web.Response(body=asset.body, headers={"Content-Type": asset.content_type})
        if request.path in pages:
            return web.Response(body=pages[request.path], headers=PAGE_HEADERS)
        return web.Response(status=404)

    server = web.ServerRunner(web.Server(answer))
    await server.setup()
    try:
        site = web.TCPSite(server, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{server.addresses[0][1]}"
    finally:
        await server.cleanup()


def paths(language: str, views: tuple[str, ...] = VIEWS) -> dict[str, bytes]:
    """Return the pages of a language by their paths, without the tags that reload them, as with their scripts."""
    made = documents(language)
    return {f"/{language}/{view.replace(' ', '-')}": RELOADS.sub(b"", made[view]) for view in views}


async def violations(firefox: Firefox, rules: object) -> list[str]:
    found: list[str] = await firefox.value(f"({RUN})({json.dumps(rules)})")
    return found


async def faults_of(pages: dict[str, bytes], folder: Path, scheme: str) -> dict[str, list[str]]:
    """Return what axe finds in each page and width, and what overflows. pages: by path. scheme: light or dark."""
    faults: dict[str, list[str]] = {}
    async with served(pages) as origin, running_firefox(folder, {SCHEME: SCHEMES[scheme]}) as firefox:
        for path in pages:
            await firefox.open(origin + path)
            assert await firefox.value(f"matchMedia('(prefers-color-scheme: {scheme})').matches")
            await firefox.run(AXE)
            for width in WIDTHS:
                await firefox.resize(width, 700)
                overflowing = await firefox.value(f"({OVERFLOW})()")
                found = await violations(firefox, ALL if width == WIDTHS[0] else VISUAL)
                if overflowing or found:
                    faults[f"{path}, {width} px"] = [*overflowing, *found]
    return faults


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_in_any_view(tmp_path: Path, scheme: str) -> None:
    """In both directions, on a small phone, on a phone and on a desk."""
    pages = {path: body for language in DIRECTIONS.values() for path, body in paths(language).items()}
    assert await faults_of(pages, tmp_path, scheme) == {}


async def test_axe_finds_nothing_in_a_page_while_its_script_runs(tmp_path: Path) -> None:
    """And the page's policy blocks nothing that the script does."""
    views = ("waiting", "draw", "shop down", "trying again")
    pages = {
        f"/{language}/{view.replace(' ', '-')}": documents(language)[view]
        for language in DIRECTIONS.values()
        for view in views
    }
    async with served(pages, has_scripts=True) as origin, running_firefox(tmp_path) as firefox:
        for path in pages:
            await firefox.open(origin + path)
            await firefox.wait("document.querySelectorAll('meta[http-equiv=refresh]').length", 0)
            await firefox.run(AXE)
            assert await violations(firefox, ALL) == [], path
        assert firefox.faults == []


async def test_the_keyboard_reaches_every_link_in_order_and_shows_the_focus(tmp_path: Path) -> None:
    focused = """(() => {
        const e = document.activeElement, outline = getComputedStyle(e);
        return [e.textContent.trim(), outline.outlineStyle !== "none" && outline.outlineWidth !== "0px"];
    })()"""
    pages = paths("en", ("cookies", "languages", "own face"))
    async with served(pages) as origin, running_firefox(tmp_path) as firefox:
        expected = {
            "/en/cookies": ["Try again", "Language: English"],
            "/en/own-face": ["Wait on another device", "Leave the line", "Help and contact", "Delivery"],
            "/en/languages": [*LANGUAGES.names.values(), "Back"],
        }
        for path, names in expected.items():
            await firefox.open(origin + path)
            reached = []
            for _ in names:
                await firefox.press(TAB)
                reached.append(await firefox.value(focused))
            assert reached == [[name, True] for name in names]


async def test_nothing_is_cut_at_a_zoom_of_400_percent(tmp_path: Path) -> None:
    """WCAG 1.4.4 and 1.4.10, with the browser's own zoom: a window of 1280 px is as wide as 320."""
    pages = {path: body for language in ("de", "ar", "fi") for path, body in paths(language).items()}
    async with served(pages) as origin, running_firefox(tmp_path, {"layout.css.devPixelsPerPx": "4.0"}) as firefox:
        await firefox.resize(320, 256)
        for path in pages:
            await firefox.open(origin + path)
            assert await firefox.value("[innerWidth, devicePixelRatio]") == [320, 4]
            assert await firefox.value(f"({OVERFLOW})()") == [], path


async def test_forced_colours_keep_what_colours_say(tmp_path: Path) -> None:
    """The bar, notices and buttons have borders, because their backgrounds are gone."""
    pages = paths("en", ("waiting", "moved back", "cookies"))
    borders = """[...document.querySelectorAll("progress, .notice, .button")].filter((e) => e.checkVisibility())
        .map((e) => getComputedStyle(e).borderTopWidth)"""
    async with served(pages) as origin, running_firefox(tmp_path, FORCED) as firefox:
        for path in pages:
            await firefox.open(origin + path)
            assert await firefox.value("matchMedia('(forced-colors: active)').matches")
            found = await firefox.value(borders)
            assert found
            assert all(float(width.removesuffix("px")) >= 0.5 for width in found), (path, found)


async def test_a_phone_on_its_side_has_the_texts_beside_the_figures(tmp_path: Path) -> None:
    pages = paths("en", ("waiting",))
    async with served(pages) as origin, running_firefox(tmp_path) as firefox:
        await firefox.open(origin + "/en/waiting")
        grid = "getComputedStyle(document.querySelector('main')).display"
        await firefox.resize(390, 700)
        assert await firefox.value(grid) == "block"
        await firefox.resize(667, 375)
        assert await firefox.value(grid) == "grid"
        assert firefox.faults == []


@pytest.mark.parametrize("scheme", SCHEMES)
async def test_axe_finds_nothing_in_a_template_of_the_shops_own(tmp_path: Path, scheme: str) -> None:
    """In every view, both directions and all widths; and nothing overflows."""
    face = Face(template=EXAMPLE, links=(("Help", "/help"),), footer="Lumen Records Ltd")
    pages = {}
    for language in DIRECTIONS.values():
        page = WaitingPage(ASSETS, "checkout", "Lumen Records", LANGUAGES.texts(language), has_choice=True, face=face)
        for view, status in STATUSES.items():
            pages[f"/{language}/{view.replace(' ', '-')}"] = RELOADS.sub(b"", page.render(status, now=NOW))
    assert await faults_of(pages, tmp_path, scheme) == {}
