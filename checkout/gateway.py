"""The payment seam: what the shop asks of whoever moves the money.

One hold is one intent, and the intent's id is the gateway's idempotency key: charging it twice is one
charge. A charge may be declined, or its answer may be lost (`NoAnswer`): then nobody knows, and `lookup` or
`refund` must settle it.
"""

from dataclasses import dataclass
from typing import Protocol

from checkout.errors import CheckoutError


class NoAnswer(CheckoutError):
    """The gateway did not answer in time; the money may or may not have moved."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Money to take. `id` is the key under which it is taken at most once, `order` what it is for."""

    id: str
    order: str
    amount_cents: int
    currency: str
    card: str


@dataclass(frozen=True, slots=True)
class Charged:
    charge: str


@dataclass(frozen=True, slots=True)
class Declined:
    reason: str


Verdict = Charged | Declined


class Gateway(Protocol):
    async def charge(self, intent: Intent) -> Verdict:
        """Take the money once for this intent, however often it is asked. Raises `NoAnswer`."""

    async def lookup(self, intent_id: str) -> Verdict | None:
        """What became of an intent; None: nothing was charged so far. Raises `NoAnswer`."""

    async def refund(self, intent_id: str) -> None:
        """Give back what was taken, and see that nothing will be taken any more. Idempotent. Raises
        `NoAnswer`.
        """
