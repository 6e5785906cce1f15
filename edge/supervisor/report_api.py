"""GET /v1/rooms/{room}/report: the report of a room, made from this machine's record.

A process of its own makes it (`stanchion report`), so that the work on millions of visitors delays no message of a
worker. One report is made at a time.
"""

import asyncio
import os
import sys
from pathlib import Path

from aiohttp import web

from edge.supervisor.problems import problem
from edge.supervisor.room_api import answering
from edge.supervisor.room_control import room_named
from edge.supervisor.supervisor import Supervisor
from edge.support.errors import ClientError

__all__ = ["ReportApi"]

_POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"


class ReportApi:
    """The route of one supervisor's reports."""

    def __init__(self, supervisor: Supervisor) -> None:
        self._supervisor = supervisor
        self._turn = asyncio.Lock()

    def routes(self) -> list[web.RouteDef]:
        return [web.get("/v1/rooms/{room}/report", answering(self._report))]

    async def _report(self, request: web.Request) -> web.Response:
        room = room_named(self._supervisor.settings, request.match_info["room"]).name
        wanted = [f"--{name}={_moment(request, name):f}" for name in ("since", "until") if name in request.query]
        kind = request.query.get("format", "html")
        if kind not in ("html", "json"):
            raise ClientError(f"format: must be html or json, got {kind[:20]!r}")
        folder = self._supervisor.recording.folder
        if folder is None:
            return problem(404, "no record is kept: set record.folder, and state_folder if it is 'auto'")
        async with self._turn:
            await self._supervisor.recording.flush()
            code, page, said = await _made(room, folder, [*wanted, *(["--json"] if kind == "json" else [])])
        if code != 0:
            return problem(404 if code == 2 else 500, said.strip() or "the report could not be made")
        content = "application/json" if kind == "json" else "text/html"
        return web.Response(
            body=page, content_type=content, charset="utf-8", headers={"Content-Security-Policy": _POLICY}
        )


def _moment(request: web.Request, name: str) -> float:
    """Return a moment of the query, seconds since 1970. Raises ClientError."""
    text = request.query[name]
    try:
        moment = float(text)
    except ValueError:
        moment = -1.0
    if not 0.0 <= moment < 1e11:
        raise ClientError(f"{name}: must be seconds since 1970, got {text[:40]!r}")
    return moment


async def _made(room: str, folder: Path, options: list[str]) -> tuple[int, bytes, str]:
    """Return the exit code of `stanchion report`, the page, and what it said of faults."""
    here = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, (here, os.environ.get("PYTHONPATH"))))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "report", room, "--record", str(folder), *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": path},
    )
    try:
        page, said = await process.communicate()
    except asyncio.CancelledError:
        process.kill()
        await process.wait()
        raise
    return process.returncode or 0, page, said.decode("utf-8", "replace")
