"""The ledger: every decision of the shop, one command after the other. No I/O, no clock, no randomness.

An engine that writes SQL keeps one `Ledger` in memory as the image of its store. For each batch it passes the commands
to `decide_batch` with one reading of the store's clock, writes `take_changes()` in one transaction, and only then
answers. If the write fails, the engine drops the image and reads it again, so the store remains the truth (the
single-writer principle of LMAX, and group commit as databases do it).

A due hold is ended before anything else is decided about its sale (`lazy_expiry`, which Redis calls
expiry on access). This is the first of the three layers of expiry.

`engines/ledger.lua` takes the same decisions inside Redis. The contract tests of the engines hold both to one model.
"""

import heapq
from collections.abc import Iterable, Sequence
from typing import assert_never

from checkout.changes import Changes, KeyRecord
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
    Money,
    OpenSale,
    Outcome,
    Pay,
    ReadStock,
    Reason,
    Refused,
    Release,
    Reserve,
    Sale,
    Settle,
    State,
    Stock,
)

KEEP_KEYS_MS = 24 * 3_600_000  # as long as Stripe and most other payment APIs keep keys


class Ledger:
    """All sales and holds of one store. They change through `decide` only."""

    def __init__(self, *, lazy_expiry: bool = True, keep_keys_ms: int = KEEP_KEYS_MS) -> None:
        self._lazy = lazy_expiry
        self._keep_keys_ms = keep_keys_ms
        self._counters: dict[str, SaleCounters] = {}
        self._holds: dict[str, Hold] = {}
        self._key_records: dict[str, KeyRecord] = {}
        self._seq = 0
        self._changes = Changes([], {}, [], {})

    def load(
        self,
        sales: Iterable[tuple[Sale, int]],
        holds: Iterable[Hold],
        key_records: Iterable[tuple[str, KeyRecord]],
        seq: int,
    ) -> None:
        """Become the image of a store. sales: with their versions. seq: the number of the last event.

        The numbers of a sale are counted from its holds, never read from a stored counter.
        """
        for sale, version in sales:
            self._counters[sale.id] = SaleCounters(sale)
            self._counters[sale.id].version = version
        for hold in holds:
            self._holds[hold.id] = hold
            self._counters[hold.sale].load(hold)
        self._key_records.update(key_records)
        self._seq = seq

    # -- reading ---------------------------------------------------------------------------------------------

    def hold(self, hold_id: str) -> Hold | None:
        return self._holds.get(hold_id)

    def sale(self, sale_id: str) -> Sale | None:
        counters = self._counters.get(sale_id)
        return counters.sale if counters else None

    def sales(self) -> list[Sale]:
        return [counters.sale for counters in self._counters.values()]

    def stock(self, sale_id: str) -> Stock:
        counters = self._counters.get(sale_id)
        return counters.stock() if counters else NOTHING

    def unsettled(self) -> list[Hold]:
        """Return the holds with a payment that has begun and is not settled yet."""
        return [hold for hold in self._holds.values() if hold.money is Money.STARTED]

    def take_changes(self) -> Changes:
        changes, self._changes = self._changes, Changes([], {}, [], {})
        return changes

    def forget_keys(self, now_ms: int) -> None:
        """Drop the keys that are older than `keep_keys_ms`. The dictionary keeps them in order of arrival."""
        oldest_ms = now_ms - self._keep_keys_ms
        while self._key_records:
            key = next(iter(self._key_records))
            if self._key_records[key].at_ms >= oldest_ms:
                return
            del self._key_records[key]

    # -- deciding --------------------------------------------------------------------------------------------

    def decide_batch(self, commands: Sequence[Command], now_ms: int) -> list[Outcome]:
        """Forget old keys, then decide the commands in order, all at one time."""
        self.forget_keys(now_ms)
        return [self.decide(command, now_ms) for command in commands]

    def decide(self, command: Command, now_ms: int) -> Outcome:
        match command:
            case Reserve():
                return self._reserve(command, now_ms)
            case Pay():
                return self._pay(command, now_ms)
            case Confirm() | Release() | Settle():
                hold, counters, stock = self._find(command.hold, now_ms)
                if hold is None or counters is None:
                    return Refused(Reason.UNKNOWN_HOLD, stock)
                return self._finish(command, hold, counters, stock, now_ms)
            case Expire():
                return self._expire(command, now_ms)
            case ReadStock():
                counters = self._up_to_date(command.sale, now_ms)
                return Done(counters.stock()) if counters else Refused(Reason.UNKNOWN_SALE)
            case OpenSale():
                return self._open(command, now_ms)
            case _:
                assert_never(command)

    def _open(self, command: OpenSale, now_ms: int) -> Outcome:
        sale = command.sale
        if counters := self._counters.get(sale.id):
            if counters.sale == sale:
                return Done(counters.stock(), repeated=True)
            return Refused(Reason.SALE_EXISTS, counters.stock())
        counters = self._counters[sale.id] = SaleCounters(sale)
        self._changes.sales.append(sale)
        self._seq += 1
        counters.version = self._seq
        self._changes.events.append(
            Event(
                self._seq, sale.id, "", "", "opened", command.actor, f"total {sale.total}", now_ms,
                0, 0, 0, counters.free, 0, 0, 0, "", "", "",
            )
        )  # fmt: skip
        return Done(counters.stock())

    def _reserve(self, command: Reserve, now_ms: int) -> Outcome:
        counters = self._up_to_date(command.sale, now_ms)
        stock = counters.stock() if counters else NOTHING
        if command.key and (earlier := self._key_records.get(command.key)):
            return self._repeat_reserve(earlier, command, stock)
        if counters is None:
            return Refused(Reason.UNKNOWN_SALE)
        sale = counters.sale
        user_holds = counters.holds_by_user.get(command.user)
        if now_ms < sale.opens_ms:
            return self._refuse(Reason.NOT_OPEN, command, stock, now_ms)
        if sale.closes_ms and now_ms >= sale.closes_ms:
            return self._refuse(Reason.CLOSED, command, stock, now_ms)
        if user_holds and len(user_holds) >= sale.per_user:
            return self._refuse(Reason.PER_USER, command, stock, now_ms, self._holds[user_holds[-1]])
        if counters.free == 0:
            return self._refuse(Reason.SOLD_OUT, command, stock, now_ms)
        hold = Hold(command.hold, sale.id, command.user, State.HELD, Money.NONE, now_ms, now_ms + sale.hold_ms, "")
        counters.take(hold)
        if command.key:
            self._key_records[command.key] = KeyRecord(command.fingerprint, hold.id, "", now_ms)
        self._record(counters, hold, "held", "user", "", now_ms, stock, command.key, command.fingerprint)
        return Done(counters.stock(), hold)

    def _repeat_reserve(self, earlier: KeyRecord, command: Reserve, stock: Stock) -> Outcome:
        if earlier.fingerprint != command.fingerprint:
            return Refused(Reason.KEY_REUSED, stock)
        if earlier.reason:
            return Refused(Reason(earlier.reason), stock)
        hold = self._holds[earlier.hold]
        return Done(stock, hold._replace(state=State.HELD, money=Money.NONE, charge=""), repeated=True)

    def _refuse(self, reason: Reason, command: Reserve, stock: Stock, now_ms: int, hold: Hold | None = None) -> Refused:
        if command.key:
            answer = KeyRecord(command.fingerprint, "", reason, now_ms)
            self._key_records[command.key] = self._changes.refusals[command.key] = answer
        return Refused(reason, stock, hold)

    def _pay(self, command: Pay, now_ms: int) -> Outcome:
        hold, counters, stock = self._find(command.hold, now_ms)
        if command.key and (earlier := self._key_records.get(command.key)):
            if earlier.fingerprint != command.fingerprint or earlier.hold != command.hold or hold is None:
                return Refused(Reason.KEY_REUSED, stock)
            if hold.state is State.PAYING:
                return Refused(Reason.KEY_RUNNING, stock, hold)
            return Done(stock, hold, repeated=True)
        if hold is None or counters is None:
            return Refused(Reason.UNKNOWN_HOLD, stock)
        if hold.state is not State.HELD:
            return Refused(Reason.PAYING if hold.state is State.PAYING else Reason.ENDED, stock, hold)
        hold = hold._replace(state=State.PAYING, money=Money.STARTED)
        if command.key:
            self._key_records[command.key] = KeyRecord(command.fingerprint, hold.id, "", now_ms)
        self._record(counters, hold, "paying", "user", "", now_ms, stock, command.key, command.fingerprint)
        return Done(counters.stock(), hold)

    def _finish(
        self, command: Confirm | Release | Settle, hold: Hold, counters: SaleCounters, stock: Stock, now_ms: int
    ) -> Outcome:
        """Decide a command about a hold that exists. stock: the numbers of its sale before the command."""
        match command:
            case Confirm():
                return self._confirm(command, hold, counters, stock, now_ms)
            case Release():
                return self._release(command, hold, counters, stock, now_ms)
            case Settle():
                return self._settle(command, hold, counters, stock, now_ms)
            case _:
                assert_never(command)

    def _confirm(self, command: Confirm, hold: Hold, counters: SaleCounters, stock: Stock, now_ms: int) -> Outcome:
        if hold.state is State.SOLD and hold.charge == command.charge:
            return Done(stock, hold, repeated=True)
        if hold.state is not State.PAYING:
            reason = Reason.NOT_PAYING if hold.state is State.HELD else Reason.ENDED
            return Refused(reason, stock, hold)
        counters.sell()
        hold = hold._replace(state=State.SOLD, money=Money.CHARGED, charge=command.charge)
        self._record(counters, hold, "sold", command.actor, "", now_ms, stock)
        return Done(counters.stock(), hold)

    def _release(self, command: Release, hold: Hold, counters: SaleCounters, stock: Stock, now_ms: int) -> Outcome:
        if hold.state is command.end:
            return Done(stock, hold, repeated=True)
        if hold.state not in LIVE:
            return Refused(Reason.ENDED, stock, hold)
        failed = command.end is State.PAYMENT_FAILED
        if failed != (hold.state is State.PAYING):
            return Refused(Reason.NOT_PAYING if failed else Reason.PAYING, stock, hold)
        money = Money.DECLINED if failed else hold.money
        hold = self._end(counters, hold, command.end, command.actor, command.cause, now_ms, money)
        return Done(counters.stock(), hold)

    def _expire(self, command: Expire, now_ms: int) -> Outcome:
        hold = self._holds.get(command.hold)
        if hold is None:
            return Refused(Reason.UNKNOWN_HOLD)
        counters = self._counters[hold.sale]
        if hold.state not in LIVE:
            return Refused(Reason.ENDED, counters.stock(), hold)
        if now_ms < hold.ends_ms:
            return Refused(Reason.NOT_DUE, counters.stock(), hold)
        hold = self._end(counters, hold, State.EXPIRED, command.actor, "time over", now_ms, hold.money)
        return Done(counters.stock(), hold)

    def _settle(self, command: Settle, hold: Hold, counters: SaleCounters, stock: Stock, now_ms: int) -> Outcome:
        if hold.money is command.money:
            return Done(stock, hold, repeated=True)
        if hold.state in LIVE or hold.money is not Money.STARTED:
            return Refused(Reason.PAYING if hold.state in LIVE else Reason.ENDED, stock, hold)
        hold = hold._replace(money=command.money, charge=command.charge)
        self._record(counters, hold, command.money.value, command.actor, "after the hold had ended", now_ms, stock)
        return Done(counters.stock(), hold)

    # -- the numbers -----------------------------------------------------------------------------------------

    def _find(self, hold_id: str, now_ms: int) -> tuple[Hold | None, SaleCounters | None, Stock]:
        hold = self._holds.get(hold_id)
        if hold is None:
            return None, None, NOTHING
        counters = self._up_to_date(hold.sale, now_ms)
        assert counters is not None  # a hold exists only in a sale that exists
        return self._holds[hold_id], counters, counters.stock()

    def _up_to_date(self, sale_id: str, now_ms: int) -> SaleCounters | None:
        """Return the numbers of a sale, or None if there is no such sale. With `lazy_expiry` due holds end first."""
        counters = self._counters.get(sale_id)
        if counters is not None and self._lazy:
            due = counters.due
            while due and due[0][0] <= now_ms:
                hold = self._holds[heapq.heappop(due)[1]]
                if hold.state in LIVE:
                    self._end(counters, hold, State.EXPIRED, "ttl", "time over", now_ms, hold.money)
        return counters

    def _end(
        self, counters: SaleCounters, hold: Hold, end: State, actor: str, cause: str, now_ms: int, money: Money
    ) -> Hold:
        before = counters.stock()
        counters.release(hold)
        hold = hold._replace(state=end, money=money)
        self._record(counters, hold, end.value, actor, cause, now_ms, before)
        return hold

    def _record(
        self, counters: SaleCounters, hold: Hold, kind: str, actor: str, cause: str, now_ms: int,
        before: Stock, key: str = "", fingerprint: str = "",
    ) -> None:  # fmt: skip
        self._seq += 1
        counters.version = self._seq
        self._holds[hold.id] = self._changes.holds[hold.id] = hold
        self._changes.events.append(
            Event(
                self._seq, hold.sale, hold.id, hold.user, kind, actor, cause, now_ms,
                before.free, before.held, before.sold, counters.free, counters.held, counters.sold,
                hold.ends_ms, key, fingerprint, hold.charge,
            )
        )  # fmt: skip
