"""Keeps shared caches from storing an answer of the shop that carries a cookie of the edge.

A cache that obeys RFC 9111 stores such an answer, cookie included, if the shop calls it public, and would hand one
visitor's pass to everybody. So the answer is made `private`, and what tells shared caches otherwise is dropped:

    Cache-Control: public, max-age=300, s-maxage=600   ->   Cache-Control: private, max-age=300
    CDN-Cache-Control, Surrogate-Control, ...          ->   dropped: a CDN obeys them rather than Cache-Control
    nothing said                                       ->   Cache-Control: private, because 200 is cacheable as it is

Pure: bytes -> bytes. (RFC 9111, 5.2.2.7 and 7.3; RFC 9213)
"""

import re
from typing import Final

__all__ = ["carries_cookie", "made_private"]

#: Fields by which a shop tells one kind of shared cache what to store: Edge Architecture, Akamai, nginx, FOSHttpCache.
#: Caches put their name before `Cache-Control` (RFC 9213, 2).
_TARGETED: Final = re.compile(
    rb"(?:[A-Za-z0-9_-]+-Cache-Control|Surrogate-Control|Edge-Control|X-Accel-Expires|X-Reverse-Proxy-TTL)",
    re.IGNORECASE,
)
#: Directives that permit shared caches to store, and those that `private` replaces.
_DROPPED: Final = frozenset((b"public", b"private", b"s-maxage", b"proxy-revalidate"))


def carries_cookie(fields: bytes) -> bool:
    """Return whether rendered fields of the edge's own set a cookie."""
    return fields.find(b"Set-Cookie: ") >= 0


def made_private(fields: bytes) -> bytes:
    """Return the rendered fields of an answer so that no shared cache stores it."""
    kept: list[bytes] = []
    said: list[bytes] = []
    for line in fields.split(b"\r\n")[:-1]:
        name, _, value = line.partition(b":")
        if name.lower() == b"cache-control":
            said.append(value)
        elif not _TARGETED.fullmatch(name):
            kept += (line, b"\r\n")
    directives = [each for each in _directives(b",".join(said)) if _name(each) not in _DROPPED]
    return b"%bCache-Control: %b\r\n" % (b"".join(kept), b", ".join([b"private", *directives]))


def _name(directive: bytes) -> bytes:
    return directive.partition(b"=")[0].strip().lower()


def _directives(value: bytes) -> list[bytes]:
    """Return the directives of `Cache-Control`. A quoted argument may contain commas."""
    return [found.strip() for found in re.findall(rb'(?:[^,"]|"(?:[^"\\]|\\.)*"?)+', value) if found.strip()]
