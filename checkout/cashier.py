"""The cashier: one attempt to pay for a hold, from the recorded intent to a final state.

    pay (durable) ──▶ gateway.charge ──┬─ Charged ──▶ confirm ──┬─▶ sold
                                       │                        └─ the hold had ended ──▶ refund, settle
                                       ├─ Declined ─▶ the unit is free again
                                       └─ NoAnswer ─▶ settled later

`apply_verdict` accepts a verdict from any source: the answer to the charge, a notification, a lookup. The same verdict
may come twice. Only the ledger decides whether "sold" or "ended" came first, so money is refunded only for holds that
the ledger reports as ended.
"""

import logging
from collections.abc import Awaitable
from dataclasses import dataclass
from typing import TypeVar, assert_never

from checkout.gateway import Charged, Declined, Gateway, Intent, NoAnswer, Verdict
from checkout.inventory import Inventory
from checkout.values import LIVE, Done, Hold, Money, Outcome, Reason, Refused, Sale, State, Stock

T = TypeVar("T")
LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sold:
    hold: Hold
    stock: Stock


@dataclass(frozen=True, slots=True)
class NotPaid:
    """The card was declined. The unit is free again."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class TooLate:
    """The hold ended before the money came. The money was refunded."""

    hold: Hold


Receipt = Sold | NotPaid | TooLate | Refused


class Cashier:
    def __init__(self, inventory: Inventory, gateway: Gateway) -> None:
        self._inventory = inventory
        self._gateway = gateway
        self.answered = 0
        """Requests to the gateway that it answered, since the start."""
        self.unanswered = 0

    async def pay(self, sale: Sale, hold_id: str, card: str, key: str = "", fingerprint: str = "") -> Receipt:
        """Pay for a hold. Raises `NoAnswer` if the gateway does not answer; the recorded intent is settled later."""
        begun = await self._inventory.pay(hold_id, key, fingerprint)
        match begun:
            case Refused():
                return begun
            case Done(repeated=True):
                return _receipt_of(begun)
            case Done():
                return await self.apply_verdict(
                    hold_id, await self._ask(self._gateway.charge(self.intent(sale, hold_id, card)))
                )
            case _:
                assert_never(begun)

    @staticmethod
    def intent(sale: Sale, hold_id: str, card: str) -> Intent:
        """Return the intent of a hold. Its id depends on the hold only, so every retry is the same intent."""
        return Intent(hold_id, hold_id, sale.price_cents, sale.currency, card)

    async def apply_verdict(self, hold_id: str, verdict: Verdict) -> Receipt:
        """Move a hold to the state that the gateway's verdict on its money requires."""
        match verdict:
            case Charged(charge=charge):
                outcome = await self._inventory.confirm(hold_id, charge)
                if isinstance(outcome, Done):
                    return Sold(_hold_of(outcome), outcome.stock)
                if outcome.reason is Reason.ENDED:
                    return await self._refund(_hold_of(outcome))
                return outcome
            case Declined(reason=reason):
                outcome = await self._inventory.payment_failed(hold_id, reason)
                if isinstance(outcome, Refused):
                    if outcome.reason is not Reason.ENDED:
                        return outcome
                    await self._inventory.settle(hold_id, Money.DECLINED)
                return NotPaid(_hold_of(outcome))
            case _:
                assert_never(verdict)

    async def settle_all(self) -> int:
        """Settle every payment without a known result and return the number of settled payments.

        A live hold is confirmed or declined by the gateway's verdict. An ended hold is always refunded. So this may run
        at the same time as `pay` for the same hold.
        """
        settled = 0
        for hold in await self._inventory.engine.unsettled():
            try:
                settled += await self._settle(hold)
            except NoAnswer as error:
                LOG.warning("the bank did not answer for %s: %s", hold.id, error)
        return settled

    async def _settle(self, hold: Hold) -> bool:
        if hold.money is not Money.STARTED:
            return False  # settled after the list was read; a sold unit must not be refunded
        if hold.state not in LIVE:
            await self._refund(hold)
            return True
        verdict = await self._ask(self._gateway.lookup(hold.id))
        if verdict is None:
            return False
        await self.apply_verdict(hold.id, verdict)
        return True

    async def _ask(self, asked: Awaitable[T]) -> T:
        """Count whether the gateway answers. Raises `NoAnswer`."""
        try:
            answer = await asked
        except NoAnswer:
            self.unanswered += 1
            raise
        self.answered += 1
        return answer

    async def _refund(self, hold: Hold) -> Receipt:
        await self._ask(self._gateway.refund(hold.id))
        await self._inventory.settle(hold.id, Money.REFUNDED)
        return TooLate(hold._replace(money=Money.REFUNDED))


def _receipt_of(outcome: Done) -> Receipt:
    """Return the receipt of the first try with this key, derived from the present state of its hold."""
    hold = _hold_of(outcome)
    if hold.state is State.SOLD:
        return Sold(hold, outcome.stock)
    return NotPaid(hold) if hold.money is Money.DECLINED else TooLate(hold)


def _hold_of(outcome: Outcome) -> Hold:
    assert outcome.hold is not None  # the outcome of a command about an existing hold contains that hold
    return outcome.hold
