"""The cashier: one attempt to pay for a hold, from the recorded intent to a settled end.

pay (durable) ──▶ gateway.charge ──┬─ Charged ──▶ confirm ──┬─▶ sold
                                   │                        └─ the hold had ended ──▶ refund, settle
                                   └─ Declined ─▶ the unit goes back
"""

from dataclasses import dataclass
from typing import assert_never

from checkout.gateway import Charged, Declined, Gateway
from checkout.inventory import Inventory
from checkout.values import Done, Hold, Money, Outcome, Reason, Refused, Sale, State, Stock


@dataclass(frozen=True, slots=True)
class Sold:
    hold: Hold
    stock: Stock


@dataclass(frozen=True, slots=True)
class NotPaid:
    """The card was declined: the unit is free again."""

    hold: Hold
    reason: str


@dataclass(frozen=True, slots=True)
class TooLate:
    """The money came after the hold had ended and was given back."""

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
                pass
            case _:
                assert_never(begun)
        verdict = await self._gateway.charge(hold_id, sale.price_cents, sale.currency, card)
        match verdict:
            case Charged():
                return await self._charged(hold_id, verdict)
            case Declined():
                return await self._declined(hold_id, verdict)
            case _:
                assert_never(verdict)

    async def _charged(self, hold_id: str, verdict: Charged) -> Receipt:
        outcome = await self._inventory.confirm(hold_id, verdict.charge)
        if isinstance(outcome, Done):
            return Sold(_hold_of(outcome), outcome.stock)
        if outcome.reason is not Reason.ENDED:
            return outcome
        await self._gateway.refund(hold_id)
        await self._inventory.settle(hold_id, Money.REFUNDED, verdict.charge)
        return TooLate(_hold_of(outcome))

    async def _declined(self, hold_id: str, verdict: Declined) -> Receipt:
        outcome = await self._inventory.payment_failed(hold_id, verdict.reason)
        if isinstance(outcome, Refused) and outcome.reason is Reason.ENDED:
            await self._inventory.settle(hold_id, Money.DECLINED)
            return NotPaid(_hold_of(outcome), verdict.reason)
        return outcome if isinstance(outcome, Refused) else NotPaid(_hold_of(outcome), verdict.reason)


def _remembered(outcome: Done) -> Receipt:
    """What the first try with this key was answered, read from where its hold has come to."""
    hold = _hold_of(outcome)
    if hold.state is State.SOLD:
        return Sold(hold, outcome.stock)
    if hold.money is Money.DECLINED:
        return NotPaid(hold, "card declined")
    return TooLate(hold)


def _hold_of(outcome: Outcome) -> Hold:
    assert outcome.hold is not None  # an outcome of a command about a hold that exists carries it
    return outcome.hold
