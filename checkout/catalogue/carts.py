"""Carts: which SKUs a visitor wants, before they check out. A cart holds no unit and promises no price.

    cart      a random name in a cookie; after a log-in the buyer has one cart on all devices
    line      SKU, units, and the price that the visitor saw; the price is read again at checkout
    bounds    `MOST_LINES` lines, `MOST_UNITS` units in all, `KEEP_DAYS` days since the last change

When a buyer logs in, the lines of the browser's cart move into theirs; of a SKU in both, the larger number counts. So
to log in twice changes nothing.
"""

import secrets
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from checkout.catalogue.database import Database, Rows, Steps
from checkout.errors import Conflict

MOST_LINES = 20
MOST_UNITS = 20
KEEP_DAYS = 30
KEEP_MS = KEEP_DAYS * 86_400_000


class CartLine(NamedTuple):
    """price_cents: the price of one unit as the visitor saw it last."""

    sku: str
    product: str
    units: int
    price_cents: int
    at_ms: int


class CartStore(ABC):
    """The carts of a shop. Every method may raise `StoreError`."""

    @abstractmethod
    async def lines(self, cart: str) -> list[CartLine]:
        """Return the lines of a cart, oldest first."""

    @abstractmethod
    async def put(self, cart: str, line: CartLine, *, adds: bool = False) -> None:
        """Set the units of a SKU, or add to them. 0 units remove the line. Raises `Conflict` above a bound."""

    @abstractmethod
    async def drop(self, cart: str, skus: Iterable[str]) -> None:
        """Remove lines."""

    @abstractmethod
    async def cart_of(self, buyer: str) -> str:
        """Return the name of a buyer's cart. The first call makes one."""

    @abstractmethod
    async def move(self, source: str, target: str) -> int:
        """Move all lines of a cart into another one, within its bounds. Return the number of lines left behind."""

    @abstractmethod
    async def close(self) -> None:
        """Close connections of its own."""

    @abstractmethod
    async def forget(self, now_ms: int) -> None:
        """Remove carts that nobody has changed for `KEEP_DAYS`."""


def new_cart() -> str:
    return secrets.token_hex(16)


def cart_full() -> Conflict:
    detail = f"A cart holds at most {MOST_LINES} different SKUs and {MOST_UNITS} units in all."
    return Conflict("cart-full", "The cart is full", detail)


def merged(target: Sequence[CartLine], source: Sequence[CartLine]) -> tuple[list[CartLine], int]:
    """Return the lines of both carts within the bounds, and the number of lines of `source` that found no room."""
    lines = {line.sku: line for line in target}
    left = 0
    for line in source:
        kept = lines.get(line.sku)
        if kept is not None and kept.units >= line.units:
            continue
        units = sum(each.units for each in lines.values()) - (kept.units if kept else 0) + line.units
        if units > MOST_UNITS or (kept is None and len(lines) >= MOST_LINES):
            left += 1
        else:
            lines[line.sku] = line
    return list(lines.values()), left


LINES = "SELECT sku, product, units, price_cents, at_ms FROM cart_lines WHERE cart = $1 ORDER BY at_ms, sku"
PUT = """
INSERT INTO cart_lines (cart, sku, product, units, price_cents, at_ms) VALUES ($1, $2, $3, $4, $5, $6)
ON CONFLICT (cart, sku) DO UPDATE SET units = excluded.units, price_cents = excluded.price_cents
"""
DROP = "DELETE FROM cart_lines WHERE cart = $1 AND sku = $2"
LOCK = "SELECT pg_advisory_xact_lock(hashtext($1))"


class SqlCarts(CartStore):
    """Carts in the database of the catalogue."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def lines(self, cart: str) -> list[CartLine]:
        return _lines(await self._database.read(LINES, cart))

    async def put(self, cart: str, line: CartLine, *, adds: bool = False) -> None:
        await self._database.write(self._put(cart, line, adds))

    async def drop(self, cart: str, skus: Iterable[str]) -> None:
        await self._database.write(_drop(cart, list(skus)))

    async def cart_of(self, buyer: str) -> str:
        sql = "INSERT INTO cart_owners VALUES ($1, $2) ON CONFLICT (buyer) DO UPDATE SET buyer = $1 RETURNING cart"
        name: str = await self._database.write(_first(sql, buyer, new_cart()))
        return name

    async def move(self, source: str, target: str) -> int:
        return await self._database.write(self._move(source, target)) if source != target else 0

    async def forget(self, now_ms: int) -> None:
        await self._database.write(_run("DELETE FROM cart_lines WHERE at_ms < $1", now_ms - KEEP_MS))

    async def close(self) -> None:
        """The database belongs to the catalogue."""

    def _locked(self, cart: str) -> Steps[list[CartLine]]:
        """Return the lines, which no other transaction changes until the end of this one."""
        if not self._database.is_sqlite:
            yield LOCK, (cart,)
        rows = yield LINES, (cart,)
        return _lines(rows)

    def _put(self, cart: str, line: CartLine, adds: bool) -> Steps[None]:
        lines = yield from self._locked(cart)
        kept = next((each for each in lines if each.sku == line.sku), None)
        if kept is not None and adds:
            line = line._replace(units=kept.units + line.units)
        if line.units <= 0:
            yield DROP, (cart, line.sku)
            return
        others = sum(each.units for each in lines if each is not kept)
        if others + line.units > MOST_UNITS or (kept is None and len(lines) >= MOST_LINES):
            raise cart_full()
        yield PUT, (cart, line.sku, line.product, line.units, line.price_cents, line.at_ms)

    def _move(self, source: str, target: str) -> Steps[int]:
        # Locked in one order, so that two browsers of one buyer do not wait for each other for ever.
        found = {}
        for name in sorted({source, target}):
            found[name] = yield from self._locked(name)
        lines, left = merged(found[target], found[source])
        for line in lines:
            yield PUT, (target, line.sku, line.product, line.units, line.price_cents, line.at_ms)
        yield "DELETE FROM cart_lines WHERE cart = $1", (source,)
        return left


def _lines(rows: Rows) -> list[CartLine]:
    return [CartLine(*row) for row in rows]


def _drop(cart: str, skus: list[str]) -> Steps[None]:
    for sku in skus:
        yield DROP, (cart, sku)


def _run(sql: str, *args: object) -> Steps[None]:
    yield sql, args


def _first(sql: str, *args: object) -> Steps[str]:
    rows = yield sql, args
    return str(rows[0][0])
