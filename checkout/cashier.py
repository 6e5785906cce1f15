"""The cashier: one attempt to pay for a hold, from the recorded intent to a settled end.

    pay (durable) ──▶ gateway.charge ──┬─ Charged ──▶ confirm ──┬─▶ sold
                                       │                        └─ the hold had ended ──▶ refund, settle
                                       ├─ Declined ─▶ the unit goes back
                                       └─ no answer ▶ settle later

`heard` takes a verdict from wherever it comes: the call's answer, a notice, a lookup; twice is as good as
once. The ledger is the one place where "sold" and "ended" race, so money is given back only for holds that
it says have ended.
"""

import logging
from dataclasses import dataclass
from typing import assert_never

from checkout.gateway import Charged, Declined, Gateway, Intent, NoAnswer, Verdict
from checkout.inventory import Inventory
from checkout.values import LIVE, Done, Hold, Money, Outcome, Reason, Refused, Sale, State, Stock

LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sold:
    hold: Hold
    stock: Stock


@dataclass(frozen=True, slots=True)
class NotPaid:
    """The card was declined: the unit is free again."""

    hold: Hold


@dataclass(frozen=True, slots=True)
class TooLate:
    """The hold had ended before the money came; what came was given back."""

    hold: Hold


Receipt = Sold | NotPaid | TooLate | Refused


class Cashier:
    def __init__(self, inventory: Inventory, gateway: Gateway) -> None:
        self._inventory = inventory
        self._gateway = gateway

    async def pay(self, sale: Sale, hold_id: str, card: str, key: str = "", fingerprint: str = "") -> Receipt:
        """Pay for a hold. Raises `NoAnswer` when the gateway is silent: the intent is on record and gets
        settled.
        """
        begun = await self._inventory.pay(hold_id, key, fingerprint)
        match begun:
            case Refused():
                return begun
            case Done(repeated=True):
                return _remembered(begun)
            case Done():
                return await self.heard(hold_id, await self._gateway.charge(self.intent(sale, hold_id, card)))
            case _:
                assert_never(begun)

    @staticmethod
    def intent(sale: Sale, hold_id: str, card: str) -> Intent:
        """The one intent of a hold: its id depends on nothing else, so every retry is the same intent."""
        return Intent(hold_id, hold_id, sale.price_cents, sale.currency, card)

    async def heard(self, hold_id: str, verdict: Verdict) -> Receipt:
        """Act on what the gateway says became of the money of a hold."""
        match verdict:
            case Charged(charge=charge):
                outcome = await self._inventory.confirm(hold_id, charge)
                if isinstance(outcome, Done):
                    return Sold(_hold_of(outcome), outcome.stock)
                if outcome.reason is Reason.ENDED:
                    return await self._give_back(_hold_of(outcome))
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
        """Find out what became of every payment without a known end; returns how many were settled.

        A hold that still lives is only ever confirmed or declined, by what the gateway says; one that has
        ended gets its money back whatever the gateway says. So this may run beside `pay` for the same hold.
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
            return False  # settled since it was listed: a unit that is sold keeps its money
        if hold.state not in LIVE:
            await self._give_back(hold)
            return True
        verdict = await self._gateway.lookup(hold.id)
        if verdict is None:
            return False
        await self.heard(hold.id, verdict)
        return True

    async def _give_back(self, hold: Hold) -> Receipt:
        await self._gateway.refund(hold.id)
        await self._inventory.settle(hold.id, Money.REFUNDED)
        return TooLate(hold)


def _remembered(outcome: Done) -> Receipt:
    """What the first try with this key was answered, read from where its hold has come to."""
    hold = _hold_of(outcome)
    if hold.state is State.SOLD:
        return Sold(hold, outcome.stock)
    return NotPaid(hold) if hold.money is Money.DECLINED else TooLate(hold)


def _hold_of(outcome: Outcome) -> Hold:
    assert outcome.hold is not None  # an outcome of a command about a hold that exists carries it
    return outcome.hold
