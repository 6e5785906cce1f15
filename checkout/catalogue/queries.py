"""From the query string of a request to a query of the search, for the page and the API."""

import re
from collections.abc import Mapping
from typing import Any

from checkout.catalogue.product import ATTRIBUTE, MOST_CENTS, NAME
from checkout.catalogue.search import MOST_ROWS, Cursor, Query, Sort
from checkout.errors import BadRequest

MOST_TEXT = 200
MOST_FILTERS = 8
PRICE = re.compile(r"(\d{1,7})(?:[.,](\d{1,2}))?")


def query_of(fields: Any, *, limit: int) -> Query:
    """Return the query that a query string asks for. fields: a `MultiMapping`. Raises `BadRequest`."""
    text = fields.get("q", "")
    if len(text) > MOST_TEXT:
        raise BadRequest(f"q: expected at most {MOST_TEXT} characters")
    category = fields.get("category", "")
    if category and not re.fullmatch(NAME, category):
        raise BadRequest(f"category: must match {NAME}")
    sort = _sort(fields, text)
    after = fields.get("after", "")
    return Query(
        text=text,
        category=category,
        attributes=_attributes(fields.getall("attribute", [])),
        least_cents=_number(fields, "min_cents", 0, MOST_CENTS),
        most_cents=_number(fields, "max_cents", 0, MOST_CENTS),
        sort=sort,
        after=Cursor.parse(after, sort) if after else None,
        limit=_number(fields, "limit", 1, MOST_ROWS) or limit,
    )


def cents(text: str, name: str) -> int | None:
    """Return a price that a person typed, `12` or `12.50`, as cents; None if nothing was typed."""
    if not text.strip():
        return None
    found = PRICE.fullmatch(text.strip())
    if found is None:
        raise BadRequest(f"{name}: expected a price such as 12 or 12.50")
    return int(found[1]) * 100 + int((found[2] or "0").ljust(2, "0"))


def _sort(fields: Mapping[str, str], text: str) -> Sort:
    name = fields.get("sort", "") or (Sort.RELEVANCE if text.strip() else Sort.NEWEST)
    try:
        sort = Sort(name)
    except ValueError as error:
        raise BadRequest(f"sort: expected one of {', '.join(Sort)}") from error
    return Sort.NEWEST if sort is Sort.RELEVANCE and not text.strip() else sort


def _attributes(values: list[str]) -> tuple[tuple[str, str], ...]:
    if len(values) > MOST_FILTERS:
        raise BadRequest(f"attribute: expected at most {MOST_FILTERS}")
    pairs = []
    for each in values:
        name, colon, value = each.partition(":")
        if not colon or not re.fullmatch(ATTRIBUTE, name) or not 1 <= len(value) <= 100:
            raise BadRequest("attribute: expected NAME:VALUE")
        pairs.append((name, value))
    return tuple(pairs)


def _number(fields: Mapping[str, str], name: str, least: int, most: int) -> int | None:
    text = fields.get(name)
    if text is None:
        return None
    if not text.isascii() or not text.isdecimal() or len(text) > 10 or not least <= int(text) <= most:
        raise BadRequest(f"{name}: expected a whole number from {least} to {most}")
    return int(text)
