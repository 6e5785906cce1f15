"""The query of the status address: `/_stanchion/status?room=NAME`, with `&altcha=SOLUTION` after a join challenge."""

from functools import lru_cache
from urllib.parse import parse_qs

__all__ = ["room_in", "solution_in"]


def room_in(query: str) -> str:
    """Return the room that a query names, '' if it names none."""
    return _room_in(query.partition("&altcha=")[0])


@lru_cache(maxsize=512)
def _room_in(query: str) -> str:
    return _value(query, "room")


def solution_in(query: str) -> str:
    """Return the solution of a join challenge, '' if there is none. No two are equal, so none is remembered."""
    return _value(query, "altcha") if "altcha=" in query else ""


def _value(query: str, name: str) -> str:
    return (parse_qs(query).get(name) or [""])[0]
