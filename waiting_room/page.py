"""The waiting page as bytes: in every view of a room and in every content coding.

Rule: no template work and no compression while serving. At the start the template is cut at its `{{placeholders}}`.
Everything that is the same for all visitors (texts, addresses, labels) is inserted once for every view of a room. The
few remaining values are inserted into placeholders of fixed width (`placeholders.py`), so the bytes between them are
compressed once.

    waiting.html --cut--> Template --fill(texts of a view)--> Template --fill(values that rarely change)-->
    PreparedDocument --values that visitors of one minute share--> MinutePage --values of one visitor--> bytes

The page contains the visitor's first status document, and all texts of the script, in `<template>` elements. So it is
right before, without and with the script, and both say the same.
"""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from waiting_room.assets import Assets
from waiting_room.face import Face
from waiting_room.filling import filled
from waiting_room.frame import page_frame
from waiting_room.opening import opening_values, seconds_left, with_draw
from waiting_room.placeholders import Coding, PreparedDocument, trailer
from waiting_room.progress import progress_percent
from waiting_room.refresh import refresh, with_form
from waiting_room.status import Status, timestamp
from waiting_room.template import Template, data, hidden_unless, html
from waiting_room.texts import Texts
from waiting_room.turn import has_acts, pass_text, turn_left_s, with_turn
from waiting_room.views import PLACE_ONLY, SHOP_LINK, view_of

__all__ = ["STATUS_PATH", "WaitingPage"]

STATUS_PATH = "/_stanchion/status"

LONG_PLACE: Final = 7
"""A place with more characters than "999,999" gets a smaller font, so that it fits on a phone."""

MAX_MINUTE_PAGES: Final = 512
"""The number of cached `MinutePage`s, a few kB each."""

MAX_VARIANTS: Final = 128
"""The number of cached `Variant`s, about 12 kB each in all codings."""

MAX_BYTES: Final = 4_000_000
"""The memory of all `Variant`s of a page, and half of that of all its `MinutePage`s, bytes."""

MAX_SAVING_BYTES: Final = 700_000
"""The memory of all `Variant`s, and of all `MinutePage`s, of a page that saves memory, bytes."""

#: The placeholders: first those of one visitor, then those that visitors of the same minute share. A placeholder is as
#: wide as its value, rounded up to a multiple of these bytes: so the next visitor's value fits, and variants are few.
OWN: Final = {"title": 32, "now": 8, "place": 12, "status": 64, "ticket": 24}
SHARED: Final = {
    "refresh": 16,
    "progress": 2,
    "wait": 32,
    "within": 32,
    "held": 16,
    "stock": 16,
    "updated": 16,
    "since": 16,
    "countdown": 8,
    "left": 8,
}


class WaitingPage:
    """The page of one room in every view. `render` inserts the values of one visitor at one moment."""

    def __init__(
        self,
        assets: Assets,
        room: str,
        title: str | None = None,
        texts: Texts | None = None,
        away_s: float | None = None,
        join_s: float = 60.0,
        *,
        has_choice: bool = False,
        saves_memory: bool = False,
        face: Face | None = None,
        pass_s: float = 0.0,
        home: str = "/",
    ) -> None:
        """Prepare the page of a room.

        away_s: the time for which an absent visitor keeps their place; None means as long as the ticket lasts.
        join_s: the time after which a visitor without scripts gets a place, if the room has a join challenge.
        has_choice: the visitor may choose another language. saves_memory: keep less than 2 MB.
        face: what the shop adds to the page. pass_s: how long a pass lasts at least. home: the address of the shop.
        """
        self.room = room
        self.texts = (texts or Texts.load()).of_room(away_s, join_s)
        labels = {f"label_{key}": html(text) for key, text in self.texts.data["labels"].items()}
        look = face or Face()
        self.policy: Final = look.policy
        template = look.page().fill(
            labels
            | page_frame(assets, self.texts, has_choice=has_choice)
            | look.values(assets, room, title)
            | {
                "name": html(room),
                "label_pass": html(pass_text(self.texts, pass_s)),
                "home": html(home),
                "script": html(assets.url("waiting.js")),
                "worker": html(assets.url("proof.js")),
                "status_url": html(f"{STATUS_PATH}?room={quote(room, safe='')}"),
                "texts": data(self.texts.for_script()),
            }
        )
        self.is_plain = data(room) == room.encode()
        self.around_place = html(self.texts.view("waiting", "title")).partition(b"{place}")
        self.numbers = self.texts.numbers
        self._title_unknown = html(self.texts.get("labels", "place_unknown"))
        self._minute_pages: dict[tuple[object, ...], MinutePage] = {}
        self._variants: dict[tuple[object, ...], Variant] = {}
        self._views = {view: template.fill(self._view_texts(view)) for view in self.texts.data["views"]}
        self._most_variants, self._most_minute_pages = self._most_cached(saves_memory=saves_memory)

    def __repr__(self) -> str:
        return f"<WaitingPage {self.room} {self.texts.language}>"

    def render(
        self,
        status: Status,
        *,
        cookies_missing: bool = False,
        now: float | None = None,
        coding: Coding = "",
        form_url: str | None = None,
    ) -> bytes:
        """Return the page that shows `status`, in a content coding.

        now: Unix time in seconds, for the date of the page and the progress bar.
        cookies_missing: show the explanation that the place is kept in a cookie instead of all figures.
        form_url: where the page goes on, because it answers a form that is kept; '' if the form is not kept. Not in a
        coding.
        """
        view = "cookies" if cookies_missing else view_of(status)
        own = self._own_values(status, now)
        page = self._minute_page(view, status, now, own).render(own, coding)
        if form_url is None:
            return page
        return with_form(page, html(form_url), html(self.texts.get("notices", "form_not_kept")))

    def _most_cached(self, *, saves_memory: bool) -> tuple[int, int]:
        """Return the numbers of cached `Variant`s and `MinutePage`s. The codings need as much as the page itself."""
        size = sum(len(fixed) for fixed in self._views["waiting"].fixed)
        if not saves_memory:  # a shop's own template may be large
            return min(MAX_VARIANTS, MAX_BYTES // (2 * size)), min(MAX_MINUTE_PAGES, 2 * MAX_BYTES // size)
        most = MAX_SAVING_BYTES // (2 * size)
        return min(MAX_VARIANTS, most), most

    def _view_texts(self, view: str) -> dict[str, bytes]:
        texts = {key: html(self.texts.view(view, key)) for key in ("headline", "next")}
        if view != "waiting":
            texts["title"] = html(self.texts.view(view, "title"))
        icon = b"#turn" if view in ("turn", "admitted") else b""
        return texts | {
            "view": html(view),
            "icon_part": icon,
            "no_again": hidden_unless(view == "cookies"),
            "no_home": hidden_unless(view in SHOP_LINK),
        }

    def _own_values(self, status: Status, now: float | None) -> tuple[bytes, ...]:
        """Return the values of one visitor at one moment, in the order of OWN."""
        document = status.to_json()
        # Nothing else in it is free text, so in all other cases the search for `<` is saved.
        if status.message or status.challenge or status.ticket or status.room != self.room or not self.is_plain:
            document = data(document.decode())
        moment = b"" if now is None else timestamp(now).encode()
        ticket = html(status.ticket) if status.ticket else b""
        if status.position is None:
            return self._title_unknown, moment, b"", document, ticket
        place = self.numbers.encoded(status.position)
        before, _, behind = self.around_place
        return b"%b%b%b" % (before, place, behind), moment, place, document, ticket

    def minute_page(self, status: Status, now: float) -> "MinutePage":
        """Return the view that shows `status`, with all values but those of this visitor inserted."""
        return self._minute_page(view_of(status), status, now, self._own_values(status, now))

    def _minute_page(self, view: str, status: Status, now: float | None, own: tuple[bytes, ...]) -> "MinutePage":
        """Return the view with the values that visitors of the same minute share. Few of these are in use at once."""
        in_line = view == "waiting"
        all_held = view == "all_held"
        progress = progress_percent(status, now) if in_line else None
        is_dated = in_line or view in ("shop_down", "paused")
        shared = (
            view,
            self.texts.steps(status.eta_p50_s, status.eta_p90_s),
            self.texts.short_step(status.eta_p50_s),
            status.retry_after_s,
            None if now is None or view == "cookies" else int(now) // 60,
            int(status.first_seen) // 60 if status.first_seen is not None and is_dated else None,
            progress,
            len(own[1]),
            len(own[2]),
            width(own[3], OWN["status"]),
            status.message,
            status.stock,
            status.held if all_held else None,
            status.opens_at,
            seconds_left(status, now),
            status.draw,
            self.texts.wait_step(status.moved_back_s) if status.moved_back_s else None,
            status.first_seen is None,
            turn_left_s(status, now),
        )
        page = self._minute_pages.get(shared)
        if page is None:
            if len(self._minute_pages) >= self._most_minute_pages:
                self._minute_pages.clear()
            page = self._minute_pages[shared] = self._filled(view, status, now, progress, own)
        return page

    def _filled(
        self, view: str, status: Status, now: float | None, progress: int | None, own: tuple[bytes, ...]
    ) -> "MinutePage":
        """Return the variant of the page for this status, with the shared values inserted."""
        texts = self.texts
        in_line, all_held = view == "waiting", view == "all_held"
        has_place = in_line or view in PLACE_ONLY
        within = texts.within(status.eta_p50_s, status.eta_p90_s)
        since = status.first_seen if has_place and not all_held else None
        moved = texts.get("notices", "moved", wait=texts.wait(status.moved_back_s)) if status.moved_back_s else ""
        fixed = {
            "no_place": hidden_unless(has_place and status.position is not None),
            "long_place": b' class="long"' if len(own[2]) > LONG_PLACE else b"",
            **opening_values(view, status, now, texts),
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
            "no_acts": hidden_unless(has_acts(view, status)),
        }
        shared = {
            "countdown": html(texts.countdown(seconds_left(status, now))),
            "left": html(texts.clock_of(turn_left_s(status, now) or 0)),
            "refresh": refresh(view, status),
            "progress": b"%02d" % (progress or 0),
            "wait": html(texts.wait(status.eta_p50_s)),
            "within": html(within or ""),
            "held": html(texts.number(status.held or 0)),
            "stock": html(texts.number(status.stock) if status.stock else texts.get("labels", "stock_none")),
            "updated": b"" if now is None else html(texts.get("labels", "updated", time=texts.clock(now))),
            "since": b"" if since is None else html(texts.get("labels", "since", time=texts.clock(since))),
        }
        widths = {name: width(value, OWN[name]) for name, value in zip(OWN, own, strict=True)}
        widths |= {name: width(value, SHARED[name]) for name, value in shared.items()}
        draw = "" if view == "cookies" else status.draw
        key = (view, draw, *fixed.values(), *widths.values())
        variant = self._variants.get(key)
        if variant is None:
            if len(self._variants) >= self._most_variants:
                self._variants.clear()
            page = with_turn(with_draw(self._views[view].fill(fixed), draw, texts), view, self.room, texts)
            variant = self._variants[key] = Variant(page, widths)
        return MinutePage(variant, shared)


class Variant:
    """The page with all texts inserted and with placeholders of fixed width for the figures."""

    __slots__ = ("page", "placeholders")

    def __init__(self, template: Template, widths: Mapping[str, int]) -> None:
        self.placeholders = template.placeholders
        self.page = PreparedDocument(template.fixed, [widths[name] for name in template.placeholders])


class MinutePage:
    """A variant with the values that visitors of one minute share. `render` inserts the values of one visitor."""

    __slots__ = ("_order", "_own", "_page", "_ready", "_values", "_widths")

    def __init__(self, variant: Variant, shared: Mapping[str, bytes]) -> None:
        self._page = page = variant.page
        names = variant.placeholders
        self._values = [shared.get(name, b"").ljust(w) for name, w in zip(names, page.widths, strict=True)]
        order = list(OWN)
        self._own = [at for at, name in enumerate(names) if name in OWN]
        self._order = bytes(order.index(names[at]) for at in self._own)
        self._widths = tuple(page.widths[at] for at in self._own)
        self._ready: dict[Coding, list[bytes]] = {}

    def render(self, own: tuple[bytes, ...], coding: Coding) -> bytes:
        """Return the page. own: the values of one visitor, in the order of OWN."""
        ready = self._ready.get(coding)
        if ready is None:
            ready = self._ready[coding] = self._joined(coding)
        body = filled(ready, self._order, self._widths, own)
        return body + trailer(self.render(own, "")) if coding == "gzip" else body

    def _joined(self, coding: Coding) -> list[bytes]:
        """Return the bytes between the values of one visitor, each joined to one piece, with gaps for these values."""
        parts = self._page.parts(self._values, coding)
        joined, begin = [], 0
        for at in self._own:
            joined += [b"".join(parts[begin : 2 * at + 1]), b""]
            begin = 2 * at + 2
        return [*joined, b"".join(parts[begin:])]


def width(value: bytes, step: int) -> int:
    """Return the width of the placeholder for this value: its length, rounded up to a multiple of `step`."""
    return -(-len(value) // step) * step
