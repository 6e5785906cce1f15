"""What tests of a whole edge share: settings, an upstream that does what the path says, visitors."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import yaml
from aiohttp import web
from prometheus_client.parser import text_string_to_metric_families

from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until, with_rooms

Tree = dict[str, Any]


def settings(upstream: str, **changes: Any) -> Tree:
    """Return the settings that most tests start from."""
    room: Tree = {
        "name": "checkout",
        "match": {"paths": ["/checkout*"]},
        "capacity": {"admissions_per_second": 100.0},
        "polling": {"min_seconds": 0.2, "max_seconds": 1.0},
    }
    return with_rooms(upstream, room | changes.pop("room", {})) | changes


class Upstream:
    """The shop. /stream/N sends pieces until `open[N]` is set; /say/COMMAND sends this `Stanchion-Command`."""

    def __init__(self) -> None:
        self.open: dict[str, asyncio.Event] = {}
        self.heads: list[dict[str, str]] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        self.heads.append(dict(request.headers))
        if stream := re.search(r"/stream/(\w+)", request.path):
            return await self._stream(request, stream[1])
        command = re.search(r"/say/([\w-]+)", request.path)
        return web.Response(text="the shop", headers={"Stanchion-Command": command[1]} if command else {})

    async def _stream(self, request: web.BaseRequest, name: str) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        ended = self.open.setdefault(name, asyncio.Event())
        try:
            while not ended.is_set():
                await response.write(b"piece ")
                await asyncio.sleep(0.05)
            await response.write(b"end")
        except ConnectionError:
            pass
        return response


class Edge:
    """A running edge, and what a test asks of it."""

    def __init__(self, running: RunningEdge, upstream: Upstream, tree: Tree) -> None:
        self.running = running
        self.upstream = upstream
        self.tree = tree

    def rewrite(self, tree: Tree) -> None:
        """Write other settings into its file, for a reload."""
        self.running.file.write_text(yaml.safe_dump(tree))

    def said(self, text: str) -> list[Tree]:
        """Return the log lines that contain a text."""
        return [line for line in self.running.log if text in line["message"]]

    async def wait_restarted(self) -> None:
        """Wait until every worker that was killed has a successor that serves."""

        async def is_whole() -> bool:
            nodes = (await self.running.status())["nodes"]
            return all(node["ready"] and node["restarts"] for node in nodes)

        await wait_until(is_whole, "the workers are back")

    async def room(self) -> Tree:
        [room] = (await self.running.status())["rooms"]
        return room

    async def ask_admin(self, path: str) -> tuple[int, str]:
        async with aiohttp.ClientSession() as session, session.get(self.running.admin + path) as answer:
            return answer.status, await answer.text()

    async def metrics(self) -> dict[str, float]:
        """Return all samples by name and labels, as in `stanchion_polls_total{room="checkout"}`."""
        _, text = await self.ask_admin("/metrics")
        found: dict[str, float] = {}
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                labels = ",".join(f'{name}="{value}"' for name, value in sorted(sample.labels.items()))
                name = f"{sample.name}{{{labels}}}" if labels else sample.name
                assert name not in found, f"{name} twice"
                found[name] = sample.value
        return found


class Visitor:
    """Has cookies of its own, and opens a connection for every request, so that any worker may answer."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.cookies: dict[str, str] = {}
        self.set_cookie = ""

    async def ask(self, path: str = "/checkout", **headers: str) -> tuple[str, Tree]:
        """Return the state, and the status document unless the visitor is admitted."""
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {
            "Accept": "application/json",
            "Connection": "close",
            **({"Cookie": cookie} if cookie else {}),
            **headers,
        }
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.get(self._edge.running.url + path, headers=sent) as answer,
        ):
            body = await answer.read()
            assert answer.status == 200, body
            for line in answer.headers.getall("Set-Cookie", []):
                self.set_cookie = line
                name, _, value = line.partition(";")[0].partition("=")
                self.cookies[name] = value
            state = answer.headers["Stanchion-State"]
            return state, {} if state == "admitted" else await answer.json()


@asynccontextmanager
async def whole_edge(
    folder: Path,
    shop: Upstream | None = None,
    environment: dict[str, str] | None = None,
    prefix: Sequence[str] = (),
    **changes: Any,
) -> AsyncIterator[Edge]:
    """prefix: as for `running_edge`."""
    upstream = shop or Upstream()
    async with running_upstream(upstream.handle) as address:
        tree = settings(address, **changes)
        more = {"TMPDIR": str(folder), **(environment or {})}
        async with running_edge(yaml.safe_dump(tree), folder, prefix=prefix, **more) as running:
            try:
                yield Edge(running, upstream, tree)
            finally:
                for ended in upstream.open.values():
                    ended.set()


def is_alive(pid: int) -> bool:
    """Whether a process runs. A zombie has ended."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def children(pid: int) -> list[int]:
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


__all__ = ["Edge", "Upstream", "Visitor", "children", "is_alive", "settings", "whole_edge"]
