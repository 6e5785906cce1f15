"""The cases that every load balancer has to pass, in every way that the line can be attached to it.

A case takes a `Bench`, changes no setting, and leaves the installation as it found it. Its docstring is its row in the
table of docs/plugins.md.
"""

import asyncio
import json
import os
import re
import signal
from collections.abc import Awaitable, Callable

import aiohttp
import pytest
from playwright.async_api import async_playwright, expect

from tests.browser.conftest import ARGUMENTS, CHROMIUM
from tests.plugins.attached import APP, PAGE, Bench, Visitor
from tests.plugins.shop import COOKIES, DOWNLOAD

__all__ = ["CASES", "SLOW_CASES", "Case", "other_room"]

Case = Callable[[Bench], Awaitable[None]]

#: The status of every answer in line, in a dialect that can carry no other.
CARRIED = {"forward-auth": 503, "ext-authz": 403}
KB, MB5 = b"k" * 1024, b"m" * (5 * 1024 * 1024)


async def waits(bench: Bench) -> None:
    """a visitor waits: the page, its fields, one cookie"""
    await bench.shut()
    before = len(bench.shop.seen)
    visitor = bench.browser()
    reply = await visitor.ask("/shut")
    assert b"<!doctype html>" in reply.body.lower(), reply
    assert reply.status in (200, 403, 503), reply
    assert reply.state == "waiting", reply
    assert reply.headers["Content-Type"].startswith("text/html")
    assert reply.headers["Cache-Control"] == "no-store"
    assert "Content-Security-Policy" in reply.headers
    assert "Retry-After" in reply.headers
    assert len(reply.cookies) == 1, reply.cookies
    assert "stanchion_shut=t1.shut." in reply.cookies[0], reply.cookies
    assert ("; Secure" in reply.cookies[0]) == bench.url.startswith("https"), reply.cookies
    assert len(bench.shop.seen) == before
    again = await visitor.ask("/shut")
    assert again.state == "waiting", again
    assert again.cookies == [], again


async def document(bench: Bench) -> None:
    """an app waits: the status document"""
    await bench.shut()
    visitor = bench.app()
    reply = await visitor.ask("/shut?from=app")
    told = json.loads(reply.body)
    assert told["state"] == "waiting", told
    assert told["room"] == "shut", told
    assert told["poll_after_seconds"] > 0, told
    polled = await visitor.ask("/_stanchion/status?room=shut")
    assert polled.status == 200, polled
    assert json.loads(polled.body)["state"] == "waiting", polled


async def gets_in(bench: Bench) -> None:
    """a visitor waits, is parked, gets in, and keeps the pass over a reload"""
    visitors = [bench.app() for _ in range(8)]

    async def wait(visitor: Visitor) -> float:
        await visitor.ask("/slow")
        async with asyncio.timeout(40):
            while True:
                told = json.loads((await visitor.ask("/_stanchion/status?room=slow")).body)
                if told["state"] == "admitted":
                    return asyncio.get_running_loop().time()
                await asyncio.sleep(told["poll_after_seconds"])

    await asyncio.gather(*(wait(visitor) for visitor in visitors))
    visitor = visitors[-1]
    for _ in range(2):
        reply = await visitor.ask("/slow")
        assert reply.is_shop, reply
    first, second = bench.shop.seen[-2:]
    assert first.get("X-Stanchion-Ticket") == second.get("X-Stanchion-Ticket") != None  # noqa: E711


async def goes_straight_in(bench: Bench) -> None:
    """a first visit when nobody waits: the shop's answer and the pass"""
    visitor = bench.browser()
    reply = await visitor.ask("/fast/page")
    assert reply.is_shop, reply
    assert reply.status == 200, reply
    assert any(value.startswith("p1.fast.") for value in visitor.cookies.values()), visitor.cookies
    seen = bench.shop.seen[-1]
    assert seen.get("X-Stanchion-Room") == "fast", seen
    assert seen.get("X-Stanchion-Admitted-At"), seen
    again = await visitor.ask("/fast/page")
    assert again.is_shop
    assert bench.shop.seen[-1].get("X-Stanchion-Ticket") == seen.get("X-Stanchion-Ticket")


async def shop_cookies(bench: Bench) -> None:
    """the shop's own cookies are unharmed"""
    visitor = await bench.inside()
    reply = await visitor.ask("/fast")
    assert [cookie for cookie in reply.cookies if "stanchion" not in cookie] == list(COOKIES), reply.cookies
    assert "shop=a b" in (bench.shop.seen[-1].get("Cookie") or ""), bench.shop.seen[-1]
    first = Visitor(bench.url, PAGE, follows=False)
    reply = await first.ask("/fast")
    if reply.is_shop:
        assert [cookie for cookie in reply.cookies if "stanchion" not in cookie] == list(COOKIES), reply.cookies


async def two_cookies(bench: Bench) -> None:
    """several cookies on one page: a ticket, and the ends of a cookie of another scheme"""
    await bench.shut()
    visitor = bench.browser()
    await visitor.ask("/shut")
    [name] = visitor.cookies
    other = name.removeprefix("__Host-") if name.startswith("__Host-") else f"__Host-{name}"
    reply = await Visitor(bench.url, PAGE, {other: "t1.shut.forged.1.1.x"}).ask("/shut")
    ticket, *ended = reply.cookies
    assert ticket.startswith(f"{name}=t1.shut."), reply.cookies
    assert ticket.endswith("; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax; Secure"), reply.cookies
    assert ended == [
        f"{other}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure",
        f"{other}=; Path=/shut; Max-Age=0; HttpOnly; SameSite=Lax; Secure",
        f"{other}=; Path=/shut/; Max-Age=0; HttpOnly; SameSite=Lax; Secure",
        f"{other}=; Path=/; Max-Age=0; HttpOnly; SameSite=Lax; Secure; Partitioned",
    ], reply.cookies


async def posts(bench: Bench) -> None:
    """POST of 1 kB and 5 MB: inside it arrives whole"""
    visitor = await bench.inside()
    for body in (KB, MB5):
        reply = await visitor.ask("/fast/form", "POST", body)
        assert reply.is_shop, reply.status
        assert bench.shop.seen[-1].body == body
        assert bench.shop.seen[-1].method == "POST"


async def posts_in_line(bench: Bench) -> None:
    """POST of 1 kB in line: it gets the answer, and the shop sees nothing"""
    await _post_in_line(bench, KB)


async def large_posts_in_line(bench: Bench) -> None:
    """POST of 5 MB in line"""
    await _post_in_line(bench, MB5)


async def _post_in_line(bench: Bench, body: bytes) -> None:
    await bench.shut()
    before = len(bench.shop.seen)
    reply = await bench.app().ask("/shut/form", "POST", body)
    assert reply.state == "waiting", reply
    assert json.loads(reply.body)["state"] == "waiting", reply
    assert len(bench.shop.seen) == before


async def methods(bench: Bench) -> None:
    """HEAD, OPTIONS, PUT, DELETE and PATCH"""
    await bench.shut()
    visitor = await bench.inside()
    for method in ("HEAD", "OPTIONS", "PUT", "DELETE", "PATCH"):
        reply = await visitor.ask("/fast/thing", method)
        assert reply.status == 200, (method, reply)
        assert bench.shop.seen[-1].method == method, (method, reply)
        assert reply.body == b"" if method == "HEAD" else reply.is_shop
    before = len(bench.shop.seen)
    for method, status in (("PUT", 503), ("DELETE", 503), ("PATCH", 503), ("HEAD", 200), ("OPTIONS", 200)):
        reply = await bench.app().ask("/shut", method)
        assert reply.state == "waiting", (method, reply)
        assert reply.status == CARRIED.get(bench.way, status), (method, reply)
        assert method == "HEAD" or json.loads(reply.body)["state"] == "waiting", (method, reply)
        assert method != "HEAD" or reply.body == b"", reply
        # HEAD and OPTIONS make no visitor.
        named = [cookie.partition("=")[0] for cookie in reply.cookies]
        assert named == ([] if method in ("HEAD", "OPTIONS") else ["__Host-stanchion_shut"]), (method, reply)
    assert len(bench.shop.seen) == before


async def targets(bench: Bench) -> None:
    """query and encoded path, byte for byte"""
    visitor = await bench.inside()
    for target in (
        "/fast/a%20b%E2%82%AC/x?q=1%202&r=a+b&c=%2F",
        "/fast/~u/*'()!$&,;=:@",
        "/fast/p%3Fq?u=/?x",
    ):
        reply = await visitor.ask(target)
        assert reply.is_shop, (target, reply)
        assert bench.shop.seen[-1].target == target, bench.shop.seen[-1].target


async def odd_targets(bench: Bench) -> None:
    """a semicolon in the query and needless encoding, byte for byte"""
    visitor = await bench.inside()
    for target in ("/fast/a%20b%E2%82%AC/x?q=1%202&r=a+b;c=%2F", "/free/%7Ex%2fy?a=%00b"):
        reply = await visitor.ask(target)
        assert reply.is_shop, (target, reply)
        assert bench.shop.seen[-1].target == target, bench.shop.seen[-1].target


async def forged(bench: Bench) -> None:
    """forged X-Stanchion-* and X-Forwarded-*"""
    await bench.shut()
    lies = {
        "X-Stanchion-Room": "shut",
        "X-Stanchion-Ticket": "forged",
        "X-Stanchion-Admitted-At": "1.000",
        "X-Forwarded-For": "203.0.113.9",
        "X-Forwarded-Uri": "/free",
        "X-Forwarded-Method": "OPTIONS",
        "X-Forwarded-Host": "evil.example",
        "X-Forwarded-Proto": "http",
        "X-Accel-Redirect": "@shop",
        "X-Original-URL": "/shut",
        "X-HTTP-Method-Override": "DELETE",
        "Stanchion-State": "admitted",
    }
    reply = await bench.app().ask("/free", headers=lies)
    seen = bench.shop.seen[-1]
    assert reply.is_shop
    for name in ("X-Stanchion-Room", "X-Stanchion-Ticket", "X-Stanchion-Admitted-At"):
        assert seen.get(name) is None, (name, seen.get(name))
    for name in ("X-Original-URL", "X-HTTP-Method-Override"):
        assert seen.get(name) is None, (name, seen.get(name))
    assert "203.0.113.9" not in (seen.get("X-Forwarded-For") or ""), seen
    before = len(bench.shop.seen)
    reply = await bench.app().ask("/shut", headers=lies)
    assert reply.state == "waiting", reply
    assert ("; Secure" in reply.cookies[0]) == bench.url.startswith("https"), reply.cookies
    assert len(bench.shop.seen) == before
    visitor = await bench.inside()
    await visitor.ask("/fast", headers=lies)
    ticket = bench.shop.seen[-1].get("X-Stanchion-Ticket")
    assert ticket, ticket
    assert "forged" not in ticket, ticket


async def other_room(bench: Bench) -> None:
    """two rooms: the pass of one does not open the other"""
    await bench.shut()
    visitor = await bench.inside("fast")
    [(name, value)] = [pair for pair in visitor.cookies.items() if "stanchion_fast" in pair[0]]
    before = len(bench.shop.seen)
    thief = Visitor(bench.url, PAGE, {name.replace("fast", "shut"): value, name: value})
    reply = await thief.ask("/shut")
    assert reply.state == "waiting", reply
    assert len(bench.shop.seen) == before, reply
    spoiled = Visitor(bench.url, PAGE, {name: value[:-2] + "xx"})
    await spoiled.ask("/fast")
    assert bench.shop.seen[-1].get("X-Stanchion-Ticket") not in (None, value.split(".")[2].partition("~")[0])


async def shared_connection(bench: Bench) -> None:
    """several visitors on one connection: each is known by their own pass alone"""
    first, second = await bench.inside(), await bench.inside()
    [(name, value)] = [pair for pair in first.cookies.items() if "stanchion_fast" in pair[0]]
    spoiled = Visitor(bench.url, PAGE, {name: value[:-2] + "xx"})
    tickets = [
        next(value for name, value in visitor.cookies.items() if "stanchion_fast" in name)
        .split(".")[2]
        .partition("~")[0]
        for visitor in (first, second)
    ]
    assert tickets[0] != tickets[1]
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(limit=1, ssl=False), cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        for visitor in (first, spoiled, first, second, bench.browser(), second, first):
            before = len(bench.shop.seen)
            async with session.get(f"{bench.url}/fast/page", headers=visitor.sent(), allow_redirects=False) as response:
                await response.read()
            seen = [head.get("X-Stanchion-Ticket") for head in bench.shop.seen[before:]]
            if visitor in (first, second):
                assert seen == [tickets[visitor is second]], seen
            else:
                assert not {None, *tickets} & set(seen), seen


async def own_files(bench: Bench) -> None:
    """the page's own files"""
    await bench.shut()
    page = (await bench.browser().ask("/shut")).body.decode()
    at = page.index("/_stanchion/static/") if "/_stanchion/static/" in page else page.index("/_stanchion/")
    path = page[at : page.index('"', at)]
    reply = await bench.browser().ask(path)
    assert reply.status == 200, (path, reply)
    assert "immutable" in reply.headers["Cache-Control"], (path, reply)


async def websocket(bench: Bench) -> None:
    """WebSocket: inside it talks, in line it gets the answer"""
    await bench.shut()
    visitor = await bench.inside()
    async with aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session:
        async with session.ws_connect(bench.url + "/fast/ws", headers=visitor.sent(), ssl=False) as talk:
            await talk.send_str("hello")
            assert await talk.receive_str(timeout=10) == "hello"
        before = len(bench.shop.seen)
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await session.ws_connect(bench.url + "/shut/ws", headers=APP, ssl=False)
        assert refused.value.status in (200, 403, 503)
        assert len(bench.shop.seen) == before


async def events(bench: Bench) -> None:
    """server-sent events come one by one"""
    visitor = await bench.inside()
    bench.shop.event.clear()
    async with (
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        session.get(bench.url + "/fast/events", headers=visitor.sent(), ssl=False) as stream,
    ):
        async with asyncio.timeout(10):
            assert await stream.content.readuntil(b"\n\n") == b"data: first\n\n"
            bench.shop.event.set()
            assert await stream.content.readuntil(b"\n\n") == b"data: second\n\n"


async def downloads(bench: Bench) -> None:
    """a download of 5 MB, and an upload in chunks"""
    visitor = await bench.inside()
    reply = await visitor.ask("/fast/download")
    assert reply.body == DOWNLOAD

    async def pieces():
        for _ in range(20):
            yield KB * 10
            await asyncio.sleep(0)

    reply = await visitor.ask("/fast/upload", "POST", pieces())
    assert reply.is_shop, reply.status
    assert bench.shop.seen[-1].body == KB * 200, reply.status


async def shop_commands(bench: Bench) -> None:
    """what the shop says to the edge does not reach visitors; the shop may not jump"""
    visitor = await bench.inside()
    reply = await visitor.ask("/fast/say/nothing")
    assert reply.is_shop, reply
    assert "Stanchion-Command" not in reply.headers, reply
    reply = await visitor.ask("/fast/jump")
    assert reply.is_shop, reply
    assert reply.status == 200, reply


async def ends_session(bench: Bench) -> None:
    """the shop ends a session: by its response where that is seen or reported by the log, else by a call"""
    visitor = await bench.inside()
    await visitor.ask("/fast/say/complete")
    seen = bench.shop.seen[-1]
    if bench.way != "path" and bench.name in ("envoy", "caddy", "traefik"):
        report = {
            "room": seen.get("X-Stanchion-Room"),
            "ticket": seen.get("X-Stanchion-Ticket"),
            "admitted_at": seen.get("X-Stanchion-Admitted-At"),
            "status": 200,
            "stanchion-command": "complete",
        }
        url = f"http://{bench.balancer.site.asks}/api/report"
        async with aiohttp.ClientSession() as session, session.post(url, data=json.dumps(report)) as response:
            assert await response.json() == {"taken": 1, "refused": 0}
    while True:
        reply = await visitor.ask("/fast")
        if reply.is_shop and bench.shop.seen[-1].get("X-Stanchion-Ticket") != seen.get("X-Stanchion-Ticket"):
            return
        await asyncio.sleep(0.05)


async def no_cookies(bench: Bench) -> None:
    """a visitor that refuses cookies is not sent round in circles"""
    visitor = bench.browser()
    visitor.keep = lambda lines: None  # type: ignore[method-assign]
    reply = await visitor.ask("/fast")
    assert reply.is_shop or (reply.status == 403 and b"cookie" in reply.body), reply


async def http2(bench: Bench) -> None:
    """HTTP/2 over TLS: the page, a poll, the shop"""
    await bench.shut()
    visitor = await bench.inside()
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    for path, fields, expected in (
        ("/shut", ["Accept: text/html"], "<!doctype html>"),
        ("/fast", [f"Cookie: {cookie}", *(f"{name}: {value}" for name, value in PAGE.items())], "the shop"),
        ("/_stanchion/status?room=shut", ["Accept: application/json"], '"state"'),
    ):
        given = [argument for each in fields for argument in ("-H", each)]
        process = await asyncio.create_subprocess_exec(
            *("curl", "-sk", "--http2", "-w", "\n%{http_version}", *given, bench.url + path),
            stdout=asyncio.subprocess.PIPE,
        )
        body, _, version = (await process.communicate())[0].decode().rpartition("\n")
        assert version == "2", (path, version, body[:300])
        assert expected in body.lower(), (path, version, body[:300])


async def restarted(bench: Bench) -> None:
    """the edge is restarted: places and passes stay"""
    await bench.shut()
    waiting, visitor = bench.app(), await bench.inside()
    first = json.loads((await waiting.ask("/shut")).body)["first_seen"]
    pid = (await bench.edge.worker_pids())[0]
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(30):
        while pid in await bench.edge.worker_pids() or not (await bench.edge.status())["ready"]:
            await asyncio.sleep(0.1)
    told = json.loads((await waiting.ask("/_stanchion/status?room=shut")).body)
    assert told["first_seen"] == first, (first, told)
    assert (await visitor.ask("/fast")).is_shop


async def reloaded(bench: Bench) -> None:
    """the load balancer is reloaded in mid-sale: no request fails"""
    visitor = await bench.inside()
    await bench.balancer.reload()
    for _ in range(20):
        assert (await visitor.ask("/fast")).is_shop
        await asyncio.sleep(0.02)


async def browser(bench: Bench) -> None:
    """a browser waits and gets in"""
    async with async_playwright() as playwright:
        chromium = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        page = await (await chromium.new_context(ignore_https_errors=True)).new_page()
        await asyncio.gather(*(bench.app().ask("/slow") for _ in range(8)))
        response = await page.goto(f"{bench.url}/slow/page")
        assert response is not None
        assert response.headers["stanchion-state"] == "waiting"
        # Not by a function in the page: its policy forbids to evaluate one.
        await expect(page.locator("body")).to_have_text(re.compile("^the shop"), timeout=45_000)
        assert (await page.reload()).status == 200  # type: ignore[union-attr]
        await chromium.close()
    assert all(seen.get("X-Stanchion-Ticket") for seen in bench.shop.seen if seen.target == "/slow/page")


#: Played by `make plugins-test` only.
SLOW_CASES: tuple[Case, ...] = (browser,)
CASES: tuple[Case, ...] = (
    *(
        waits,
        document,
        gets_in,
        goes_straight_in,
        shop_cookies,
        two_cookies,
        posts,
        posts_in_line,
        large_posts_in_line,
        methods,
        targets,
        odd_targets,
        forged,
    ),
    *(
        other_room,
        shared_connection,
        own_files,
        websocket,
        events,
        downloads,
        shop_commands,
        ends_session,
        no_cookies,
        http2,
        restarted,
        reloaded,
    ),
)
