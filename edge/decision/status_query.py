"""The query of the status address: `/_stanchion/status?room=NAME`, with `&altcha=SOLUTION` after a join challenge."""

from functools import lru_cache
from typing import Final
from urllib.parse import parse_qs

__all__ = ["room_in", "solution_in"]

#: A cache of longer queries would be memory for an attacker to fill.
MOST_CACHED_CHARS: Final = 256
#: A query that is longer, or has more fields, names no room. Programs add a field or two.
MOST_CHARS: Final = 1024
MOST_FIELDS: Final = 16


def room_in(query: str) -> str:
    """Return the room that a query names, '' if it names none."""
    named = query.partition("&altcha=")[0]
    if len(named) <= MOST_CACHED_CHARS:
        return _room_in(named)
    return _value(named, "room") if len(named) <= MOST_CHARS else ""


@lru_cache(maxsize=512)
def _room_in(query: str) -> str:
    return _value(query, "room")


def _value(query: str, name: str) -> str:
    if query.count("&") >= MOST_FIELDS:
        return ""
    return (parse_qs(query).get(name) or [""])[0]


def solution_in(query: str) -> str:
    """Return the solution of a join challenge, '' if there is none. No two are equal, so none is remembered."""
    return _value(query, "altcha") if "altcha=" in query else ""
