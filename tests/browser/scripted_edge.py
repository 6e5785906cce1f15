"""An edge that answers from a script: one list says what each poll gets, another records what was requested.

It serves the real page and the real static files with the real headers, and it sets a ticket and a pass as the edge
does. Only the line is simulated. A test sets the next responses and then reads what the visitor did:

    edge.pages = [waiting(1240, 95)]                       # each load of the protected address takes one
    edge.answers = [Fault.DROPPED, Reply(503, retry_after=20), waiting(1100, 80), admitted()]    # each poll takes one
    ...
    assert len(edge.polls) == 5

The last entry of each list is used again and again.
"""

import asyncio
import enum
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from itertools import count
from time import time
from typing import TypeVar

from aiohttp import web

from waiting_room.assets import ASSET_HEADERS, STATIC_PATH, Assets
from waiting_room.error_page import ErrorPage
from waiting_room.face import Face
from waiting_room.frame import PAGE_HEADERS
from waiting_room.language_choice import Languages
from waiting_room.page import STATUS_PATH
from waiting_room.room_pages import RoomPages
from waiting_room.status import State, Status

ROOM = "checkout"
TICKET = "ticket"
PASS = "pass"
T = TypeVar("T")
PROTECTED = "The shop"


class Fault(enum.Enum):
    """A poll without a response."""

    DROPPED = "the connection is cut without a response"
    SILENT = "the connection stays open and nothing is sent"


@dataclass(frozen=True, slots=True)
class Reply:
    """A response that is not a status document."""

    code: int
    retry_after: int | None = None


Answer = Status | Fault | Reply


def waiting(
    position: int | None,
    eta_s: float | None,
    *,
    poll_after_s: float = 5.0,
    message: str | None = None,
    stock: int | None = None,
) -> Status:
    p90_s = None if eta_s is None else eta_s * 1.4
    return Status(State.WAITING, ROOM, position, eta_s, p90_s, poll_after_s, message=message, stock=stock)


def early(opens_at: float, *, poll_after_s: float = 10.0) -> Status:
    return Status(State.EARLY, ROOM, poll_after_s=poll_after_s, opens_at=opens_at)


def admitted() -> Status:
    return Status(State.ADMITTED, ROOM)


def sold_out(poll_after_s: float | None = None) -> Status:
    return Status(State.SOLD_OUT, ROOM, poll_after_s=poll_after_s)


def all_held(held: int, position: int | None = None) -> Status:
    return Status(State.SOLD_OUT, ROOM, position, poll_after_s=5.0, stock=0, held=held)


def closed(poll_after_s: float | None = None) -> Status:
    return Status(State.CLOSED, ROOM, poll_after_s=poll_after_s)


class ScriptedEdge:
    """One room at `/checkout`. A visitor with the pass gets the protected content."""

    def __init__(self, face: Face | None = None) -> None:
        """face: what the shop adds to the page."""
        self.origin = ""
        self.pages: list[Status] = [waiting(1240, 95)]
        self.answers: list[Answer] = [waiting(1240, 95)]
        self.polls: list[bool] = []
        """For every poll, whether it carried a ticket."""
        self.visits: list[str] = []
        """The method of every request for `/checkout`."""
        self.takes_passes = True
        """False: the pass is ignored, as if the shop sends visitors back."""
        self.gives_tickets = True
        """False: no ticket is set, as if the browser kept no cookie."""
        self.may_answer = asyncio.Event()
        """Polls are answered while this is set."""
        self.may_answer.set()
        self.may_load = asyncio.Semaphore(1_000_000)
        """Each load of the protected address takes one. While there is none, the browser shows the page before it."""
        self.cookies_missing = False
        """True: the page explains cookies."""
        self.is_failing = True
        """The shop fails every request for `/failing`."""
        self.failed: list[str] = []
        """The method of every request for `/failing`."""
        self.failed_at: list[float] = []
        """When each of them came, seconds."""
        self._new_visitors = count(1)
        self._assets = Assets.load()
        self._pages = RoomPages(self._assets, ROOM, "Lumen Records", Languages(), face=face)
        self._errors = ErrorPage(self._assets)

    def __repr__(self) -> str:
        return f"<ScriptedEdge visits={self.visits} polls={len(self.polls)} next={self.answers[0]!r}>"

    @property
    def url(self) -> str:
        """The protected address."""
        return f"{self.origin}/checkout"

    @asynccontextmanager
    async def serve(self) -> AsyncIterator["ScriptedEdge"]:
        """Listen on a free port of the loopback until the block ends."""
        app = web.Application()
        app.router.add_route("*", "/checkout", self._checkout)
        app.router.add_get(STATUS_PATH, self._status)
        app.router.add_get(STATIC_PATH + "{name}", self._static)
        app.router.add_get("/cart", self._cart)
        app.router.add_get("/broken/{code}", self._broken)
        app.router.add_route("*", "/failing", self._failing)
        runner = web.AppRunner(app, handler_cancellation=True, shutdown_timeout=0.1)
        await runner.setup()
        try:
            site = web.TCPSite(runner, "127.0.0.1", 0)
            await site.start()
            self.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
            yield self
        finally:
            await runner.cleanup()

    async def _checkout(self, request: web.Request) -> web.Response:
        self.visits.append(request.method)
        await self.may_load.acquire()
        if self.takes_passes and PASS in request.cookies:
            return await self._protected(request)
        status = next_entry(self.pages)
        if status.state is State.ADMITTED:
            return with_pass(await self._protected(request))
        first_seen, ticket = self._ticket(request)
        page = self._pages.page(request.headers.get("Accept-Language", ""), request.headers.get("Cookie", ""))
        body = page.render(replace(status, first_seen=first_seen), cookies_missing=self.cookies_missing, now=time())
        headers = {**PAGE_HEADERS, "Content-Security-Policy": page.policy}
        return self._identify(web.Response(body=body, headers=headers), ticket)

    async def _failing(self, request: web.Request) -> web.Response:
        self.failed.append(request.method)
        self.failed_at.append(time())
        if not self.is_failing:
            return await self._protected(request)
        is_form = request.method == "POST"
        body = self._errors.render_form(502, is_sent=True) if is_form else self._errors.render_trying(503, 1)
        return web.Response(status=503, body=body, headers=PAGE_HEADERS)

    async def _protected(self, request: web.Request) -> web.Response:
        size = (await request.post()).get("size", "nothing")
        text = f"<!doctype html><title>{PROTECTED}</title><h1>{PROTECTED}: {request.method} {size}</h1>"
        return web.Response(text=text, content_type="text/html")

    async def _status(self, request: web.Request) -> web.Response:
        self.polls.append(TICKET in request.cookies)
        await self.may_answer.wait()
        match next_entry(self.answers):
            case Fault.DROPPED:
                assert request.transport is not None
                request.transport.abort()
                return web.Response()
            case Fault.SILENT:
                await asyncio.Event().wait()  # until the visitor cancels the poll
                raise AssertionError
            case Reply(code, retry_after):
                headers = {} if retry_after is None else {"Retry-After": str(retry_after)}
                return web.Response(status=code, text="not a status document", headers=headers)
            case Status() as status:
                first_seen, ticket = self._ticket(request)
                body = replace(status, first_seen=first_seen).to_json()
                headers = {"Content-Type": "application/json", "Cache-Control": "no-store"}
                response = self._identify(web.Response(body=body, headers=headers), ticket)
                return with_pass(response) if status.state is State.ADMITTED else response

    def _ticket(self, request: web.Request) -> tuple[float, str]:
        """Return the arrival and the cookie. New visitors are one second apart, so no two have the same arrival."""
        ticket = request.cookies.get(TICKET) or str(int(time()) - 60 + next(self._new_visitors))
        return float(ticket), ticket

    def _identify(self, response: web.Response, ticket: str) -> web.Response:
        if self.gives_tickets:
            response.set_cookie(TICKET, ticket, httponly=True, samesite="Lax")
        return response

    async def _static(self, request: web.Request) -> web.Response:
        asset = self._assets.get(request.match_info["name"])
        if asset is None:
            raise web.HTTPNotFound
        headers = {**ASSET_HEADERS, "Content-Type": asset.content_type, "ETag": asset.etag}
        return web.Response(body=asset.body, headers=headers)

    async def _cart(self, request: web.Request) -> web.Response:
        form = '<form method="post" action="/checkout"><input name="size" value="42"><button>Buy</button></form>'
        return web.Response(text=f"<!doctype html><title>Cart</title>{form}", content_type="text/html")

    async def _broken(self, request: web.Request) -> web.Response:
        code = int(request.match_info["code"])
        return web.Response(status=code, body=self._errors.render(code, retry_after_s=15), headers=PAGE_HEADERS)


def next_entry(script: list[T]) -> T:
    """Return the next entry. The last one stays in the list."""
    return script.pop(0) if len(script) > 1 else script[0]


def with_pass(response: web.Response) -> web.Response:
    response.set_cookie(PASS, "yes", httponly=True, samesite="Lax")
    return response
