"""Every view that a visitor can meet, in every language, without a server: the bytes are those that the edge sends."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from playwright.async_api import BrowserContext, Route

from waiting_room.assets import Assets
from waiting_room.error_page import ErrorPage
from waiting_room.face import Colors, Face
from waiting_room.interlude_page import InterludePage
from waiting_room.language_choice import Languages
from waiting_room.language_page import LanguagePage
from waiting_room.page import WaitingPage
from waiting_room.status import OVER, State, Status

__all__ = ["AXE", "ORIGIN", "VIEWS", "documents", "serve"]

ORIGIN: Final = "https://shop.test"
ASSETS: Final = Assets.load()
LANGUAGES: Final = Languages()
NOW: Final = 1_795_000_000.0
ROOM: Final = "checkout"
#: axe-core, the engine that checks a page by the rules of WCAG (MPL 2.0, by Deque Systems).
AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
DRAW: Final = (
    f'{{"sale": "drop", "commitment": "{"ab" * 32}", "seed": null, "opens_at": "2026-11-21T10:00:00.000Z", '
    '"window_seconds": 2}'
)


def _line(paused: str | None = None, stock: int | None = 1234, moved_back_s: float = 0.0) -> Status:
    is_moving = paused is None
    return Status(
        State.WAITING, ROOM, 1_234_567, 5000.0 if is_moving else None, 9000.0 if is_moving else None, 30.0, NOW - 4000,
        "One per person. 1人1点まで", stock, moved_back_s=moved_back_s, paused=paused,
    )  # fmt: skip


STATUSES: Final[Mapping[str, Status]] = {
    "waiting": _line(),
    "moved back": _line(moved_back_s=900.0, stock=0),
    "shop down": _line("upstream"),
    "paused": _line("operator"),
    "admitted": Status(State.ADMITTED, ROOM),
    "joining": Status(State.JOINING, ROOM, poll_after_s=60.0),
    "early": Status(State.EARLY, ROOM, poll_after_s=30.0, opens_at=NOW + 4000),
    "pre-queue": Status(State.EARLY, ROOM, 12, poll_after_s=30.0, first_seen=NOW - 60, opens_at=NOW + 90_000),
    "draw": Status(State.EARLY, ROOM, poll_after_s=30.0, first_seen=NOW, opens_at=NOW + 60, draw=DRAW, ticket="a1b2"),
    "sale over": Status(State.CLOSED, ROOM, paused=OVER),
    "sold out": Status(State.SOLD_OUT, ROOM, poll_after_s=30.0, first_seen=NOW - 60),
    "all held": Status(State.SOLD_OUT, ROOM, 12, poll_after_s=30.0, first_seen=NOW - 60, stock=0, held=1037),
    "sold out for good": Status(State.SOLD_OUT, ROOM),
    "closed": Status(State.CLOSED, ROOM, poll_after_s=30.0),
    "closed for good": Status(State.CLOSED, ROOM),
}
FACE: Final = Face(
    Colors("#ffb4a2", "#1b1030", "#f4eeff"),
    "/logo.svg",
    (("Help and contact", "https://shop.example/help"), ("Delivery", "/delivery")),
    "Lumen Records Ltd, 1 Long Lane, Bristol",
)
VIEWS: Final = (
    *STATUSES,
    "own face",
    *("cookies", "form not kept", "error", "too large", "trying again", "form sent", "form not sent", "again"),
    *("form lost", "languages"),
)


def documents(language: str) -> dict[str, bytes]:
    """Return every view in a language."""
    texts = LANGUAGES.texts(language)
    page = WaitingPage(ASSETS, ROOM, "Lumen Records", texts, away_s=900.0, has_choice=True)
    errors = ErrorPage(ASSETS, texts, has_choice=True)
    made = {name: page.render(status, now=NOW) for name, status in STATUSES.items()}
    made["own face"] = WaitingPage(ASSETS, ROOM, "Lumen Records", texts, face=FACE).render(_line(), now=NOW)
    made["cookies"] = page.render(_line(), now=NOW, cookies_missing=True)
    made["form not kept"] = page.render(_line(), now=NOW, form_url="")
    made["error"] = errors.render(504, retry_after_s=600)
    made["too large"] = errors.render(413, detail="the body is larger than 10 MB")
    made["trying again"] = errors.render_trying(503, 30)
    made["form sent"] = errors.render_form(504, is_sent=True)
    made["form not sent"] = errors.render_form(503, is_sent=False)
    made["again"] = InterludePage(ASSETS, "again", loads_itself=False, texts=texts).render("")
    made["form lost"] = InterludePage(ASSETS, "form_lost", loads_itself=False, texts=texts).render("/checkout")
    made["languages"] = LanguagePage(ASSETS, LANGUAGES).render(language, "/checkout")
    assert made.keys() == set(VIEWS)
    return made


async def serve(context: BrowserContext, pages: Mapping[str, bytes], *, has_scripts: bool = False) -> None:
    """Answer a context's requests for ORIGIN with these pages by their path, and with the files of the edge."""

    async def answer(route: Route) -> None:
        path = route.request.url.removeprefix(ORIGIN)
        asset = ASSETS.get(path.rpartition("/")[2])
        if asset is not None and (has_scripts or not path.endswith(".js")):
            await route.fulfill(body=asset.body, content_type=asset.content_type)
        elif path in pages:
            await route.fulfill(body=pages[path], content_type="text/html; charset=utf-8")
        else:
            await route.abort()

    await context.route("**/*", answer)
