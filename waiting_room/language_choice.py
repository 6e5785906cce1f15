"""Which language a visitor gets: that of their cookie, else the best of `Accept-Language`, else the default.

Rule: a choice is one look-up in a table by the field as it was sent. Browsers send few different fields, so the table
is small, and a field is parsed once. Only pages have a language; a status document has none.

    range of the client     offered                           chosen by
    de-AT                   de                                the range without its last part (RFC 4647, 3.4)
    zh-HK, zh-TW            zh-Hans, zh-Hant                  the script that is usual there: zh-Hant
    pt                      pt-BR, pt-PT                      the first of the same language
"""

from collections.abc import Mapping, Sequence
from typing import Final

from waiting_room.cookie_field import cookie_values
from waiting_room.language_file import ENGLISH, LANGUAGES, language_names
from waiting_room.texts import Texts

__all__ = ["Languages"]

MOST_CHARS: Final = 256
"""Of a longer field the rest is not read. Browsers send at most 100."""
MOST_FIELDS: Final = 1024
"""The number of fields in the table, about 300 bytes each."""
#: Ranges of languages that have another name here.
SAME: Final = {
    "iw": "he",
    "in": "id",
    "zh-tw": "zh-hant",
    "zh-hk": "zh-hant",
    "zh-mo": "zh-hant",
    **{f"pt-{region}": "pt-pt" for region in ("ao", "cv", "gw", "mz", "st", "tl")},  # CLDR's parent locales
}


class Languages:
    """The languages that are offered. The first of them is the default.

    cookie: the name of the cookie with the visitor's own choice. replaced: texts of the shop by language.
    """

    def __init__(
        self,
        offered: Sequence[str] = LANGUAGES,
        default: str = ENGLISH,
        cookie: str = "lang",
        replaced: Mapping[str, Mapping[str, str]] | None = None,
    ) -> None:
        self.default, self.cookie = default, cookie
        names = language_names()
        self.names = {language: names[language] for language in sorted({*offered, default}, key=_order)}
        """By language, in the order of the list from which a visitor chooses."""
        self._replaced = replaced or {}
        self._by_range = {language.lower(): language for language in self.names}
        for language in self.names:
            self._by_range.setdefault(language.lower().partition("-")[0], language)
        self._needle = f"{cookie}="
        self._chosen: dict[str, str] = {}
        self._texts: dict[str, Texts] = {}

    def __repr__(self) -> str:
        return f"<Languages {', '.join(self.names)}>"

    @property
    def is_choice(self) -> bool:
        """Whether more than one language is offered."""
        return len(self.names) > 1

    def choose(self, accept_language: str, cookie: str) -> str:
        """Return the language of a visitor. accept_language, cookie: the fields of the request."""
        if self._needle in cookie:
            for value in cookie_values(cookie, self.cookie):
                found = self.named(value)
                if found is not None:
                    return found
        chosen = self._chosen.get(accept_language)
        if chosen is None:
            chosen = self._best(accept_language[:MOST_CHARS])
            if len(accept_language) <= MOST_CHARS:
                if len(self._chosen) >= MOST_FIELDS:
                    self._chosen.clear()
                self._chosen[accept_language] = chosen
        return chosen

    def named(self, value: str) -> str | None:
        """Return the offered language for one language tag (`de`, `de-AT`, `de_AT`), or None."""
        tag = value.strip('" ')[:MOST_CHARS].replace("_", "-").lower()
        while tag:
            found = self._by_range.get(SAME.get(tag, tag))
            if found is not None:
                return found
            tag = tag.rpartition("-")[0]
        return None

    def texts(self, language: str, of_room: Mapping[str, str] | None = None) -> Texts:
        """Return the texts of an offered language. They are read at the first call. of_room: a room's own texts."""
        if of_room:
            return Texts.load(language, {**self._replaced.get(language, {}), **of_room})
        texts = self._texts.get(language)
        if texts is None:
            texts = self._texts[language] = Texts.load(language, self._replaced.get(language))
        return texts

    def _best(self, accept_language: str) -> str:
        best, most = self.default, 0.0
        for part in accept_language.split(","):
            tag, _, weight = part.partition(";")
            quality = _quality(weight)
            if quality <= most:
                continue
            found = self.default if tag.strip() == "*" else self.named(tag)
            if found is not None:
                best, most = found, quality
        return best


def _quality(weight: str) -> float:
    """Return the quality of `q=0.8` (RFC 9110, 12.4.2): 1 if there is none, 0 if it is not valid."""
    name, _, value = weight.partition("=")
    if name.strip().lower() != "q":
        return 1.0
    try:
        quality = float(value)
    except ValueError:
        return 0.0
    return quality if 0.0 <= quality <= 1.0 else 0.0


def _order(language: str) -> tuple[bool, str]:
    """Sort by name: Latin letters first, as most keyboards and eyes do."""
    name = language_names()[language].casefold()
    return not name[0].isascii(), name
