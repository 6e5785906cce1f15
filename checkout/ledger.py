"""The ledger: every decision of the shop, one command after the other. No I/O, no clock, no chance.

The engines that write SQL keep one `Ledger` in memory as the image of their store. They feed it a batch of
commands at one reading of the store's clock, write `take_changes()` in one transaction, and only then let
the answers out. When that write fails the image is thrown away and read again, so the store stays the truth
(the single-writer principle of LMAX; group commit as databases do it).

A hold whose time is over is ended before anything else is decided about its sale (`lazy_expiry`, what Redis
calls expiry on access): first of the three layers of expiry.
"""

import heapq
from collections.abc import Iterable
from typing import assert_never

from checkout.changes import Answer, Changes
from checkout.sale_counters import SaleCounters
from checkout.values import (
    LIVE,
    NOTHING,
    Command,
    Confirm,
    Done,
    Event,
    Expire,
    Hold,
    Look,
    Money,
    OpenSale,
    Outcome,
    Pay,
    Reason,
    Refused,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
    Stock,
)

KEEP_KEYS_MS = 24 * 3_600_000  # the promise of Stripe and of most who followed it


class Ledger:
    """All sales and holds of one store. `decide` is the only way in."""

    def __init__(self, *, lazy_expiry: bool = True, keep_keys_ms: int = KEEP_KEYS_MS) -> None:
        self._lazy = lazy_expiry
        self._keep_keys_ms = keep_keys_ms
        self._shelves: dict[str, SaleCounters] = {}
        self._holds: dict[str, Hold] = {}
        self._answers: dict[str, Answer] = {}
        self._seq = 0
        self._changes = Changes([], {}, [], {})

    def load(
        self,
        sales: Iterable[tuple[Sale, int]],
        holds: Iterable[Hold],
        answers: Iterable[tuple[str, Answer]],
        seq: int,
    ) -> None:
        """Become the image of a store: sales with their versions. The numbers are counted from the holds,
        never taken from a counter.
        """
        for sale, version in sales:
            self._shelves[sale.id] = SaleCounters(sale)
            self._shelves[sale.id].version = version
        for hold in holds:
            self._holds[hold.id] = hold
            self._shelves[hold.sale].count(hold)
        self._answers.update(answers)
        self._seq = seq

    # -- reading ---------------------------------------------------------------------------------------------

    def hold(self, hold_id: str) -> Hold | None:
        return self._holds.get(hold_id)

    def sale(self, sale_id: str) -> Sale | None:
        shelf = self._shelves.get(sale_id)
        return shelf.sale if shelf else None

    def sales(self) -> list[Sale]:
        return [shelf.sale for shelf in self._shelves.values()]

    def stock(self, sale_id: str) -> Stock:
        shelf = self._shelves.get(sale_id)
        return shelf.stock() if shelf else NOTHING

    def unsettled(self) -> list[Hold]:
        """Holds whose payment began and whose money nobody has accounted for yet."""
        return [hold for hold in self._holds.values() if hold.money is Money.STARTED]

    def take_changes(self) -> Changes:
        changes, self._changes = self._changes, Changes([], {}, [], {})
        return changes

    def forget_keys(self, now_ms: int) -> None:
        """Drop the keys that are older than their promise. They lie in the order in which they came."""
        oldest_ms = now_ms - self._keep_keys_ms
        while self._answers:
            key = next(iter(self._answers))
            if self._answers[key].at_ms >= oldest_ms:
                return
            del self._answers[key]

    # -- deciding --------------------------------------------------------------------------------------------

    def decide(self, command: Command, now_ms: int) -> Outcome:
        match command:
            case Reserve():
                return self._reserve(command, now_ms)
            case Pay():
                return self._pay(command, now_ms)
            case Confirm():
                return self._confirm(command, now_ms)
            case Release():
                return self._release(command, now_ms)
            case Expire():
                return self._expire(command, now_ms)
            case Settle():
                return self._settle(command, now_ms)
            case Look():
                shelf = self._shelf(command.sale, now_ms)
                return Done(shelf.stock()) if shelf else Refused(Reason.UNKNOWN_SALE)
            case OpenSale():
                return self._open(command, now_ms)
            case _:
                assert_never(command)

    def _open(self, command: OpenSale, now_ms: int) -> Outcome:
        sale = command.sale
        if shelf := self._shelves.get(sale.id):
            if shelf.sale == sale:
                return Done(shelf.stock(), repeated=True)
            return Refused(Reason.SALE_EXISTS, shelf.stock())
        shelf = self._shelves[sale.id] = SaleCounters(sale)
        self._changes.sales.append(sale)
        self._seq += 1
        shelf.version = self._seq
        self._changes.events.append(
            Event(
                self._seq, sale.id, "", "", "opened", command.actor, f"total {sale.total}", now_ms,
                0, 0, 0, shelf.free, 0, 0, 0, "", "", "",
            )
        )  # fmt: skip
        return Done(shelf.stock())

    def _reserve(self, command: Reserve, now_ms: int) -> Outcome:
        shelf = self._shelf(command.sale, now_ms)
        stock = shelf.stock() if shelf else NOTHING
        if command.key and (earlier := self._answers.get(command.key)):
            return self._repeat_reserve(earlier, command, stock)
        if shelf is None:
            return Refused(Reason.UNKNOWN_SALE)
        sale = shelf.sale
        mine = shelf.units.get(command.user)
        if now_ms < sale.opens_ms:
            return self._refuse(Reason.NOT_OPEN, command, stock, now_ms)
        if sale.closes_ms and now_ms >= sale.closes_ms:
            return self._refuse(Reason.CLOSED, command, stock, now_ms)
        if mine and len(mine) >= sale.per_user:
            return self._refuse(Reason.PER_USER, command, stock, now_ms, self._holds[mine[-1]])
        if shelf.free == 0:
            return self._refuse(Reason.SOLD_OUT, command, stock, now_ms)
        hold = Hold(command.hold, sale.id, command.user, State.HELD, Money.NONE, now_ms, now_ms + sale.hold_ms, "")
        shelf.take(hold)
        if command.key:
            self._answers[command.key] = Answer(command.fingerprint, hold.id, "", now_ms)
        self._note(shelf, hold, "held", "user", "", now_ms, stock, command.key, command.fingerprint)
        return Done(shelf.stock(), hold)

    def _repeat_reserve(self, earlier: Answer, command: Reserve, stock: Stock) -> Outcome:
        if earlier.fingerprint != command.fingerprint:
            return Refused(Reason.KEY_REUSED, stock)
        if earlier.reason:
            return Refused(Reason(earlier.reason), stock)
        hold = self._holds[earlier.hold]
        return Done(stock, hold._replace(state=State.HELD, money=Money.NONE, charge=""), repeated=True)

    def _refuse(self, reason: Reason, command: Reserve, stock: Stock, now_ms: int, hold: Hold | None = None) -> Refused:
        if command.key:
            answer = Answer(command.fingerprint, "", reason, now_ms)
            self._answers[command.key] = self._changes.answers[command.key] = answer
        return Refused(reason, stock, hold)

    def _pay(self, command: Pay, now_ms: int) -> Outcome:
        hold, shelf, stock = self._find(command.hold, now_ms)
        if command.key and (earlier := self._answers.get(command.key)):
            if earlier.fingerprint != command.fingerprint or earlier.hold != command.hold or hold is None:
                return Refused(Reason.KEY_REUSED, stock)
            if hold.state is State.PAYING:
                return Refused(Reason.KEY_RUNNING, stock, hold)
            return Done(stock, hold, repeated=True)
        if hold is None or shelf is None:
            return Refused(Reason.UNKNOWN_HOLD, stock)
        if hold.state is not State.HELD:
            return Refused(Reason.PAYING if hold.state is State.PAYING else Reason.ENDED, stock, hold)
        hold = hold._replace(state=State.PAYING, money=Money.STARTED)
        if command.key:
            self._answers[command.key] = Answer(command.fingerprint, hold.id, "", now_ms)
        self._note(shelf, hold, "paying", "user", "", now_ms, stock, command.key, command.fingerprint)
        return Done(shelf.stock(), hold)

    def _confirm(self, command: Confirm, now_ms: int) -> Outcome:
        hold, shelf, stock = self._find(command.hold, now_ms)
        if hold is None or shelf is None:
            return Refused(Reason.UNKNOWN_HOLD, stock)
        if hold.state is State.SOLD and hold.charge == command.charge:
            return Done(stock, hold, repeated=True)
        if hold.state is not State.PAYING:
            reason = Reason.NOT_PAYING if hold.state is State.HELD else Reason.ENDED
            return Refused(reason, stock, hold)
        shelf.sell()
        hold = hold._replace(state=State.SOLD, money=Money.CHARGED, charge=command.charge)
        self._note(shelf, hold, "sold", command.actor, "", now_ms, stock)
        return Done(shelf.stock(), hold)

    def _release(self, command: Release, now_ms: int) -> Outcome:
        hold, shelf, stock = self._find(command.hold, now_ms)
        if hold is None or shelf is None:
            return Refused(Reason.UNKNOWN_HOLD, stock)
        if hold.state is command.end:
            return Done(stock, hold, repeated=True)
        if hold.state not in LIVE:
            return Refused(Reason.ENDED, stock, hold)
        failed = command.end is State.PAYMENT_FAILED
        if failed != (hold.state is State.PAYING):
            return Refused(Reason.NOT_PAYING if failed else Reason.PAYING, stock, hold)
        money = Money.DECLINED if failed else hold.money
        hold = self._end(shelf, hold, command.end, command.actor, command.cause, now_ms, money)
        return Done(shelf.stock(), hold)

    def _expire(self, command: Expire, now_ms: int) -> Outcome:
        hold = self._holds.get(command.hold)
        if hold is None:
            return Refused(Reason.UNKNOWN_HOLD)
        shelf = self._shelves[hold.sale]
        if hold.state not in LIVE:
            return Refused(Reason.ENDED, shelf.stock(), hold)
        if now_ms < hold.ends_ms:
            return Refused(Reason.NOT_DUE, shelf.stock(), hold)
        hold = self._end(shelf, hold, State.EXPIRED, command.actor, "time over", now_ms, hold.money)
        return Done(shelf.stock(), hold)

    def _settle(self, command: Settle, now_ms: int) -> Outcome:
        hold, shelf, stock = self._find(command.hold, now_ms)
        if hold is None or shelf is None:
            return Refused(Reason.UNKNOWN_HOLD, stock)
        if hold.money is command.money:
            return Done(stock, hold, repeated=True)
        if hold.state in LIVE or hold.money is not Money.STARTED:
            return Refused(Reason.PAYING if hold.state in LIVE else Reason.ENDED, stock, hold)
        hold = hold._replace(money=command.money, charge=command.charge)
        self._note(shelf, hold, command.money.value, command.actor, "after the hold had ended", now_ms, stock)
        return Done(shelf.stock(), hold)

    # -- the numbers -----------------------------------------------------------------------------------------

    def _find(self, hold_id: str, now_ms: int) -> tuple[Hold | None, SaleCounters | None, Stock]:
        hold = self._holds.get(hold_id)
        if hold is None:
            return None, None, NOTHING
        shelf = self._shelf(hold.sale, now_ms)
        assert shelf is not None  # a hold is only ever made on a shelf
        return self._holds[hold_id], shelf, shelf.stock()

    def _shelf(self, sale_id: str, now_ms: int) -> SaleCounters | None:
        shelf = self._shelves.get(sale_id)
        if shelf is not None and self._lazy:
            due = shelf.due
            while due and due[0][0] <= now_ms:
                hold = self._holds[heapq.heappop(due)[1]]
                if hold.state in LIVE:
                    self._end(shelf, hold, State.EXPIRED, "ttl", "time over", now_ms, hold.money)
        return shelf

    def _end(
        self, shelf: SaleCounters, hold: Hold, end: State, actor: str, cause: str, now_ms: int, money: Money
    ) -> Hold:
        before = shelf.stock()
        shelf.give_back(hold)
        hold = hold._replace(state=end, money=money)
        self._note(shelf, hold, end.value, actor, cause, now_ms, before)
        return hold

    def _note(
        self, shelf: SaleCounters, hold: Hold, kind: str, actor: str, cause: str, now_ms: int,
        before: Stock, key: str = "", fingerprint: str = "",
    ) -> None:  # fmt: skip
        self._seq += 1
        shelf.version = self._seq
        self._holds[hold.id] = self._changes.holds[hold.id] = hold
        self._changes.events.append(
            Event(
                self._seq, hold.sale, hold.id, hold.user, kind, actor, cause, now_ms,
                before.free, before.held, before.sold, shelf.free, shelf.held, shelf.sold,
                hold.ends_ms, key, fingerprint, hold.charge,
            )
        )  # fmt: skip
