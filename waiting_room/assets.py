"""The static files of the pages, in the form in which they are served.

Rule: the name of a file contains a digest of its content, so a browser may keep the file. A name with the digest of
another version gives the present file, which nobody may keep: so pages work while versions are mixed. Files are
compressed once, at the start. The client of single-page shops has a fixed name as well, because their pages name it.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from gzip import compress
from hashlib import sha256
from importlib.resources import files
from typing import Final

__all__ = ["ASSET_HEADERS", "CLIENT", "CLIENT_HEADERS", "OTHER_VERSION_HEADERS", "STATIC_PATH", "Asset", "Assets"]

STATIC_PATH = "/_stanchion/static/"

ASSET_HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Fixed headers of a static file. The name changes with the content, so caches may keep a file for a year."""

OTHER_VERSION_HEADERS: Mapping[str, str] = {**ASSET_HEADERS, "Cache-Control": "no-store"}
"""Fixed headers of a file that is served under another version's name."""

CLIENT = "stanchion-client.js"
"""The file that pages of the shop load, by this name. `docs/apps.md` describes it."""

CLIENT_HEADERS: Mapping[str, str] = {
    **ASSET_HEADERS,
    "Access-Control-Allow-Origin": "*",
    "Cache-Control": "public, max-age=600",
}
"""Fixed headers of the client. Its name stays, so caches keep it for ten minutes only. Every origin may load it: it is
the same for everybody, and browsers load modules by CORS (HTML, 8.1.4.2)."""

CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "otf": "font/otf",
    "svg": "image/svg+xml",
    "ttf": "font/ttf",
    "woff": "font/woff",
    "woff2": "font/woff2",
}
COMPRESSED = ("woff", "woff2")
"""Endings of files that are compressed already."""


DIGITS = 8
"""Hexadecimal digits of the digest in a served name. Other versions must use as many."""
HEX = frozenset("0123456789abcdef")


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file as it is served."""

    url: str
    content_type: str
    body: bytes
    etag: str
    """With quotes, as the header needs it."""
    gzipped: bytes
    """The body for clients that accept gzip, compressed once to about a third of the size. Empty if the file itself is
    compressed."""


class Assets:
    """All static files of the pages, by names that contain a digest of the content: `waiting.3f2a9c1b.css`."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._served: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for name, body in sources.items():
            self.add(name, body)

    def add(self, name: str, body: bytes) -> str:
        """Serve one more file, in the place of the file with this source name if there is one. Return its path."""
        stem, _, ending = name.rpartition(".")
        digest = sha256(body).hexdigest()
        served = f"{stem}.{digest[:DIGITS]}.{ending}"
        before = self._urls.get(name)
        if before == STATIC_PATH + served:
            return before
        gzipped = b"" if ending in COMPRESSED else compress(body, mtime=0)
        asset = Asset(STATIC_PATH + served, CONTENT_TYPES[ending], body, f'"{digest[:16]}"', gzipped)
        if before is not None:
            del self._served[before.removeprefix(STATIC_PATH)]  # pages that name it get the present file
        self._served[served] = asset
        self._urls[name] = asset.url
        return asset.url

    @classmethod
    def load(cls) -> "Assets":
        """Read the package `static` from the source tree or from an installed wheel."""
        entries = sorted(files("static").iterdir(), key=lambda entry: entry.name)
        return cls(
            {e.name: _small(e.name, e.read_bytes()) for e in entries if e.name.rpartition(".")[2] in CONTENT_TYPES}
        )

    def get(self, name: str) -> Asset | None:
        """Return the file with this served name (the last part of its URL), or None if there is none."""
        return self._served.get(name)

    def find(self, name: str) -> tuple[Asset | None, bool]:
        """Return the file with this served name, and True. If another version gave the name, return the present file
        with the same source name, and False. The file is None if there is none of either kind. `CLIENT` is its own
        served name too."""
        if name == CLIENT and CLIENT in self._urls:
            name = self._urls[CLIENT].removeprefix(STATIC_PATH)
        exact = self._served.get(name)
        if exact is not None:
            return exact, True
        rest, _, ending = name.rpartition(".")
        stem, _, digest = rest.rpartition(".")
        url = self._urls.get(f"{stem}.{ending}")
        if url is None or len(digest) != DIGITS or not set(digest) <= HEX:
            return None, False
        return self._served[url.removeprefix(STATIC_PATH)], False

    def url(self, name: str) -> str:
        """Return the path under which the source file `name` is served. Raises `KeyError` if there is none."""
        return self._urls[name]

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._served.values())


_CSS_COMMENT: Final = re.compile(r"/\*.*?\*/", re.DOTALL)
_JS_COMMENT: Final = re.compile(r"^[ \t]*(?://[^\n]*|/\*\*.*?\*/)\n", re.DOTALL | re.MULTILINE)


def _small(name: str, body: bytes) -> bytes:
    """Return one of our own files without comments and indentation, which visitors need not load: 1.9 kB less
    compressed. The client of single-page shops stays as it is, because people read it."""
    text = body.decode()
    if name.endswith(".css"):
        text = re.sub(r"\s+", " ", _CSS_COMMENT.sub("", text))
        text = re.sub(r"(?<=[\w-]): ", ":", re.sub(r" ?([{};,>]) ?", r"\1", text))
        return text.replace(";}", "}").strip().encode()
    if name.endswith(".js") and name != CLIENT:
        return re.sub(r"^[ \t]+", "", _JS_COMMENT.sub("", text), flags=re.MULTILINE).encode()
    return body
