"""The settings of the pages' languages."""

from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from edge.settings.values import Section
from waiting_room.language_file import ENGLISH, LANGUAGES, fault_in_text

__all__ = ["LanguageSettings", "RoomTexts"]


def _language(name: str) -> str:
    if name not in LANGUAGES:
        raise ValueError(f"there is no language {name!r}; there are {', '.join(LANGUAGES)}")
    return name


def _texts(texts: dict[str, str]) -> dict[str, str]:
    for name, text in texts.items():
        fault = fault_in_text(name, text)
        if fault is not None:
            raise ValueError(fault)
    return texts


LanguageName = Annotated[str, AfterValidator(_language)]
#: By dotted name, as in `waiting_room/languages/en.json`.
LanguageTexts = Annotated[dict[str, Annotated[str, Field(min_length=1, max_length=1000)]], AfterValidator(_texts)]


#: Texts of pages that belong to no room, because a request may fail before its room is known.
OF_NO_ROOM = ("again", "errors", "form_lost", "languages", "retries")


def _room_texts(texts: dict[str, str]) -> dict[str, str]:
    for name in texts:
        if name.partition(".")[0] in OF_NO_ROOM:
            raise ValueError(f"{name!r} is a text of pages without a room: put it into languages.texts")
    return texts


#: Texts of one room by language.
RoomTexts = dict[LanguageName, Annotated[LanguageTexts, AfterValidator(_room_texts)]]


class LanguageSettings(Section):
    offered: Annotated[tuple[LanguageName, ...], Field(min_length=1, strict=False)] | None = None
    default: LanguageName = ENGLISH
    cookie: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{1,64}$")] = "lang"
    texts: dict[LanguageName, LanguageTexts] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _offers_the_default(self) -> Self:
        if self.offered is not None and self.default not in self.offered:
            raise ValueError(f"default: {self.default!r} is not in offered ({', '.join(self.offered)})")
        return self
