"""Who gets the page and who gets the status document.

The page goes to whoever asked for something to show: a browser that navigates, or a client that names `text/html` and
does not prefer JSON. Everybody else is a program (`fetch()`, an app, an image tag, curl) and gets the document: HTML
where a script expected data helps nobody.
"""

from functools import lru_cache

from waiting_room.placeholders import CODINGS, Coding

__all__ = ["accepts_gzip", "best_coding", "wants_page"]

_PAGES = ("text/html", "application/xhtml+xml")
_DOCUMENTS = ("application/json", "application/problem+json")


@lru_cache(maxsize=512)
def wants_page(accept: str, fetch_mode: str = "") -> bool:
    """accept: the `Accept` header (RFC 9110, 12.5.1). fetch_mode: `Sec-Fetch-Mode`."""
    page = document = 0.0
    for part in accept.lower().split(","):
        kind, _, parameters = part.partition(";")
        kind = kind.strip()
        if kind in _PAGES:
            page = max(page, _quality(parameters))
        elif kind in _DOCUMENTS:
            document = max(document, _quality(parameters))
    if page == document == 0.0:
        return fetch_mode == "navigate"
    return page > 0.0 and page >= document


@lru_cache(maxsize=512)
def best_coding(accept_encoding: str) -> Coding:
    """Of the codings the page is ready in, the one an `Accept-Encoding` field likes best (RFC 9110, 12.5.3).

    The smallest of those it likes equally; '' (identity), which nobody refuses in earnest, when it names none of them.
    """
    liked: Coding = ""
    most = 0.0
    for coding in reversed(CODINGS):
        quality = _quality_of(coding, accept_encoding)
        if coding and quality > most:
            liked, most = coding, quality
    return liked


@lru_cache(maxsize=512)
def accepts_gzip(accept_encoding: str) -> bool:
    """Whether `gzip` is named in an `Accept-Encoding` header and not refused (RFC 9110, 12.5.3)."""
    return _quality_of("gzip", accept_encoding) > 0.0


def _quality_of(wanted: str, accept_encoding: str) -> float:
    """0 when it is not named: nothing is sent that was not asked for by name."""
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
