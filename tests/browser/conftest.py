"""A real Chromium for the session. Its visitors record everything that a page must not do.

Tests run on the session's event loop, because the browser belongs to it:
`pytestmark = pytest.mark.asyncio(loop_scope="session")`.
"""

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import pytest
import pytest_asyncio
from playwright.async_api import Browser, ConsoleMessage, Page, Request, async_playwright

from tests.browser.scripted_edge import ScriptedEdge

CHROMIUM = "/usr/bin/chromium"
ARGUMENTS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
REPORT_VIOLATIONS = """
    document.addEventListener("securitypolicyviolation",
        (event) => console.error(`policy violated: ${event.violatedDirective} by ${event.blockedURI}`));
"""
TIMEOUT_MS = 10_000
"""The time after which a condition that is not true counts as false."""


@dataclass
class Watch:
    """Records what a visitor's page did that our pages must not do."""

    origin: str
    faults: list[str] = field(default_factory=list)

    def request(self, request: Request) -> None:
        url = urlsplit(request.url)
        if f"{url.scheme}://{url.netloc}" != self.origin:
            self.faults.append(f"request to another origin: {request.url}")

    def console(self, message: ConsoleMessage) -> None:
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.faults.append(f"console {message.type}: {message.text}")

    def error(self, error: Exception) -> None:
        self.faults.append(f"script failed: {error}")


Arrive = Callable[..., Awaitable[Page]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    """Yield Debian's Chromium, one for the session. Every test makes its own contexts in it.

    It never skips: without a browser the page is not tested, and that is a failure.
    """
    if not os.access(CHROMIUM, os.X_OK):
        pytest.fail(f"{CHROMIUM} is missing: run tests/system-packages.sh (apt-get install chromium)", pytrace=False)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def edge() -> AsyncIterator[ScriptedEdge]:
    async with ScriptedEdge().serve() as edge:
        yield edge


@pytest.fixture
def watch(edge: ScriptedEdge) -> Watch:
    return Watch(edge.origin)


@pytest_asyncio.fixture(loop_scope="session")
async def arrive(chromium: Browser, edge: ScriptedEdge, watch: Watch) -> AsyncIterator[Arrive]:
    """Yield a function that opens the protected address, or `path`, as a new visitor with a clock that the test moves.

    The test fails if the page of a visitor sends a request to another origin, violates the content security policy, or
    causes an error in the script or on the console.
    """
    contexts = []

    async def arrive(path: str = "/checkout", *, clock: float | str | None = None, **options: Any) -> Page:
        context = await chromium.new_context(**{"locale": "en-GB", "timezone_id": "Europe/Berlin", **options})
        contexts.append(context)
        context.set_default_timeout(TIMEOUT_MS)
        await context.add_init_script(REPORT_VIOLATIONS)
        page = await context.new_page()
        page.on("request", watch.request)
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
        if options.get("java_script_enabled", True):
            await page.clock.install(time=clock)
        await page.goto(edge.origin + path)
        return page

    yield arrive
    for context in contexts:
        await context.close()
    assert not watch.faults
