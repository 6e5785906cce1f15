"""The numbers of one sale. After every method free + held + sold = total."""

import heapq

from checkout.values import LIVE, Hold, Sale, State, Stock

__all__ = ["SaleCounters"]


class SaleCounters:
    """Counts the units of one sale and remembers which holds are due and which user has which holds.

    due: a heap of (end of the hold in ms, hold id), earliest first; holds that ended early stay in it.
    holds_by_user: the ids of each user's live and sold holds.
    """

    __slots__ = ("due", "free", "held", "holds_by_user", "sale", "sold", "version")

    def __init__(self, sale: Sale) -> None:
        self.sale = sale
        self.free = sale.total
        self.held = 0
        self.sold = 0
        self.version = 0
        self.due: list[tuple[int, str]] = []
        self.holds_by_user: dict[str, list[str]] = {}

    def take(self, hold: Hold) -> None:
        """Turn a free unit into a held one."""
        self.free -= 1
        self.held += 1
        self.holds_by_user.setdefault(hold.user, []).append(hold.id)
        heapq.heappush(self.due, (hold.ends_ms, hold.id))

    def sell(self) -> None:
        """Turn a held unit into a sold one. It still counts as its user's unit."""
        self.held -= 1
        self.sold += 1

    def release(self, hold: Hold) -> None:
        """Turn a held unit into a free one."""
        self.held -= 1
        self.free += 1
        user_holds = self.holds_by_user[hold.user]
        user_holds.remove(hold.id)
        if not user_holds:
            del self.holds_by_user[hold.user]

    def load(self, hold: Hold) -> None:
        """Count a hold as the store has it; the hold may have ended."""
        if hold.state in LIVE:
            self.take(hold)
        elif hold.state is State.SOLD:
            self.free -= 1
            self.sold += 1
            self.holds_by_user.setdefault(hold.user, []).append(hold.id)

    def stock(self) -> Stock:
        return Stock(self.free, self.held, self.sold, self.version)
