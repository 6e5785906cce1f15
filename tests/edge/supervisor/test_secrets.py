"""The edge writes and shows no secret, whatever happens, and its responses show nothing of its internals.

One edge that logs everything, a whole visit, operators at work, and everything that can go wrong.
"""

import asyncio
import copy
import signal
from collections.abc import Callable
from pathlib import Path

import aiohttp
import redis.asyncio
from aiohttp import web

from edge.operations.audit import digest
from tests.edge.cluster.redis_server import running_redis
from tests.edge.running import wait_until
from tests.edge.whole import Edge, Upstream, Visitor, whole_edge

#: What must never be shown, by its kind. All of them are distinct words.
SECRETS = {
    name: f"{name}-wq7Zr1kP9xT4vB2n"
    for name in (
        *(
            "key",
            "newer-key",
            "shortkey",
            "token",
            "wrong-token",
            "redis-password",
            "session-cookie",
            "query",
            "password",
        ),
        *("form-field", "header", "stock-query", "newer-stock-query", "fragment-of-garbage"),
    )
}
INSIDES = (b"Traceback", b".py", b"site-packages", b"aiohttp", b"Python/", b"uvloop")


class Shop(Upstream):
    """Reports no stock that can be understood, and closes the connection of every request for /crash."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path.startswith("/checkout/crash"):
            assert request.transport is not None
            request.transport.abort()
        response = await super().handle(request)
        response.headers["Server"] = "the shop's"
        return response


class Onlooker:
    """Sends requests and keeps all responses."""

    def __init__(self, edge: Edge) -> None:
        self._edge = edge
        self.responses: list[bytes] = []

    async def ask(self, url: str, method: str = "GET", **options: object) -> aiohttp.ClientResponse:
        async with (
            aiohttp.ClientSession(cookie_jar=aiohttp.DummyCookieJar()) as session,
            session.request(method, url, **options) as answer,
        ):
            self.responses.append(repr(answer.raw_headers).encode() + await answer.read())
            return answer

    async def send(self, raw: bytes) -> None:
        host, port = self._edge.running.url.removeprefix("http://").split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        writer.write(raw)
        writer.write_eof()
        self.responses.append(await reader.read())
        writer.close()


async def test_nothing_secret_is_written_or_shown(tmp_path: Path):
    keys = tmp_path / "keys"
    keys.write_text(SECRETS["key"] * 2)
    folder = tmp_path / "redis"
    folder.mkdir()
    async with running_redis(folder) as server:
        async with redis.asyncio.Redis.from_url(server.url) as client:
            await client.config_set("requirepass", SECRETS["redis-password"])
        changes = {
            "workers": 1,
            "secret_keys_env": None,
            "secret_keys_file": str(keys),
            "admin": {"listen": "tcp://127.0.0.1:0", "token_env": "ADMIN_TOKEN"},
            "cluster": {"machines": 1, "redis_url": server.url, "redis_password_env": "REDIS_PASSWORD"},
            "abuse": {"reads_per_minute": 60, "premium_per_minute": 100, "visitor_per_minute": 90},
            "log": {"format": "json", "access": "all", "level": "debug"},
            "room": {
                "capacity": {"admissions_per_second": 2.0},
                "stock": {"path": f"/stock?{SECRETS['stock-query']}", "interval_seconds": 0.1},
            },
        }
        environment = {"ADMIN_TOKEN": SECRETS["token"], "REDIS_PASSWORD": SECRETS["redis-password"]}
        async with whole_edge(tmp_path, Shop(), environment, **changes) as edge:
            onlooker = Onlooker(edge)
            carried = await _visit(edge, onlooker)
            await _go_wrong(edge, onlooker)
            await _operate(edge, onlooker, keys.write_text)
            await server.kill()

            async def has_noticed() -> bool:
                return bool(edge.said("Redis cannot be reached"))

            await wait_until(has_noticed, "the edge has noticed that Redis is gone")
        shown = b"".join(onlooker.responses)
        for name, secret in {**SECRETS, **carried}.items():
            assert secret.encode() not in edge.running.output, f"{name} is in the log"
            if name not in carried:
                assert secret.encode() not in shown, f"{name} was shown"
        for inside in INSIDES:
            assert inside not in shown, f"a response shows internals: {inside!r}"
        assert edge.said("joined the other machines"), "the password for Redis was not used"
        assert len(edge.said("request")) > 5, "nothing was logged, so that nothing could be found"
        assert {"done"} <= {line["result"] for line in edge.said("audit")}
        assert digest((SECRETS["newer-key"] * 2).encode()) in edge.running.output.decode()


async def _visit(edge: Edge, onlooker: Onlooker) -> dict[str, str]:
    """A visitor arrives, waits, is admitted and buys; return the cookies they carried."""
    visitor = Visitor(edge)
    visitor.cookies["session"] = SECRETS["session-cookie"]
    carried: dict[str, str] = {}
    headers = {
        "Authorization": f"Bearer {SECRETS['password']}",
        "X-Api-Key": SECRETS["header"],
        "User-Agent": "Firefox",
    }

    async def is_in() -> bool:
        state, _ = await visitor.ask(f"/checkout?{SECRETS['query']}", **headers)
        carried[f"the cookie {len(carried)}"] = visitor.cookies["stanchion_checkout"]
        return state == "admitted"

    await wait_until(is_in, "the visitor is admitted")
    cookie = "; ".join(f"{name}={value}" for name, value in visitor.cookies.items())
    form = {"card": SECRETS["form-field"]}
    for path in ("/checkout/pay", "/checkout/crash", "/checkout/say/premium", "/checkout/say/complete"):
        url = f"{edge.running.url}{path}?{SECRETS['query']}"
        await onlooker.ask(url, "POST", data=form, headers={**headers, "Cookie": cookie})
    await onlooker.ask(f"{edge.running.url}/checkout", headers={"Cookie": cookie, "User-Agent": "Chrome/1 Windows"})
    await onlooker.ask(f"{edge.running.url}/checkout", headers={"Accept": "text/html"})
    return carried


async def _go_wrong(edge: Edge, onlooker: Onlooker) -> None:
    """Send malformed requests."""
    garbage = SECRETS["fragment-of-garbage"].encode()
    host = b"Host: a\r\n"
    for raw in (
        garbage,
        b"GET /" + garbage + b"\r\n\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X : " + garbage + b"\r\n\r\n",
        b"GET /" + garbage * 1000 + b" HTTP/1.1\r\n" + host + b"\r\n",
        b"GET / HTTP/1.1\r\n" + host + b"X: " + garbage * 2000 + b"\r\n\r\n",
        b"POST /checkout HTTP/1.1\r\n" + host + b"Transfer-Encoding: chunked\r\n\r\n" + garbage + b"\r\n",
        b"GET /_stanchion/status?room=checkout&" + garbage + b" HTTP/1.1\r\n" + host + b"Connection: close\r\n\r\n",
        b"GET /checkout HTTP/1.1\r\n"
        + host
        + b"Cookie: stanchion_checkout="
        + garbage
        + b"\r\nConnection: close\r\n\r\n",
    ):
        await onlooker.send(raw)
    for _ in range(70):  # beyond the limit
        await onlooker.ask(f"{edge.running.url}/?{SECRETS['query']}", headers={"X-Api-Key": SECRETS["header"]})


async def _operate(edge: Edge, onlooker: Onlooker, write_keys: Callable[[str], object]) -> None:
    """Read the status, change lists, reload with another key, a key that is too short and another stock path."""
    admin = edge.running.admin
    for sent in (f"Bearer {SECRETS['token']}", f"Bearer {SECRETS['wrong-token']}", SECRETS["wrong-token"]):
        for path in ("/status", "/metrics", "/lists", "/nothing", f"/status?{SECRETS['query']}"):
            answer = await onlooker.ask(admin + path, headers={"Authorization": sent})
            assert answer.headers["X-Content-Type-Options"] == "nosniff"
        for body in ('{"list": "deny", "networks": ["192.0.2.0/24"]}', "{", f'"{SECRETS["fragment-of-garbage"]}"'):
            headers = {"Authorization": sent, "Content-Type": "application/json"}
            await onlooker.ask(admin + "/lists", "POST", data=body, headers=headers)

    async def reload(audited: int) -> None:
        edge.running.send(signal.SIGHUP)

        async def is_audited() -> bool:
            return len([line for line in edge.said("audit") if line["action"] == "reload"]) >= audited

        await wait_until(is_audited, f"reload {audited}")

    tree = copy.deepcopy(edge.tree)
    tree["rooms"][0]["stock"]["path"] = f"/stock?{SECRETS['newer-stock-query']}"
    edge.rewrite(tree)
    write_keys(f"{SECRETS['newer-key'] * 2}\n{SECRETS['key'] * 2}\n")
    await reload(1)
    write_keys(SECRETS["shortkey"][:14])
    await reload(2)
