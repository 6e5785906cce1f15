"""The oversell alarm: units that a sale has sold beyond its total, counted from the topic `sales` alone. Pure.

    oversold = max(sold events - total, held + sold - total, 0)

It shares neither the counters nor the code of the stores, so a store with wrong numbers cannot silence it. A hold
that is sold twice counts twice.
"""

from collections import Counter
from collections.abc import Iterable

from checkout.values import Event, State


class OversellAlarm:
    """Feed it every event once, in order."""

    def __init__(self) -> None:
        self._sold: Counter[str] = Counter()
        self._worst: dict[str, int] = {}
        self._totals: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<OversellAlarm {self.oversold()}>"

    def take(self, events: Iterable[Event]) -> list[str]:
        """Count events. Return the sales that are oversold since one of them."""
        raised = []
        for event in events:
            if event.kind == "opened":
                self._totals[event.sale] = event.free + event.held + event.sold
            if event.kind == State.SOLD:
                self._sold[event.sale] += 1
            total = self._totals.get(event.sale)
            if total is None:
                continue
            excess = max(self._sold[event.sale], event.held + event.sold) - total
            if excess > self._worst.get(event.sale, 0):
                if not self._worst.get(event.sale):
                    raised.append(event.sale)
                self._worst[event.sale] = excess
        return raised

    def oversold(self) -> dict[str, int]:
        """Return the units beyond the total, by sale; 0 for a sale that is right. The number never falls."""
        return {sale: self._worst.get(sale, 0) for sale in self._totals}
