"""Fixtures of the shop's tests: a shop on a free port, and a client for it."""

import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession, CookieJar

from checkout.app import RunningShop, running_shop
from checkout.settings import parse


@dataclass(frozen=True)
class Visit:
    shop: RunningShop
    client: ClientSession


SERVE = [sys.executable, "-m", "checkout", "serve", "--listen", "127.0.0.1:0"]
Serve = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture
def serve() -> Serve:
    """Return a context manager: `async with serve(stock=3) as visit:` runs a shop with fast purchases.

    sections: further sections of the settings, by name.
    """

    @asynccontextmanager
    async def start(
        stock: int = 10,
        rate: float = 1000.0,
        seconds: float = 0.0,
        backlog_s: float = 1.0,
        engine: dict[str, object] | None = None,
        accounts: dict[str, object] | None = None,
        sections: dict[str, dict[str, object]] | None = None,
        **more: object,
    ) -> AsyncIterator[Visit]:
        capacity = {
            "checkouts_per_second": rate,
            "seconds_per_checkout": seconds,
            "backlog_seconds": backlog_s,
        }
        settings = parse(
            {
                "listen": "127.0.0.1:0",
                "product": {"stock": stock, **more},
                "capacity": capacity,
                "engine": engine or {},
                "accounts": {"scrypt_cost": 1024, **(accounts or {})},
                **(sections or {}),
            }
        )
        async with (
            running_shop(settings) as shop,
            ClientSession(shop.url, cookie_jar=CookieJar(unsafe=True)) as client,
        ):
            yield Visit(shop, client)

    return start


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """Run a shop in a separate process and yield the process and its URL."""
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()
