"""Find products: words with weights, a prefix, filters, five orders, pages by key; and words with typing errors.

    text      every word must occur; the last one may be the beginning of a word
    weights   title 10, SKUs 4, attributes and category 2, text 1 (`WEIGHTS`)
    pages     the next page begins after (value, id) of the last row, so it costs the same as the first one
    typing    if nothing is found, each unknown word is replaced by the nearest known one, and the answer says so

SQLite and PostgreSQL index the same words (`words.py`) and pass the same contract tests. By relevance, the best of at
most `RANKED` matches are ranked; a word that fits more products than that says little about any of them.
"""

import asyncio
import base64
import binascii
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, NamedTuple

from checkout.catalogue.database import Database, Steps
from checkout.catalogue.product import Product, Sku
from checkout.catalogue.words import facet, nearest, words
from checkout.errors import BadRequest

WEIGHTS = (10, 4, 2, 1)
RANKED = 1000
MOST_WORDS = 8
CANDIDATES = 40
MOST_ROWS = 100


class Sort(StrEnum):
    """The order of the products that were found."""

    RELEVANCE = "relevance"
    NEWEST = "newest"
    CHEAPEST = "price"
    DEAREST = "-price"
    BEST = "sales_7d"


COLUMNS = {Sort.NEWEST: "made_ms", Sort.CHEAPEST: "price_cents", Sort.DEAREST: "price_cents", Sort.BEST: "sales_7d"}


class Cursor(NamedTuple):
    """The last row of a page."""

    value: int
    id: str

    def encode(self, sort: Sort) -> str:
        return base64.urlsafe_b64encode(f"{sort}:{self.value}:{self.id}".encode()).decode().rstrip("=")

    @classmethod
    def parse(cls, text: str, sort: Sort) -> "Cursor":
        """Raises `BadRequest` if the text is not a cursor of this order."""
        try:
            parts = base64.urlsafe_b64decode(text.encode() + b"=" * (-len(text) % 4)).decode().split(":")
            if len(parts) != 3 or parts[0] != sort or not -(2**62) < int(parts[1]) < 2**62:
                raise ValueError(text)
            return cls(int(parts[1]), parts[2])
        except (ValueError, binascii.Error) as error:
            raise BadRequest("after: expected the `next` of the page before, with the same sort") from error


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. Prices are cents; `attributes` and `category` are filters; `after` is the page before."""

    text: str = ""
    category: str = ""
    attributes: tuple[tuple[str, str], ...] = ()
    least_cents: int | None = None
    most_cents: int | None = None
    sort: Sort = Sort.NEWEST
    after: Cursor | None = None
    limit: int = 24

    def facets(self) -> list[str]:
        """Return the filters as words of the index."""
        filters = ([("category", self.category)] if self.category else []) + [
            (f"attribute:{name}", value) for name, value in self.attributes
        ]
        return [facet(name, value) for name, value in filters]


class Found(NamedTuple):
    """Products in the order of the query. corrected: the text that was searched instead, or empty."""

    keys: list[Cursor]
    corrected: str


class Terms(NamedTuple):
    """What an index is asked: whole words, the beginning of the last word (or empty), filters."""

    whole: list[str]
    prefix: str
    facets: list[str]

    def __bool__(self) -> bool:
        return bool(self.whole or self.prefix or self.facets)


class Parameters:
    """The parameters of a statement, numbered as they are used."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def __call__(self, value: Any) -> str:
        self.values.append(value)
        return f"${len(self.values)}"


class SearchIndex(ABC):
    """The words of the products in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    @abstractmethod
    def add(self, number: int, product: Product) -> Steps[None]:
        """Add the words of a product that is in the listing."""

    @abstractmethod
    def drop(self, number: int, /) -> Steps[None]:
        """Remove the words of a product."""

    @abstractmethod
    async def _matching(self, query: Query, terms: Terms) -> Sequence[Any]:
        """Return rows (value, id) of products that match, at most `query.limit`, in the order of the query."""

    @abstractmethod
    async def _candidates(self, word: str) -> list[str]:
        """Return known words that share trigrams with this one, the most similar first."""

    @abstractmethod
    async def _knows(self, word: str, is_prefix: bool) -> bool:
        """Return whether a word, or one that begins so, is in the catalogue."""

    async def search(self, query: Query) -> Found:
        """Return the products that match. Raises `StoreError`."""
        asked = words(query.text)[:MOST_WORDS]
        if query.text.strip() and not asked:
            return Found([], "")
        rows = await self._matching(query, _terms(asked, query))
        if rows or not asked or query.after is not None:
            return Found([Cursor(*row) for row in rows], "")
        meanings = (self._meant(word, at == len(asked)) for at, word in enumerate(asked, 1))
        corrected = await asyncio.gather(*meanings)  # at the same time, because each asks the database twice
        if None in corrected or list(corrected) == asked:
            return Found([], "")
        meant = [word for word in corrected if word is not None]
        rows = await self._matching(query, _terms(meant, query))
        return Found([Cursor(*row) for row in rows], " ".join(meant) if rows else "")

    async def _meant(self, word: str, is_last: bool) -> str | None:
        if await self._knows(word, is_last):
            return word
        return nearest(word, await self._candidates(word))


def _terms(asked: Sequence[str], query: Query) -> Terms:
    return Terms(list(asked[:-1]), asked[-1] if asked else "", query.facets())


def in_order(query: Query, use: Parameters, value: str) -> tuple[str, str]:
    """Return the condition that continues after the page before, and the order. value: the column or expression."""
    down = query.sort is not Sort.CHEAPEST
    order = f"{value} DESC, id DESC" if down else f"{value}, id"
    if query.after is None:
        return "", order
    least, last = use(query.after.value), use(query.after.id)
    return f" AND ({value}, id) {'<' if down else '>'} ({least}, {last})", order


def price_condition(query: Query, use: Parameters) -> str:
    """Return the condition of the price filter."""
    least = f" AND price_cents >= {use(query.least_cents)}" if query.least_cents is not None else ""
    return least + (f" AND price_cents <= {use(query.most_cents)}" if query.most_cents is not None else "")


def indexed(product: Product) -> tuple[list[str], list[str], list[str], list[str], list[str]]:
    """Return the words of a product by weight: title, SKUs, attributes and category, text; and its filters."""
    skus = list(product.live_skus())
    parts: list[Product | Sku] = [product, *skus]
    attributes = [pair for part in parts for pair in part.attributes.items()]
    facets = {facet(f"attribute:{name}", value) for name, value in attributes}
    if product.category:
        facets.add(facet("category", product.category))
    return (
        words(product.title),
        words(" ".join(sku.title for sku in skus)),
        words(" ".join([product.category, *(value for _, value in attributes)])),
        words(product.text),
        sorted(facets),
    )


def known_words(parts: Sequence[Sequence[str]]) -> Iterator[str]:
    """Yield each word of a product once."""
    yield from dict.fromkeys(word for part in parts for word in part)


def without_text(query: Query) -> Query:
    """Return the query with an order that needs no text, if it has none."""
    return replace(query, sort=Sort.NEWEST) if query.sort is Sort.RELEVANCE and not words(query.text) else query
