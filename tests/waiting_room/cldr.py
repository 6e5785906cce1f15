"""Write `waiting_room/cldr.json`, and the table in docs/languages.md: what CLDR says, by the package `babel`.

    python -m tests.waiting_room.cldr          write the file; do so after a language was added or babel was upgraded

The file has what the page needs of CLDR, so a worker needs no babel. For each language:

    name, direction      in the language itself; "ltr" or "rtl"
    numbers              [separator, size of the last group, of the others, digits or ""]
    plurals              all plural categories of the language
    steps                [seconds, unit, number, plural category of the number, wording] of each step of the waits
    time, date, moment   patterns of a time of day, a date, and both (UTS 35, part 4)
    months               the abbreviated names of the months
"""

import json
from importlib.resources import files
from pathlib import Path
from typing import Any

from babel import Locale
from babel.numbers import parse_pattern
from babel.units import format_unit

PAGE = Path(__file__).parents[2] / "docs" / "languages.md"
MINUTES = (1, 2, 3, 4, 5, 7, 10, 15, 20, 25, 30, 45)
HOURS = (1, 1.5, 2, 3, 4, 5, 6)
"""One and a half hours are worded in minutes."""


def languages() -> list[str]:
    """Return the languages that have a file, in order."""
    folder = files("waiting_room.languages")
    return sorted(f.name.removesuffix(".json") for f in folder.iterdir() if f.name.endswith(".json"))


def steps(locale: Locale, digits: str) -> list[list[Any]]:
    found = []
    lengths = [(n * 60, "minute", n) for n in MINUTES]
    lengths += [
        (int(h * 3600), "hour", int(h)) if h % 1 == 0 else (int(h * 3600), "minute", int(h * 60)) for h in HOURS
    ]
    for seconds, unit, number in lengths:
        text = format_unit(number, f"duration-{unit}", "long", locale=locale)
        found.append([seconds, unit, number, locale.plural_form(number), native(text, digits)])
    return found


def native(text: str, digits: str) -> str:
    return text.translate(dict(zip(range(48, 58), digits, strict=True))) if digits else text


def digits_of(locale: Locale) -> str:
    """Return the digits of the language's own numbering system, or '' for 0 to 9."""
    return {"beng": "০১২৩৪৫৬৭৮৯", "arab": "٠١٢٣٤٥٦٧٨٩"}.get(locale.default_numbering_system, "")


def entry(language: str) -> dict[str, Any]:
    locale = Locale.parse(language, sep="-")
    first, rest = parse_pattern(locale.decimal_formats[None].pattern).grouping
    digits = digits_of(locale)
    name = locale.get_display_name(locale)
    months = locale.months["format"]["abbreviated"]
    return {
        "name": name[0].upper() + name[1:],
        "direction": locale.text_direction,
        "numbers": [locale.number_symbols["latn"]["group"], first, rest, digits],
        "plurals": sorted(locale.plural_form.tags | {"other"}),
        "steps": steps(locale, digits),
        "time": locale.datetime_skeletons["Hm"].pattern,
        "date": locale.date_formats["medium"].pattern,
        "moment": str(locale.datetime_formats["medium"]),
        "months": [months[n] for n in range(1, 13)],
    }


def document() -> dict[str, Any]:
    return {language: entry(language) for language in languages()}


def table() -> str:
    """Return the rows of the table in docs/languages.md: three languages a row."""
    cells = [f"`{language}` | {made['name']}" for language, made in document().items()]
    cells += [" | "] * (-len(cells) % 3)
    head = "| tag | language | tag | language | tag | language |\n| --- | --- | --- | --- | --- | --- |\n"
    return head + "".join(f"| {' | '.join(cells[at : at + 3])} |\n" for at in range(0, len(cells), 3))


def page() -> str:
    """Return docs/languages.md with the table as it should be."""
    before, _, rest = PAGE.read_text("utf-8").partition("<!-- languages -->\n")
    return f"{before}<!-- languages -->\n{table()}<!-- /languages -->{rest.partition('<!-- /languages -->')[2]}"


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
    lines = [f" {json.dumps(name)}: {json.dumps(value, ensure_ascii=False)}" for name, value in document().items()]
    Path(str(files("waiting_room")), "cldr.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", "utf-8")
