"""Single-page shops: static/stanchion-client.js and docs/examples/single-page in Chromium, before a real edge.

All tests share one edge. Each has a room of its own.
"""

import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import pytest_asyncio
import yaml
from playwright.async_api import Browser, Page, Request, Route, expect

from tests.browser.conftest import Watch
from tests.browser.test_real_edge import TIMEOUT_MS
from tests.browser.test_visits import Shop
from tests.edge.running import RunningEdge, running_edge, running_upstream, with_rooms

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


def room(name: str, admissions_per_second: float = 0, **more: Any) -> dict[str, Any]:
    """Return the settings of a room that admits nobody, unless they say otherwise."""
    return {
        "name": name,
        "match": {"paths": [f"/{name}*"]},
        "capacity": {"admissions_per_second": admissions_per_second},
        "polling": {"min_seconds": 0.5, "max_seconds": 1.0},
        **more,
    }


@dataclass
class Played:
    """An edge before a shop, and a server of pages with another origin."""

    edge: RunningEdge
    shop: Shop
    app: Shop
    origin: str

    def let_in(self, name: str) -> None:
        """Give a room a capacity."""
        tree = yaml.safe_load(self.edge.file.read_text("utf-8"))
        for each in tree["rooms"]:
            if each["name"] == name:
                each["capacity"]["admissions_per_second"] = 50.0
        self.edge.file.write_text(yaml.safe_dump(tree))
        self.edge.send(signal.SIGHUP)

    @asynccontextmanager
    async def open_client(self, chromium: Browser) -> AsyncIterator[Page]:
        """Yield a page of the shop, outside of the rooms, with the client."""
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{self.edge.url}/")
        await page.evaluate(SETUP, self.edge.url)
        yield page
        await context.close()


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def played(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Played]:
    shop, app = Shop(), Shop()
    async with running_upstream(app.handle) as origin, running_upstream(shop.handle) as address:
        shop.fields = {"Access-Control-Allow-Origin": origin, "Access-Control-Allow-Credentials": "true"}
        tree = with_rooms(
            address,
            room("checkout", cors={"origins": [origin]}),
            *(room("shared"), room("lost"), room("forgotten"), room("closed", mode="closed")),
            room("sleepy", polling={"min_seconds": 50, "max_seconds": 50}),
            room("proof", 50, join={"proof": "all", "difficulty": 500, "no_script_wait_seconds": 600}),
        )
        folder = tmp_path_factory.mktemp("single-page")
        async with running_edge(yaml.safe_dump(tree | {"workers": 1}), folder) as edge:
            app.pages, shop.pages = example_pages(edge.url), example_pages()
            yield Played(edge, shop, app, origin)


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


async def test_the_example_waits_and_sends_its_order_once(chromium: Browser, played: Played) -> None:
    """From the shop's origin and from another one: the visitor sees a place; after the admission the order reaches the
    shop once, as it was sent."""
    shop, watch = played.shop, Watch(played.edge.url)
    pages = {}
    for address in (played.edge.url, played.origin):
        context = await chromium.new_context()
        page = pages[address] = await context.new_page()
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
        await page.goto(address)
        await page.fill("input[name=name]", address)
        await page.click("#order button")
        await expect(page.locator("#place")).to_contain_text("Your place: ", timeout=TIMEOUT_MS)
    assert shop.at("/checkout/order") == []
    played.let_in("checkout")
    for page in pages.values():
        await expect(page.locator("#result")).to_contain_text("the shop: POST name=", timeout=TIMEOUT_MS)
        await expect(page.locator("#line")).to_be_hidden()
        await page.context.close()
    bodies = sorted(urlencode({"name": address}) for address in pages)
    assert sorted(shop.at("/checkout/order")) == [("POST", body) for body in bodies]
    assert watch.faults == []


async def test_requests_share_their_polls_and_each_can_be_given_up(chromium: Browser, played: Played) -> None:
    """Three requests of one page poll like one; without any that waits, nothing is polled."""
    async with played.open_client(chromium) as page:
        polls = polls_of(page)
        await page.evaluate("""() => {
            window.stops = [1, 2, 3].map(() => new AbortController());
            window.answers = stops.map(({ signal }, n) => ask(`/shared/${n}`, { signal }));
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


async def test_a_lost_connection_is_told_and_found_again(chromium: Browser, played: Played) -> None:
    async with played.open_client(chromium) as page:
        await page.evaluate("() => { window.answer = ask('/lost') }")
        await page.wait_for_function("seen.length > 0", timeout=TIMEOUT_MS)
        await page.context.set_offline(True)
        await page.wait_for_function("seen.at(-1)[1]", timeout=TIMEOUT_MS)
        played.let_in("lost")
        await page.context.set_offline(False)
        assert (await page.evaluate("answer"))[0] == 200
        assert await page.evaluate("seen.at(-1)") == ["admitted", False]


async def test_a_tab_that_wakes_up_keeps_its_appointment(chromium: Browser, played: Played) -> None:
    """Timers stand still in a sleeping tab: by the clock a minute is over, and the page becomes visible again."""
    async with played.open_client(chromium) as page:
        await page.evaluate("() => { window.answer = ask('/sleepy') }")
        await page.wait_for_function("seen.length === 1", timeout=TIMEOUT_MS)
        polls = polls_of(page)
        await page.evaluate("document.dispatchEvent(new Event('visibilitychange')), fetch('/cart').then(() => {})")
        assert polls == []
        await page.evaluate("""() => {
            const now = Date.now;
            Date.now = () => now() + 60000;
            document.dispatchEvent(new Event("visibilitychange"));
        }""")
        await page.wait_for_function("seen.length === 2", timeout=TIMEOUT_MS)


async def test_a_browser_that_keeps_no_cookie_is_told_so(chromium: Browser, played: Played) -> None:
    async with played.open_client(chromium) as page:

        async def forget(route: Route) -> None:
            await page.context.clear_cookies()
            await route.continue_()

        await page.route("**/_stanchion/status?*", forget)
        assert await page.evaluate("ask('/forgotten')") == ["LineError", "cookies"]


async def test_a_line_that_ends_says_why(chromium: Browser, played: Played) -> None:
    async with played.open_client(chromium) as page:
        assert await page.evaluate("ask('/closed')") == ["LineError", "over"]
        assert await page.evaluate("ask('/closed', { method: 'POST' })") == ["LineError", "over"]
        assert await page.evaluate("seen") == [["closed", False], ["closed", False]]


async def test_the_client_solves_a_challenge_and_returns_the_answers_of_the_shop(
    chromium: Browser, played: Played
) -> None:
    """Without a solution the visitor would wait ten minutes for a place. Inside, each request reaches the shop once,
    whatever it answers. A request without cookies meets the line again after the admission."""
    shop = played.shop
    async with played.open_client(chromium) as page:
        assert (await page.evaluate("ask('/proof')"))[0] == 200
        told = [["joining", False], ["admitted", False]]
        assert await page.evaluate("seen") == told
        assert (await page.evaluate("ask('/proof/full', { method: 'POST', body: 'x' })"))[0] == 200
        assert (await page.evaluate("ask('/cart')"))[0] == 200
        shop.status = 503
        assert (await page.evaluate("ask('/proof/full', { method: 'POST', body: 'y' })"))[0] == 503
        shop.status = 200
        assert shop.at("/proof/full") == [("POST", "x"), ("POST", "y")]
        assert await page.evaluate("seen") == told
        assert (await page.evaluate("ask('/proof', { credentials: 'omit' })")) == ["LineError", "sent_back"]
