"""A real browser, the real edge and the real shop, behind many other visitors: the visitor waits and gets in."""

import asyncio
import random
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web
from playwright.async_api import Browser, Page, expect
from playwright.async_api import Error as PlaywrightError

from edge.cli.demo.crowd import Crowd, CrowdPlan
from edge.cli.demo.shop import running_shop
from tests.browser.conftest import Watch
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: Long enough for a line of several seconds on a busy machine.
TIMEOUT_MS = 30_000
CATALOGUE = Path(__file__).parents[2] / "configs" / "catalogue.yaml"


@asynccontextmanager
async def edge_with_line(folder: Path, people: int) -> AsyncIterator[RunningEdge]:
    """Yield an edge with a shop behind it, with this many visitors in line."""
    async with (
        running_shop(500, 10, 0.1, CATALOGUE) as shop,
        running_edge(
            one_room(shop, capacity={"admissions_per_second": 3, "burst_seconds": 1.0}, page={"title": "Meridian"}),
            folder,
        ) as edge,
        asyncio.TaskGroup() as group,
    ):
        plan = CrowdPlan(rush=people, rush_s=0.5, total=people, impatient=0.0, buy=False)
        crowd = group.create_task(Crowd(edge.url, "/checkout", plan, random.Random(5)).play())

        async def most_are_in_line() -> bool:
            [room] = (await edge.status())["rooms"]
            return bool(room["waiting"] >= people // 2)

        await wait_until(most_are_in_line, "the other visitors are in line")
        yield edge
        crowd.cancel()


async def place_of(page: Page) -> int:
    return int((await page.locator("#place").inner_text(timeout=2000)).replace(",", ""))


@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_visitor_waits_in_line_and_gets_in(chromium: Browser, tmp_path: Path, with_scripts: bool) -> None:
    """The visitor sees a place and a wait at once, the place shrinks, and then the shop's checkout is shown."""
    async with edge_with_line(tmp_path, people=24) as edge:
        context = await chromium.new_context(java_script_enabled=with_scripts)
        page = await context.new_page()
        watch = Watch(edge.url)
        page.on("request", watch.request)
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
        await page.goto(f"{edge.url}/checkout")
        await expect(page.locator("#wait")).to_be_visible()
        first = await place_of(page)
        assert first > 1

        async def has_moved_forward() -> bool:
            """Without scripts every load shows the raw estimate, which may vary by one or two."""
            try:
                return not await page.locator("#place").count() or await place_of(page) < first
            except PlaywrightError:  # the page was replaced while it was read
                return False

        if with_scripts:  # the script never shows a growing place, so the first change is a step forward
            await expect(page.locator("#place")).not_to_have_text(str(first), timeout=TIMEOUT_MS)
            assert await has_moved_forward()
        await wait_until(has_moved_forward, "the place in line shrinks")
        await expect(page.locator("input[name=card]")).to_be_visible(timeout=TIMEOUT_MS)
        assert page.url == f"{edge.url}/checkout"
        await page.fill("input[name=name]", "A Visitor")
        await page.click("button[type=submit]")
        await expect(page.get_by_text("A Visitor").or_(page.get_by_text("Thank you")).first).to_be_visible()
        assert watch.faults == []
        await context.close()


async def test_a_payment_provider_can_send_a_visitor_back_by_a_form(chromium: Browser, tmp_path: Path) -> None:
    """A form of another site sends no SameSite=Lax cookies. A callback path passes without them, and the page after it
    gets the pass. At any other path of the room the page loads itself by GET, which carries the pass, and what the form
    said is lost.
    """
    cookies: dict[str, str] = {}
    methods: list[str] = []

    async def shop(request: web.BaseRequest) -> web.StreamResponse:
        methods.append(f"{request.method} {request.path}")
        cookies[request.path] = request.headers.get("Cookie", "")
        if request.path == "/checkout/paid":
            return web.Response(status=303, headers={"Location": "/checkout/thanks"})
        return web.Response(text=f"<h1>the shop: {request.path}</h1>", content_type="text/html")

    async def provider(request: web.BaseRequest) -> web.StreamResponse:
        back = f"{edge.url}{request.query['to']}"
        form = f'<form method="post" action="{back}"><button name="paid" value="yes">Back to the shop</button></form>'
        return web.Response(text=form, content_type="text/html")

    async with running_upstream(shop) as address, running_upstream(provider) as elsewhere:
        capacity = {"admissions_per_second": 0.001, "burst_seconds": 1.0, "burst_floor": 1.0}
        room = {"match": {"paths": ["/checkout*"], "callbacks": ["/checkout/paid"]}, "capacity": capacity}
        async with running_edge(one_room(address, **room).replace("workers: 2", "workers: 1"), tmp_path) as edge:
            context = await chromium.new_context()
            page = await context.new_page()
            await page.goto(f"{edge.url}/checkout")
            await expect(page.get_by_text("the shop: /checkout")).to_be_visible(timeout=TIMEOUT_MS)
            other_site = elsewhere.replace("127.0.0.1", "localhost")
            await page.goto(f"{other_site}/?to=/checkout/paid")
            await page.click("button")
            await expect(page.get_by_text("the shop: /checkout/thanks")).to_be_visible(timeout=TIMEOUT_MS)
            assert "stanchion_" not in cookies["/checkout/paid"]
            assert "stanchion_checkout=p" in cookies["/checkout/thanks"]
            await page.goto(f"{other_site}/?to=/checkout/other")
            await page.click("button")
            await expect(page.get_by_text("the shop: /checkout/other")).to_be_visible(timeout=TIMEOUT_MS)
            assert "stanchion_checkout=p" in cookies["/checkout/other"]
            assert [line for line in methods if "other" in line] == ["GET /checkout/other"]
            await context.close()


async def test_a_visitor_chooses_a_language_without_scripts_and_keeps_the_place(
    chromium: Browser, tmp_path: Path
) -> None:
    """The page has the browser's language, then the chosen one; the choice costs neither the place nor the address."""
    async with edge_with_line(tmp_path, people=24) as edge:
        context = await chromium.new_context(java_script_enabled=False, locale="de-AT")
        page = await context.new_page()
        await page.goto(f"{edge.url}/checkout?size=42")
        await expect(page.locator("h1")).to_have_text("Sie sind in der Warteschlange")
        [arrived] = re.findall(r'"first_seen": "([^"]+)"', await page.content())
        await page.get_by_role("link", name="Sprache: Deutsch").click()
        await expect(page.locator("h1")).to_have_text("Wählen Sie Ihre Sprache")
        await page.get_by_role("link", name="العربية").click()
        await expect(page.locator("html")).to_have_attribute("dir", "rtl")
        assert page.url == f"{edge.url}/checkout?size=42"
        cookies = {c["name"]: c["value"] for c in await context.cookies()}
        assert cookies["lang"] == "ar"
        assert f'"first_seen": "{arrived}"' in await page.content()
        await context.close()
