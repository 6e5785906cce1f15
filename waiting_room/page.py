"""The page of those who wait, as bytes: in every view of a room, in every coding.

Rule: no template work and no compression while serving. At the start the template is cut at its `{{slots}}`, and all
that does not change from visitor to visitor (words, addresses, labels) is put in, once for every view of a room. What
is left are a few values, each in a slot of fixed width (`slots.py`), so the bytes between them are compressed once.

    waiting.html --cut--> Template --fill(words of a view)--> Template --fill(what seldom changes)--> PreparedDocument
                 --values that visitors of one minute share--> Half --values of one visitor--> bytes

The page carries the visitor's first status document and all words for the script in `<template>` elements, so
it is right before, without and with the script, and both say the same.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from waiting_room.assets import Assets
from waiting_room.frame import page_frame
from waiting_room.placeholders import Coding, PreparedDocument, trailer
from waiting_room.status import State, Status, timestamp
from waiting_room.template import Template, data, hidden_unless, html
from waiting_room.texts import Texts, fill

__all__ = ["STATUS_PATH", "WaitingPage"]

STATUS_PATH = "/_stanchion/status"

LONG_PLACE: Final = 7
"""A place with more characters than "999,999" is set smaller, so that it fits a phone."""

MAX_HALVES: Final = 512
"""Pages with the values of a minute that are kept at once: some 500 bytes each."""

MAX_VARIANTS: Final = 128
"""Pages that differ in more than their slots' values, kept at once: some 12 kB each, in all codings."""

#: The slots: those of one visitor, then those that visitors of the same minute share. A slot is as wide as its value,
#: rounded up to so many bytes: wide enough for the next visitor's, and no more variants than that takes.
OWN: Final = {"title": 32, "now": 8, "place": 12, "status": 64}
SHARED: Final = {
    "refresh": 16,
    "progress": 2,
    "wait": 32,
    "within": 32,
    "held": 16,
    "stock": 16,
    "updated": 16,
    "since": 16,
}

COOKIES_REFRESH_S: Final = 60
"""How soon a page that explains cookies looks again with scripts off: too slow for a loop to hurt."""

RESCUE_REFRESH_S: Final = 60
"""How soon the page loads itself again when its script never came."""


class WaitingPage:
    """The page of one room, ready in every view; `render` puts in what concerns one visitor at one moment."""

    def __init__(
        self,
        assets: Assets,
        room: str,
        title: str | None = None,
        texts: Texts | None = None,
        away_s: float | None = None,
        join_s: float = 60.0,
    ) -> None:
        """away_s: for how long a place is kept for a visitor who does not ask; None: as long as the ticket lasts.

        join_s: how long those wait for a place who do not solve the puzzle.
        """
        self.room = room
        self._texts = texts or Texts.load()
        if away_s is not None:
            said = fill(self._texts.view("waiting", "next_away"), {"away": self._texts.at_most(away_s)})
            self._texts = self._texts.with_view("waiting", "next", said)
        puzzled = fill(self._texts.view("joining", "next"), {"wait": self._texts.wait(join_s)})
        self._texts = self._texts.with_view("joining", "next", puzzled)
        words = {f"label_{key}": html(text) for key, text in self._texts.data["labels"].items()}
        template = Template.load("waiting.html").fill(
            words
            | page_frame(assets, self._texts)
            | {
                "script": html(assets.url("waiting.js")),
                "worker": html(assets.url("proof.js")),
                "status_url": html(f"{STATUS_PATH}?room={quote(room, safe='')}"),
                "shop": html(title or ""),
                "no_shop": hidden_unless(bool(title)),
                "title_tail": html(f" – {title}" if title else ""),
                "texts": data(self._texts.for_script()),
            }
        )
        self._is_plain = data(room) == room.encode()
        self._before_place, _, self._behind_place = html(self._texts.view("waiting", "title")).partition(b"{place}")
        self._thousands = html(self._texts.data["thousands"])
        self._title_unknown = html(self._texts.get("labels", "place_unknown"))
        self._halves: dict[tuple[object, ...], Half] = {}
        self._variants: dict[tuple[object, ...], Variant] = {}
        self._views = {view: template.fill(self._view_words(view)) for view in self._texts.data["views"]}

    def __repr__(self) -> str:
        return f"<WaitingPage {self.room} {self._texts.language}>"

    def render(
        self, status: Status, *, cookies_missing: bool = False, now: float | None = None, coding: Coding = ""
    ) -> bytes:
        """The page that shows `status`, in that coding. `now`, wall clock in seconds, dates the page and sets the bar.

        `cookies_missing` replaces all figures by the explanation that the place is kept in a cookie.
        """
        view = "cookies" if cookies_missing else view_of(status)
        own = self._own_values(status, now)
        return self._half(view, status, now, own).render(own, coding)

    def _view_words(self, view: str) -> dict[str, bytes]:
        words = {key: html(self._texts.view(view, key)) for key in ("headline", "next")}
        if view != "waiting":
            words["title"] = html(self._texts.view(view, "title"))
        return words | {"view": html(view), "no_again": hidden_unless(view == "cookies")}

    def _own_values(self, status: Status, now: float | None) -> tuple[bytes, ...]:
        """What concerns one visitor at one moment, in the order of OWN."""
        document = status.to_json()
        # Nothing else in it is text; and `<` in it would be looked for at every visit.
        if status.message or status.challenge or status.room != self.room or not self._is_plain:
            document = data(document.decode())
        moment = b"" if now is None else timestamp(now).encode()
        if status.position is None:
            return self._title_unknown, moment, b"", document
        place = grouped(status.position, self._thousands)
        return b"%b%b%b" % (self._before_place, place, self._behind_place), moment, place, document

    def _half(self, view: str, status: Status, now: float | None, own: tuple[bytes, ...]) -> "Half":
        """The view with everything filled in that visitors of the same minute share; few of these are alive at once."""
        in_line = view == "waiting"
        all_held = view == "all_held"
        progress = progress_percent(status, now) if in_line else None
        shared = (
            view,
            self._texts.steps(status.eta_p50_s, status.eta_p90_s),
            status.retry_after_s,
            None if now is None or view == "cookies" else int(now) // 60,
            int(status.first_seen) // 60 if in_line and status.first_seen is not None else None,
            progress,
            len(own[1]),
            len(own[2]),
            width(own[3], OWN["status"]),
            status.message,
            status.stock,
            status.held if all_held else None,
            status.opens_at,
            self._texts.wait_step(status.moved_back_s) if status.moved_back_s else None,
        )
        half = self._halves.get(shared)
        if half is None:
            if len(self._halves) >= MAX_HALVES:
                self._halves.clear()
            half = self._halves[shared] = self._filled(view, status, now, progress, own)
        return half

    def _filled(
        self, view: str, status: Status, now: float | None, progress: int | None, own: tuple[bytes, ...]
    ) -> "Half":
        """The variant of the page that shows this, with the shared values in."""
        texts = self._texts
        in_line, all_held = view == "waiting", view == "all_held"
        within = texts.within(status.eta_p50_s, status.eta_p90_s)
        since = status.first_seen if in_line else None
        moved = texts.get("notices", "moved", wait=texts.wait(status.moved_back_s)) if status.moved_back_s else ""
        fixed = {
            "no_place": hidden_unless((in_line or all_held) and status.position is not None),
            "long_place": b' class="long"' if len(own[2]) > LONG_PLACE else b"",
            "no_opens": hidden_unless(view == "early" and status.opens_at is not None),
            "opens": b"" if status.opens_at is None else html(texts.day_and_clock(status.opens_at)),
            "no_progress": hidden_unless(progress is not None),
            "no_wait": hidden_unless(in_line),
            "no_within": hidden_unless(in_line and within is not None),
            "no_stock": hidden_unless(in_line and status.stock is not None),
            "no_held": hidden_unless(all_held),
            "no_message": hidden_unless(view != "cookies" and bool(status.message)),
            "message": html(status.message or ""),
            "no_notice": hidden_unless(in_line and bool(status.moved_back_s)),
            "notice": html(moved) if in_line else b"",
            "no_updated": hidden_unless(now is not None and view != "cookies"),
            "no_since": hidden_unless(since is not None),
        }
        shared = {
            "refresh": refresh(view, status),
            "progress": b"%02d" % (progress or 0),
            "wait": html(texts.wait(status.eta_p50_s)),
            "within": html(within or ""),
            "held": html(texts.number(status.held or 0)),
            "stock": html(texts.number(status.stock) if status.stock else texts.get("labels", "stock_none")),
            "updated": b"" if now is None else html(texts.get("labels", "updated", time=texts.clock(now))),
            "since": b"" if since is None else html(texts.get("labels", "since", time=texts.clock(since))),
        }
        widths = {slot: width(value, OWN[slot]) for slot, value in zip(OWN, own, strict=True)}
        widths |= {slot: width(value, SHARED[slot]) for slot, value in shared.items()}
        known_by = (view, *fixed.values(), *widths.values())
        variant = self._variants.get(known_by)
        if variant is None:
            if len(self._variants) >= MAX_VARIANTS:
                self._variants.clear()
            variant = self._variants[known_by] = Variant(self._views[view].fill(fixed), widths)
        return Half(variant, shared)


class Variant:
    """The page with all words in, and slots where figures go."""

    __slots__ = ("page", "slots")

    def __init__(self, template: Template, widths: Mapping[str, int]) -> None:
        self.slots = template.slots
        self.page = PreparedDocument(template.fixed, [widths[slot] for slot in template.slots])


class Half:
    """A variant with the values that visitors of one minute share; `render` puts in those of one visitor."""

    __slots__ = ("_order", "_own", "_page", "_ready", "_values")

    def __init__(self, variant: Variant, shared: Mapping[str, bytes]) -> None:
        self._page = page = variant.page
        self._values = [shared.get(slot, b"").ljust(w) for slot, w in zip(variant.slots, page.widths, strict=True)]
        order, slots = list(OWN), variant.slots
        self._own = [at for at, slot in enumerate(slots) if slot in OWN]
        self._order = [(order.index(slots[at]), page.widths[at]) for at in self._own]
        self._ready: dict[Coding, list[bytes]] = {}

    def render(self, own: tuple[bytes, ...], coding: Coding) -> bytes:
        """own: in the order of OWN."""
        ready = self._ready.get(coding)
        if ready is None:
            ready = self._ready[coding] = self._joined(coding)
        parts = ready.copy()
        at = 1
        for which, wide in self._order:
            parts[at] = own[which].ljust(wide)
            at += 2
        body = b"".join(parts)
        return body + trailer(self.render(own, "")) if coding == "gzip" else body

    def _joined(self, coding: Coding) -> list[bytes]:
        """What lies between the values of one visitor, each in one piece, and room for these."""
        parts = self._page.parts(self._values, coding)
        joined, begin = [], 0
        for at in self._own:
            joined += [b"".join(parts[begin : 2 * at + 1]), b""]
            begin = 2 * at + 2
        return [*joined, b"".join(parts[begin:])]


def view_of(status: Status) -> str:
    """Which of the page's views shows this state; "over for good" looks different from "not now" and "not all paid"."""
    state = status.state
    if state is State.SOLD_OUT or state is State.CLOSED:
        if status.poll_after_s is None:
            return f"{state.value}_final"
        if state is State.SOLD_OUT and status.held:
            return "all_held"
    return _VIEWS[state]


#: An enumeration's `value` is read through Python code of its own.
_VIEWS: Final = {state: state.value for state in State}


def grouped(n: int, separator: bytes) -> bytes:
    """A number with a separator between its thousands."""
    if n < 1000:
        return str(n).encode()
    return b"%b%b%b" % (grouped(n // 1000, separator), separator, _THREE_DIGITS[n % 1000])


_THREE_DIGITS: Final = [b"%03d" % n for n in range(1000)]


def width(value: bytes, step: int) -> int:
    """How wide a slot is that holds this value."""
    return -(-len(value) // step) * step


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
