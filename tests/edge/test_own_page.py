"""A real edge serves a shop's own template, style sheet and font, follows a reload, and refuses a broken one."""

import re
import signal
from pathlib import Path

import aiohttp

from tests.edge.running import RunningEdge, one_room, running_edge, wait_until
from tests.edge.settings.test_page_template import GOOD
from waiting_room.assets import STATIC_PATH

FONT = (Path(__file__).parents[1] / "waiting_room" / "fonts" / "square.woff2").read_bytes()
ACCEPT = {"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}


async def page_of(edge: RunningEdge, coding: str = "gzip") -> tuple[str, str]:
    """Return the waiting page of a new visitor and its policy."""
    headers = {**ACCEPT, "Accept-Encoding": coding}
    async with aiohttp.ClientSession(headers=headers) as session, session.get(f"{edge.url}/checkout") as answer:
        return await answer.text(), answer.headers["Content-Security-Policy"]


def template(mark: str) -> str:
    return GOOD.replace("<main>", f"<header>{mark}</header><main>")


async def test_workers_serve_the_files_of_the_settings_and_no_broken_one(tmp_path: Path) -> None:
    (tmp_path / "page.html").write_text(template("first"))
    (tmp_path / "own.css").write_text("header{color:red}")
    (tmp_path / "own.woff2").write_bytes(FONT)
    page = {"template": "page.html", "stylesheet": "own.css", "font": "own.woff2"}
    settings = one_room("http://127.0.0.1:9", capacity={"admissions_per_second": 0}, page=page)
    async with running_edge(settings, tmp_path) as edge, aiohttp.ClientSession() as session:
        for coding in ("gzip", "identity"):
            text, policy = await page_of(edge, coding)
            assert "<header>first</header>" in text
            assert "font-src 'self'" in policy
        for pattern, kind, part in (
            ("font", "font/woff2", FONT),
            ("face", "text/css; charset=utf-8", b"header{color:red}"),
        ):
            found = re.search(rf'href="({STATIC_PATH}{pattern}-checkout\.[^"]+)"', text)
            assert found is not None
            async with session.get(edge.url + found[1]) as answer:
                assert (answer.status, answer.headers["Content-Type"]) == (200, kind)
                assert "immutable" in answer.headers["Cache-Control"]
                assert part in await answer.read()

        (tmp_path / "page.html").write_text(template("broken").replace("{{end}}", ""))
        edge.send(signal.SIGHUP)

        async def is_refused() -> bool:
            return any("reload refused" in str(line) and "{{end}} is missing" in str(line) for line in edge.log)

        await wait_until(is_refused, "the broken template is refused")
        assert "<header>first</header>" in (await page_of(edge))[0]

        (tmp_path / "page.html").write_text(template("second"))
        edge.send(signal.SIGHUP)

        async def is_new() -> bool:
            return "<header>second</header>" in (await page_of(edge))[0]

        await wait_until(is_new, "the new template is served")
