"""Search in PostgreSQL: a tsvector with weights and a GIN index, and pg_trgm against typing errors."""

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
from checkout.catalogue.words import MOST_EDITS

MOST_POSITION = 16_383  # of a tsvector
RANK = "{" + ", ".join(str(weight / WEIGHTS[0]) for weight in reversed(WEIGHTS)) + "}"


class PostgresSearch(SearchIndex):
    """The index in the tables of the catalogue."""

    def add(self, number: int, product: Product) -> Steps[None]:
        parts = indexed(product)
        yield "UPDATE listing SET terms = CAST($2 AS text)::tsvector WHERE number = $1", (number, vector(parts))
        known = list(known_words(parts[:4]))
        yield "INSERT INTO words SELECT unnest(CAST($1 AS text[])) ON CONFLICT DO NOTHING", (known,)

    def drop(self, _number: int, /) -> Steps[None]:
        """The row of the listing holds the words, and is deleted with them."""
        yield from ()

    async def _matching(self, query: Query, terms: Terms) -> Sequence[Any]:
        use = Parameters()
        where = f"terms @@ CAST({use(_tsquery(terms))} AS text)::tsquery" if terms else "true"
        where += price_condition(query, use)
        if query.sort is Sort.RELEVANCE:
            rank = f"(ts_rank('{RANK}', terms, CAST($1 AS text)::tsquery) * 1000000)::bigint"
            source = f"(SELECT {rank} AS value, id FROM listing WHERE {where} LIMIT {RANKED}) AS ranked"
            after, order = in_order(query, use, "value")
            sql = f"SELECT value, id FROM {source} WHERE true{after} ORDER BY {order} LIMIT {use(query.limit)}"
        else:
            column = COLUMNS[query.sort]
            after, order = in_order(query, use, column)
            sql = f"SELECT {column}, id FROM listing WHERE {where}{after} ORDER BY {order} LIMIT {use(query.limit)}"
        return await self._database.read(sql, *use.values)

    async def _candidates(self, word: str) -> list[str]:
        sql = (
            "SELECT word FROM words WHERE word % $1 AND length(word) BETWEEN $3 AND $4 "
            "ORDER BY similarity(word, $1) DESC, word LIMIT $2"
        )
        shortest, longest = len(word) - MOST_EDITS, len(word) + MOST_EDITS
        return [row[0] for row in await self._database.read(sql, word, CANDIDATES, shortest, longest)]

    async def _knows(self, word: str, is_prefix: bool) -> bool:
        # Words have letters and digits only, so LIKE sees no pattern in them.
        sql = "SELECT 1 FROM words WHERE word LIKE $1 LIMIT 1"
        return bool(await self._database.read(sql, f"{word}%" if is_prefix else word))


def vector(parts: Sequence[Sequence[str]]) -> str:
    """Return the text of a tsvector: each word with its positions, and with the weight of its part."""
    places: dict[str, list[str]] = {}
    at = 0
    for weight, part in zip("ABCD", parts[:4], strict=True):
        for word in part:
            at = min(at + 1, MOST_POSITION)
            places.setdefault(word, []).append(f"{at}{weight}")
    lexemes = [f"'{word}':{','.join(found[:255])}" for word, found in places.items()]
    return " ".join([*lexemes, *(f"'{facet}'" for facet in parts[4])])


def _tsquery(terms: Terms) -> str:
    """Return the text of a tsquery. Words have letters and digits only, so quotes are enough."""
    parts = [f"'{word}'" for word in (*terms.whole, *terms.facets)]
    return " & ".join(parts + ([f"'{terms.prefix}':*"] if terms.prefix else []))
