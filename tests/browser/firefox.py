"""A real Firefox, driven by WebDriver BiDi over a web socket (https://w3c.github.io/webdriver-bidi/).

Playwright drives a Firefox of its own build only; the tests want the one that people have.
"""

import asyncio
import json
import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.ports import free_port

__all__ = ["Firefox", "running_firefox"]

PREFERENCES = {
    "remote.active-protocols": 1,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
}
ANSWER_S = 40.0


class Firefox:
    """One tab."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.tab = ""

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_S):
            while (message := await self._socket.receive_json()).get("id") != self._number:
                pass
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page; None while the page changes."""
        target = {"context": self.tab}
        result = await self.call("script.evaluate", expression=script, target=target, awaitPromise=False)
        return result.get("result", {}).get("value")


@asynccontextmanager
async def running_firefox(folder: Path) -> AsyncIterator[Firefox]:
    """Start Firefox with an empty profile. A dialog that it shows is left open, as in a background tab."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.fail("firefox-esr is missing: run tests/system-packages.sh", pytrace=False)
    profile = folder / "firefox"
    profile.mkdir()
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in PREFERENCES.items()]
    (profile / "user.js").write_text("\n".join(lines))
    port = free_port()
    process = await asyncio.create_subprocess_exec(
        *(program, "--headless", "--profile", str(profile), f"--remote-debugging-port={port}", "about:blank"),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, "HOME": str(folder)},
    )
    try:
        async with aiohttp.ClientSession() as session, asyncio.timeout(90):
            socket = await _connected(session, f"ws://127.0.0.1:{port}/session")
            firefox = Firefox(socket)
            await firefox.call(
                "session.new", capabilities={"alwaysMatch": {"unhandledPromptBehavior": {"default": "ignore"}}}
            )
            firefox.tab = (await firefox.call("browsingContext.getTree"))["contexts"][0]["context"]
            yield firefox
    finally:
        process.terminate()
        await process.wait()


async def _connected(session: aiohttp.ClientSession, url: str) -> aiohttp.ClientWebSocketResponse:
    """Return the socket as soon as Firefox listens."""
    while True:
        try:
            return await session.ws_connect(url)
        except aiohttp.ClientError:
            await asyncio.sleep(0.2)
