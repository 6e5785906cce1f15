"""The languages: complete, with the same values, of a length that fits, and with the words that CLDR demands."""

import json
import re
import tracemalloc
from collections.abc import Iterator
from importlib.resources import files
from itertools import pairwise
from typing import Any

import brotli
import pytest
from babel import Locale
from babel.numbers import format_decimal
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting_room import cldr
from waiting_room.assets import Assets
from waiting_room.error_page import ErrorPage
from waiting_room.language_choice import Languages
from waiting_room.language_file import LANGUAGES, fault_in_text, load, names_in
from waiting_room.numbers import formatted
from waiting_room.page import WaitingPage
from waiting_room.placeholders import CODINGS
from waiting_room.status import State, Status
from waiting_room.texts import LEAST_WAIT_S, Texts

ASSETS = Assets.load()
ALL = Languages()
SAME_ALLOWED = {"retries.code", "labels.opens_in"}
"""Short texts that happen to be the same in some languages."""
MOST_COMPRESSED = 6 * 1024
GROWTH, MORE_CHARS = 1.7, 12
"""A text is at most this many times as long as the English one, and this many characters more."""
CRAMPED = 1.9
"""Chinese, Japanese and Korean letters are this many times as wide as Latin ones."""


def raw(language: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((files("waiting_room.languages") / f"{language}.json").read_bytes())
    return data


def texts_of(part: Any, at: str = "") -> Iterator[tuple[str, str]]:
    """Yield every text with its dotted name."""
    if isinstance(part, str):
        yield at, part
    elif isinstance(part, dict):
        for key, value in part.items():
            yield from texts_of(value, f"{at}.{key}".lstrip("."))
    else:
        for index, value in enumerate(part):
            yield from texts_of(value, f"{at}.{index}")


ENGLISH = dict(texts_of(raw("en")))
OTHERS = [language for language in LANGUAGES if language != "en"]


@pytest.mark.parametrize("language", OTHERS)
def test_a_language_has_every_text_with_the_same_values(language: str) -> None:
    found = {name: text for name, text in texts_of(raw(language)) if not name.startswith("units.")}
    assert found.keys() == ENGLISH.keys()
    assert {name for name, text in found.items() if names_in(text) != names_in(ENGLISH[name])} == set()
    assert [name for name, text in found.items() if not text or text != text.strip() or "  " in text] == []


@pytest.mark.parametrize("language", OTHERS)
def test_no_english_is_left(language: str) -> None:
    """No text equals the English one, and none has two English words in a row."""
    english_words = re.compile(
        r"\b(the|you|your|is|are|this|that|was|were|and|with|of) (\w+ )?(the|you|your|is|are|of|to)\b"
    )
    for name, text in texts_of(raw(language)):
        assert not english_words.search(text.lower()), (name, text)
        if name not in SAME_ALLOWED and len(text) > 9 and not name.startswith("units."):
            assert text != ENGLISH[name], name


@pytest.mark.parametrize("language", OTHERS)
def test_no_text_is_much_longer_than_in_english(language: str) -> None:
    wide = CRAMPED if language[:2] in ("ja", "ko", "zh") else 1.0
    found = texts_of(raw(language))
    long = {
        name: text
        for name, text in found
        if not name.startswith("units.") and len(text) * wide > GROWTH * len(ENGLISH[name]) + MORE_CHARS
    }
    assert long == {}


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_page_is_written_in_the_script_of_the_language(language: str) -> None:
    """A text in another script is a text that was not translated."""
    scripts = {
        "ar": "ء-ي", "bg": "Ѐ-ӿ", "bn": "ঀ-৿", "el": "Ͱ-Ͽ", "he": "א-ת", "hi": "ऀ-ॿ", "ja": "ぁ-ヿ一-鿿",
        "ko": "가-힣", "ru": "Ѐ-ӿ", "th": "ก-๛", "uk": "Ѐ-ӿ", "zh-Hans": "一-鿿", "zh-Hant": "一-鿿",
    }  # fmt: skip
    letters = re.compile(f"[{scripts.get(language, 'A-Za-zÀ-žẠ-ỹ')}]")
    foreign = [text for _, text in texts_of(raw(language)) if not letters.search(re.sub(r"\{\w+\}", "", text))]
    assert [text for text in foreign if text != "{countdown}"] == []


FOREIGN_MARKS = {
    "ar": r"[,;?]", "bn": r"\w\.(\s|$)", "el": r"[?]", "fr": r"(?<!\N{NARROW NO-BREAK SPACE})[;:!?](?=\s|$)",
    "hi": r"\w\.(\s|$)", "ja": r"[,;:!?()]", "zh-Hans": r"[,;:!?()]", "zh-Hant": r"[,;:!?()]",
}  # fmt: skip
"""Marks that a language does not have: it has another one in their place, or a space before them."""
SENTENCE_END = re.compile(r"[.!?;。！？।؟]$")


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_text_has_the_punctuation_of_its_language(language: str) -> None:
    """Apostrophes and quotation marks are typographic, and what is a sentence in English ends as a sentence."""
    found = {name: text for name, text in texts_of(raw(language)) if not name.startswith("units.")}
    foreign = re.compile(FOREIGN_MARKS.get(language, r"(?!)") + r"|[\"']|\.\.\.")
    assert {name: text for name, text in found.items() if foreign.search(text)} == {}
    assert [
        name for name, text in found.items() if text.count("¿") != (text.count("?") if language == "es" else 0)
    ] == []
    if language != "th":  # Thai has spaces between sentences, and no mark
        ends = {name: bool(SENTENCE_END.search(text)) for name, text in found.items()}
        assert [name for name, is_end in ends.items() if is_end != bool(SENTENCE_END.search(ENGLISH[name]))] == []


def test_what_cldr_says_is_up_to_date() -> None:
    """`python -m tests.waiting_room.cldr` writes the file again."""
    assert json.loads((files("waiting_room") / "cldr.json").read_bytes()) == cldr.document()
    assert cldr.PAGE.read_text("utf-8") == cldr.page()


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_language_words_every_plural_of_its_rules(language: str) -> None:
    """The units have a wording for each category that CLDR has for the language, and each step is worded."""
    data = load(language)
    for unit in raw(language).get("units", {}).values():
        assert unit.keys() == set(data["cldr"]["plurals"])
    steps = data["waits"]["steps"]
    assert all(low < high for (low, _), (high, _) in pairwise(steps))
    assert len({text for _, text in steps}) == len(steps)
    assert not [text for _, text in steps if "{" in text]
    assert data["waits"]["short"][-1][0] == LEAST_WAIT_S


@given(language=st.sampled_from(LANGUAGES), n=st.integers(0, 10**9))
def test_numbers_have_the_form_of_cldr(language: str, n: int) -> None:
    expected = format_decimal(n, locale=Locale.parse(language, sep="-"), numbering_system="latn")
    texts = Texts.load(language)
    assert texts.number(n) == texts.numbers.native(expected)


def test_a_date_has_the_form_of_cldr() -> None:
    months = [str(n) * 3 for n in range(1, 13)]
    assert formatted(1_000_000.0, "d 'de' MMM 'de' y, HH:mm 'h'", months) == "12 de 111 de 1970, 13:46 h"
    assert Texts.load("de").day_and_clock(1_000_000.0) == "12.01.1970, 13:46 UTC"


@pytest.mark.parametrize("language", LANGUAGES)
def test_a_page_with_its_styles_is_small(language: str) -> None:
    """The page and its style sheet are at most 6 kB compressed, in both codings."""
    page = WaitingPage(ASSETS, "checkout", "Lumen Records", ALL.texts(language), has_choice=True)
    status = Status(State.WAITING, "checkout", 1240, 9000.0, 13000.0, 4.2, 1_000_000.0, "One a person.", 3)
    css = next(asset for asset in ASSETS if asset.url.endswith(".css"))
    for coding, css_bytes in (("gzip", len(css.gzipped)), ("br", len(brotli.compress(css.body)))):
        assert len(page.render(status, now=1_000_060.0, coding=coding)) + css_bytes <= MOST_COMPRESSED  # type: ignore[arg-type]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_page_names_its_language_and_direction(language: str) -> None:
    texts = ALL.texts(language)
    direction = "rtl" if language in ("ar", "he") else "ltr"
    opening = f'<html lang="{language}" dir="{direction}">'
    assert opening in WaitingPage(ASSETS, "checkout", texts=texts).render(Status(State.CLOSED, "checkout")).decode()
    assert opening in ErrorPage(ASSETS, texts).render(502).decode()


@pytest.mark.parametrize(
    ("accept_language", "cookie", "language"),
    [
        ("", "", "en"),
        ("de", "", "de"),
        ("de-AT,de;q=0.9,en;q=0.8", "", "de"),
        ("xx,fr;q=0.3,it;q=0.5", "", "it"),
        ("en-GB,en;q=0.5", "a=b; lang=fr; c=d", "fr"),
        ("de", "lang=de_AT", "de"),
        ("de", 'lang="it-IT"', "it"),
        ("de", "lang=xx", "de"),
        ("de", "slang=fr", "de"),
        ("zh-CN,zh;q=0.9", "", "zh-Hans"),
        ("zh", "", "zh-Hans"),
        ("pt,en;q=0.5", "", "pt-BR"),
        ("pt-PT,pt;q=0.9", "", "pt-PT"),
        ("pt-AO,pt;q=0.9", "", "pt-PT"),
        ("zh-TW,zh;q=0.9", "", "zh-Hant"),
        ("zh-Hant-HK", "", "zh-Hant"),
        ("zh-HK", "", "zh-Hant"),
        ("nb", "", "en"),
        ("iw", "", "he"),
        ("fr;q=0, de;q=0.1", "", "de"),
        ("de;q=x", "", "en"),
        ("*", "", "en"),
        ("DE", "", "de"),
        (",;=,q=1;;", "", "en"),
        ("x" * 100_000, "lang=" + "y" * 100_000, "en"),
    ],
)
def test_the_language_is_the_one_that_the_visitor_wants(accept_language: str, cookie: str, language: str) -> None:
    assert ALL.choose(accept_language, cookie) == language
    assert ALL.choose(accept_language, cookie) == language


@given(accept_language=st.text(max_size=300), cookie=st.text(max_size=100))
def test_every_field_chooses_an_offered_language(accept_language: str, cookie: str) -> None:
    languages = Languages(("de", "fr"), "fr")
    assert languages.choose(accept_language, f"lang={cookie}") in ("de", "fr")


def test_only_offered_languages_are_chosen() -> None:
    languages = Languages(("de",), "de")
    assert languages.choose("fr,en;q=0.5", "lang=fr") == "de"
    assert not languages.is_choice


def test_a_shop_replaces_a_text() -> None:
    languages = Languages(("de", "en"), replaced={"de": {"views.waiting.headline": "Willkommen"}})
    page = WaitingPage(ASSETS, "checkout", texts=languages.texts("de"))
    assert b">Willkommen</h1>" in page.render(Status(State.WAITING, "checkout", 1))
    assert languages.texts("en").view("waiting", "headline") == "You are in line"


@pytest.mark.parametrize(
    ("name", "text", "says"),
    [
        ("views.waiting.headlin", "x", "no text named"),
        ("views.waiting", "x", "not one text"),
        ("waits.short", "x", "not one text"),
        ("views.waiting.title.more", "x", "no text named"),
        ("labels.since", "since {tim}", "has no value {tim}; it has: {time}"),
        ("labels.since", "since {time}", None),
    ],
)
def test_a_text_that_cannot_be_replaced_is_a_fault(name: str, text: str, says: str | None) -> None:
    fault = fault_in_text(name, text)
    assert fault is None if says is None else says in (fault or "")


@pytest.mark.parametrize("language", ["bn"])
def test_a_language_takes_less_than_two_megabytes(language: str) -> None:
    """Also if every value of the page changes at every visit: the caches are bounded."""
    tracemalloc.start()
    try:
        page = WaitingPage(ASSETS, "checkout", "Lumen Records", Texts.load(language), saves_memory=True)
        for n in range(60):
            status = Status(State.WAITING, "checkout", 10 ** (n % 9), 60.0 * n, 90.0 * n, n, 1e6, "x" * n, n)
            for coding in CODINGS:
                page.render(status, now=1e6 + 60 * n, coding=coding)
        assert tracemalloc.get_traced_memory()[0] < 2_000_000
    finally:
        tracemalloc.stop()
