"""WCAG 2.2 AA for every view, in both directions, in both schemes and on every screen; by axe-core and by hand."""

from typing import Any

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import Fault, ScriptedEdge, waiting
from tests.browser.views import AXE, LANGUAGES, ORIGIN, VIEWS, documents, serve
from tests.browser.visitor import fail, poll
from waiting_room.texts import Texts

pytestmark = pytest.mark.asyncio(loop_scope="session")

WIDTHS = (320, 390, 1280)
DIRECTIONS = {"ltr": "de", "rtl": "ar"}
#: Without scripts the page can only follow the line by loading itself again. docs/accessibility.md says why WCAG 2.2.1
#: and 2.2.2 allow that. With scripts the rule holds.
WCAG = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
ALL: dict[str, Any] = {"runOnly": WCAG, "rules": {}}
EXCEPT_RELOADS: dict[str, Any] = {"runOnly": WCAG, "rules": {"meta-refresh": {"enabled": False}}}
#: The rules with a result that depends on the colours or the size of the screen.
VISUAL_RULES = ["color-contrast", "link-in-text-block", "scrollable-region-focusable", "target-size"]
VISUAL: dict[str, Any] = {"runOnly": {"type": "rule", "values": VISUAL_RULES}, "rules": {}}
RUN = """async ({runOnly, rules}) => {
    const found = await axe.run(document, {runOnly, rules, resultTypes: ['violations']});
    return found.violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => n.html).join(' ')}`);
}"""
OVERFLOW = """() => {
    const width = document.documentElement.clientWidth;
    const wide = [...document.querySelectorAll('main *')].filter((e) => {
        const box = e.getBoundingClientRect();
        return e.checkVisibility() && !e.closest('.unseen') && (box.right > width + 1 || box.left < -1);
    });
    const wider = document.documentElement.scrollWidth > width;
    return [wider ? 'the page' : '', ...wide.map((e) => e.outerHTML.slice(0, 200))].filter(Boolean);
}"""


async def violations(page: Page, rules: dict[str, Any]) -> list[str]:
    return list(await page.evaluate(RUN, rules))


@pytest.mark.parametrize("direction", DIRECTIONS)
async def test_axe_finds_nothing_in_any_view(chromium: Browser, direction: str) -> None:
    """Every view in the light and in the dark scheme, on a small phone, on a phone and on a desk."""
    pages = documents(DIRECTIONS[direction])
    context = await chromium.new_context()
    try:
        await serve(context, {f"/{name.replace(' ', '-')}": body for name, body in pages.items()})
        page = await context.new_page()
        faults: dict[str, list[str]] = {}
        for view in VIEWS:
            await page.goto(f"{ORIGIN}/{view.replace(' ', '-')}")
            assert await page.evaluate("document.documentElement.dir") == direction
            await page.evaluate(AXE)
            for width in WIDTHS:
                await page.set_viewport_size({"width": width, "height": 700})
                assert await page.evaluate(OVERFLOW) == [], (view, width)
                for scheme in ("light", "dark"):
                    await page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
                    rules = EXCEPT_RELOADS if (width, scheme) == (WIDTHS[0], "light") else VISUAL
                    if found := await violations(page, rules):
                        faults[f"{view}, {scheme}, {width} px"] = found
        assert faults == {}
    finally:
        await context.close()


@pytest.mark.parametrize("view", ["waiting", "draw", "shop down", "trying again"])
async def test_axe_finds_nothing_in_a_page_while_its_script_runs(chromium: Browser, view: str) -> None:
    """The script takes away the tags that load the page again, so no time limit is left."""
    context = await chromium.new_context()
    try:
        for language in DIRECTIONS.values():
            page = await context.new_page()
            await serve(context, {"/": documents(language)[view]}, has_scripts=True)
            await page.goto(ORIGIN + "/")
            await expect(page.locator('meta[http-equiv="refresh"]')).to_have_count(0)
            await page.evaluate(AXE)
            assert await violations(page, ALL) == []
            await page.close()
    finally:
        await context.close()


@pytest.mark.parametrize("view", ["waiting", "draw", "cookies", "form sent", "languages"])
async def test_no_language_overflows_a_small_phone(chromium: Browser, view: str) -> None:
    """320 px is also a desktop window of 1280 px at 400 % (WCAG 1.4.10)."""
    context = await chromium.new_context()
    try:
        pages = {f"/{language}": documents(language)[view] for language in LANGUAGES.names}
        frames = "".join(f'<iframe width="320" height="700" src="{path}"></iframe>' for path in pages)
        await serve(context, {**pages, "/": f"<!doctype html><title>all</title>{frames}".encode()})
        page = await context.new_page()
        await page.goto(ORIGIN + "/", wait_until="load")
        small = [frame for frame in page.frames if frame != page.main_frame]
        assert len(small) == len(LANGUAGES.names)
        overflowing = {frame.url: found for frame in small if (found := await frame.evaluate(OVERFLOW))}
        assert overflowing == {}
    finally:
        await context.close()


async def focused(page: Page) -> Any:
    """Return the text of the element that has the focus, and whether it shows that."""
    await page.keyboard.press("Tab")
    return await page.evaluate("""() => {
        const e = document.activeElement;
        const outline = getComputedStyle(e);
        const isShown = outline.outlineStyle !== 'none' && outline.outlineWidth !== '0px';
        return [e.textContent.trim(), isShown];
    }""")


async def test_the_keyboard_reaches_every_link_in_order_and_shows_the_focus(chromium: Browser) -> None:
    pages = documents("en")
    context = await chromium.new_context()
    try:
        await serve(context, {"/": pages["cookies"], "/list": pages["languages"]})
        page = await context.new_page()
        await page.goto(ORIGIN + "/")
        assert [await focused(page) for _ in range(2)] == [["Try again", True], ["Language: English", True]]
        await page.goto(ORIGIN + "/list")
        expected = [[name, True] for name in LANGUAGES.names.values()]
        assert [await focused(page) for _ in expected] == expected
        assert await focused(page) == ["Back", True]
    finally:
        await context.close()


async def test_a_screen_reader_finds_heading_figures_and_status(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The accessibility tree has one heading of the first level, the figures with their names, and a status."""
    edge.pages = [waiting(1240, 9000, stock=3)]
    page = await arrive()
    await expect(page.get_by_role("heading", level=1)).to_have_text("You are in line")
    await expect(page.get_by_role("progressbar", name="How much of the wait has passed")).to_be_visible()
    await expect(page.get_by_role("link", name="Language: English")).to_be_visible()
    await expect(page.get_by_role("main")).to_contain_text("Your place in line")
    await expect(page.get_by_role("status")).to_have_count(1)


async def test_a_bad_network_is_told_once_a_minute(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The screen reader is told that the connection is lost and found, and is then left in peace for a minute."""
    page = await arrive()
    english = Texts.load("en")
    await page.evaluate("""() => {
        window.told = [];
        const live = document.getElementById('live');
        new MutationObserver(() => window.told.push(live.textContent)).observe(live, {childList: true});
    }""")
    for place in (1200, 1100):
        edge.answers = [Fault.DROPPED]
        await fail(page, 6)
        await fail(page, 2.1)
        edge.answers = [waiting(place, 90)]
        await poll(page, 4.1)
    told = await page.evaluate("window.told")
    lost, found = english.get("notices", "lost"), english.get("notices", "found")
    assert [text for text in told if text in (lost, found)] == [lost, found]


@pytest.mark.parametrize(("locale", "language"), [("ar-EG", "ar"), ("bn-BD", "bn"), ("ja-JP", "ja"), ("pl-PL", "pl")])
async def test_the_script_speaks_the_language_of_the_page(
    arrive: Arrive, edge: ScriptedEdge, locale: str, language: str
) -> None:
    """Numbers, waits and announcements of the script equal those of the server."""
    texts = Texts.load(language)
    edge.answers = [waiting(123_456, 700, stock=12_345)]
    page = await arrive(locale=locale)
    await expect(page.locator("h1")).to_have_text(texts.view("waiting", "headline"))
    await expect(page.locator("#place")).to_have_text(texts.number(1240))
    edge.answers = [waiting(1200, 700, stock=12_345)]
    await poll(page, 6)
    await expect(page.locator("#stock")).to_have_text(texts.number(12_345))
    await expect(page.locator("#wait")).to_have_text(texts.wait(95))
    place = await page.locator("#place").inner_text()
    title = texts.view("waiting", "title").replace("{place}", place)
    await expect(page).to_have_title(f"{title} – Lumen Records")
