"""Databases of the catalogue for tests: SQLite in memory and in a file, and a real PostgreSQL with a fresh database."""

import itertools
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest
import pytest_asyncio

from checkout.catalogue.database import Database
from checkout.catalogue.postgres_database import PostgresDatabase
from checkout.catalogue.postgres_search import PostgresSearch
from checkout.catalogue.product import Product, product_of
from checkout.catalogue.search import SearchIndex
from checkout.catalogue.sqlite_database import SqliteDatabase
from checkout.catalogue.sqlite_search import SqliteSearch
from checkout.catalogue.store import ProductStore
from tests.checkout.servers import NO_SYNC, PostgresServer, postgres_server

NUMBERS = itertools.count(1)
KINDS = ("memory", "file", "postgres")


@pytest.fixture(scope="module")
def postgres() -> Iterator[PostgresServer]:
    with postgres_server(*NO_SYNC) as running:
        yield running


@asynccontextmanager
async def fresh_database(server: PostgresServer) -> AsyncIterator[str]:
    """Create an empty database and yield its URL."""
    name = f"catalogue{next(NUMBERS)}"
    db = await asyncpg.connect(server.url)
    await db.execute(f"CREATE DATABASE {name}")
    await db.close()
    yield server.url.rpartition("/")[0] + f"/{name}"


@pytest_asyncio.fixture(params=KINDS)
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Database]:
    """Yield an empty catalogue of every kind."""
    if request.param == "postgres":
        async with fresh_database(request.getfixturevalue("postgres")) as url:
            sql = await PostgresDatabase.open(url)
            yield sql
            await sql.close()
    else:
        path = ":memory:" if request.param == "memory" else str(tmp_path / "catalogue.db")
        lite = await SqliteDatabase.open(path)
        yield lite
        await lite.close()


def index_of(database: Database) -> SearchIndex:
    return SqliteSearch(database) if database.is_sqlite else PostgresSearch(database)


def store_of(database: Database) -> ProductStore:
    return ProductStore(database, index_of(database))


def product(name: str, price_cents: int = 1000, **fields: Any) -> Product:
    """Return a product with one SKU and a sale of the same name."""
    sku = {"id": f"{name}-sku", "title": "One size", "price_cents": price_cents, "sale": f"{name}-sale"}
    return product_of({"id": name, "title": name.title(), "skus": [sku], **fields})
