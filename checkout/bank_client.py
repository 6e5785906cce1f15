"""The gateway over HTTP, and a server for the test bank. Each call is one attempt with one deadline.

If the deadline passes, or the answer is not a verdict, the call raises `NoAnswer`.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict
from typing import Any

from aiohttp import ClientError, ClientSession, ClientTimeout, web

from checkout.bank import Bank
from checkout.gateway import Charged, Declined, Intent, NoAnswer, Verdict


class BankClient:
    def __init__(self, session: ClientSession) -> None:
        self._session = session

    @classmethod
    @asynccontextmanager
    async def connected(cls, url: str, timeout_s: float) -> "AsyncIterator[BankClient]":
        async with ClientSession(url, timeout=ClientTimeout(total=timeout_s)) as session:
            yield cls(session)

    async def charge(self, intent: Intent) -> Verdict:
        verdict = _verdict(await self._post("/charge", asdict(intent)))
        if verdict is None:
            raise NoAnswer("the bank answered without a verdict")
        return verdict

    async def lookup(self, intent_id: str) -> Verdict | None:
        return _verdict(await self._post("/lookup", {"id": intent_id}))

    async def refund(self, intent_id: str) -> None:
        await self._post("/refund", {"id": intent_id})

    async def _post(self, path: str, body: dict[str, Any]) -> Any:
        try:
            async with self._session.post(path, json=body) as answer:
                if answer.status != 200:
                    raise NoAnswer(f"the bank answered {answer.status}")
                return await answer.json()
        except (ClientError, TimeoutError, OSError) as error:
            raise NoAnswer(f"the bank did not answer: {error}") from error


def _verdict(body: Any) -> Verdict | None:
    match body:
        case {"charge": str(charge)}:
            return Charged(charge)
        case {"declined": str(reason)}:
            return Declined(reason)
        case _:
            return None


def bank_app(bank: Bank) -> web.Application:
    """Return the test bank as an HTTP application. A charge without an answer is a 504."""

    async def charge(request: web.Request) -> web.Response:
        try:
            return _verdict_response(await bank.charge(Intent(**await request.json())))
        except NoAnswer:
            return web.json_response({}, status=504)

    async def lookup(request: web.Request) -> web.Response:
        return _verdict_response(await bank.lookup((await request.json())["id"]))

    async def refund(request: web.Request) -> web.Response:
        await bank.refund((await request.json())["id"])
        return web.json_response({})

    app = web.Application()
    app.router.add_post("/charge", charge)
    app.router.add_post("/lookup", lookup)
    app.router.add_post("/refund", refund)
    return app


def _verdict_response(verdict: Verdict | None) -> web.Response:
    match verdict:
        case Charged(charge=charge):
            return web.json_response({"charge": charge})
        case Declined(reason=reason):
            return web.json_response({"declined": reason})
        case None:
            return web.json_response({})
