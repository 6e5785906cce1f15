"""Every view that a visitor can meet, in every language, without a server: the bytes are those that the edge sends."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Final

from playwright.async_api import BrowserContext, Route

from edge.cli.page.views import NOW, other_pages, statuses
from waiting_room.assets import Assets
from waiting_room.face import Colors, Face
from waiting_room.language_choice import Languages
from waiting_room.language_page import LanguagePage
from waiting_room.page import WaitingPage

__all__ = ["AXE", "NOW", "ORIGIN", "VIEWS", "documents", "serve"]

ORIGIN: Final = "https://shop.test"
ASSETS: Final = Assets.load()
LANGUAGES: Final = Languages()
ROOM: Final = "checkout"
#: axe-core, the engine that checks a page by the rules of WCAG (MPL 2.0, by Deque Systems).
AXE: Final = (files("axe_playwright_python") / "axe.min.js").read_text("utf-8")
STATUSES: Final = statuses(ROOM, "One per person. 1人1点まで")
FACE: Final = Face(
    Colors("#ffb4a2", "#1b1030", "#f4eeff"),
    "/logo.svg",
    (("Help and contact", "https://shop.example/help"), ("Delivery", "/delivery")),
    "Lumen Records Ltd, 1 Long Lane, Bristol",
)


def documents(language: str) -> dict[str, bytes]:
    """Return every view in a language."""
    texts = LANGUAGES.texts(language)
    page = WaitingPage(ASSETS, ROOM, "Lumen Records", texts, away_s=900.0, has_choice=True, pass_s=600.0)
    made = {name: page.render(status, now=NOW) for name, status in STATUSES.items()}
    made["own face"] = WaitingPage(ASSETS, ROOM, "Lumen Records", texts, face=FACE).render(STATUSES["waiting"], now=NOW)
    made["cookies"] = page.render(STATUSES["waiting"], now=NOW, cookies_missing=True)
    made["form not kept"] = page.render(STATUSES["waiting"], now=NOW, form_url="")
    made |= other_pages(ASSETS, texts, has_choice=True)
    made["languages"] = LanguagePage(ASSETS, LANGUAGES).render(language, "/checkout")
    return made


VIEWS: Final = tuple(documents("en"))


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
