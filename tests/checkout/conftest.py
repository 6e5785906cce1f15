"""What the shop's tests share: a shop on a free port, and a client for it."""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass

import pytest
from aiohttp import ClientSession

from checkout.app import RunningShop, running_shop
from checkout.settings import parse


@dataclass(frozen=True)
class Visit:
    shop: RunningShop
    client: ClientSession


Serve = Callable[..., AbstractAsyncContextManager[Visit]]


@pytest.fixture
def serve() -> Serve:
    """`async with serve(stock=3) as visit:` - a shop on a free port with fast purchases."""

    @asynccontextmanager
    async def start(
        stock: int = 10,
        rate: float = 1000.0,
        seconds: float = 0.0,
        backlog_s: float = 1.0,
        engine: dict[str, object] | None = None,
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
            }
        )
        async with running_shop(settings) as shop, ClientSession(shop.url) as client:
            yield Visit(shop, client)

    return start
