"""What a visitor of the crowd does with their browser: poll for admission, load the form, send it.

`HttpBrowser` does it over HTTP, with cookies of its own. The tests have one that asks a gate on a virtual clock.
"""

import json
import re
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass

import aiohttp

__all__ = ["Browser", "PollAnswer", "http_browser"]


@dataclass(frozen=True, slots=True)
class PollAnswer:
    """status: the HTTP status. state: the field `Stanchion-State`. poll_after_s: None if the wait is over."""

    status: int
    state: str
    poll_after_s: float | None


class Browser(ABC):
    """One visitor's browser. Methods raise `aiohttp.ClientError` if the connection breaks."""

    @abstractmethod
    async def poll(self) -> PollAnswer: ...

    @abstractmethod
    async def open_form(self) -> dict[str, str]:
        """Load the checkout; return the hidden fields of its form."""

    @abstractmethod
    async def send_form(self, fields: Mapping[str, str]) -> int:
        """Send the form; return the HTTP status."""


class HttpBrowser(Browser):
    """address(): the URL of the next request."""

    def __init__(self, session: aiohttp.ClientSession, address: Callable[[], str]) -> None:
        self._session = session
        self._address = address

    async def poll(self) -> PollAnswer:
        headers = {"Accept": "application/json"}
        async with self._session.get(self._address(), headers=headers, allow_redirects=False) as response:
            state = response.headers.get("Stanchion-State", "none")
            body = await response.read()
        # Some load balancers let a visitor in without a word of the edge's.
        after_s = None if state in ("admitted", "none") else json.loads(body)["poll_after_seconds"]
        return PollAnswer(response.status, state, after_s)

    async def open_form(self) -> dict[str, str]:
        async with self._session.get(self._address(), headers={"Accept": "text/html"}) as response:
            page = await response.text()
        return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page))

    async def send_form(self, fields: Mapping[str, str]) -> int:
        async with self._session.post(self._address(), data=dict(fields), headers={"Accept": "text/html"}) as response:
            await response.read()
        return response.status


@asynccontextmanager
async def http_browser(address: Callable[[], str], *, verifies: bool = True) -> AsyncIterator[Browser]:
    """verifies: certificates are checked; a demo makes its own."""
    connector = aiohttp.TCPConnector(ssl=verifies)
    async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True), connector=connector) as session:
        yield HttpBrowser(session, address)
