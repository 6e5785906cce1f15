"""The best sellers of the last seven days, counted from the trail. Pure: no I/O, no clock.

    one sale = a ring of 168 hourly buckets and their running sum

    hour(event) = at_ms // 3,600,000        now = the latest hour of any event or clock reading
    units of a sale = its sold units in the hours now-167 ... now

An event counts in its own hour, whenever it arrives; one that is older than the window counts nothing. An event is
counted once, because only numbers above the last one count. So a replay changes nothing, and after a crash the same
events give the same numbers.
"""

from collections.abc import Iterable

from checkout.values import Event, State

HOUR_MS = 3_600_000
HOURS = 168


class SalesWindow:
    """The sold units of one sale in the last 168 hours."""

    __slots__ = ("_buckets", "_hour", "units")

    def __init__(self, hour: int) -> None:
        self._buckets = [0] * HOURS
        self._hour = hour
        self.units = 0

    def __repr__(self) -> str:
        return f"<SalesWindow {self.units} units until hour {self._hour}>"

    def advance(self, hour: int) -> None:
        """Let the time pass: drop the buckets that leave the window."""
        for passed in range(self._hour + 1, min(hour, self._hour + HOURS) + 1):
            self.units -= self._buckets[passed % HOURS]
            self._buckets[passed % HOURS] = 0
        self._hour = max(hour, self._hour)

    def add(self, hour: int) -> None:
        """Count a unit that was sold in this hour, which is not later than the last `advance`."""
        if hour > self._hour - HOURS:
            self._buckets[hour % HOURS] += 1
            self.units += 1


class BestSellers:
    """The windows of all sales, and the number of the last event that they contain."""

    def __init__(self) -> None:
        self._windows: dict[str, SalesWindow] = {}
        self._hour = 0
        self.seq = 0

    def __repr__(self) -> str:
        return f"<BestSellers of {len(self._windows)} sales, until event {self.seq}>"

    def take(self, events: Iterable[Event]) -> None:
        """Count events of the trail, in order. Those that were counted before change nothing."""
        for event in events:
            if event.seq <= self.seq:
                continue
            self.seq = event.seq
            hour = event.at_ms // HOUR_MS
            self.advance(hour)
            if event.kind == State.SOLD:
                window = self._windows.get(event.sale)
                if window is None:
                    window = self._windows[event.sale] = SalesWindow(self._hour)
                window.advance(self._hour)
                window.add(hour)

    def advance(self, hour: int) -> None:
        """Let the time pass, also when nothing is sold. A clock that runs backwards changes nothing."""
        self._hour = max(hour, self._hour)

    def units(self, sale: str) -> int:
        """Return the units of a sale in the last seven days."""
        window = self._windows.get(sale)
        if window is None:
            return 0
        window.advance(self._hour)
        return window.units

    def top(self, limit: int) -> list[tuple[str, int]]:
        """Return the sales with the most units, most first; equal ones by name. Sales without units are left out."""
        counted = [(sale, self.units(sale)) for sale in self._windows]
        return sorted((row for row in counted if row[1]), key=lambda row: (-row[1], row[0]))[:limit]
