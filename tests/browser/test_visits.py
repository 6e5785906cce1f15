"""What a real Chromium sends without being asked to: preflights, prefetches, prerenders, parts of pages, forms of other
sites, requests through a service worker. And forms that meet the line."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import Browser, expect

from tests.browser.test_real_edge import TIMEOUT_MS
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")

#: One visitor is admitted at once, the others stay in line.
ONE = {"admissions_per_second": 0.001, "burst_seconds": 1.0, "burst_floor": 1.0}
#: A line of some seconds.
SHORT = {"admissions_per_second": 2.0}


class Shop:
    """The shop: pages by path, and what was asked of it."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, str]] = []
        """Method, path with query, and body of every request."""
        self.pages: dict[str, str] = {}
        self.fields: dict[str, str] = {}
        self.status = 200

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        body = (await request.read()).decode("latin-1")
        self.asked.append((request.method, request.path_qs, body))
        if request.method == "OPTIONS":
            return web.Response(status=204, headers=self.fields)
        text = self.pages.get(request.path, f"<title>shop</title><h1>the shop: {request.method} {body[:80]}</h1>")
        kind = "text/javascript" if request.path.endswith(".js") else "text/html"
        return web.Response(text=text, status=self.status, content_type=kind, headers=self.fields)

    def at(self, path: str) -> list[tuple[str, str]]:
        """Return method and body of the requests for a path."""
        return [(method, body) for method, target, body in self.asked if target == path]


#: The visitors that `stand_in_line` has sent to an edge.
OTHERS: WeakKeyDictionary[RunningEdge, list[asyncio.Task[None]]] = WeakKeyDictionary()


@asynccontextmanager
async def edge_before(shop: Shop, folder: Path, workers: int = 1, **room: Any) -> AsyncIterator[RunningEdge]:
    async with running_upstream(shop.handle) as address:
        settings = one_room(address, **room).replace("workers: 2", f"workers: {workers}")
        async with running_edge(settings, folder) as edge:
            try:
                yield edge
            finally:
                others = OTHERS.pop(edge, [])
                for other in others:
                    other.cancel()
                await asyncio.gather(*others, return_exceptions=True)


async def stand_in_line(edge: RunningEdge, count: int = 1) -> None:
    """Send visitors until this many wait. They poll until they are admitted, or the test is over."""
    waiting = asyncio.Semaphore(0)

    async def visit() -> None:
        cookie, is_counted = "", False
        async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                headers = {"Accept": "application/json", **({"Cookie": cookie} if cookie else {})}
                async with session.get(f"{edge.url}/checkout/other", headers=headers) as answer:
                    cookie = answer.headers.get("Set-Cookie", cookie).partition(";")[0]
                    if answer.headers["Stanchion-State"] != "waiting":
                        return
                if not is_counted:
                    is_counted = True
                    waiting.release()
                await asyncio.sleep(0.5)

    # At once: one after the other would each find the line empty. The bursts of two workers get in.
    others = [asyncio.create_task(visit()) for _ in range(count + 8)]
    OTHERS.setdefault(edge, []).extend(others)
    async with asyncio.timeout(30):
        for _ in range(count):
            await waiting.acquire()


async def outcomes(edge: RunningEdge, outcome: str) -> float:
    async with aiohttp.ClientSession() as session, session.get(f"{edge.admin}/metrics") as answer:
        text = await answer.text()
    label = f'stanchion_requests_total{{outcome="{outcome}",'
    return sum(float(line.rpartition(" ")[2]) for line in text.splitlines() if line.startswith(label))


FETCH = """async ([url, method]) => {
    const options = { method, credentials: "include", headers: { "X-Cart": "7" } };
    try {
        const answer = await fetch(url, options);
        return [answer.status, answer.headers.get("Stanchion-State"), await answer.text()];
    } catch (fault) { return [0, String(fault), ""]; }
}"""


async def test_a_visitor_inside_can_send_a_request_that_needs_a_preflight(chromium: Browser, tmp_path: Path) -> None:
    """From a page of another origin, while others wait. The shop answers the preflight by its own policy."""
    shop, app = Shop(), Shop()
    async with edge_before(shop, tmp_path, capacity=ONE) as edge, running_upstream(app.handle) as origin:
        shop.fields = {
            "Access-Control-Allow-Origin": origin,
            "Access-Control-Allow-Credentials": "true",
            "Access-Control-Allow-Methods": "PUT",
            "Access-Control-Allow-Headers": "x-cart",
        }
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/checkout")
        await stand_in_line(edge, 3)
        await page.goto(origin)
        assert await page.evaluate(FETCH, [f"{edge.url}/checkout/order", "PUT"]) == [
            *(200, None, "<title>shop</title><h1>the shop: PUT </h1>"),
        ]
        assert [method for method, path, _ in shop.asked if path == "/checkout/order"] == ["OPTIONS", "PUT"]
        await context.close()


async def test_an_app_of_another_origin_follows_its_place(chromium: Browser, tmp_path: Path) -> None:
    """By the room's policy it may read the 503 and the status document. Another origin may not."""
    shop, app = Shop(), Shop()
    async with running_upstream(app.handle) as origin, running_upstream(app.handle) as other:
        cors = {"origins": [origin]}
        async with edge_before(shop, tmp_path, capacity=ONE, cors=cors) as edge:
            await stand_in_line(edge, 3)
            shop.asked.clear()
            context = await chromium.new_context()
            page = await context.new_page()
            await page.goto(origin)
            status, state, text = await page.evaluate(FETCH, [f"{edge.url}/checkout/order", "DELETE"])
            assert (status, state) == (503, "waiting")
            assert '"position": ' in text
            status, state, again = await page.evaluate(FETCH, [f"{edge.url}/_stanchion/status?room=checkout", "GET"])
            assert (status, state) == (200, "waiting")
            first_seen = text.partition('"first_seen"')[2][:30]
            assert again.partition('"first_seen"')[2][:30] == first_seen, "it is the same place"
            await page.goto(other)
            assert (await page.evaluate(FETCH, [f"{edge.url}/checkout/order", "DELETE"]))[0] == 0
            assert shop.at("/checkout/order") == []
            await context.close()


@pytest.mark.parametrize("way", ["link", "prefetch", "prerender"])
async def test_what_a_browser_fetches_ahead_takes_nothing(chromium: Browser, tmp_path: Path, way: str) -> None:
    """The room admits one visitor: the one that clicks."""
    rules = {way: [{"source": "list", "urls": ["/checkout"], "eagerness": "immediate"}]}
    ahead = f'<script type="speculationrules">{json.dumps(rules)}</script>'
    if way == "link":
        ahead = '<link rel="prefetch" href="/checkout">'
    shop = Shop()
    shop.pages["/cart"] = f'<title>cart</title>{ahead}<a href="/checkout">to checkout</a>'
    async with edge_before(shop, tmp_path, capacity=ONE) as edge:
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/cart")

        async def is_turned_away() -> bool:
            return await outcomes(edge, "speculative") > 0

        await wait_until(is_turned_away, "the browser has fetched the link ahead")
        assert shop.at("/checkout") == []
        assert await context.cookies() == []
        await page.click("a")
        await expect(page.get_by_text("the shop: GET")).to_be_visible(timeout=TIMEOUT_MS)
        await context.close()


async def test_a_page_and_its_parts_make_one_visitor(chromium: Browser, tmp_path: Path) -> None:
    """A room over the whole site: manifest and icon come without cookies, five requests of a script come at once."""
    shop = Shop()
    calls = ", ".join(f'fetch("/api/{n}")' for n in range(5))
    shop.pages["/static/page.js"] = f"Promise.all([{calls}]).then(() => document.title = 'all here')"
    shop.pages["/start"] = (
        '<link rel="manifest" href="/app/manifest"><link rel="icon" href="/icon">'
        '<script src="/static/page.js"></script><img src="/pixel">'
    )
    room = {"match": {"paths": ["/*"], "bypass": ["/start"]}, "capacity": {"admissions_per_second": 50.0}}
    async with edge_before(shop, tmp_path, **room) as edge:
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/start")
        await expect(page).to_have_title("all here")
        [made] = (await edge.status())["rooms"]

        async def is_counted() -> bool:
            return await edge.metric('stanchion_admissions_total{room="checkout"}') is not None

        await wait_until(is_counted, "the admission is counted")
        assert await edge.metric('stanchion_admissions_total{room="checkout"}') == 1.0, made
        assert len({method for method, path, _ in shop.asked if path.startswith("/api/")}) == 1
        await context.close()


async def test_a_form_of_another_site_does_not_cost_the_pass(chromium: Browser, tmp_path: Path) -> None:
    """A payment provider's page posts to a page of the room that is no callback, while others wait."""
    shop, provider = Shop(), Shop()
    async with edge_before(shop, tmp_path, capacity=ONE) as edge, running_upstream(provider.handle) as pay:
        provider.pages["/"] = (
            f'<form id="f" method="post" action="{edge.url}/checkout/done"><input name="paid" value="1"></form>'
            "<script>document.getElementById('f').submit()</script>"
        )
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/checkout")
        before = await context.cookies()
        await stand_in_line(edge, 3)
        shop.asked.clear()
        await page.goto(pay.replace("127.0.0.1", "localhost"))
        await expect(page.get_by_text("the shop: GET")).to_be_visible(timeout=TIMEOUT_MS)
        assert page.url == f"{edge.url}/checkout/done"
        assert shop.at("/checkout/done") == [("GET", "")], "what another site sends is not sent again in her name"
        after = await context.cookies()
        assert [each["value"].split("~")[0] for each in after] == [each["value"].split("~")[0] for each in before]
        await context.close()


WORKER = """
self.addEventListener("install", () => self.skipWaiting());
self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));
self.addEventListener("fetch", (event) => event.respondWith(fetch(event.request)));
"""


async def test_a_visitor_behind_a_service_worker_waits_and_gets_in(chromium: Browser, tmp_path: Path) -> None:
    """The worker sends navigations on as requests of a script. The page, its polls and a form work as without."""
    shop = Shop()
    shop.pages["/sw.js"] = WORKER
    shop.pages["/cart"] = (
        '<form method="post" action="/checkout/order"><input name="note" value="by hand"><button>buy</button></form>'
        "<script>navigator.serviceWorker.register('/sw.js').then(() => navigator.serviceWorker.ready)"
        ".then(() => document.title = 'controlled')</script>"
    )
    async with edge_before(shop, tmp_path, capacity=SHORT, polling={"min_seconds": 0.3, "max_seconds": 1.0}) as edge:
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/cart")
        await expect(page).to_have_title("controlled", timeout=TIMEOUT_MS)
        await stand_in_line(edge, 3)
        await page.goto(f"{edge.url}/checkout")
        await expect(page.locator("#wait")).to_be_visible(timeout=TIMEOUT_MS)
        await expect(page.get_by_text("the shop: GET")).to_be_visible(timeout=TIMEOUT_MS)
        await context.clear_cookies()
        await page.goto(f"{edge.url}/cart")
        await stand_in_line(edge, 4)
        await page.click("button")
        await expect(page.locator("#wait")).to_be_visible(timeout=TIMEOUT_MS)
        await expect(page.get_by_text("the shop: POST note=by+hand")).to_be_visible(timeout=TIMEOUT_MS)
        assert shop.at("/checkout/order") == [("POST", "note=by+hand")]
        await context.close()


FORM = '<form method="post" action="/checkout/order"><input name="note" value="by hand"><button>buy</button></form>'


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_form_that_meets_the_line_reaches_the_shop_once(
    chromium: Browser, tmp_path: Path, with_scripts: bool, workers: int
) -> None:
    """After the admission, whichever worker meets it. A reload of its answer does not send it again."""
    shop = Shop()
    shop.pages["/cart"] = FORM
    polling = {"min_seconds": 0.3, "max_seconds": 1.0}
    async with edge_before(shop, tmp_path, workers, capacity=SHORT, polling=polling) as edge:
        context = await chromium.new_context(java_script_enabled=with_scripts)
        page = await context.new_page()
        await page.goto(f"{edge.url}/cart")
        await stand_in_line(edge, 4)
        await page.click("button")
        await expect(page.locator("#wait")).to_be_visible(timeout=TIMEOUT_MS)
        await expect(page.get_by_text("the shop: POST note=by+hand")).to_be_visible(timeout=TIMEOUT_MS)
        assert shop.at("/checkout/order") == [("POST", "note=by+hand")]
        await page.reload()
        await expect(page.get_by_text("the shop: GET")).to_be_visible(timeout=TIMEOUT_MS)
        assert shop.at("/checkout/order") == [("POST", "note=by+hand"), ("GET", "")]
        await context.close()


async def test_an_upload_that_meets_the_line_shows_the_page(chromium: Browser, tmp_path: Path) -> None:
    """Nearly a megabyte, which is not kept: the visitor sees the line, and the shop gets the file in the end."""
    shop = Shop()
    shop.pages["/cart"] = (
        '<form method="post" enctype="multipart/form-data" action="/checkout/upload">'
        '<input type="file" name="file"><button>send</button></form>'
    )
    async with edge_before(shop, tmp_path, capacity=SHORT, polling={"min_seconds": 0.3, "max_seconds": 1.0}) as edge:
        context = await chromium.new_context()
        page = await context.new_page()
        await page.goto(f"{edge.url}/cart")
        file = {"name": "big.bin", "mimeType": "application/octet-stream", "buffer": bytes(range(256)) * 3500}
        await page.set_input_files("input", file)  # type: ignore[arg-type]
        await stand_in_line(edge, 3)
        await page.click("button")
        await expect(page.locator("#wait")).to_be_visible(timeout=TIMEOUT_MS)
        await expect(page.get_by_text("the shop: POST")).to_be_visible(timeout=TIMEOUT_MS)
        [(method, body)] = shop.at("/checkout/upload")
        assert method == "POST"
        assert len(body) > 850_000
        await context.close()
