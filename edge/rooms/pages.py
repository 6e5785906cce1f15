"""The pages of a room, as its settings want them."""

from collections.abc import Mapping
from typing import Final

from edge.settings.face import colors_of, is_font_file
from edge.settings.fonts import read_font
from edge.settings.model import Settings
from edge.settings.room import PageSettings, RoomSettings
from waiting_room.assets import Assets
from waiting_room.face import Face, Font
from waiting_room.language_choice import Languages
from waiting_room.language_file import LANGUAGES
from waiting_room.room_pages import RoomPages

__all__ = ["face_of", "languages_of", "pages_of"]


def languages_of(settings: Settings) -> Languages:
    """Return the languages that the settings offer."""
    wanted = settings.languages
    return Languages(wanted.offered or LANGUAGES, wanted.default, wanted.cookie, wanted.texts)


def pages_of(room: RoomSettings, files: Mapping[str, bytes], assets: Assets, languages: Languages) -> RoomPages:
    """Return the pages of a room. files: what the files contain that the settings name, by path."""
    away_s, wait_s, page = room.ticket.away_seconds, room.join.no_script_wait_seconds, room.page
    face = face_of(page, files)
    pass_s = room.session.duration_seconds
    return RoomPages(
        assets, room.name, page.title, languages, away_s, wait_s, face, page.texts, pass_s=pass_s, home=page.home
    )


#: Behind the font of a file: for the letters that it does not have, and until it is there.
FALLBACK: Final = 'system-ui, -apple-system, "Segoe UI", Roboto, sans-serif'


def face_of(page: PageSettings, files: Mapping[str, bytes]) -> Face:
    """Return what a shop adds to its page. files: as in `pages_of`."""
    return Face(
        colors_of(page.colors),
        page.logo,
        tuple((link.text, link.url) for link in page.links),
        page.footer,
        _font(page.font, files),
        files.get(page.stylesheet or "", b"").decode("utf-8-sig"),
        files.get(page.template or "", b"").decode("utf-8-sig"),
        page.sources.of_page(),
    )


def _font(wanted: str | None, files: Mapping[str, bytes]) -> Font | None:
    if wanted is None:
        return None
    if not is_font_file(wanted):
        return Font(wanted)
    content = files.get(wanted)
    return None if content is None else Font(FALLBACK, content, *read_font(content))
