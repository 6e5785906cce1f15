"""The preview: one HTML file with all views, which needs no network.

    sheet.html   the frame: choices of language, screen, scheme and views
    sheet.js     makes the frames of the chosen views
    data         for each language: gzip and base64 of the JSON {view: html}, unpacked by the browser

A view is the page as the edge sends it, without scripts, with its style sheets and pictures inside. In a frame neither
the scheme nor the size of the screen can be chosen by CSS alone, so a sheet has its media queries for the scheme
replaced by ones that hold, or do not.
"""

import base64
import gzip
import json
import re
from collections.abc import Mapping, Sequence
from html import escape
from importlib.resources import files
from pathlib import Path
from typing import Final

from edge.cli.page.views import PageViews
from waiting_room.assets import STATIC_PATH, Asset

__all__ = ["SCHEMES", "SCREENS", "Scheme", "alone", "sheet"]

Scheme = str
SCHEMES: Final[tuple[Scheme, ...]] = ("light", "dark")
SCREENS: Final[Mapping[str, tuple[int, int]]] = {
    "320": (320, 568),
    "390": (390, 844),
    "667": (667, 375),
    "1280": (1280, 800),
}
"""Width and height of the screens by name, in CSS pixels: two phones, one of them on its side too, and a desk."""

_KINDS: Final = {
    "avif": "image/avif",
    "gif": "image/gif",
    "ico": "image/x-icon",
    "jpeg": "image/jpeg",
    "jpg": "image/jpeg",
    "png": "image/png",
    "svg": "image/svg+xml",
    "webp": "image/webp",
}
_SCHEME: Final = re.compile(r"\(\s*prefers-color-scheme\s*:\s*(light|dark)\s*\)")
_SCRIPT: Final = re.compile(r"<script[^>]*></script>|<link rel=\"preload\"[^>]*>|<meta http-equiv=\"refresh\"[^>]*>")
_DATA: Final = re.compile(r'<template id="(?:status|texts)">.*?</template>', re.DOTALL)
_STYLE: Final = re.compile(r'<link rel="stylesheet" href="([^"]*)">')
_IN_TAG: Final = re.compile(r'(\s(?:src|poster|href)=")(/[^"]*)(")')
_IN_STYLE: Final = re.compile(r"""url\(\s*["']?(/[^"')]*)["']?\s*\)""")
_NO_SCRIPT: Final = re.compile(r"<noscript><meta [^>]*></noscript>\n?")


def alone(document: bytes, views: PageViews, folder: Path | None, scheme: Scheme | None = None) -> str:
    """Return a page that needs no other file. folder: of the shop's files. scheme: None for that of the browser."""
    text = _SCRIPT.sub("", _NO_SCRIPT.sub("", _DATA.sub("", document.decode())))
    text = _STYLE.sub(lambda found: _style(found[1], views, folder), text)
    text = _IN_TAG.sub(lambda found: f"{found[1]}{_embedded(found[2], views, folder)}{found[3]}", text)
    return text if scheme is None else in_scheme(text, scheme)


def in_scheme(text: str, scheme: Scheme) -> str:
    """Return a page with style sheets that take the scheme as given."""
    text = _SCHEME.sub(lambda found: "(min-width: 0)" if found[1] == scheme else "(max-width: 0)", text)
    text = re.sub(r"color-scheme:\s*light dark", f"color-scheme:{scheme}", text)
    return text.replace('content="light dark"', f'content="{scheme}"')


def sheet(views: PageViews, languages: Sequence[str], folder: Path | None, source: str) -> str:
    """Return the sheet. source: the name of the settings file, for the title."""
    parts = files("edge.cli.page")
    names = list(views.documents(languages[0]))
    packed = {}
    styles: dict[str, str] = {}
    for language in languages:
        made = {name: alone(body, views, folder) for name, body in views.documents(language).items()}
        shared = {name: _without_styles(text, styles) for name, text in made.items()}
        packed[language] = base64.b64encode(gzip.compress(json.dumps(shared).encode(), mtime=0)).decode()
    facts = {
        "languages": {language: views.languages.names[language] for language in languages},
        "views": names,
        "screens": {name: list(size) for name, size in SCREENS.items()},
        "styles": list(styles.values()),
        "packed": packed,
    }
    data = json.dumps(facts, ensure_ascii=False).replace("<", "\\u003c")
    values = {
        "title": escape(f"{views.room.page.title or views.room.name}: the waiting page"),
        "room": escape(views.room.name),
        "source": escape(source),
        "css": (parts / "sheet.css").read_text("utf-8"),
        "js": (parts / "sheet.js").read_text("utf-8"),
        "data": data,
    }
    text = (parts / "sheet.html").read_text("utf-8")
    return re.sub(r"\{\{(\w+)\}\}", lambda found: values[found[1]], text)


def _without_styles(text: str, styles: dict[str, str]) -> str:
    """Return a page with a mark for each style sheet, which the sheet has once: `<style>0</style>`."""

    def marked(found: re.Match[str]) -> str:
        styles.setdefault(found[1], found[1])
        return f"<style>{list(styles).index(found[1])}</style>"

    return re.sub(r"<style>(.*?)</style>", marked, text, flags=re.DOTALL)


def _style(url: str, views: PageViews, folder: Path | None) -> str:
    asset = _asset(url, views)
    if asset is None:
        return ""  # of another host: the sheet loads nothing
    rules = _IN_STYLE.sub(lambda found: f'url("{_embedded(found[1], views, folder)}")', asset.body.decode())
    return "<style>" + rules.replace("</", "<\\/") + "</style>"


def _embedded(url: str, views: PageViews, folder: Path | None) -> str:
    """Return a file as a data URL, or its address if the sheet has no such file."""
    whole, mark, part = url.partition("#")
    path = whole.partition("?")[0]
    asset = _asset(path, views)
    if asset is not None:
        return _data_url(asset.content_type.partition(";")[0], asset.body) + mark + part
    ending = path.rpartition(".")[2].lower()
    if folder is None or ending not in _KINDS:
        return url
    file = (folder / path.lstrip("/")).resolve()
    if not file.is_relative_to(folder.resolve()) or not file.is_file():
        return url
    return _data_url(_KINDS[ending], file.read_bytes()) + mark + part


def _asset(url: str, views: PageViews) -> Asset | None:
    return views.assets.get(url.removeprefix(STATIC_PATH)) if url.startswith(STATIC_PATH) else None


def _data_url(kind: str, content: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
