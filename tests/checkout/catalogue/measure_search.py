"""Measure search: 100,000 products, clients that search at the same time, and changes meanwhile.

    python -m tests.checkout.catalogue.measure_search --store postgres --products 100000 --seed 1

The titles have a brand, a property, a thing and a number, with words by Zipf's law, as catalogues have them. Of the
queries most have one to three words of a title, the last one often cut; some have filters, typing errors or no text.
"""

import argparse
import asyncio
import itertools
import random
import tempfile
import time
from collections import defaultdict
from pathlib import Path
from typing import NamedTuple

from checkout.catalogue.database import Database, Steps
from checkout.catalogue.postgres_database import PostgresDatabase
from checkout.catalogue.postgres_search import vector
from checkout.catalogue.product import Product
from checkout.catalogue.search import Query, SearchIndex, Sort, indexed, known_words
from checkout.catalogue.sqlite_database import SqliteDatabase
from checkout.catalogue.store import ProductStore
from tests.checkout.catalogue.places import index_of, product
from tests.checkout.servers import NO_SYNC, postgres_server

SYLLABLES = ["ka", "lo", "mi", "ren", "sta", "vo", "tu", "bel", "dor", "fin", "gra", "hul", "jor", "pex", "qui", "zan"]
COLOURS = ["red", "blue", "green", "black", "white", "silver", "brown", "yellow"]
PAUSE_S = 0.02
"""The time between two searches of a client."""


class SearchLoad(NamedTuple):
    products: int = 100_000
    clients: int = 8
    searches: int = 4_000
    changes_per_s: float = 20.0
    seed: int = 1


class Vocabulary:
    """Words by Zipf's law."""

    def __init__(self, chance: random.Random, size: int, shortest: int) -> None:
        made: dict[str, None] = {}
        while len(made) < size:
            made["".join(chance.choices(SYLLABLES, k=chance.randint(shortest, 4)))] = None
        self._words = list(made)
        self._weights = list(itertools.accumulate(1 / rank for rank in range(1, size + 1)))
        self._chance = chance

    def word(self) -> str:
        return self._chance.choices(self._words, cum_weights=self._weights)[0]


class Shop:
    """Makes products and queries from one seed."""

    def __init__(self, seed: int) -> None:
        self.chance = random.Random(seed)
        self._brands = Vocabulary(self.chance, 500, 2)
        self._properties = Vocabulary(self.chance, 400, 2)
        self._things = Vocabulary(self.chance, 800, 2)
        self._text = Vocabulary(self.chance, 5_000, 1)
        self._titles: list[str] = []

    def product(self, number: int, cents: int = 0) -> Product:
        title = f"{self._brands.word()} {self._properties.word()} {self._things.word()} {number % 997}".title()
        self._titles.append(title)
        text = " ".join(self._text.word() for _ in range(25))
        attributes = {"colour": self.chance.choice(COLOURS), "size": str(self.chance.randint(1, 12))}
        category = f"category-{number % 40}"
        price = cents or self.chance.randint(100, 99_999)
        made = product(f"p{number}", price, text=text, attributes=attributes, category=category)
        return made.model_copy(update={"title": title})

    def query(self) -> tuple[str, Query]:
        """Return a kind of query, and one of it."""
        chance = self.chance
        words = chance.choice(self._titles).lower().split()
        text = " ".join(chance.sample(words[:3], chance.randint(1, 3)))
        sort = chance.choice([Sort.RELEVANCE, Sort.RELEVANCE, Sort.NEWEST, Sort.CHEAPEST, Sort.DEAREST, Sort.BEST])
        kind = chance.choices(["words", "prefix", "typo", "filter", "list"], [35, 30, 10, 15, 10])[0]
        match kind:
            case "words":
                return f"words, {sort}", Query(text, sort=sort)
            case "prefix":
                return f"prefix, {sort}", Query(text[: -chance.randint(1, 2)], sort=sort)
            case "typo":
                at = chance.randrange(1, len(text) - 1)
                return kind, Query(text[:at] + text[at + 1] + text[at] + text[at + 2 :], sort=sort)
            case "filter":
                least = chance.randint(100, 50_000)
                return kind, Query(
                    text,
                    attributes=(("colour", chance.choice(COLOURS)),),
                    least_cents=least,
                    most_cents=least + 30_000,
                    sort=sort,
                )
        category = f"category-{chance.randrange(40)}"
        return kind, Query(category=category, sort=Sort.NEWEST if sort is Sort.RELEVANCE else sort)


class Timed(NamedTuple):
    """Times in seconds by kind of query, and the number of queries that found something."""

    times: dict[str, list[float]]
    found: int
    elapsed_s: float

    def p(self, percent: float) -> float:
        """Return a percentile of all times, seconds."""
        return percentile([time_s for times in self.times.values() for time_s in times], percent)

    def __str__(self) -> str:
        total = sum(map(len, self.times.values()))
        lines = [
            f"{total:,} searches in {self.elapsed_s:.0f} s ({total / self.elapsed_s:.0f}/s), {self.found:,} found "
            f"something: P50 {self.p(50) * 1000:.1f} ms, P95 {self.p(95) * 1000:.1f} ms, P99 {self.p(99) * 1000:.1f} ms"
        ]
        for kind, times in sorted(self.times.items()):
            lines.append(f"  {kind:20} {len(times):5}  P95 {percentile(times, 95) * 1000:6.1f} ms")
        return "\n".join(lines)


def percentile(values: list[float], percent: float) -> float:
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(len(ordered) * percent / 100))]


async def fill(database: Database, shop: Shop, count: int) -> ProductStore:
    """Write products in large transactions, which the shop itself never does."""
    store = ProductStore(database, index_of(database))
    if not database.is_sqlite:
        await database.read("DROP INDEX listing_terms")
    for first in range(0, count, 500):
        made = [shop.product(number) for number in range(first, min(first + 500, count))]
        await database.write(_many(store, made) if database.is_sqlite else _bulk(made, first))
    await store.set_sales_7d({f"p{n}-sale": shop.chance.randint(1, 500) for n in range(0, count, 7)})
    if not database.is_sqlite:
        await database.read("CREATE INDEX listing_terms ON listing USING gin (terms) WITH (fastupdate = off)")
        await database.read("ANALYZE")
    return store


def _many(store: ProductStore, made: list[Product]) -> Steps[None]:
    for each in made:
        yield from store.putting(each, "seed", 1_700_000_000_000 + int(each.id[1:]), None)


def _bulk(made: list[Product], first: int) -> Steps[None]:
    """Write the rows that the store would write, without events, in a few statements of PostgreSQL."""
    numbers = [first + at + 1 for at in range(len(made))]
    times = [1_700_000_000_000 + number for number in numbers]
    names = [each.id for each in made]
    documents = [each.model_dump_json() for each in made]
    types = "CAST($1 AS text[]), CAST($2 AS bigint[]), CAST($3 AS bigint[]), CAST($4 AS bigint[]), CAST($5 AS bigint[])"
    sql = f"INSERT INTO products SELECT * FROM unnest({types}, CAST($6 AS text[]))"
    yield sql, (names, numbers, numbers, times, times, documents)
    skus = [each.skus[0] for each in made]
    sql = "INSERT INTO skus SELECT * FROM unnest(CAST($1 AS text[]), CAST($2 AS text[]), CAST($3 AS text[]))"
    yield sql, ([sku.id for sku in skus], names, [sku.sale for sku in skus])
    parts = [indexed(each) for each in made]
    sql = (
        "INSERT INTO listing SELECT a, b, 'EUR', c, d, 0, e::tsvector FROM unnest(CAST($1 AS bigint[]), "
        "CAST($2 AS text[]), CAST($3 AS bigint[]), CAST($4 AS bigint[]), CAST($5 AS text[])) AS rows (a, b, c, d, e)"
    )
    yield sql, (numbers, names, [sku.price_cents for sku in skus], times, list(map(vector, parts)))
    known = sorted({word for part in parts for word in known_words(part[:4])})
    yield "INSERT INTO words SELECT unnest(CAST($1 AS text[])) ON CONFLICT DO NOTHING", (known,)
    yield "UPDATE catalogue_counter SET seq = $1", (numbers[-1],)


async def measure(store: ProductStore, index: SearchIndex, shop: Shop, load: SearchLoad) -> Timed:
    """Search with several clients at the same time, while products change."""
    times: dict[str, list[float]] = defaultdict(list)
    found = 0
    queries = iter([shop.query() for _ in range(load.searches)])
    done = asyncio.Event()

    async def search() -> None:
        nonlocal found
        for kind, query in queries:
            began_s = time.perf_counter()
            result = await index.search(query)
            times[kind].append(time.perf_counter() - began_s)
            found += bool(result.keys)
            await asyncio.sleep(PAUSE_S)

    async def change() -> None:
        for cents in itertools.count(100):
            await asyncio.sleep(1 / load.changes_per_s)
            if done.is_set():
                return
            number = shop.chance.randrange(load.products)
            await store.put(shop.product(number, cents), "change", 1)

    began_s = time.perf_counter()
    changing = asyncio.ensure_future(change())
    await asyncio.gather(*(search() for _ in range(load.clients)))
    done.set()
    await changing
    return Timed(dict(times), found, time.perf_counter() - began_s)


async def measured(database: Database, load: SearchLoad) -> Timed:
    shop = Shop(load.seed)
    began_s = time.perf_counter()
    store = await fill(database, shop, load.products)
    print(f"{load.products:,} products in {time.perf_counter() - began_s:.0f} s", flush=True)
    return await measure(store, index_of(database), shop, load)


async def main() -> None:
    parser = argparse.ArgumentParser(description="Measure search over many products.")
    parser.add_argument("--store", choices=("sqlite", "postgres"), default="sqlite")
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--searches", type=int, default=4_000)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    load = SearchLoad(args.products, args.clients, args.searches, seed=args.seed)
    with tempfile.TemporaryDirectory() as folder:
        if args.store == "sqlite":
            lite = await SqliteDatabase.open(str(Path(folder) / "catalogue.db"))
            print(await measured(lite, load))
            await lite.close()
            return
        with postgres_server(*NO_SYNC, "shared_buffers=256MB") as server:
            sql = await PostgresDatabase.open(server.url)
            print(await measured(sql, load))
            await sql.close()


if __name__ == "__main__":
    asyncio.run(main())
