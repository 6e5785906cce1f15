"""Pictures of pages by a Chromium of this machine, over the DevTools protocol.

    chromium --remote-debugging-port=0   writes its port into DevToolsActivePort in the profile
    Target.createTarget, attachToTarget  one tab
    for each page: Emulation.setDeviceMetricsOverride, Page.setDocumentContent, Page.captureScreenshot

https://chromedevtools.github.io/devtools-protocol/. A window cannot be as narrow as a phone, so its size is emulated.
"""

import asyncio
import base64
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import aiohttp

from edge.support.errors import EdgeError

__all__ = ["find_chromium", "take_pictures"]

PROGRAMS: Final = (
    *("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome", "microsoft-edge"),
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
ARGUMENTS: Final = (
    *("--headless", "--disable-gpu", "--no-first-run", "--hide-scrollbars", "--disable-background-networking"),
    *("--disable-component-update", "--disable-sync", "--remote-debugging-port=0"),
)
#: The page is ready when its font and its pictures are.
READY: Final = """
    document.fonts.ready.then(() => Promise.all([...document.images].map((image) => image.decode().catch(() => 0))))
        .then(() => 0)
"""
START_S: Final = 60.0
ANSWER_S: Final = 60.0


def find_chromium(named: str | None) -> str:
    """Return the program. Raises EdgeError that says how to get one."""
    for program in (named,) if named else PROGRAMS:
        found = shutil.which(program)
        if found is not None:
            return found
    if named:
        raise EdgeError(f"--browser {named}: there is no such program")
    raise EdgeError(
        "pictures need Chromium, and there is none in PATH. Install it (Debian, Ubuntu: sudo apt-get install"
        " chromium), or name a Chrome or Edge by --browser. Without --png the preview needs no browser"
    )


async def take_pictures(program: str, folder: Path, pages: Mapping[str, tuple[str, int, int]]) -> None:
    """Write a PNG of each page: the name of the file, the page, its width and height. Raises EdgeError."""
    try:
        async with _running(program) as browser:
            for name, (text, width, height) in pages.items():
                (folder / name).write_bytes(await browser.picture(text, width, height))
    except (TimeoutError, aiohttp.ClientError, ConnectionError) as error:
        raise EdgeError(f"{program} did not answer: {str(error) or 'no answer in time'}") from None
    except OSError as error:
        raise EdgeError(f"a picture cannot be written into {folder}: {error.strerror}") from None


class _Browser:
    """One tab of a browser."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket
        self._number = 0
        self._session = ""
        self._frame = ""

    async def open(self) -> None:
        """Open the tab."""
        target = (await self._call("Target.createTarget", url="about:blank"))["targetId"]
        self._session = (await self._call("Target.attachToTarget", targetId=target, flatten=True))["sessionId"]
        self._frame = (await self._call("Page.getFrameTree"))["frameTree"]["frame"]["id"]

    async def picture(self, text: str, width: int, height: int) -> bytes:
        """Return a page as PNG, as high as it is, and at least as high as the screen."""
        await self._call(
            "Emulation.setDeviceMetricsOverride", width=width, height=height, deviceScaleFactor=1, mobile=width < 700
        )
        await self._call("Page.setDocumentContent", frameId=self._frame, html=text)
        ready = (
            "document.fonts.ready.then(() => Promise.all([...document.images].map((i) => i.decode().catch(() => 0))))"
        )
        await self._call("Runtime.evaluate", expression=f"{ready}.then(() => 0)", awaitPromise=True)
        taken = await self._call("Page.captureScreenshot", format="png", captureBeyondViewport=True)
        return base64.b64decode(taken["data"])

    async def _call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Send a command and return its result."""
        self._number += 1
        message: dict[str, Any] = {"id": self._number, "method": method, "params": parameters}
        if self._session:
            message["sessionId"] = self._session
        await self._socket.send_json(message)
        async with asyncio.timeout(ANSWER_S):
            while True:
                received = await self._socket.receive()
                if received.type is not aiohttp.WSMsgType.TEXT:
                    raise ConnectionError("the connection ended")
                answer: dict[str, Any] = received.json()
                if answer.get("id") == self._number:
                    break
        if "error" in answer:
            raise EdgeError(f"the browser refused {method}: {answer['error'].get('message')}")
        result: dict[str, Any] = answer["result"]
        return result


@asynccontextmanager
async def _running(program: str) -> AsyncIterator[_Browser]:
    """Start the browser with an empty profile, and end it."""
    with tempfile.TemporaryDirectory(prefix="stanchion-preview-", ignore_cleanup_errors=True) as profile:
        as_root = ("--no-sandbox",) if os.geteuid() == 0 else ()  # Chromium refuses to run as root otherwise
        process = await asyncio.create_subprocess_exec(
            *(program, *ARGUMENTS, *as_root, f"--user-data-dir={profile}", "about:blank"),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        try:
            address = await _address(process, Path(profile) / "DevToolsActivePort")
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                browser = _Browser(socket)
                await browser.open()
                yield browser
        finally:
            if process.returncode is None:
                process.terminate()
            await process.wait()


async def _address(process: asyncio.subprocess.Process, file: Path) -> str:
    """Return where the browser listens, as soon as it does."""
    async with asyncio.timeout(START_S):
        while process.returncode is None:
            lines = _lines(file)
            if len(lines) == 2:
                return f"ws://127.0.0.1:{lines[0]}{lines[1]}"
            await asyncio.sleep(0.05)
    raise ConnectionError(f"it ended with {process.returncode}")


def _lines(file: Path) -> list[str]:
    """Return the lines of a small file, none if it is not there yet."""
    return file.read_text().splitlines() if file.exists() else []
