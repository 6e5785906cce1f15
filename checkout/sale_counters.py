"""The numbers of one sale. Whatever is done to them, free + held + sold = total."""

import heapq

from checkout.values import LIVE, Hold, Sale, State, Stock

__all__ = ["SaleCounters"]


class SaleCounters:
    """due: when each hold ends and which it is, soonest first, the ended ones among them. units: each user's holds."""

    __slots__ = ("due", "free", "held", "sale", "sold", "units", "version")

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.free = sale.total
        self.held = 0
        self.sold = 0
        self.version = 0
        self.due: list[tuple[int, str]] = []
        self.units: dict[str, list[str]] = {}

    def take(self, hold: Hold) -> None:
        """A free unit becomes held."""
        self.free -= 1
        self.held += 1
        self.units.setdefault(hold.user, []).append(hold.id)
        heapq.heappush(self.due, (hold.ends_ms, hold.id))

    def sell(self) -> None:
        """A held unit becomes sold; it stays its user's."""
        self.held -= 1
        self.sold += 1

    def give_back(self, hold: Hold) -> None:
        """A held unit becomes free."""
        self.held -= 1
        self.free += 1
        mine = self.units[hold.user]
        mine.remove(hold.id)
        if not mine:
            del self.units[hold.user]

    def count(self, hold: Hold) -> None:
        """A hold as the store has it, which may be over."""
        if hold.state in LIVE:
            self.take(hold)
        elif hold.state is State.SOLD:
            self.free -= 1
            self.sold += 1
            self.units.setdefault(hold.user, []).append(hold.id)

    def stock(self) -> Stock:
        return Stock(self.free, self.held, self.sold, self.version)
