"""The waiting page of one room in every language, made when the first visitor needs it.

A language costs memory only where it is used, and less than 2 MB a room (`page.py`). The page of the default language
is made at the start and keeps more, because most visitors get it.
"""

from collections.abc import Mapping

from waiting_room.assets import Assets
from waiting_room.face import Face
from waiting_room.language_choice import Languages
from waiting_room.line_page import LinePage
from waiting_room.page import WaitingPage

__all__ = ["RoomPages"]


class RoomPages:
    """See `WaitingPage` for the arguments."""

    def __init__(
        self,
        assets: Assets,
        room: str,
        title: str | None,
        languages: Languages,
        away_s: float | None = None,
        join_s: float = 60.0,
        face: Face | None = None,
        replaced: Mapping[str, Mapping[str, str]] | None = None,
        pass_s: float = 0.0,
        home: str = "/",
    ) -> None:
        """replaced: texts of the room by language and name."""
        self._assets, self._room, self._title, self._languages = assets, room, title, languages
        self._away_s, self._join_s = away_s, join_s
        self._face = face
        self._replaced = replaced or {}
        self._pass_s, self._home = pass_s, home
        self._pages = {languages.default: self._made(languages.default)}
        self._line_pages: dict[str, LinePage] = {}

    def __repr__(self) -> str:
        return f"<RoomPages {self._room} {', '.join(self._pages)}>"

    def page(self, accept_language: str, cookie: str) -> WaitingPage:
        """Return the page in the language of a visitor. accept_language, cookie: the fields of the request."""
        language = self._languages.choose(accept_language, cookie)
        page = self._pages.get(language)
        if page is None:
            page = self._pages[language] = self._made(language)
        return page

    def line_page(self, accept_language: str, cookie: str) -> LinePage:
        """Return the page of a visitor in line in their language; see `page`."""
        language = self._languages.choose(accept_language, cookie)
        found = self._line_pages.get(language)
        if found is None:
            found = self._line_pages[language] = LinePage(self.page(accept_language, cookie))
        return found

    def _made(self, language: str) -> WaitingPage:
        return WaitingPage(
            self._assets,
            self._room,
            self._title,
            self._languages.texts(language, self._replaced.get(language)),
            self._away_s,
            self._join_s,
            has_choice=self._languages.is_choice,
            face=self._face,
            pass_s=self._pass_s,
            home=self._home,
            saves_memory=language != self._languages.default,
        )
