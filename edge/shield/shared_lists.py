"""Allow and deny lists that operators change while the edge runs, and that all machines of a cluster agree on.

    entry    network, list ('deny', 'allow', or 'none': removed), expires, changed      both times wall clock, seconds

Of two entries for one network the one that was changed later counts, wherever it was heard first. So machines may tell
each other all they know, in any order and as often as they like. A removed entry stays as 'none' until it would have
expired; otherwise a machine that has not heard of the removal would bring it back. Nothing is kept for good: lasting
entries belong in the settings or a file. Pure: no I/O, no clock.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from edge.support.errors import ClientError

__all__ = ["LISTS", "MOST", "Entry", "SharedLists"]

LISTS = ("deny", "allow", "none")
#: The most entries. All of them are sent to the other machines every few seconds.
MOST = 4096
#: An entry with a change further ahead than this, in seconds, was made by a clock that cannot be trusted.
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

    def __repr__(self) -> str:
        return f"<SharedLists {len(self)} entries>"

    def change(self, network: str, which: str, expires: float, now: float) -> str:
        """Put a network on one of LISTS and return the list it was on. Raises ClientError if that is not possible."""
        if which not in LISTS:
            raise ClientError(f"there is no list {which!r}: choose one of {', '.join(LISTS)}")
        try:
            name = str(ipaddress.ip_network(network))
        except ValueError as error:
            raise ClientError(f"{network!r} must be an address or a range such as 192.0.2.0/24: {error}") from None
        known = self._entries.get(name)
        if known is None and len(self._entries) >= MOST:
            raise ClientError(f"there are {MOST} entries already: put lasting ones into a file (abuse.deny_files)")
        if known is not None and which == "none":
            expires = max(expires, known.expires)  # as long as other machines may remember it
        changed = now if known is None else max(now, known.changed + 0.001)
        self._entries[name] = Entry(name, which, expires, changed)
        return "none" if known is None or known.expires <= now else known.list

    def merge(self, entries: Iterable[Any], now: float) -> bool:
        """Take in the `entries_json` of another machine; return whether anything changed. Malformed entries are
        ignored."""
        is_news = False
        for each in entries:
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

    def entries_json(self) -> list[list[Any]]:
        """Return all entries in a form that JSON can carry, for `merge` at another machine."""
        return [[each.network, each.list, each.expires, each.changed] for each in self._entries.values()]

    def on(self, which: str) -> tuple[str, ...]:
        """Return the networks on a list."""
        return tuple(sorted(each.network for each in self._entries.values() if each.list == which))

    def entries(self) -> list[Entry]:
        return sorted(self._entries.values(), key=lambda each: (each.list, each.network))

    def drop_expired(self, now: float) -> bool:
        """Forget the expired entries. Return whether a list changed."""
        expired = [each for each in self._entries.values() if each.expires <= now]
        for each in expired:
            del self._entries[each.network]
        return any(each.list != "none" for each in expired)


def _entry(raw: Any) -> Entry | None:
    try:
        network, which, expires, changed = raw
        entry = Entry(str(ipaddress.ip_network(network)), which, float(expires), float(changed))
    except (TypeError, ValueError):
        return None
    return entry if which in LISTS else None
