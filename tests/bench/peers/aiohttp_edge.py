"""The usual way to write it in Python: an aiohttp application with itsdangerous, and aiohttp's client to the shop."""

import hashlib
import os
import sys
import time

import aiohttp
from aiohttp import web
from itsdangerous import BadData, Signer
from multidict import CIMultiDict
from yarl import URL

HOP = frozenset(("connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host"))


def signer(salt: bytes) -> Signer:
    secret = os.environ["STANCHION_KEYS"].encode()
    return Signer([secret], salt=salt, key_derivation="hmac", digest_method=hashlib.sha256)


TICKETS, PASSES = signer(b"stanchion.ticket.v1"), signer(b"stanchion.pass.v1")
ORIGIN, PORT = f"http://127.0.0.1:{sys.argv[1]}", int(sys.argv[2])
SESSION: web.AppKey[aiohttp.ClientSession] = web.AppKey("session", aiohttp.ClientSession)


async def poll(request: web.Request) -> web.Response:
    try:
        fields = TICKETS.unsign(request.cookies["stanchion_checkout"]).decode().split(".")
    except (BadData, KeyError):
        raise web.HTTPForbidden from None
    headers = {"Cache-Control": "no-store", "Stanchion-State": "waiting", "Retry-After": "5", "Vary": "Accept, Cookie"}
    status = {"state": "waiting", "room": "checkout", "position": 1240, "eta_seconds": {"p50": 95, "p90": 130}}
    return web.json_response(status | {"poll_after_seconds": 4.2, "first_seen": int(fields[3]) / 1000}, headers=headers)


async def forward(request: web.Request) -> web.StreamResponse:
    try:
        fields = PASSES.unsign(request.cookies["stanchion_checkout"]).decode().split(".")
    except (BadData, KeyError):
        raise web.HTTPForbidden from None
    if int(fields[5]) <= time.time():
        raise web.HTTPForbidden
    headers = CIMultiDict((name, value) for name, value in request.headers.items() if name.lower() not in HOP)
    headers["X-Stanchion-Ticket"] = fields[2]
    async with request.app[SESSION].request(
        request.method,
        URL(ORIGIN + request.raw_path, encoded=True),
        headers=headers,
        data=request.content if request.body_exists else None,
        allow_redirects=False,
    ) as upstream:
        kept = CIMultiDict((n, v) for n, v in upstream.headers.items() if n.lower() not in HOP)
        response = web.StreamResponse(status=upstream.status, headers=kept)
        await response.prepare(request)
        async for chunk in upstream.content.iter_any():
            await response.write(chunk)
        await response.write_eof()
        return response


async def session(app: web.Application):
    app[SESSION] = aiohttp.ClientSession(
        auto_decompress=False, cookie_jar=aiohttp.DummyCookieJar(), connector=aiohttp.TCPConnector(limit=512)
    )
    yield
    await app[SESSION].close()


def main() -> None:
    import uvloop

    app = web.Application(client_max_size=2**26)
    app.cleanup_ctx.append(session)
    app.router.add_get("/_stanchion/status", poll)
    app.router.add_route("*", "/{path:.*}", forward)
    web.run_app(app, host="127.0.0.1", port=PORT, access_log=None, print=None, loop=uvloop.new_event_loop())


if __name__ == "__main__":
    main()
