"""The stores of the catalogue: every change is one event, versions grow, SKUs keep their sale, and search finds."""

import asyncio
from typing import Any

import pytest

from checkout.catalogue import sqlite_search
from checkout.catalogue.database import Database
from checkout.catalogue.product import Product
from checkout.catalogue.search import Cursor, Query, Sort
from checkout.errors import Conflict
from tests.checkout.catalogue.places import database, index_of, postgres, product, store_of

__all__ = ["database", "postgres"]


async def test_every_change_is_an_event(database: Database) -> None:
    """Created, changed and retired are three events with the product after each. The same product again is none."""
    store = store_of(database)
    first = await store.put(product("watch"), "ada", 1)
    assert await store.put(product("watch"), "ada", 2) == first
    changed = await store.put(product("watch", 900), "bob", 3)
    retired = await store.retire("watch", "ada", 4)
    assert retired is not None
    events = await store.events(0, 10)
    assert [(event.seq, event.kind, event.actor, event.at_ms) for event in events] == [
        (1, "created", "ada", 1),
        (2, "changed", "bob", 3),
        (3, "retired", "ada", 4),
    ]
    assert [event.stored for event in events] == [first, changed, retired]
    assert await store.read("watch") == retired
    assert (retired.version, retired.made_ms, retired.changed_ms) == (3, 1, 4)
    assert await store.events(2, 10) == events[2:]
    assert await store.last_seq() == 3
    assert await store.retire("nothing", "ada", 5) is None


async def test_parallel_changes_get_versions_without_a_gap(database: Database) -> None:
    """Every change gets a number of its own, and an event of every number is there when a later one is seen."""
    store = store_of(database)
    seen: list[list[int]] = []

    async def watch() -> None:
        for _ in range(30):
            events = await store.events(0, 1000)
            seen.append([event.seq for event in events])

    await asyncio.gather(watch(), *(store.put(product(f"p{n}"), "ada", n) for n in range(60)))
    assert all(numbers == list(range(1, len(numbers) + 1)) for numbers in seen)
    assert [event.seq for event in await store.events(0, 1000)] == list(range(1, 61))


async def test_a_change_of_another_version_is_refused(database: Database) -> None:
    """`expected` protects a change of another operator. 0 stands for a product that must not exist yet."""
    store = store_of(database)
    first = await store.put(product("watch"), "ada", 1, expected=0)
    with pytest.raises(Conflict, match="version 1, and the request changes version 0"):
        await store.put(product("watch", 5), "bob", 2, expected=0)
    assert (await store.put(product("watch", 5), "bob", 2, expected=first.version)).version == 2
    assert await store.last_seq() == 2


async def test_a_sku_keeps_its_sale(database: Database) -> None:
    """A SKU can end, but neither vanish nor sell the units of another sale, and no other product takes its names."""
    store = store_of(database)
    watch = product("watch")
    await store.put(watch, "ada", 1)
    other: dict[str, Any] = watch.skus[0].model_dump() | {"id": "other"}
    for skus in ([other], [watch.skus[0].model_dump() | {"sale": "elsewhere"}]):
        with pytest.raises(Conflict, match="must stay"):
            await store.put(Product.model_validate(watch.model_dump() | {"skus": skus}), "ada", 2)
    for taken in ({"id": "watch-sku", "sale": "x"}, {"id": "x", "sale": "watch-sale"}):
        sku = watch.skus[0].model_copy(update=taken)
        with pytest.raises(Conflict, match="belongs to product 'watch'"):
            await store.put(product("band").model_copy(update={"skus": (sku,)}), "ada", 3)
    assert await store.sku_of("watch-sale") == ("watch", "watch-sku")
    assert await store.sku_of("x") is None
    assert await store.last_seq() == 1


async def found(database: Database, text: str = "", **query: Any) -> list[str]:
    sort = query.pop("sort", Sort.RELEVANCE if text else Sort.NEWEST)
    return [key.id for key in (await index_of(database).search(Query(text, sort=sort, **query))).keys]


async def test_search_finds_by_words_prefix_and_weight(database: Database) -> None:
    """All words must occur; the last may be a beginning; a title counts more than an attribute, that more than text."""
    store = store_of(database)
    await store.put(product("text", text="It goes well with a watch and a crème brûlée"), "a", 1)
    await store.put(product("attribute", attributes={"kind": "watch"}), "a", 2)
    await store.put(product("watch", text="Round"), "a", 3)
    await store.put(product("lamp", category="light"), "a", 4)
    assert await found(database, "watch") == ["watch", "attribute", "text"]
    assert await found(database, "Wat") == ["watch", "attribute", "text"]
    assert await found(database, "watch round") == ["watch"]
    assert await found(database, "round wat") == ["watch"]
    assert await found(database, "wat round") == []
    assert await found(database, "CREME brulee") == ["text"]
    assert await found(database, "light") == ["lamp"]
    for nothing in ("'", '"', "& | !", "( :*", "\\", "watch' OR 1", "f", "%", "_"):
        assert await found(database, nothing) == []


async def test_search_forgives_typing_errors(database: Database) -> None:
    """An unknown word is replaced by the nearest known one, and the answer says so. A word that is too far is not."""
    store = store_of(database)
    for name in ("watch", "headphones", "shirt", "shorts"):
        await store.put(product(name, text="made of something"), "a", 1)
    index = index_of(database)
    for typed, meant in (
        ("wathc", "watch"),
        ("headfones", "headphones"),
        ("shrit", "shirt"),
        ("somethign watch", "something watch"),
        ("waych something", "watch something"),
    ):
        result = await index.search(Query(typed, sort=Sort.RELEVANCE))
        assert (result.corrected, len(result.keys)) == (meant, 1), typed
    for far in ("zzzzz", "wxyzh", "watch shirt"):
        assert await index.search(Query(far, sort=Sort.RELEVANCE)) == ([], "")


@pytest.fixture(params=["few matches", "many matches"])
def amount(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite sorts few matches, and looks for many by walking through an index."""
    if request.param == "many matches":
        monkeypatch.setattr(sqlite_search, "SORTED", 1)


@pytest.mark.usefixtures("amount")
async def test_search_filters_and_sorts(database: Database) -> None:
    """Filters by category, attribute and price hold in every order; equal values are ordered by id."""
    store = store_of(database)
    for at, (name, cents, colour, category) in enumerate(
        [("a", 300, "red", "lamps"), ("b", 100, "blue", "lamps"), ("c", 200, "red", "cups"), ("d", 200, "red", "lamps")]
    ):
        made = product(name, cents, attributes={"colour": colour}, category=category, text="thing")
        await store.put(made, "a", 10 + at)
    await store.set_sales_7d({"a-sale": 5, "c-sale": 9, "unknown": 3})
    for text in ("", "thing"):
        assert await found(database, text, sort=Sort.CHEAPEST) == ["b", "c", "d", "a"]
        assert await found(database, text, sort=Sort.DEAREST) == ["a", "d", "c", "b"]
        assert await found(database, text, sort=Sort.NEWEST) == ["d", "c", "b", "a"]
        assert await found(database, text, sort=Sort.BEST) == ["c", "a", "d", "b"]
        red = {"attributes": (("colour", "red"),)}
        assert await found(database, text, sort=Sort.CHEAPEST, **red) == ["c", "d", "a"]
        assert await found(database, text, sort=Sort.CHEAPEST, category="lamps", **red) == ["d", "a"]
        assert await found(database, text, sort=Sort.CHEAPEST, least_cents=200, most_cents=200) == ["c", "d"]
        assert await found(database, text, sort=Sort.CHEAPEST, category="none") == []
    await store.put(product("late", 1), "a", 99)
    await store.set_sales_7d({"a-sale": 10})
    assert await found(database, sort=Sort.BEST, limit=2) == ["a", "c"]
    assert await store.sales_7d() == {"a-sale": 10, "c-sale": 9, "unknown": 3}


async def test_what_cannot_be_bought_is_not_found(database: Database) -> None:
    """A retired product, or one without a SKU on sale, is neither listed nor found. Later it may come back."""
    store = store_of(database)
    watch, lamp = product("watch"), product("lamp")
    for each in (watch, lamp):
        await store.put(each, "a", 1)
    await store.set_sales_7d({"watch-sale": 7})
    await store.retire("watch", "a", 2)
    ended = lamp.skus[0].model_copy(update={"is_retired": True})
    await store.put(lamp.model_copy(update={"skus": (ended,)}), "a", 3)
    assert await found(database) == await found(database, "watch") == await found(database, "lamp") == []
    await store.put(watch, "a", 4)
    await store.put(product("cup"), "a", 5)
    assert await found(database, "watch") == ["watch"]
    assert await found(database, sort=Sort.BEST) == ["watch", "cup"]


@pytest.mark.usefixtures("amount")
@pytest.mark.parametrize("sort", list(Sort))
async def test_pages_by_key_have_every_product_once(database: Database, sort: Sort) -> None:
    """Pages of three, in every order, also with equal values: together they are the long list, without a repetition."""
    store = store_of(database)
    for n in range(10):
        await store.put(product(f"p{n}", 100 * (n % 3), text="thing " * (n % 2 + 1)), "a", 50 + n % 4)
    await store.set_sales_7d({f"p{n}-sale": n % 2 for n in range(10)})
    whole = await found(database, "thing", sort=sort)
    assert len(set(whole)) == len(whole) == 10
    paged: list[str] = []
    after = None
    while keys := (await index_of(database).search(Query("thing", sort=sort, limit=3, after=after))).keys:
        paged += [key.id for key in keys]
        after = Cursor.parse(keys[-1].encode(sort), sort)
    assert paged == whole
