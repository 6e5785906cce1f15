"""Search in SQLite: FTS5 for words and filters, a table of trigrams against typing errors."""

import json
from collections.abc import Sequence
from typing import Any

from checkout.catalogue.database import Steps
from checkout.catalogue.product import Product
from checkout.catalogue.search import (
    CANDIDATES,
    COLUMNS,
    RANKED,
    WEIGHTS,
    Parameters,
    Query,
    SearchIndex,
    Sort,
    Terms,
    in_order,
    indexed,
    known_words,
    price_condition,
)
from checkout.catalogue.words import trigrams

SORTED = 1000
"""Up to this many matches are sorted. Of more, enough are found by walking through an index in the order."""
INDEXES = {"made_ms": "listing_by_age", "price_cents": "listing_by_price", "sales_7d": "listing_by_sales"}
NEW_WORDS = """
INSERT INTO words SELECT json_extract(value, '$[0]'), json_extract(value, '$[1]') FROM json_each($1) WHERE true
ON CONFLICT DO NOTHING RETURNING word
"""
NEW_TRIGRAMS = "INSERT INTO word_trigrams SELECT value, $2 FROM json_each($1)"
SIMILAR = """
SELECT words.word FROM (
    SELECT word, count(*) AS shared FROM word_trigrams WHERE trigram IN (SELECT value FROM json_each($1)) GROUP BY word
) AS found JOIN words ON words.word = found.word
ORDER BY shared * 1.0 / (words.trigrams + $2 - shared) DESC, words.word LIMIT $3
"""


class SqliteSearch(SearchIndex):
    """The index in the file of the catalogue."""

    def add(self, number: int, product: Product) -> Steps[None]:
        parts = indexed(product)
        columns = [" ".join(part) for part in parts]
        yield (
            "INSERT INTO listing_words (rowid, title, variants, attributes, text, facets) "
            "VALUES ($1, $2, $3, $4, $5, $6)",
            (number, *columns),
        )
        grams = {word: sorted(trigrams(word)) for word in known_words(parts[:4])}
        rows = yield NEW_WORDS, (json.dumps([[word, len(found)] for word, found in grams.items()]),)
        for (word,) in rows:
            yield NEW_TRIGRAMS, (json.dumps(grams[word]), word)

    def drop(self, number: int, /) -> Steps[None]:
        yield "DELETE FROM listing_words WHERE rowid = $1", (number,)

    async def _matching(self, query: Query, terms: Terms) -> Sequence[Any]:
        use = Parameters()
        if not terms:
            column = COLUMNS[query.sort]
            price = price_condition(query, use)
            after, order = in_order(query, use, column)
            sql = f"SELECT {column}, id FROM listing WHERE 1{price}{after} ORDER BY {order} LIMIT {use(query.limit)}"
            return await self._database.read(sql, *use.values)
        match = use(_match(terms))
        if query.sort is Sort.RELEVANCE:
            weights = ", ".join(map(str, WEIGHTS))
            ranked = (
                f"SELECT CAST(bm25(listing_words, {weights}, 0) * -1000000 AS INTEGER) AS value, id "
                "FROM listing_words JOIN listing ON listing.number = listing_words.rowid "
                f"WHERE listing_words MATCH {match}{price_condition(query, use)} "
                f"ORDER BY listing_words.rowid DESC LIMIT {RANKED}"
            )
            after, order = in_order(query, use, "value")
            sql = f"SELECT value, id FROM ({ranked}) WHERE 1{after} ORDER BY {order} LIMIT {use(query.limit)}"
            return await self._database.read(sql, *use.values)
        column = COLUMNS[query.sort]
        price = price_condition(query, use)
        after, order = in_order(query, use, column)
        count = f"SELECT count(*) FROM (SELECT 1 FROM listing_words WHERE listing_words MATCH $1 LIMIT {SORTED + 1})"
        if (await self._database.read(count, use.values[0]))[0][0] <= SORTED:
            source = f"listing_words JOIN listing ON number = listing_words.rowid WHERE listing_words MATCH {match}"
            order = order.replace(column, f"+{column}")  # the index of the column would be the slower way
        else:
            # SQLite collects the matches once; `+` keeps it from walking through them instead of the index.
            source = (
                f"listing INDEXED BY {INDEXES[column]} WHERE +number IN "
                f"(SELECT rowid FROM listing_words WHERE listing_words MATCH {match})"
            )
        sql = f"SELECT {column}, id FROM {source}{price}{after} ORDER BY {order} LIMIT {use(query.limit)}"
        return await self._database.read(sql, *use.values)

    async def _candidates(self, word: str) -> list[str]:
        grams = trigrams(word)
        rows = await self._database.read(SIMILAR, json.dumps(sorted(grams)), len(grams), CANDIDATES)
        return [row[0] for row in rows]

    async def _knows(self, word: str, is_prefix: bool) -> bool:
        sql = "SELECT 1 FROM words WHERE word >= $1 AND word < $2 LIMIT 1"
        return bool(await self._database.read(sql, word, word + ("\U0010ffff" if is_prefix else "\0")))


def _match(terms: Terms) -> str:
    """Return the query of FTS5. Words have letters and digits only, so quotes are enough."""
    parts = [f'"{word}"' for word in (*terms.whole, *terms.facets)]
    return " AND ".join(parts + ([f'"{terms.prefix}"*'] if terms.prefix else []))
