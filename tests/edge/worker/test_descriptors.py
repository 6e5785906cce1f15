"""A process with few file descriptors, and more visitors than that. Each needs two."""

import asyncio
import os
import shutil
from pathlib import Path

import yaml
from aiohttp import web

from tests.edge.running import running_edge, running_upstream, wait_until
from tests.edge.whole import Edge, Upstream, settings

DESCRIPTORS, VISITORS = 96, 240
ASK = b"GET /slow HTTP/1.1\r\nHost: a\r\n\r\n"


class Slow(Upstream):
    """Answers no request before `is_open`."""

    def __init__(self) -> None:
        super().__init__()
        self.is_open = asyncio.Event()
        self.asked = 0

    async def handle(self, _request: web.BaseRequest) -> web.StreamResponse:
        self.asked += 1
        await self.is_open.wait()
        return web.Response(text="the shop")


async def test_without_descriptors_newcomers_wait_and_no_visitor_is_dropped(tmp_path: Path) -> None:
    """Every accepted visitor also holds a connection to the shop. The others wait in the kernel's queue: no connection
    is reset, no request fails for lack of a descriptor, and all are served in the end."""
    prlimit = shutil.which("prlimit")
    assert prlimit, "util-linux is missing"
    shop = Slow()
    async with running_upstream(shop.handle) as address:
        tree = settings(address, workers=1)
        limited = [prlimit, f"--nofile={DESCRIPTORS}:{DESCRIPTORS}"]
        async with running_edge(yaml.safe_dump(tree), tmp_path, prefix=limited) as running:
            edge = Edge(running, shop, tree)
            [pid] = await running.worker_pids()
            host, port = running.url.removeprefix("http://").split(":")

            async def visit() -> str:
                reader, writer = await asyncio.open_connection(host, int(port))
                statuses = ""
                try:
                    for _ in range(2):  # the second request on the same connection is served too
                        writer.write(ASK)
                        head = await reader.readuntil(b"\r\n\r\n")
                        statuses += head[9:12].decode()
                        await reader.readexactly(int(head.lower().partition(b"content-length: ")[2].split()[0]))
                finally:
                    writer.close()
                return statuses

            async def is_full() -> bool:
                metrics = await edge.metrics()
                return (
                    metrics["stanchion_accept_pauses_total"] >= 1
                    and shop.asked >= metrics["stanchion_connections"] > 10
                )

            async with asyncio.TaskGroup() as group:
                visits = [group.create_task(visit()) for _ in range(VISITORS)]
                await wait_until(is_full, "no more connections are accepted, and all accepted ones are served")
                assert shop.asked < DESCRIPTORS / 2
                assert len(os.listdir(f"/proc/{pid}/fd")) < DESCRIPTORS
                assert not any(visit.done() for visit in visits)
                shop.is_open.set()
            assert {visit.result() for visit in visits} == {"200200"}
            metrics = await edge.metrics()
            assert not [name for name in metrics if name.startswith("stanchion_upstream_failures_total")]
            assert [node["restarts"] for node in (await running.status())["nodes"]] == [0]
