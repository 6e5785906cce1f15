"""What happened to a room, in order: what operators did, standstills, and nodes that were lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from edge.cli.report.reading import History
from edge.cli.report.words import CAPACITY_NAMES

__all__ = ["Entry", "timeline"]

#: Keys of an operator's change, as people call them.
_NAMES = {
    "mode": "mode",
    "admissions_per_second": "capacity a second",
    "total_active_users": "places in the room",
    "message": "message",
    "until": "until",
}


@dataclass(frozen=True, slots=True)
class Entry:
    """more: details in a smaller print. is_fault: nobody wanted it."""

    at_s: float
    text: str
    more: str = ""
    is_fault: bool = False


def timeline(history: History) -> list[Entry]:
    """Return the entries of a history's time, in order, each once although several machines noted it."""
    entries = [*_begun(history), *_audits(history), *_standstills(history), *_nodes(history)]
    within = (each for each in entries if each.at_s >= history.since_s)
    found: list[Entry] = []
    for entry in sorted(within, key=lambda each: each.at_s):
        if not any(entry.text == other.text and entry.at_s - other.at_s < 2.0 for other in found[-4:]):
            found.append(entry)
    return found


def _begun(history: History) -> list[Entry]:
    return [Entry(each.note.at_s, f"The edge started on {each.machine}.") for each in history.of_kind("begin")]


def _audits(history: History) -> list[Entry]:
    found = []
    for each in history.of_kind("audit"):
        values = each.note.values
        done = "" if values["result"] == "done" else f" ({values['result']})"
        changes = _changes(values)
        reason = _of(values["after"], "reason")
        said = f"Reason: {reason}" if reason and reason != _of(values["before"], "reason") else ""
        text = f"{values['actor']}: {changes or values['action']}{done}"
        found.append(Entry(each.note.at_s, text, said, is_fault=str(values["result"]).startswith("refused")))
    return found


def _of(values: Any, key: str) -> Any:
    return values.get(key) if isinstance(values, Mapping) else None


def _changes(values: Mapping[str, Any]) -> str:
    before, after = values["before"], values["after"]
    if not isinstance(before, Mapping) or not isinstance(after, Mapping):
        return ""
    told = [
        f"{name} {_shown(before.get(key))} → {_shown(after.get(key))}"
        for key, name in _NAMES.items()
        if before.get(key) != after.get(key)
    ]
    if told:
        return ", ".join(told)
    paths = sorted(key for key in after.keys() | before.keys() if before.get(key) != after.get(key))
    return f"{values['action']}: {', '.join(paths[:4])}{' ...' if len(paths) > 4 else ''}" if paths else ""


def _shown(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:g}"
    return "none" if value in (None, "") else str(value)


def _standstills(history: History) -> list[Entry]:
    found: list[Entry] = []
    paused: dict[str, str] = {}
    sold_out = False
    for each in history.of_kind("state"):
        now = next((reason for reason in each.note.values["paused"] if reason != "operator"), "")
        before, paused[each.machine] = paused.get(each.machine, ""), now
        if now and now != before:
            found.append(
                Entry(
                    each.note.at_s,
                    f"The line stood still: {CAPACITY_NAMES.get(f'paused.{now}', (now, now))[1]}.",
                    is_fault=now != "sale",
                )
            )
        elif before and not now:
            found.append(Entry(each.note.at_s, "The line went on."))
        if each.note.values["sold_out"] != sold_out:
            sold_out = bool(each.note.values["sold_out"])
            found.append(Entry(each.note.at_s, "Sold out." if sold_out else "There was stock again."))
    return found


def _nodes(history: History) -> list[Entry]:
    found: list[Entry] = []
    restarts: dict[str, int] = {}
    for each in history.of_kind("state"):
        for number, _, count in each.note.values.get("nodes", ()):
            name = f"{each.machine}/{number}"
            if count > restarts.get(name, 0):
                found.append(Entry(each.note.at_s, f"The node {name} was lost and started again.", is_fault=True))
            restarts[name] = count
    return found
