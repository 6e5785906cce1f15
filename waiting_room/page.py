"""The pages a visitor may see, as bytes, and the static files they load.

Rule: no template work while serving. At the start the template is cut at its `{{slots}}`, and all that
does not change from visitor to visitor (words, addresses, labels) is put in, once for every view of a
room; what visitors of one minute share is put in once for all of them; serving then only joins byte strings. A value
is escaped when it goes in and never looked at again, so no message can open a tag or a slot.

    waiting.html --cut--> Template --fill(words of a view)--> Template --fill(what many share)--> Template
                 --join(values of a visitor)--> bytes

The page carries the visitor's first status document and all words for the script in `<template>` elements, so
it is right before, without and with the script, and both say the same.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from gzip import compress
from hashlib import sha256
from html import escape
from importlib.resources import files
from urllib.parse import quote

from waiting_room.status import State, Status, timestamp
from waiting_room.texts import Texts

__all__ = [
    "ASSET_HEADERS",
    "PAGE_HEADERS",
    "STATIC_PATH",
    "STATUS_PATH",
    "Asset",
    "Assets",
    "ErrorPage",
    "WaitingPage",
]

STATIC_PATH = "/_stanchion/static/"
STATUS_PATH = "/_stanchion/status"

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self'; "
    "base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
)

PAGE_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": "no-store",
    "Content-Security-Policy": CONTENT_SECURITY_POLICY,
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Fixed headers of the waiting page and of every error page."""

ASSET_HEADERS: Mapping[str, str] = {
    "Cache-Control": "public, max-age=31536000, immutable",
    "Vary": "Accept-Encoding",
    "X-Content-Type-Options": "nosniff",
    "X-Robots-Tag": "noindex",
}
"""Fixed headers of a static file: its name changes with its content, so it may be kept for a year."""

LONG_PLACE = 7
#: Half-filled views that are kept at once, some 6 kB each.
MAX_HALVES = 512
"""A place with more characters than "999,999" is set smaller, so that it fits a phone."""

COOKIES_REFRESH_S = 60
"""How soon a page that explains cookies looks again with scripts off: too slow for a loop to hurt."""

RESCUE_REFRESH_S = 60
"""How soon the page loads itself again when its script never came."""

CONTENT_TYPES = {
    "css": "text/css; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file as it is served."""

    url: str
    content_type: str
    body: bytes
    etag: str
    """Quoted, ready for the header."""
    gzipped: bytes
    """The body for clients that accept gzip, packed once; about a third of the size."""


class Assets:
    """Every static file of the pages under a name that carries its content's hash: `waiting.3f2a9c1b.css`."""

    def __init__(self, sources: Mapping[str, bytes]) -> None:
        self._served: dict[str, Asset] = {}
        self._urls: dict[str, str] = {}
        for name, body in sources.items():
            stem, _, ending = name.rpartition(".")
            digest = sha256(body).hexdigest()
            served = f"{stem}.{digest[:8]}.{ending}"
            asset = Asset(
                STATIC_PATH + served, CONTENT_TYPES[ending], body, f'"{digest[:16]}"', compress(body, mtime=0)
            )
            self._served[served] = asset
            self._urls[name] = asset.url

    @classmethod
    def load(cls) -> "Assets":
        """Read the package `static`, from a checkout or an installed wheel alike."""
        entries = sorted(files("static").iterdir(), key=lambda entry: entry.name)
        return cls({e.name: e.read_bytes() for e in entries if e.name.rpartition(".")[2] in CONTENT_TYPES})

    def get(self, name: str) -> Asset | None:
        """The file of that served name (the last part of its URL), or None."""
        return self._served.get(name)

    def url(self, name: str) -> str:
        """The path under which the source file `name` is served; `KeyError` when there is none."""
        return self._urls[name]

    def __iter__(self) -> Iterator[Asset]:
        return iter(self._served.values())


class Template:
    """Alternating fixed bytes and named slots: `fixed[0] slot[0] fixed[1] ... fixed[n]`."""

    __slots__ = ("fixed", "slots")

    def __init__(self, fixed: list[bytes], slots: list[str]) -> None:
        self.fixed = fixed
        self.slots = slots

    @classmethod
    def load(cls, name: str) -> "Template":
        """Cut a file of the package `static` at its slots."""
        parts = re.split(r"\{\{(\w+)\}\}", (files("static") / name).read_text("utf-8"))
        return cls([part.encode() for part in parts[::2]], parts[1::2])

    def fill(self, values: Mapping[str, bytes]) -> "Template":
        """The same with some slots put in for good."""
        fixed, slots = [self.fixed[0]], []
        for slot, after in zip(self.slots, self.fixed[1:], strict=True):
            if slot in values:
                fixed[-1] += values[slot] + after
            else:
                slots.append(slot)
                fixed.append(after)
        return Template(fixed, slots)

    def join(self, values: Mapping[str, bytes]) -> bytes:
        """The finished page; `KeyError` when a slot has no value."""
        parts = [self.fixed[0]]
        for slot, after in zip(self.slots, self.fixed[1:], strict=True):
            parts.append(values[slot])
            parts.append(after)
        return b"".join(parts)


class WaitingPage:
    """The page of one room, ready in every view; `render` puts in what concerns one visitor at one moment."""

    def __init__(self, assets: Assets, room: str, title: str | None = None, texts: Texts | None = None) -> None:
        self.room = room
        self._texts = texts or Texts.load()
        words = {f"label_{key}": html(text) for key, text in self._texts.data["labels"].items()}
        template = Template.load("waiting.html").fill(
            words
            | page_frame(assets, self._texts)
            | {
                "script": html(assets.url("waiting.js")),
                "status_url": html(f"{STATUS_PATH}?room={quote(room, safe='')}"),
                "shop": html(title or ""),
                "no_shop": hidden_unless(bool(title)),
                "title_tail": html(f" – {title}" if title else ""),
                "texts": data(self._texts.for_script()),
            }
        )
        self._title = html(self._texts.view("waiting", "title"))
        self._halves: dict[tuple[object, ...], Template] = {}
        self._views = {view: template.fill(self._view_words(view)) for view in self._texts.data["views"]}

    def __repr__(self) -> str:
        return f"<WaitingPage {self.room} {self._texts.language}>"

    def render(self, status: Status, *, cookies_missing: bool = False, now: float | None = None) -> bytes:
        """The page that shows `status`. `now`, the wall clock in seconds, dates the page and sets the bar.

        `cookies_missing` replaces all figures by the explanation that the place is kept in a cookie.
        """
        view = "cookies" if cookies_missing else view_of(status)
        return self._half(view, status, now).join(self._own_values(status, now))

    def _view_words(self, view: str) -> dict[str, bytes]:
        words = {key: html(self._texts.view(view, key)) for key in ("headline", "next")}
        if view != "waiting":
            words["title"] = html(self._texts.view(view, "title"))
        return words | {"view": html(view), "no_again": hidden_unless(view == "cookies")}

    def _half(self, view: str, status: Status, now: float | None) -> Template:
        """The view with everything filled in that visitors of the same minute share; few of these are alive at once."""
        in_line = view == "waiting"
        progress = progress_percent(status, now) if in_line else None
        shared = (
            view,
            self._texts.wait_step(status.eta_p50_s),
            self._texts.within_step(status.eta_p50_s, status.eta_p90_s) if in_line else None,
            status.retry_after_s,
            None if now is None or view == "cookies" else now // 60,
            status.first_seen // 60 if in_line and status.first_seen is not None else None,
            progress,
            status.position is not None,
            status.message,
            status.stock,
            status.opens_at,
        )
        half = self._halves.get(shared)
        if half is None:
            if len(self._halves) >= MAX_HALVES:
                self._halves.clear()
            values = self._shared_values(view, status, now, progress)
            half = self._halves[shared] = self._views[view].fill(values)
        return half

    def _own_values(self, status: Status, now: float | None) -> dict[str, bytes]:
        """What concerns one visitor at one moment."""
        texts = self._texts
        values = {
            "now": b"" if now is None else timestamp(now).encode(),
            "status": data(status.to_json().decode()),
        }
        if status.position is None:
            return values | {"place": b"", "long_place": b"", "title": html(texts.get("labels", "place_unknown"))}
        place = texts.number(status.position)
        values["place"] = shown = html(place)
        values["long_place"] = b' class="long"' if len(place) > LONG_PLACE else b""
        values["title"] = self._title.replace(b"{place}", shown)
        return values

    def _shared_values(self, view: str, status: Status, now: float | None, progress: int | None) -> dict[str, bytes]:
        texts = self._texts
        in_line = view == "waiting"
        within = texts.within(status.eta_p50_s, status.eta_p90_s)
        shows_opening = view == "early" and status.opens_at is not None
        dated = now is not None and view != "cookies"
        since = status.first_seen if in_line else None
        return {
            "refresh": refresh(view, status),
            "no_place": hidden_unless(in_line and status.position is not None),
            "no_opens": hidden_unless(shows_opening),
            "opens": b"" if status.opens_at is None else html(texts.day_and_clock(status.opens_at)),
            "no_progress": hidden_unless(progress is not None),
            "progress": b"0" if progress is None else b"%d" % progress,
            "no_wait": hidden_unless(in_line),
            "wait": html(texts.wait(status.eta_p50_s)),
            "no_within": hidden_unless(in_line and within is not None),
            "within": html(within or ""),
            "no_stock": hidden_unless(in_line and status.stock is not None),
            "stock": html(self._stock(status.stock)),
            "no_message": hidden_unless(view != "cookies" and bool(status.message)),
            "message": html(status.message or ""),
            "no_updated": hidden_unless(dated),
            "updated": b"" if now is None else html(texts.get("labels", "updated", time=texts.clock(now))),
            "no_since": hidden_unless(since is not None),
            "since": b"" if since is None else html(texts.get("labels", "since", time=texts.clock(since))),
        }

    def _stock(self, stock: int | None) -> str:
        return self._texts.number(stock) if stock else self._texts.get("labels", "stock_none")


class ErrorPage:
    """The page for a request that failed: what happened, whose fault it is, when another try makes sense."""

    def __init__(self, assets: Assets, texts: Texts | None = None) -> None:
        self._texts = texts or Texts.load()
        words = {"label_try_again": html(self._texts.get("labels", "try_again"))}
        self._template = Template.load("error.html").fill(words | page_frame(assets, self._texts))

    def render(
        self,
        status_code: int,
        title: str | None = None,
        explanation: str | None = None,
        retry_after_s: float | None = None,
    ) -> bytes:
        """The page of that code; title and explanation come from the language's file unless given."""
        texts = self._texts
        return self._template.join(
            {
                "title": html(title or texts.error(status_code, "title")),
                "explanation": html(explanation or texts.error(status_code, "explanation")),
                "no_retry": hidden_unless(retry_after_s is not None or status_code >= 500),
                "retry": html(texts.retry(retry_after_s)),
                "code": html(texts.get("errors", "code", code=str(status_code))),
            }
        )


def view_of(status: Status) -> str:
    """Which of the page's views shows this state; "over for good" looks different from "not now"."""
    if status.state in (State.SOLD_OUT, State.CLOSED) and status.poll_after_s is None:
        return f"{status.state.value}_final"
    return status.state.value


def progress_percent(status: Status, now: float | None) -> int | None:
    """The part of the whole wait that is over. From time, not from places: the line does not move evenly."""
    if now is None or status.first_seen is None or status.eta_p50_s is None:
        return None
    waited_s = max(0.0, now - status.first_seen)
    whole_s = waited_s + max(0.0, status.eta_p50_s)
    return min(99, int(100 * waited_s / whole_s)) if whole_s > 0 else 99


def refresh(view: str, status: Status) -> bytes:
    """The whole job with scripts off: load this address again when told.

    A browser that runs scripts but got none of ours (the file did not arrive, or is too new for it) would wait for
    ever: the second, slow refresh is for it. The script calls that one off.
    """
    if view == "cookies":
        after_s: int | None = COOKIES_REFRESH_S
    elif view == State.ADMITTED:
        after_s = 1
    else:
        after_s = status.retry_after_s
    if after_s is None:
        return b""
    return (
        b'<noscript><meta http-equiv="refresh" content="%d"></noscript>\n'
        b'<meta http-equiv="refresh" content="%d">\n' % (after_s, max(RESCUE_REFRESH_S, after_s))
    )


def page_frame(assets: Assets, texts: Texts) -> dict[str, bytes]:
    """What both templates need around their words."""
    return {
        "language": html(texts.language),
        "direction": html(texts.direction),
        "css": html(assets.url("waiting.css")),
        "icon": html(assets.url("icon.svg")),
    }


def hidden_unless(shown: bool) -> bytes:
    return b"" if shown else b" hidden"


def html(text: str) -> bytes:
    """Text as HTML, safe in an element and in a quoted attribute."""
    return escape(text).encode("utf-8", "replace")


def data(json_text: str) -> bytes:
    """JSON as an element's text: quotes stay, and cost nothing."""
    return escape(json_text, quote=False).encode("utf-8", "replace")
