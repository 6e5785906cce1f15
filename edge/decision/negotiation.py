"""Content negotiation: waiting page or status document, and in which coding.

A client that wants something to show gets the page: a browser that navigates, or a client that names `text/html` and
does not prefer JSON. Every other client is a program (`fetch()`, an app, an image tag, curl) and gets the document.
"""

from functools import lru_cache
from typing import Final

from waiting_room.placeholders import CODINGS, Coding

__all__ = ["accepts_gzip", "best_coding", "wants_page"]

#: Of a longer field the rest is not read: it would be time and memory for an attacker to use up. Browsers send 200.
MOST_CHARS: Final = 512

_PAGES = ("text/html", "application/xhtml+xml")
_DOCUMENTS = ("application/json", "application/problem+json")


def wants_page(accept: str, fetch_mode: str = "") -> bool:
    """Return whether a client wants a page. accept: `Accept` (RFC 9110, 12.5.1). fetch_mode: `Sec-Fetch-Mode`."""
    return _wants_page(accept[:MOST_CHARS], fetch_mode == "navigate")


@lru_cache(maxsize=512)
def _wants_page(accept: str, navigates: bool) -> bool:
    page = document = 0.0
    for part in accept.lower().split(","):
        kind, _, parameters = part.partition(";")
        kind = kind.strip()
        if kind in _PAGES:
            page = max(page, _quality(parameters))
        elif kind in _DOCUMENTS:
            document = max(document, _quality(parameters))
    if page == document == 0.0:
        return navigates
    return page > 0.0 and page >= document


def best_coding(accept_encoding: str) -> Coding:
    """Return the coding that `Accept-Encoding` prefers, of those the page is ready in (RFC 9110, 12.5.3).

    Of equally preferred codings it is the smallest, and '' (identity) if none is named: no client refuses that.
    """
    return _best_coding(accept_encoding[:MOST_CHARS])


@lru_cache(maxsize=512)
def _best_coding(accept_encoding: str) -> Coding:
    best: Coding = ""
    most = 0.0
    for coding in reversed(CODINGS):
        quality = _quality_of(coding, accept_encoding)
        if coding and quality > most:
            best, most = coding, quality
    return best


def accepts_gzip(accept_encoding: str) -> bool:
    """Return whether an `Accept-Encoding` header names `gzip` and does not refuse it (RFC 9110, 12.5.3)."""
    return _accepts_gzip(accept_encoding[:MOST_CHARS])


@lru_cache(maxsize=512)
def _accepts_gzip(accept_encoding: str) -> bool:
    return _quality_of("gzip", accept_encoding) > 0.0


def _quality_of(wanted: str, accept_encoding: str) -> float:
    """Return 0 for a coding that is not named: only what is named is sent."""
    for part in accept_encoding.lower().split(","):
        coding, _, parameters = part.partition(";")
        if coding.strip() == wanted:
            return _quality(parameters)
    return 0.0


def _quality(parameters: str) -> float:
    for parameter in parameters.split(";"):
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return min(1.0, max(0.0, float(value)))
            except ValueError:
                return 0.0
    return 1.0
