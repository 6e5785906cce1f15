"""Every view that a visitor of a room can meet, with sample figures: the bytes are those that the edge sends."""

from collections.abc import Mapping, Sequence
from typing import Final

from edge.rooms.pages import languages_of, pages_of
from edge.settings.model import Settings
from edge.settings.room import RoomSettings
from edge.support.errors import EdgeError
from waiting_room.assets import Assets
from waiting_room.error_page import ErrorPage
from waiting_room.interlude_page import InterludePage
from waiting_room.language_page import LanguagePage
from waiting_room.page import WaitingPage
from waiting_room.status import LEFT, MISSED, MOVED, OVER, State, Status
from waiting_room.texts import Texts
from waiting_room.transfer_page import TransferPages

__all__ = ["NOW", "PageViews", "other_pages", "statuses", "views_of_room"]

NOW: Final = 1_795_000_000.0
"""The time at which the samples are taken: Unix time in seconds."""
LINK: Final = f"https://shop.example/_stanchion/move?room=checkout&t=x1.{'a' * 180}&back=/"
"""As long as the link is by which a place moves to another device."""
DRAW: Final = (
    f'{{"sale": "drop", "commitment": "{"ab" * 32}", "seed": null, "opens_at": "2026-11-21T10:00:00.000Z", '
    '"window_seconds": 2}'
)


def statuses(room: str, message: str | None, *, has_stock: bool = True) -> dict[str, Status]:
    """Return a status for every view, by its name. message: that of the room."""
    stock = 1234 if has_stock else None

    def line(paused: str | None = None, moved_back_s: float = 0.0) -> Status:
        is_moving = paused is None
        p50_s, p90_s = (5000.0, 9000.0) if is_moving else (None, None)
        made = Status(State.WAITING, room, 1_234_567, p50_s, p90_s, 30.0, NOW - 4000, message, stock, paused=paused)
        made.moved_back_s = moved_back_s
        return made

    soon, later = NOW + 4000, NOW + 90_000
    return {
        "waiting": line(),
        "nearly in": Status(State.WAITING, room, 12, 50.0, 70.0, 5.0, NOW - 900, message, 3 if has_stock else None),
        "moved back": line(moved_back_s=900.0),
        "shop down": line("upstream"),
        "paused": line("operator"),
        "admitted": Status(State.ADMITTED, room, message=message),
        "joining": Status(State.JOINING, room, poll_after_s=60.0, message=message),
        "early": Status(State.EARLY, room, poll_after_s=30.0, opens_at=soon, message=message),
        "pre-queue": Status(State.EARLY, room, 12, poll_after_s=30.0, first_seen=NOW - 60, opens_at=later),
        "draw": Status(
            State.EARLY, room, poll_after_s=30.0, first_seen=NOW, opens_at=NOW + 60, draw=DRAW, ticket="a1b2"
        ),
        "sale over": Status(State.CLOSED, room, paused=OVER),
        "sold out": Status(State.SOLD_OUT, room, poll_after_s=30.0, first_seen=NOW - 60),
        "all held": Status(State.SOLD_OUT, room, 12, poll_after_s=30.0, first_seen=NOW - 60, stock=0, held=1037),
        "sold out for good": Status(State.SOLD_OUT, room, message=message),
        "closed": Status(State.CLOSED, room, poll_after_s=30.0, message=message),
        "closed for good": Status(State.CLOSED, room, message=message),
        "left": Status(State.CLOSED, room, paused=LEFT),
        "moved": Status(State.CLOSED, room, paused=MOVED),
        "turn": Status(State.WAITING, room, poll_after_s=15.0, first_seen=NOW - 60, confirm_by=NOW + 103),
        "missed": Status(State.WAITING, room, poll_after_s=15.0, first_seen=NOW - 60, confirm_by=MISSED),
    }


def with_cookies(page: WaitingPage, status: Status) -> dict[str, bytes]:
    """Return the views that depend on what the browser keeps."""
    return {
        "cookies": page.render(status, now=NOW, cookies_missing=True),
        "form not kept": page.render(status, now=NOW, form_url=""),
    }


def other_pages(assets: Assets, texts: Texts, *, has_choice: bool) -> dict[str, bytes]:
    """Return the pages that belong to no room."""
    errors, places = ErrorPage(assets, texts, has_choice=has_choice), TransferPages(assets, texts)
    return {
        "leave": places.sure("checkout", "/"),
        "transfer": places.link(LINK, "/"),
        "take": places.take("/"),
        "used": places.used(),
        "error": errors.render(504, retry_after_s=600),
        "too large": errors.render(413, detail="the body is larger than 10 MB"),
        "trying again": errors.render_trying(503, 30),
        "form sent": errors.render_form(504, is_sent=True),
        "form not sent": errors.render_form(503, is_sent=False),
        "too many requests": errors.render(429, retry_after_s=40),
        "not allowed": errors.render(403),
        "not found": errors.render(404),
        "again": InterludePage(assets, "again", loads_itself=False, texts=texts).render(""),
        "form lost": InterludePage(assets, "form_lost", loads_itself=False, texts=texts).render("/"),
    }


class PageViews:
    """The views of one room by language, and the files that they load."""

    def __init__(self, settings: Settings, room: RoomSettings, wanted: Sequence[str] = ()) -> None:
        """wanted: the names of views; () for all."""
        self.room, self.assets = room, Assets.load()
        self._wanted = tuple(wanted)
        self.languages = languages_of(settings)
        self._pages = pages_of(room, settings.page_files, self.assets, self.languages)
        self._choice = LanguagePage(self.assets, self.languages)

    def documents(self, language: str) -> Mapping[str, bytes]:
        """Return every view in a language, by its name."""
        page = self._pages.page(language, "")
        samples = statuses(self.room.name, self.room.page.message)
        made = {name: page.render(status, now=NOW) for name, status in samples.items()}
        made |= with_cookies(page, samples["waiting"])
        made |= other_pages(self.assets, self.languages.texts(language), has_choice=self.languages.is_choice)
        if self.languages.is_choice:
            made["languages"] = self._choice.render(language, "/")
        return {name: made[name] for name in self._wanted} if self._wanted else made


def views_of_room(settings: Settings, name: str | None, wanted: Sequence[str] = ()) -> PageViews:
    """Return the views of a room, by default of the first. Raises EdgeError if there is no such room or view."""
    room = next((room for room in settings.rooms if name is None or room.name == name), None)
    if room is None:
        raise EdgeError(f"--room {name}: there is no such room; there are {', '.join(r.name for r in settings.rooms)}")
    views = PageViews(settings, room)
    known = views.documents(views.languages.default)
    for view in wanted:
        if view not in known:
            raise EdgeError(f"--view {view!r}: there is no such view; there are {', '.join(known)}")
    return PageViews(settings, room, wanted) if wanted else views
