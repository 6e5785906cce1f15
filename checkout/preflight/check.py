"""One line of the checklist, and the verdict of all of them. Pure.

go       it is as it must be
note     the operator should know it; it stops nothing
no-go    the sale must not start like this
skipped  the operator has said that it does not matter (`--skip NAME`)
"""

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple


class Verdict(StrEnum):
    GO = "go"
    NOTE = "note"
    NO_GO = "no-go"
    SKIPPED = "skipped"


class Check(NamedTuple):
    """name: what `--skip` takes. text: what was seen, and what to do about it."""

    name: str
    verdict: Verdict
    text: str


def go(name: str, text: str) -> Check:
    return Check(name, Verdict.GO, text)


def note(name: str, text: str) -> Check:
    return Check(name, Verdict.NOTE, text)


def no_go(name: str, text: str) -> Check:
    return Check(name, Verdict.NO_GO, text)


def judged(name: str, faults: Iterable[str], fine: str) -> list[Check]:
    """Return one check for each fault, or one that says that all is well."""
    found = [no_go(name, fault) for fault in faults]
    return found or [go(name, fine)]


def skipping(checks: Iterable[Check], names: Iterable[str]) -> list[Check]:
    """Ignore the no-go of checks that the operator has named with `--skip`."""
    left_out = set(names)
    return [
        check._replace(verdict=Verdict.SKIPPED) if check.name in left_out and check.verdict is Verdict.NO_GO else check
        for check in checks
    ]


def is_go(checks: Iterable[Check]) -> bool:
    return all(check.verdict is not Verdict.NO_GO for check in checks)
