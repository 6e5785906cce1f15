"""A real Firefox, driven by WebDriver BiDi over a web socket (https://w3c.github.io/webdriver-bidi/).

Playwright drives a Firefox of its own build only; the tests want the one that people have.
"""

import asyncio
import contextlib
import json
import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from tests.ports import free_port

__all__ = ["TAB", "Firefox", "running_firefox"]

PREFERENCES = {
    "remote.active-protocols": 1,
    "app.update.enabled": False,
    "datareporting.policy.dataSubmissionEnabled": False,
    "browser.shell.checkDefaultBrowser": False,
    "browser.tabs.warnOnClose": False,
}
TAB: Final = "\ue004"
"""The tab key, as WebDriver names it (WebDriver, 17.4.2)."""
ANSWER_S = 40.0


class Firefox:
    """One tab. faults: errors that its pages logged, and what their policy blocked."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self.tab = ""
        self.faults: list[str] = []

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command; return its result."""
        self._number += 1
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(ANSWER_S):
            while (message := await self._socket.receive_json()).get("id") != self._number:
                self._note(message)
        assert message["type"] == "success", message
        result: dict[str, Any] = message["result"]
        return result

    def _note(self, message: dict[str, Any]) -> None:
        entry = message.get("params", {})
        if message.get("method") == "log.entryAdded" and entry.get("level") == "error":
            self.faults.append(str(entry.get("text")))

    async def value(self, expression: str) -> Any:
        """Return the value of an expression as JSON gives it. A promise is awaited."""
        script = f"(async () => JSON.stringify(await ({expression})))()"
        target = {"context": self.tab}
        answer = await self.call("script.evaluate", expression=script, target=target, awaitPromise=True)
        assert answer["type"] == "success", answer
        text = answer["result"].get("value")
        return None if text is None else json.loads(text)

    async def run(self, script: str) -> None:
        """Run a script that has no value."""
        answer = await self.call("script.evaluate", expression=script, target={"context": self.tab}, awaitPromise=False)
        assert answer["type"] == "success", answer

    async def wait(self, expression: str, expected: Any = True) -> None:
        """Wait until an expression has a value. While a page is left, it has none."""
        async with asyncio.timeout(ANSWER_S):
            found: Any = None
            while True:
                with contextlib.suppress(AssertionError):
                    found = await self.value(expression)
                    if found == expected:
                        return
                await asyncio.sleep(0.1)

    async def resize(self, width: int, height: int) -> None:
        await self.call("browsingContext.setViewport", context=self.tab, viewport={"width": width, "height": height})

    async def back(self) -> None:
        await self.call("browsingContext.traverseHistory", context=self.tab, delta=-1)

    async def press(self, *keys: str) -> None:
        """Press keys, one after the other."""
        actions = [{"type": each, "value": key} for key in keys for each in ("keyDown", "keyUp")]
        source = {"type": "key", "id": "keyboard", "actions": actions}
        await self.call("input.performActions", context=self.tab, actions=[source])

    async def open(self, url: str) -> None:
        await self.call("browsingContext.navigate", context=self.tab, url=url, wait="complete")

    async def evaluate(self, script: str) -> Any:
        """Return the value of an expression in the page; None while the page changes."""
        target = {"context": self.tab}
        result = await self.call("script.evaluate", expression=script, target=target, awaitPromise=False)
        return result.get("result", {}).get("value")


@asynccontextmanager
async def running_firefox(folder: Path, preferences: Mapping[str, Any] | None = None) -> AsyncIterator[Firefox]:
    """Start Firefox with an empty profile. A dialog that it shows is left open, as in a background tab.

    preferences: more entries of about:config."""
    program = shutil.which("firefox-esr") or shutil.which("firefox")
    if program is None:
        pytest.fail("firefox-esr is missing: run tests/system-packages.sh", pytrace=False)
    profile = folder / "firefox"
    profile.mkdir()
    wanted = {**PREFERENCES, **(preferences or {})}
    lines = [f"user_pref({json.dumps(name)}, {json.dumps(value)});" for name, value in wanted.items()]
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
            await firefox.call("session.subscribe", events=["log.entryAdded"])
            # The tab of the start never has the focus, so it shows none.
            firefox.tab = (await firefox.call("browsingContext.create", type="tab"))["context"]
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
