"""An operator runs a sale from the dashboard alone, in a real browser, before a real edge."""

import asyncio
import contextlib
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
from playwright.async_api import Browser, Page, expect

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "operate-token-for-tests"


async def change_mode(page: Page, button: str, reason: str = "") -> None:
    await page.get_by_role("button", name=button, exact=True).click()
    dialog = page.get_by_role("dialog")
    if reason:
        await dialog.get_by_label("Reason").fill(reason)
    await dialog.get_by_role("button", name="Set to").click()


async def told(edge: Edge, visitor: Visitor, state: str) -> None:
    async def is_so() -> bool:
        return (await visitor.ask())[0] == state

    await wait_until(is_so, f"the visitor is told: {state}")


async def poll_on(edge: Edge) -> None:
    """Poll as a browser does that keeps its connection, so that one worker alone counts the visitor."""
    jar = aiohttp.CookieJar(unsafe=True)
    async with aiohttp.ClientSession(cookie_jar=jar, headers={"Accept": "application/json"}) as session:
        while True:
            async with session.get(edge.running.url + "/checkout") as answer:
                await answer.read()
            await asyncio.sleep(0.1)


async def test_an_operator_runs_a_room_from_the_dashboard(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"operate ann {TOKEN}\n")
    admin = {"listen": "tcp://127.0.0.1:0", "tokens_file": "tokens"}
    async with whole_edge(tmp_path, admin=admin) as edge:
        context = await chromium.new_context()
        page = await context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        page.on("console", lambda line: faults.append(line.text) if "Content Security Policy" in line.text else None)
        await page.goto(edge.running.admin + "/")
        await page.get_by_label("Admin token").fill("not-the-token-at-all")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_have_text("This token does not count.")
        await page.get_by_label("Admin token").fill(TOKEN)
        await page.keyboard.press("Enter")
        room = page.get_by_role("article", name="checkout")
        await expect(room.locator(".mode")).to_have_text("Open")

        await change_mode(page, "Hold", "bank is down")
        await expect(room.locator(".mode")).to_have_text("On hold")
        await expect(room.locator(".notices")).to_contain_text("Reason: bank is down.")
        visitor = Visitor(edge)
        await told(edge, visitor, "waiting")

        polling = asyncio.create_task(poll_on(edge))
        # The first visitor has left: they are counted until their appointment is over.
        await expect(room.locator(".waiting")).to_have_text("1", timeout=30_000)
        polling.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await polling

        await room.get_by_label("Capacity, a second").fill("40")
        await room.locator(".capacity button").click()
        await page.get_by_role("dialog").get_by_role("button", name="Change").click()
        await expect(room.locator(".of-capacity")).to_have_text("of 40")
        await change_mode(page, "Open")
        await told(edge, visitor, "admitted")
        await expect(page.locator("#audit")).to_contain_text("ann: change room checkout (mode: hold → open")

        await room.get_by_role("button", name="Back to the settings file").click()
        await page.get_by_role("dialog").get_by_role("button", name="Cancel").click()
        await expect(room.locator(".of-capacity")).to_have_text("of 40")
        await room.get_by_role("button", name="Back to the settings file").click()
        await page.get_by_role("dialog").get_by_role("button", name="Take all changes back").click()
        await expect(room.locator(".of-capacity")).to_have_text("of 100")
        await expect(room.locator(".plot-line")).to_have_attribute(
            "aria-label", re.compile(r"In line: 0 now, at most [1-9]"), timeout=20_000
        )

        await page.get_by_role("button", name="Sign out").click()
        await expect(page.get_by_label("Admin token")).to_be_focused()
        assert faults == []
        await context.close()


async def test_an_operator_schedules_a_sale_and_suspends_it(chromium: Browser, tmp_path: Path) -> None:
    async with whole_edge(tmp_path) as edge:
        context = await chromium.new_context(timezone_id="UTC")
        page = await context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        await page.goto(edge.running.admin + "/")
        room = page.get_by_role("article", name="checkout")
        await expect(room.locator(".sale")).to_be_hidden()
        opens = datetime.now(UTC) + timedelta(minutes=20)
        form = room.locator(".schedule")
        await form.get_by_label("Sale").fill("drop")
        await form.get_by_label("Opens at").fill(opens.strftime("%Y-%m-%dT%H:%M:%S"))
        await form.get_by_label("draw the order").check()
        await form.get_by_role("button", name="Schedule").click()
        await page.get_by_role("dialog").get_by_role("button", name="Schedule").click()
        await expect(room.locator(".sale-state")).to_have_text(re.compile(r"^opens in (20:00|19:[0-9]{2})$"))
        await expect(room.locator(".sale-more")).to_contain_text("places are drawn")
        shown = await room.locator(".sale-state").text_content()
        await expect(room.locator(".sale-state")).not_to_have_text(shown or "")
        await told(edge, Visitor(edge), "early")

        await room.get_by_role("button", name="Suspend").click()
        await page.get_by_role("dialog").get_by_role("button", name="Suspend").click()
        await expect(room.locator(".sale-state")).to_have_text("is suspended")
        await expect(room.locator(".notices")).to_contain_text("The sale drop is suspended")
        await told(edge, Visitor(edge), "waiting")
        await room.get_by_role("button", name="Resume").click()
        await page.get_by_role("dialog").get_by_role("button", name="Resume").click()
        await expect(room.locator(".sale-state")).to_contain_text("opens in")
        assert faults == []
        await context.close()


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_nothing_is_wider_than_the_screen(chromium: Browser, tmp_path: Path, width: int) -> None:
    async with whole_edge(tmp_path, workers=1) as edge:
        context = await chromium.new_context(viewport={"width": width, "height": 800})
        page = await context.new_page()
        await page.goto(edge.running.admin + "/")
        await expect(page.locator(".mode")).to_have_text("Open")
        assert await page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        await context.close()
