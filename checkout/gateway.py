"""The payment seam: what the shop asks of whoever moves the money.

One hold is one intent, and the intent's id is the gateway's idempotency key: charging it twice is one
charge. A charge may be declined, or its answer may be lost (`NoAnswer`): then nobody knows, and `lookup` or
`refund` must settle it.
"""

import asyncio
from dataclasses import dataclass
from typing import Protocol

from checkout.errors import CheckoutError


class NoAnswer(CheckoutError):
    """The gateway did not answer in time; the money may or may not have moved."""


@dataclass(frozen=True, slots=True)
class Charged:
    charge: str


@dataclass(frozen=True, slots=True)
class Declined:
    reason: str


Verdict = Charged | Declined


class Gateway(Protocol):
    async def charge(self, intent: str, amount_cents: int, currency: str, card: str) -> Verdict:
        """Take the money once for this intent, however often it is asked. Raises `NoAnswer`."""

    async def lookup(self, intent: str) -> Verdict | None:
        """What became of an intent; None: nothing was charged. Raises `NoAnswer`."""

    async def refund(self, intent: str) -> None:
        """Give back what was taken, and see that nothing will be taken any more. Idempotent. Raises
        `NoAnswer`.
        """


class InstantGateway:
    """Charges every card after `seconds`, in memory: the demo's bank. A card that begins with `decline` is
    declined.
    """

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._verdicts: dict[str, Verdict] = {}

    async def charge(self, intent: str, amount_cents: int, currency: str, card: str) -> Verdict:
        del amount_cents, currency  # a test bank takes any amount
        await asyncio.sleep(self._seconds)
        if intent not in self._verdicts:
            declined = card.startswith("decline")
            self._verdicts[intent] = Declined("card declined") if declined else Charged(f"ch_{intent}")
        return self._verdicts[intent]

    async def lookup(self, intent: str) -> Verdict | None:
        return self._verdicts.get(intent)

    async def refund(self, intent: str) -> None:
        self._verdicts[intent] = Declined("refunded")
