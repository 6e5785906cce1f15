"""The interface to the payment gateway that moves the money.

One hold is one intent, and the id of the intent is the gateway's idempotency key, so charging an intent twice takes
the money once. The gateway may decline a charge, or its answer may be lost (`NoAnswer`). After a lost answer the state
of the money is unknown until `lookup` or `refund` settles it.
"""

from dataclasses import dataclass
from typing import Protocol

from checkout.errors import CheckoutError


class NoAnswer(CheckoutError):
    """The gateway did not answer in time. The money may or may not have moved."""


@dataclass(frozen=True, slots=True)
class Intent:
    """Money to take. `id` is the idempotency key of the charge, `order` is what the money pays for."""

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
        """Take the money of this intent once, no matter how often this is called. Raises `NoAnswer`."""

    async def lookup(self, intent_id: str) -> Verdict | None:
        """Return the result of an intent, or None if nothing was charged so far. Raises `NoAnswer`."""

    async def refund(self, intent_id: str) -> None:
        """Pay back what was taken and block any later charge of this intent. Idempotent. Raises `NoAnswer`."""
