"""Allow and deny lists that operators change while the edge runs, and that all machines of a cluster come to agree on.

    entry    network, list ('deny', 'allow', or 'none': taken off), expires, changed    both times wall clock, seconds

Of two entries for one network the one that was changed later counts, wherever it was heard first, so machines may tell
each other all they know in any order and as often as they like. What is taken off stays as 'none' until it would have
ended, or a machine that has not heard of it yet would bring it back. Nothing is kept for good: lasting entries belong
into the settings or a file. Pure: no I/O, no clock.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

__all__ = ["LISTS", "MOST", "Entry", "SharedLists"]

LISTS = ("deny", "allow", "none")
#: Entries; the whole of them is told to the other machines every few seconds.
MOST = 4096
#: An entry whose change lies this far ahead was not made by a clock that can be believed.
MOST_AHEAD_S = 300.0


@dataclass(frozen=True, slots=True)
class Entry:
    network: str
    list: str
    expires: float
    changed: float


class SharedLists:
    """One machine's view."""

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __len__(self) -> int:
        return len(self._entries)

    def change(self, network: str, which: str, expires: float, now: float) -> str:
        """Put a network on one of LISTS; returns the one it was on. Raises ValueError when it cannot be."""
        if which not in LISTS:
            raise ValueError(f"there is no list {which!r}: choose one of {', '.join(LISTS)}")
        name = str(ipaddress.ip_network(network))
        was = self._entries.get(name)
        if was is None and len(self._entries) >= MOST:
            raise ValueError(f"there are {MOST} entries already: put lasting ones into a file (abuse.deny_files)")
        if was is not None and which == "none":
            expires = max(expires, was.expires)  # as long as others may remember it
        changed = now if was is None else max(now, was.changed + 0.001)
        self._entries[name] = Entry(name, which, expires, changed)
        return "none" if was is None or was.expires <= now else was.list

    def merge(self, told: Iterable[Any], now: float) -> bool:
        """Take in what another machine knows (`told`), but for what makes no sense. Whether that changed anything."""
        is_news = False
        for each in told:
            entry = _entry(each)
            if entry is None or entry.expires <= now or entry.changed > now + MOST_AHEAD_S:
                continue
            known = self._entries.get(entry.network)
            if known is not None and (known.changed, known.list) >= (entry.changed, entry.list):
                continue
            if known is None and len(self._entries) >= MOST:
                continue
            self._entries[entry.network] = entry
            is_news = True
        return is_news

    def told(self) -> list[list[Any]]:
        """All entries, for another machine; JSON-able."""
        return [[each.network, each.list, each.expires, each.changed] for each in self._entries.values()]

    def on(self, which: str) -> tuple[str, ...]:
        """The networks on a list."""
        return tuple(sorted(each.network for each in self._entries.values() if each.list == which))

    def entries(self) -> list[Entry]:
        return sorted(self._entries.values(), key=lambda each: (each.list, each.network))

    def drop_over(self, now: float) -> bool:
        """Forget what has ended. Whether a list has changed by it."""
        over = [each for each in self._entries.values() if each.expires <= now]
        for each in over:
            del self._entries[each.network]
        return any(each.list != "none" for each in over)


def _entry(told: Any) -> Entry | None:
    try:
        network, which, expires, changed = told
        entry = Entry(str(ipaddress.ip_network(network)), which, float(expires), float(changed))
    except (TypeError, ValueError):
        return None
    return entry if which in LISTS else None
