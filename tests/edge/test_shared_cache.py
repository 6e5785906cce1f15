"""A real Apache with mod_cache between visitors and the edge: no visitor gets a cookie of another one.

Apache stores what RFC 9111 lets a shared cache store, and answers from memory what it has stored.
"""

import asyncio
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from tests.edge.running import one_room, running_edge, running_upstream, wait_until
from tests.ports import free_port

MODULES = Path("/usr/lib/apache2/modules")
CONFIGURATION = """
ServerRoot "{folder}"
PidFile "{folder}/pid"
ErrorLog "{folder}/error.log"
ServerName 127.0.0.1
Listen 127.0.0.1:{port}
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule proxy_module {modules}/mod_proxy.so
LoadModule proxy_http_module {modules}/mod_proxy_http.so
LoadModule cache_module {modules}/mod_cache.so
LoadModule cache_disk_module {modules}/mod_cache_disk.so
CacheQuickHandler on
CacheRoot "{folder}/cache"
CacheEnable disk "/"
CacheHeader on
CacheIgnoreNoLastMod On
CacheDefaultExpire 600
ProxyPreserveHost On
ProxyPass "/" "{edge}/"
"""


@asynccontextmanager
async def running_apache(edge: str, folder: Path) -> AsyncIterator[str]:
    """Run Apache as a shared cache in front of `edge`; yield its address."""
    apache = shutil.which("apache2", path="/usr/sbin:/usr/bin")
    if apache is None:
        pytest.fail("apache2 is missing: run tests/system-packages.sh", pytrace=False)
    port = free_port()
    (folder / "cache").mkdir(parents=True)
    file = folder / "apache.conf"
    file.write_text(CONFIGURATION.format(folder=folder, port=port, modules=MODULES, edge=edge))
    process = await asyncio.create_subprocess_exec(apache, "-X", "-f", str(file))
    url = f"http://127.0.0.1:{port}"

    async def answers() -> bool:
        assert process.returncode is None, (folder / "error.log").read_text()
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            return False
        writer.close()
        return True

    try:
        await wait_until(answers, "Apache listens")
        yield url
    finally:
        process.terminate()
        await process.wait()


#: What shops say of a page that caches may keep.
SAID = {
    "public": {"Cache-Control": "public, max-age=300"},
    "s-maxage": {"Cache-Control": "s-maxage=300, max-age=10"},
    "expires": {"Expires": "Thu, 01 Jan 2037 00:00:00 GMT"},
    "nothing": {"Last-Modified": "Mon, 01 Jan 2024 00:00:00 GMT"},
    "etag": {"Cache-Control": "max-age=300", "ETag": '"7"'},
}


async def test_a_shared_cache_gives_no_visitor_the_cookie_of_another(tmp_path: Path) -> None:
    """Ten visitors load the same pages through Apache: each gets a pass of their own. Pages without a cookie of the
    edge are cached as before."""
    asked: list[str] = []

    async def shop(request: web.BaseRequest) -> web.StreamResponse:
        asked.append(request.path)
        kind = request.path.rpartition("/")[2]
        if "7" in request.headers.get("If-None-Match", ""):
            return web.Response(status=304, headers=SAID[kind])
        return web.Response(text=f"<h1>{kind}</h1>", content_type="text/html", headers=SAID[kind])

    async with (
        running_upstream(shop) as address,
        running_edge(one_room(address, capacity={"admissions_per_second": 1000.0}), tmp_path) as edge,
        running_apache(edge.url, tmp_path / "apache") as cache,
        aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
    ):
        for kind in SAID:
            passes = []
            for _ in range(10):
                async with session.get(f"{cache}/checkout/{kind}") as answer:
                    assert answer.status == 200
                    assert "HIT" not in answer.headers["X-Cache"]
                    passes += [line.partition(";")[0] for line in answer.headers.getall("Set-Cookie")]
            assert len(set(passes)) == 10, kind
            # After a visitor has shown the pass they get no cookie, so the page is the shop's own again.
            async with session.get(f"{cache}/checkout/{kind}", headers={"Cookie": passes[0]}) as answer:
                assert all(line.partition("=")[2][:3] == "p1." for line in answer.headers.getall("Set-Cookie", []))
        asked.clear()
        for kind in ("public", "nothing"):
            for at in range(5):
                async with session.get(f"{cache}/products/{kind}") as answer:
                    assert ("HIT" in answer.headers["X-Cache"]) == (at > 0), "the cache works"
        assert asked == ["/products/public", "/products/nothing"]


async def test_a_shared_cache_stores_no_answer_to_a_visitor_that_waits(tmp_path: Path) -> None:
    """Neither the page nor the status document, and a prefetch that was turned away is asked again."""

    async def shop(request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="the shop", headers={"Cache-Control": "public, max-age=300"})

    capacity = {"admissions_per_second": 0.001, "burst_seconds": 1.0, "burst_floor": 1.0}
    async with running_upstream(shop) as address:
        settings = one_room(address, capacity=capacity).replace("workers: 2", "workers: 1")
        async with (
            running_edge(settings, tmp_path) as edge,
            running_apache(edge.url, tmp_path / "apache") as cache,
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
        ):
            async with session.get(f"{cache}/checkout") as answer:
                assert answer.headers["Stanchion-State"] == "admitted"
            tickets = set()
            for accept in ("text/html", "application/json") * 3:
                async with session.get(f"{cache}/checkout", headers={"Accept": accept}) as answer:
                    assert answer.headers["Stanchion-State"] == "waiting"
                    tickets.add(answer.headers["Set-Cookie"])
            assert len(tickets) == 6
            for _ in range(3):
                async with session.get(f"{cache}/checkout/7", headers={"Sec-Purpose": "prefetch"}) as answer:
                    assert answer.status == 503
                    assert "HIT" not in answer.headers["X-Cache"]
                    assert "Set-Cookie" not in answer.headers
