"""Operators and systems act on a running edge while visitors come and go: no request fails."""

import asyncio
import contextlib
import os
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import yaml

from tests.edge.running import running_upstream, wait_until
from tests.edge.supervisor.test_reloading import reload
from tests.edge.whole import Edge, Upstream, Visitor, settings, whole_edge
from tests.ports import free_port


class Load:
    """Visitors that keep their connections, and as many that open a new one for each request."""

    #: What the visitors verify the edge by, if its address begins with https.
    tls: ssl.SSLContext | bool = True

    def __init__(self, url: str) -> None:
        self._url = url
        self.seen: Counter[str] = Counter()

    @property
    def target(self) -> str:
        """The target of the next request."""
        return "/"

    async def visit(self, *, keeps: bool) -> None:
        connector = aiohttp.TCPConnector(force_close=not keeps, ssl=self.tls)
        async with aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar()) as session:
            while True:
                try:
                    async with session.post(self._url + self.target, data=b"order") as answer:
                        await answer.read()
                        self.seen[str(answer.status)] += 1
                except aiohttp.ClientError as fault:
                    self.seen[repr(fault)] += 1
                await asyncio.sleep(0.01)


@contextlib.asynccontextmanager
async def under_load(edge: Edge, kind: type[Load] = Load) -> AsyncIterator[Load]:
    load = kind(edge.running.url)
    visitors = [asyncio.ensure_future(load.visit(keeps=at % 2 == 0)) for at in range(8)]
    try:
        yield load
    finally:
        for visitor in visitors:
            visitor.cancel()
        await asyncio.gather(*visitors, return_exceptions=True)


async def wait_more(load: Load, count: int = 16) -> None:
    """Wait until so many more requests were answered."""
    before = load.seen["200"]

    async def are_answered() -> bool:
        return load.seen["200"] >= before + count

    await wait_until(are_answered, f"{count} more requests are answered")


async def test_workers_are_replaced_without_a_failed_request(tmp_path: Path):
    """The requests are POSTs, which a client does not repeat, so no retry hides a failure."""
    async with whole_edge(tmp_path) as edge:
        before = set(await edge.running.worker_pids())
        waiting = Visitor(edge)
        await waiting.ask()
        async with under_load(edge) as load:
            for _ in range(2):
                said = len(edge.said("all workers were replaced"))
                edge.running.send(signal.SIGUSR2)

                async def is_done(said: int = said) -> bool:
                    return len(edge.said("all workers were replaced")) > said

                await wait_until(is_done, "the workers are replaced")
            await wait_more(load)
        assert set(load.seen) == {"200"}, load.seen
        assert load.seen["200"] > 50
        assert not before & set(await edge.running.worker_pids())
        assert [node["restarts"] for node in (await edge.running.status())["nodes"]] == [0, 0]
        assert (await waiting.ask())[0] == "admitted"


async def test_a_faulty_file_under_load_costs_no_request(tmp_path: Path):
    async with whole_edge(tmp_path) as edge:
        async with under_load(edge) as load:
            for _ in range(5):
                edge.running.file.write_text("rooms: [")
                assert (await reload(edge)).startswith("reload refused")
                edge.rewrite(edge.tree)
                assert await reload(edge) == "settings reloaded"
                await wait_more(load)
        assert set(load.seen) == {"200"}, load.seen
        assert edge.said("reload refused")


async def test_a_full_disk_for_logs_stops_nothing(tmp_path: Path):
    """Every write to /dev/full fails as on a full disk."""
    upstream, port, admin = Upstream(), free_port(), free_port()
    async with running_upstream(upstream.handle) as address:
        tree = settings(address, listen=[f"tcp://127.0.0.1:{port}"], admin={"listen": f"tcp://127.0.0.1:{admin}"})
        file = tmp_path / "edge.yaml"
        file.write_text(yaml.safe_dump(tree | {"log": {"format": "json", "access": "all"}}))
        environment = {**os.environ, "STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22}
        with Path("/dev/full").open("wb") as full:  # noqa: ASYNC230
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "edge.cli", "run", str(file), stdout=full, stderr=full, env=environment
            )
        try:
            async with aiohttp.ClientSession() as session:

                async def is_ready() -> bool:
                    with contextlib.suppress(aiohttp.ClientError):
                        async with session.get(f"http://127.0.0.1:{admin}/readyz") as answer:
                            return answer.status == 200
                    return False

                await wait_until(is_ready, "the edge is ready")
                for _ in range(50):
                    async with session.get(f"http://127.0.0.1:{port}/") as answer:
                        assert answer.status == 200
                process.send_signal(signal.SIGHUP)
                async with session.get(f"http://127.0.0.1:{port}/checkout") as answer:
                    assert answer.status == 200
        finally:
            process.terminate()
            code = await process.wait()
        assert code in (0, 120), "120: Python could not flush its own standard error at the end"
