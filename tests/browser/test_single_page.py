"""Single-page shops: static/stanchion-client.js and docs/examples/single-page in Chromium, before a real edge."""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from playwright.async_api import Browser, Page, Request, expect

from tests.browser.conftest import Watch
from tests.browser.test_real_edge import TIMEOUT_MS
from tests.browser.test_visits import ONE, Shop, edge_before, stand_in_line
from tests.edge.running import RunningEdge, running_upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "single-page"

#: Loads the client, and keeps what a test asks of it in `window`.
SETUP = """async (shop) => {
    const client = await import(`${shop}/_stanchion/static/stanchion-client.js`);
    window.seen = [];
    window.fetchInLine = client.lineFetch({ onStatus: (status, { isLost }) => seen.push([status.state, isLost]) });
    window.ask = (url, init) => fetchInLine(url, init).then(
        async (answer) => [answer.status, await answer.text()], (fault) => [fault.name, fault.reason || ""]);
}"""


def example_pages(shop: str = "") -> dict[str, str]:
    """Return the files of the example. shop: the origin of the edge, if the page is served from another one."""
    page = (EXAMPLE / "index.html").read_text("utf-8").replace('data-shop=""', f'data-shop="{shop}"')
    return {"/": page, "/shop.js": (EXAMPLE / "shop.js").read_text("utf-8")}


def polls_of(page: Page) -> list[float]:
    """Return the times of the page's polls in milliseconds; it grows."""
    times: list[float] = []

    def note(request: Request) -> None:
        if "/_stanchion/status" in request.url:
            times.append(request.timing["startTime"])

    page.on("requestfinished", note)
    return times


@asynccontextmanager
async def open_client(chromium: Browser, edge: RunningEdge) -> AsyncIterator[Page]:
    """Yield a page of the shop, outside of the room, with the client."""
    context = await chromium.new_context()
    page = await context.new_page()
    await page.goto(f"{edge.url}/")
    await page.evaluate(SETUP, edge.url)
    yield page
    await context.close()


#: Nobody is admitted before `let_in`.
STANDING: dict[str, Any] = {
    "capacity": {"admissions_per_second": 0},
    "polling": {"min_seconds": 0.5, "max_seconds": 1.0},
}


def let_in(edge: RunningEdge) -> None:
    """Give the room a capacity."""
    tree = yaml.safe_load(edge.file.read_text("utf-8"))
    tree["rooms"][0]["capacity"]["admissions_per_second"] = 50.0
    edge.file.write_text(yaml.safe_dump(tree))
    edge.send(signal.SIGHUP)


async def test_the_example_waits_and_sends_its_order_once(chromium: Browser, tmp_path: Path) -> None:
    """From the shop's origin and from another one: the visitor sees a place; after the admission the order reaches the
    shop once, as it was sent."""
    shop, app = Shop(), Shop()
    async with running_upstream(app.handle) as origin:
        shop.fields = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        async with edge_before(shop, tmp_path, cors={"origins": [origin]}, **STANDING) as edge:
            app.pages, shop.pages = example_pages(edge.url), example_pages()
            watch = Watch(edge.url)
            pages = {}
            for address in (edge.url, origin):
                context = await chromium.new_context()
                page = pages[address] = await context.new_page()
                page.on("console", watch.console)
                page.on("pageerror", watch.error)
                await page.goto(address)
                await page.fill("input[name=name]", address)
                await page.click("#order button")
                await expect(page.locator("#place")).to_contain_text("Your place: ", timeout=TIMEOUT_MS)
            assert shop.at("/checkout/order") == []
            let_in(edge)
            for page in pages.values():
                await expect(page.locator("#result")).to_contain_text("the shop: POST name=", timeout=TIMEOUT_MS)
                await expect(page.locator("#line")).to_be_hidden()
                await page.context.close()
            bodies = sorted(urlencode({"name": address}) for address in pages)
            assert sorted(shop.at("/checkout/order")) == [("POST", body) for body in bodies]
            assert watch.faults == []


async def test_requests_share_their_polls_and_each_can_be_given_up(chromium: Browser, tmp_path: Path) -> None:
    """Three requests of one page poll like one; without any that waits, nothing is polled."""
    async with (
        edge_before(Shop(), tmp_path, capacity=ONE, polling={"min_seconds": 0.5, "max_seconds": 1.0}) as edge,
        open_client(chromium, edge) as page,
    ):
        await stand_in_line(edge, 2)
        polls = polls_of(page)
        await page.evaluate("""() => {
            window.stops = [1, 2, 3].map(() => new AbortController());
            window.answers = stops.map(({ signal }, n) => ask(`/checkout/${n}`, { signal }));
        }""")
        await page.wait_for_function("seen.length >= 5", timeout=TIMEOUT_MS)
        assert all(later - earlier > 400 for earlier, later in pairwise(polls)), polls
        assert await page.evaluate("stops[0].abort(), answers[0]") == ["AbortError", ""]
        count = await page.evaluate("seen.length")
        await page.wait_for_function(f"seen.length > {count}", timeout=TIMEOUT_MS)
        assert await page.evaluate("stops[1].abort(), stops[2].abort(), answers[2]") == ["AbortError", ""]
        count, told = len(polls), await page.evaluate("seen.length")
        await page.evaluate("new Promise((resolve) => setTimeout(resolve, 1200))")
        assert (len(polls), await page.evaluate("seen.length")) == (count, told)


async def test_a_lost_connection_is_told_and_found_again(chromium: Browser, tmp_path: Path) -> None:
    async with edge_before(Shop(), tmp_path, **STANDING) as edge, open_client(chromium, edge) as page:
        await page.evaluate("() => { window.answer = ask('/checkout') }")
        await page.wait_for_function("seen.length > 0", timeout=TIMEOUT_MS)
        await page.context.set_offline(True)
        await page.wait_for_function("seen.at(-1)[1]", timeout=TIMEOUT_MS)
        let_in(edge)
        await page.context.set_offline(False)
        assert (await page.evaluate("answer"))[0] == 200
        assert await page.evaluate("seen.at(-1)") == ["admitted", False]


async def test_a_line_that_ends_says_why(chromium: Browser, tmp_path: Path) -> None:
    async with edge_before(Shop(), tmp_path, capacity=ONE, mode="closed") as edge, open_client(chromium, edge) as page:
        assert await page.evaluate("ask('/checkout')") == ["LineError", "over"]
        assert await page.evaluate("ask('/checkout', { method: 'POST' })") == ["LineError", "over"]
        assert await page.evaluate("seen") == [["closed", False], ["closed", False]]


async def test_the_client_solves_a_challenge_and_returns_the_answers_of_the_shop(
    chromium: Browser, tmp_path: Path
) -> None:
    """Without a solution the visitor would wait ten minutes for a place. Inside, each request reaches the shop once,
    whatever it answers. A request without cookies meets the line again after the admission."""
    shop = Shop()
    join = {"proof": "all", "difficulty": 500, "no_script_wait_seconds": 600}
    async with (
        edge_before(shop, tmp_path, capacity={"admissions_per_second": 50.0}, join=join) as edge,
        open_client(chromium, edge) as page,
    ):
        assert (await page.evaluate("ask('/checkout')"))[0] == 200
        told = [["joining", False], ["admitted", False]]
        assert await page.evaluate("seen") == told
        assert (await page.evaluate("ask('/checkout/full', { method: 'POST', body: 'x' })"))[0] == 200
        assert (await page.evaluate("ask('/cart')"))[0] == 200
        shop.status = 503
        assert (await page.evaluate("ask('/checkout/full', { method: 'POST', body: 'y' })"))[0] == 503
        assert shop.at("/checkout/full") == [("POST", "x"), ("POST", "y")]
        assert await page.evaluate("seen") == told
        assert (await page.evaluate("ask('/checkout', { credentials: 'omit' })")) == ["LineError", "sent_back"]
