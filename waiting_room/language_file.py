"""The files of the languages: `languages/<language>.json` has the texts, `cldr.json` what Unicode's CLDR says.

The texts are written by people. Numbers, plural categories, patterns of dates and the wordings of durations come from
CLDR (`python -m tests.waiting_room.cldr`). CLDR words a duration in the nominative ("5 minutes"). Where the sentences
of a language need another case, its file has `units`: one wording for each plural category of these numbers in CLDR.

A shop may replace single texts: `{"views.waiting.headline": "You are in line for the sale"}`.
"""

import json
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any, Final

__all__ = ["ENGLISH", "LANGUAGES", "fault_in_text", "language_names", "load", "names_in"]

ENGLISH: Final = "en"
SHORT_BOUNDS_S: Final = (8, 22, 45)
"""A wait that is shorter than a bound has the wording of the same index in `waits.short`."""


@cache
def _cldr() -> Mapping[str, Any]:
    found: dict[str, Any] = json.loads((files("waiting_room") / "cldr.json").read_bytes())
    return found


LANGUAGES: Final[tuple[str, ...]] = tuple(_cldr())
"""The languages that have a file, in the order of their codes."""


def language_names() -> dict[str, str]:
    """Return the name of each language in the language itself."""
    return {language: str(entry["name"]) for language, entry in _cldr().items()}


def load(language: str, replaced: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Return all that the page needs of a language. Raises `KeyError` if there is no such language.

    replaced: texts of the shop by their dotted names.
    """
    cldr = _cldr()[language]
    data = _complete(_read(language), _read(ENGLISH))
    for name, text in (replaced or {}).items():
        part, key = _leaf(data, name)
        part[key] = text
    for view in data["views"].values():
        view.setdefault("title", view["headline"])
    waits = data["waits"]
    units = data.pop("units", {})
    waits["short"] = [list(pair) for pair in zip(SHORT_BOUNDS_S, waits["short"], strict=True)]
    waits["steps"] = [
        [seconds, units[unit][plural].replace("{n}", str(number)) if units else text]
        for seconds, unit, number, plural, text in cldr["steps"]
    ]
    return {"language": language, "direction": cldr["direction"], "numbers": cldr["numbers"], "cldr": cldr, **data}


def fault_in_text(name: str, text: str) -> str | None:
    """Return what is wrong with a text of a shop, or None. name: its dotted name."""
    try:
        part, key = _leaf(_english(), name)
    except KeyError:
        return f"there is no text named {name!r}"
    if not isinstance(part[key], str):
        return f"{name!r} is not one text"
    unknown = names_in(text) - names_in(part[key])
    if unknown:
        known = ", ".join(f"{{{each}}}" for each in sorted(names_in(part[key]))) or "none"
        return f"{name!r} has no value {', '.join(f'{{{each}}}' for each in sorted(unknown))}; it has: {known}"
    return None


def names_in(text: str) -> set[str]:
    """Return the names of the values that a text has: `{place}`."""
    return {part.partition("}")[0] for part in text.split("{")[1:]}


@cache
def _english() -> dict[str, Any]:
    return _read(ENGLISH)


def _read(language: str) -> dict[str, Any]:
    data: dict[str, Any] = json.loads((files("waiting_room.languages") / f"{language}.json").read_bytes())
    return data


def _complete(data: dict[str, Any], english: Mapping[str, Any]) -> dict[str, Any]:
    """Return the texts with those of English where one is missing, as in a text that is newer than its translations."""
    for key, text in english.items():
        if isinstance(text, dict):
            data[key] = _complete(data.get(key, {}), text)
        else:
            data.setdefault(key, text)
    return data


def _leaf(data: dict[str, Any], name: str) -> tuple[dict[str, Any], str]:
    """Return the mapping and the key of a dotted name. Raises `KeyError` if there is none."""
    *path, key = name.split(".")
    part: Any = data
    for each in path:
        part = part[each]
        if not isinstance(part, dict):
            raise KeyError(name)
    if key not in part:
        raise KeyError(name)
    return part, key
