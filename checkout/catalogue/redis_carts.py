"""Carts in Redis: one hash a cart, changed by scripts, so that the bounds hold whatever arrives at the same time.

    {carts}:NAME          SKU -> units, price, time, product; expires `KEEP_DAYS` after the last change
    {carts}:owner:BUYER   the name of the buyer's cart

A cart that Redis loses is lost; it was neither a hold nor an order.
"""

from collections.abc import Iterable
from importlib.resources import files
from typing import Any, cast

from redis.asyncio import Redis
from redis.exceptions import RedisError

from checkout.catalogue.carts import KEEP_MS, MOST_LINES, MOST_UNITS, CartLine, CartStore, cart_full, new_cart
from checkout.engines.redis_stream import connection
from checkout.errors import StoreError

PREFIX = "{carts}:"
TIMEOUT_S = 5.0


class RedisCarts(CartStore):
    """`RedisCarts.open(url)`."""

    def __init__(self, client: "Redis") -> None:
        self._client = client
        self._script = client.register_script(files("checkout.catalogue").joinpath("carts.lua").read_text("utf-8"))

    @classmethod
    def open(cls, url: str) -> "RedisCarts":
        return cls(connection(url, TIMEOUT_S))

    async def close(self) -> None:
        await self._client.aclose()

    async def lines(self, cart: str) -> list[CartLine]:
        rows = await self._reply(self._client.hgetall(PREFIX + cart))
        lines = []
        for sku, text in rows.items():
            units, price_cents, at_ms, product = text.split(" ")
            lines.append(CartLine(sku, product, int(units), int(price_cents), int(at_ms)))
        return sorted(lines, key=lambda line: (line.at_ms, line.sku))

    async def put(self, cart: str, line: CartLine, *, adds: bool = False) -> None:
        fields: list[str | int] = [
            line.sku,
            line.units,
            line.price_cents,
            line.at_ms,
            line.product,
            "add" if adds else "set",
        ]
        if await self._run("put", [cart], *fields) < 0:
            raise cart_full()

    async def drop(self, cart: str, skus: Iterable[str]) -> None:
        if names := list(skus):
            await self._reply(self._client.hdel(PREFIX + cart, *names))

    async def cart_of(self, buyer: str) -> str:
        key = f"{PREFIX}owner:{buyer}"
        await self._reply(self._client.set(key, new_cart(), nx=True))
        await self._reply(self._client.pexpire(key, 2 * KEEP_MS))
        return cast(str, await self._reply(self._client.get(key)))

    async def move(self, source: str, target: str) -> int:
        return await self._run("move", [source, target]) if source != target else 0

    async def forget(self, _now_ms: int) -> None:
        """Redis does it by itself."""

    async def _run(self, name: str, carts: list[str], *args: str | int) -> int:
        bounds: list[str | int] = [name, MOST_LINES, MOST_UNITS, KEEP_MS]
        return int(await self._reply(self._script(keys=[PREFIX + cart for cart in carts], args=[*bounds, *args])))

    async def _reply(self, reply: Any) -> Any:
        try:
            return await cast(Any, reply)
        except (RedisError, OSError) as error:
            raise StoreError(f"redis: {error}") from error
