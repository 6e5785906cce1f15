"""A shop's own template, style sheet and font in a real browser: they look as the shop says, and break nothing."""

import re
from collections.abc import AsyncIterator
from importlib.resources import files
from pathlib import Path

import pytest
import pytest_asyncio
from playwright.async_api import Browser, expect

from edge.settings.page_template import examine
from edge.settings.sources import SourceSettings
from tests.browser.conftest import Arrive, Watch
from tests.browser.scripted_edge import ScriptedEdge, admitted, waiting
from tests.browser.test_accessibility import EXCEPT_RELOADS, violations
from tests.browser.views import ASSETS, AXE, LANGUAGES, NOW, ORIGIN, STATUSES, serve
from tests.browser.visitor import poll
from tests.edge.running import wait_until
from waiting_room.face import Face, Font
from waiting_room.own_template import LINE
from waiting_room.page import WaitingPage

pytestmark = pytest.mark.asyncio(loop_scope="session")

FONT = (Path(__file__).parents[1] / "waiting_room" / "fonts" / "square.woff2").read_bytes()
EXAMPLE = (files("static") / "template.html").read_text("utf-8")
APART = EXAMPLE.replace("{{line}}", "\n".join(f"<div>{{{{{name}}}}}</div>" for name in LINE))
FACE = Face(
    font=Font("serif", FONT, "woff2"),
    style_sheet="body{padding:0} header{background:rgb(1, 2, 3)} #place{letter-spacing:2px}",
    template=APART,
)


@pytest_asyncio.fixture(loop_scope="session")
async def edge() -> AsyncIterator[ScriptedEdge]:
    """Yield an edge with a page of the shop's own; it takes the place of the usual one."""
    async with ScriptedEdge(FACE).serve() as edge:
        yield edge


async def test_the_example_is_sound() -> None:
    for text in (EXAMPLE, APART):
        found = examine(text, SourceSettings())
        assert (found.faults, found.warnings) == ([], [])


async def test_the_script_works_on_a_page_of_the_shops_own(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The place moves, the font and the rules of the shop are used, and the visitor is let in. No violation."""
    edge.pages = [waiting(1240, 95), admitted()]
    edge.answers = [waiting(1200, 90), admitted()]
    page = await arrive()
    await expect(page.locator("#place")).to_have_text("1,240")
    await page.evaluate("document.fonts.ready.then(() => null)")
    assert await page.evaluate("[...document.fonts].map((font) => font.status)") == ["loaded"]
    header = "getComputedStyle(document.querySelector('header')).backgroundColor"
    assert await page.evaluate(header) == "rgb(1, 2, 3)"
    await poll(page, 6)
    await expect(page.locator("#place")).not_to_have_text("1,240")
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text("The shop: GET nothing")


async def test_the_policy_blocks_what_the_check_refuses(arrive: Arrive, watch: Watch) -> None:
    """The check names the same things that a browser would block, so nobody learns it from a visitor."""
    page = await arrive()
    await page.evaluate("""() => {
        const add = (html) => document.querySelector('main').insertAdjacentHTML('beforeend', html);
        add('<img src="data:image/gif;base64,R0lGODlhAQABAAAAACw=" alt="">');
        add('<p style="color: red">x</p>');
        add('<iframe src="/cart" title="x"></iframe>');
    }""")

    async def has_three() -> bool:
        return len(blocked(watch)) == 3

    await wait_until(has_three, "the browser blocks all three")
    assert blocked(watch) == {"img-src", "style-src-attr", "frame-src"}
    watch.faults.clear()


def blocked(watch: Watch) -> set[str]:
    """Return the directives that blocked something."""
    return set(re.findall(r"policy violated: ([a-z-]+)", " ".join(watch.faults)))


async def test_axe_finds_nothing_in_the_example(chromium: Browser) -> None:
    """A shop that begins with the example begins with an accessible page."""
    context = await chromium.new_context()
    try:
        pages = {
            f"/{language}/{name.replace(' ', '-')}": WaitingPage(
                ASSETS, "checkout", "Lumen Records", LANGUAGES.texts(language), has_choice=True,
                face=Face(template=EXAMPLE, links=(("Help", "/help"),), footer="Lumen Records Ltd"),
            ).render(status, now=NOW)
            for language in ("en", "ar")
            for name, status in STATUSES.items()
            if name in ("waiting", "draw", "sold out for good")
        }  # fmt: skip
        await serve(context, pages)
        page = await context.new_page()
        await page.set_viewport_size({"width": 390, "height": 700})
        for path in pages:
            await page.goto(ORIGIN + path)
            await page.evaluate(AXE)
            assert await violations(page, EXCEPT_RELOADS) == [], path
    finally:
        await context.close()
