"""Carts and purchases in every store: bounded whatever arrives at the same time, merged at a log-in, found again."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio

from checkout.catalogue.carts import KEEP_MS, MOST_LINES, MOST_UNITS, CartLine, CartStore, SqlCarts, new_cart
from checkout.catalogue.database import Database
from checkout.catalogue.postgres_database import PostgresDatabase
from checkout.catalogue.purchases import Purchase, PurchaseLine, PurchaseStore, hold_id, is_of_cart, purchase_id
from checkout.catalogue.redis_carts import RedisCarts
from checkout.catalogue.sqlite_database import SqliteDatabase
from checkout.errors import Conflict
from tests.checkout.catalogue.places import database, fresh_database, postgres
from tests.checkout.servers import RedisServer, redis_server

__all__ = ["database", "postgres"]


@pytest.fixture(scope="module")
def redis() -> Iterator[RedisServer]:
    with redis_server("--appendonly", "no") as running:
        yield running


@pytest_asyncio.fixture(params=["sqlite", "postgres", "redis"])
async def carts(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[CartStore]:
    if request.param == "redis":
        store = RedisCarts.open(request.getfixturevalue("redis").url)
        yield store
        await store.close()
        return
    if request.param == "postgres":
        async with fresh_database(request.getfixturevalue("postgres")) as url:
            sql: Database = await PostgresDatabase.open(url)
            yield SqlCarts(sql)
    else:
        sql = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
        yield SqlCarts(sql)
    await sql.close()


def line(sku: str, units: int = 1, price_cents: int = 100, at_ms: int = 1) -> CartLine:
    return CartLine(sku, f"of-{sku}", units, price_cents, at_ms)


async def units(carts: CartStore, cart: str) -> dict[str, int]:
    return {line.sku: line.units for line in await carts.lines(cart)}


async def test_a_line_is_put_changed_and_removed(carts: CartStore) -> None:
    cart = new_cart()
    await carts.put(cart, line("b", 2, at_ms=5))
    await carts.put(cart, line("a", 1, at_ms=6))
    await carts.put(cart, line("b", 1, price_cents=90, at_ms=7), adds=True)
    assert await carts.lines(cart) == [line("b", 3, 90, 5), line("a", 1, at_ms=6)]
    await carts.put(cart, line("b", 1, at_ms=8))
    await carts.put(cart, line("a", 0))
    await carts.put(cart, line("never", 0))
    assert await units(carts, cart) == {"b": 1}
    await carts.drop(cart, ["b", "never"])
    await carts.drop(cart, [])
    assert await carts.lines(cart) == []
    assert await carts.lines(new_cart()) == []


async def test_a_cart_is_bounded(carts: CartStore) -> None:
    """Parallel additions cannot pass the bound, and a refused one changes nothing."""
    cart = new_cart()
    adds = (carts.put(cart, line("a"), adds=True) for _ in range(MOST_UNITS + 5))
    results = await asyncio.gather(*adds, return_exceptions=True)
    assert [type(result) for result in results if result is not None] == [Conflict] * 5
    assert await units(carts, cart) == {"a": MOST_UNITS}
    with pytest.raises(Conflict, match="at most"):
        await carts.put(cart, line("b"))
    many = new_cart()
    for number in range(MOST_LINES):
        await carts.put(many, line(f"s{number}"))
    with pytest.raises(Conflict):
        await carts.put(many, line("one-more"))
    await carts.put(many, line("s0", 1, price_cents=5))
    assert len(await carts.lines(many)) == MOST_LINES


async def test_a_log_in_merges_two_carts_once(carts: CartStore) -> None:
    """Of a SKU in both carts the larger number counts, lines without room stay out, and a repetition adds nothing."""
    here, there = new_cart(), await carts.cart_of("ada@example.org")
    assert await carts.cart_of("ada@example.org") == there
    assert await carts.cart_of("bob@example.org") != there
    await carts.put(there, line("a", 1))
    await carts.put(there, line("b", 5))
    for sku, count in (("a", 3), ("b", 2), ("c", 4)):
        await carts.put(here, line(sku, count))
    assert await carts.move(here, there) == 0
    assert await carts.move(here, there) == 0
    assert await carts.move(there, there) == 0
    assert await units(carts, there) == {"a": 3, "b": 5, "c": 4}
    assert await carts.lines(here) == []
    await carts.put(here, line("d", 9, at_ms=1))
    await carts.put(here, line("e", 8, at_ms=2))
    assert await carts.move(here, there) == 1
    assert await units(carts, there) == {"a": 3, "b": 5, "c": 4, "e": 8}


async def test_two_browsers_may_log_in_at_the_same_time(carts: CartStore) -> None:
    """Moves in both directions end, and no unit is there twice."""
    one, other = new_cart(), new_cart()
    await carts.put(one, line("a", 2))
    await carts.put(other, line("b", 3))
    await asyncio.gather(*(carts.move(*pair) for pair in [(one, other), (other, one)] * 5))
    assert {**await units(carts, one), **await units(carts, other)} == {"a": 2, "b": 3}
    assert len(await carts.lines(one)) + len(await carts.lines(other)) == 2


async def test_an_old_cart_is_forgotten(database: Database) -> None:
    carts = SqlCarts(database)
    await carts.put("x", line("old", at_ms=10))
    await carts.put("x", line("new", at_ms=20))
    await carts.forget(KEEP_MS + 15)
    assert await units(carts, "x") == {"new": 1}


async def test_a_purchase_is_recorded_once(database: Database) -> None:
    """The same buyer and key name the same purchase and holds, and the first record counts."""
    store = PurchaseStore(database)
    name = purchase_id("ada", "k")
    assert name != purchase_id("adak", "")
    lines = [PurchaseLine(hold_id(name, at), "s", "p", "k", "Watch", 5, "EUR") for at in range(2)]
    first = Purchase(name, "ada", 1, lines)
    assert await store.find(name) is None
    assert await store.begin(first) == first
    assert await store.begin(first._replace(at_ms=9, lines=[])) == first
    assert await store.find(name) == first
    assert await store.line(lines[1].hold) == lines[1]
    assert await store.line("none") is None
    assert is_of_cart(lines[0].hold)
    assert not is_of_cart("0123456789abcdef")
