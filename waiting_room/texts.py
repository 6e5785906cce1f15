"""All texts that a visitor reads, and the wording of numbers and waits: one JSON file for each language.

The server writes the page with these texts, and the script gets the same object inside the page, so a language is one
file. Waits are worded in steps: an estimate to the second would claim a precision that it does not have, and the script
needs no plural rules, because every step is a finished phrase ("2 minutes"; `language_file.py`):

    seconds  0 ... 8 ... 22 ... 45 ...... 90 ..... 150 ...          19,440 ...
    wording  a few   about    about   about 1  about 2  ...  about  more than
             seconds 15 s     half a  minute   minutes       6 hours  6 hours
                              minute

Waits below the first step, a minute, have finer wordings: the "short" ones.
"""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from waiting_room.language_file import ENGLISH, load
from waiting_room.numbers import Numbers, formatted

__all__ = ["Texts"]

SCRIPT_PARTS = ("numbers", "labels", "waits", "notices")
"""The parts of the file that the page contains for the script, beside the views."""
PAGE_ONLY = frozenset(
    (
        *("progress", "message", "try_again", "language", "place", "wait", "stock", "held", "opens"),
        *("enter", "time_left", "leave", "leave_sure", "join_again", "move", "home", "notify", "pass"),
    )
)
"""The labels that the script leaves as they are in the page."""
SERVER_ONLY = ("joining", "turn", "missed", "left", "moved")
"""The views that the script never shows by itself: it loads the page again, which has them."""

LEAST_WAIT_S = 45.0
"""A shorter wait is below the first step. The language files divide it further ("short")."""

FEW_SECONDS_S = 20.0


@dataclass(frozen=True, slots=True)
class Texts:
    """The texts of one language. Every file has the same keys as `languages/en.json`."""

    data: Mapping[str, Any]
    steps_s: tuple[int, ...] = field(init=False, repr=False, compare=False)
    middles_s: tuple[float, ...] = field(init=False, repr=False, compare=False)
    """The middles between one step and the next."""
    numbers: Numbers = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        steps = tuple(seconds for seconds, _ in self.data["waits"]["steps"])
        object.__setattr__(self, "steps_s", steps)
        object.__setattr__(self, "middles_s", tuple((low + high) / 2 for low, high in pairwise(steps)))
        separator, first, rest, digits = self.data["numbers"]
        object.__setattr__(self, "numbers", Numbers(separator, first, rest, digits))

    @classmethod
    def load(cls, language: str = ENGLISH, replaced: Mapping[str, str] | None = None) -> "Texts":
        """Read the files of a language. Raises `KeyError` if there is none. replaced: texts of the shop by name."""
        return cls(load(language, replaced))

    @property
    def language(self) -> str:
        return str(self.data["language"])

    @property
    def name(self) -> str:
        """The name of the language in the language itself."""
        return str(self.data["cldr"]["name"])

    @property
    def direction(self) -> str:
        return str(self.data["direction"])

    def get(self, part: str, key: str, **values: str) -> str:
        """Return one text with its `{names}` replaced. The values themselves are not searched for names."""
        return fill(self.data[part][key], values)

    def with_view(self, view: str, key: str, text: str) -> "Texts":
        """Return the same texts with one text of a view replaced."""
        views = self.data["views"]
        return Texts({**self.data, "views": {**views, view: {**views[view], key: text}}})

    def of_room(self, away_s: float | None, join_s: float) -> "Texts":
        """Return the texts of a room that keeps the places of absent visitors for `away_s`, as long as tickets last if
        that is None, and gives a place without a join challenge after `join_s`."""
        join_text = fill(self.view("joining", "next"), {"wait": self.wait(join_s)})
        texts = self.with_view("joining", "next", join_text)
        if away_s is None:
            return texts
        away_text = fill(self.view("waiting", "next_away"), {"away": self.at_most(away_s)})
        return texts.with_view("waiting", "next", away_text)

    def at_most(self, seconds: float) -> str:
        """Return the wording of the longest step that is not longer than this; below the first step, the first."""
        steps = self.data["waits"]["steps"]
        return str(steps[max(0, bisect_right(self.steps_s, seconds) - 1)][1])

    def view(self, view: str, key: str) -> str:
        return str(self.data["views"][view][key])

    def error(self, status_code: int, key: str) -> str:
        """Return the `title` or `explanation` of a status code, or a general one if the code has none."""
        errors = self.data["errors"]
        return str(errors.get(str(status_code), errors["other"])[key])

    def error_of(self, kind: str, key: str) -> str:
        """Return the `title` or `explanation` of a kind of error that is not told by its status code."""
        return str(self.data["errors"][kind][key])

    def number(self, value: int) -> str:
        return self.numbers.text(value)

    def wait_step(self, seconds: float | None) -> int | None:
        """Return the step of a wait: the nearest one, -1 below the first, `len(steps)` clearly above the last."""
        return None if seconds is None else nearest_step(self.steps_s, self.middles_s, seconds)

    def short_step(self, seconds: float | None) -> int | None:
        """Return the index of the short wording of a wait below the first step, else None."""
        if seconds is None or seconds >= LEAST_WAIT_S:
            return None
        bounds_s = [below_s for below_s, _ in self.data["waits"]["short"]]
        return min(bisect_right(bounds_s, seconds), len(bounds_s) - 1)

    def wait(self, seconds: float | None) -> str:
        """Return the wording of a wait, as in "about 2 minutes"."""
        waits = self.data["waits"]
        step = self.wait_step(seconds)
        if step is None:
            return str(waits["unknown"])
        if seconds is not None and step < 0:
            return str(waits["short"][self.short_step(seconds)][1])
        if step == len(waits["steps"]):
            return str(waits["most"])
        return fill(waits["about"], {"wait": waits["steps"][step][1]})

    def steps(self, p50_s: float | None, p90_s: float | None) -> tuple[int | None, int | None]:
        """Return the step of the wait, and the first step that is not shorter than the 90th percentile.

        The second one is None if it would add no information.
        """
        step = self.wait_step(p50_s)
        if step is None or p90_s is None:
            return step, None
        bound = bisect_left(self.steps_s, p90_s)
        return step, None if bound == len(self.steps_s) or bound <= max(0, step) else bound

    def within(self, p50_s: float | None, p90_s: float | None) -> str | None:
        """Return the wording of the second value of `steps`."""
        bound = self.steps(p50_s, p90_s)[1]
        waits = self.data["waits"]
        return None if bound is None else fill(waits["within"], {"wait": waits["steps"][bound][1]})

    def retry(self, seconds: float | None) -> str:
        """Return when to try again after an error. None means soon."""
        steps = self.data["waits"]["steps"]
        if seconds is None:
            return self.get("retries", "moment")
        if seconds <= FEW_SECONDS_S:
            return self.get("retries", "seconds")
        return self.get("retries", "later", wait=next((text for s, text in steps if s >= seconds), steps[-1][1]))

    def countdown(self, seconds: int | None) -> str:
        """Return the wording of the time until the opening, as in "in 4:05"; '' for None."""
        if seconds is None:
            return ""
        if seconds <= 0:
            return str(self.data["labels"]["opens_now"])
        return self.get("labels", "opens_in", countdown=self.clock_of(seconds))

    def clock_of(self, seconds: int) -> str:
        """Return a time as in "4:05"."""
        hours, minutes, rest = seconds // 3600, seconds // 60 % 60, seconds % 60
        return self.numbers.native(f"{hours}:{minutes:02d}:{rest:02d}" if hours else f"{minutes}:{rest:02d}")

    def clock(self, moment_s: float) -> str:
        """Return the time of day in UTC. Only the script knows the visitor's time zone."""
        cldr = self.data["cldr"]
        return self.numbers.native(f"{formatted(moment_s, cldr['time'], cldr['months'])} UTC")

    def day_and_clock(self, moment_s: float) -> str:
        cldr = self.data["cldr"]
        day = self.numbers.native(formatted(moment_s, cldr["date"], cldr["months"]))
        return fill(cldr["moment"], {"1": day, "0": self.clock(moment_s)})

    def for_script(self) -> str:
        """Return the parts that the script needs, as one line of JSON."""
        parts = {key: self.data[key] for key in SCRIPT_PARTS}
        parts["labels"] = {key: text for key, text in parts["labels"].items() if key not in PAGE_ONLY}
        views = self.data["views"].items()
        parts["views"] = {view: _views_texts(texts) for view, texts in views if view not in SERVER_ONLY}
        return json.dumps(parts, ensure_ascii=False, separators=(",", ":"))


def _views_texts(texts: Mapping[str, str]) -> dict[str, str]:
    """Return what the script needs of a view. A title that equals the headline is left out."""
    needed = {key: texts[key] for key in ("headline", "next")}
    return needed if texts["title"] == texts["headline"] else needed | {"title": texts["title"]}


def nearest_step(steps_s: Sequence[int], middles_s: Sequence[float], seconds: float) -> int:
    """Return the index of the nearest step, -1 below the first, `len(steps_s)` clearly above the last."""
    if seconds < LEAST_WAIT_S:
        return -1
    if seconds > steps_s[-1] * 1.2:
        return len(steps_s)
    return bisect_right(middles_s, seconds)


def fill(text: str, values: Mapping[str, str]) -> str:
    """Replace each `{name}` by its value, in one pass over the text."""
    parts = text.split("{")
    out = [parts[0]]
    for part in parts[1:]:
        name, _, rest = part.partition("}")
        out.append(values[name] + rest)
    return "".join(out)
