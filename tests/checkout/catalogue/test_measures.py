"""The short forms of the measurements: they run, and the promises hold on a small catalogue."""

from pathlib import Path

from checkout.catalogue.sqlite_database import SqliteDatabase
from tests.checkout.catalogue import measure_cache, measure_search
from tests.checkout.catalogue.places import index_of


async def test_hits_are_frequent_and_products_are_fresh(tmp_path: Path) -> None:
    """Under Zipf's law with 50 changes a second most reads need no database, and none is a second old."""
    database = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
    measured = await measure_cache.measure(database, "", measure_cache.Load(skus=500, seconds=2.0))
    await database.close()
    assert measured.changes > 10
    assert measured.hit_rate >= 0.9, measured  # 99 % on an idle machine: docs/shop.md
    assert measured.stalest_s < 1.0, measured


async def test_searches_find_what_was_asked_for(tmp_path: Path) -> None:
    """Nine of ten queries made from titles find something, also with typing errors and cut words."""
    database = await SqliteDatabase.open(str(tmp_path / "catalogue.db"))
    load = measure_search.SearchLoad(products=400, searches=200, changes_per_s=5.0)
    shop = measure_search.Shop(load.seed)
    store = await measure_search.fill(database, shop, load.products)
    timed = await measure_search.measure(store, index_of(database), shop, load)
    await database.close()
    assert sum(map(len, timed.times.values())) == load.searches
    assert timed.found >= 0.75 * load.searches, timed
