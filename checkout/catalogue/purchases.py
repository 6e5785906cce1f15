"""Purchases: which holds belong to one cart, and at which price each was bought.

A purchase is recorded before its first unit is held. Its id and the ids of its holds follow from the buyer and the key
of the request, so a request that is repeated after any crash finds the same purchase and the same holds.
"""

import hashlib
import json
from typing import NamedTuple

from checkout.catalogue.database import Database, Steps


class PurchaseLine(NamedTuple):
    """One unit: its hold, and what it is at the price that the buyer agreed to."""

    hold: str
    sale: str
    product: str
    sku: str
    title: str
    price_cents: int
    currency: str


class Purchase(NamedTuple):
    id: str
    buyer: str
    at_ms: int
    lines: list[PurchaseLine]


class PurchaseStore:
    """The purchases in the database of the catalogue. Every method may raise `StoreError`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, purchase: Purchase) -> Purchase:
        """Record a purchase, and return it, or the one that was recorded with this id before."""
        return await self._database.write(_begin(purchase))

    async def find(self, purchase_id: str) -> Purchase | None:
        rows = await self._database.read("SELECT * FROM purchases WHERE id = $1", purchase_id)
        return _purchase(*rows[0]) if rows else None

    async def line(self, hold: str) -> PurchaseLine | None:
        """Return the line of a hold, or None if no purchase has it."""
        sql = (
            "SELECT document, number FROM purchase_holds JOIN purchases ON purchases.id = purchase_holds.purchase "
            "WHERE hold = $1"
        )
        rows = await self._database.read(sql, hold)
        return PurchaseLine(*json.loads(rows[0][0])[rows[0][1]]) if rows else None


def purchase_id(buyer: str, key: str) -> str:
    """Return the id of the purchase that a buyer makes with this key."""
    return hashlib.sha256(repr((buyer, key)).encode("utf-8", "surrogatepass")).hexdigest()[:24]


def hold_id(purchase: str, number: int) -> str:
    """Return the id of the hold of one unit of a purchase."""
    return "cart" + hashlib.sha256(f"{purchase}/{number}".encode()).hexdigest()[:16]


def is_of_cart(hold: str) -> bool:
    """Return whether a hold belongs to a purchase. Other holds have hexadecimal digits only."""
    return hold.startswith("cart")


def _begin(purchase: Purchase) -> Steps[Purchase]:
    lines = json.dumps(purchase.lines)
    row = (purchase.id, purchase.buyer, purchase.at_ms, lines)
    made = yield "INSERT INTO purchases VALUES ($1, $2, $3, $4) ON CONFLICT (id) DO NOTHING RETURNING 1", row
    for number, line in enumerate(purchase.lines) if made else ():
        yield "INSERT INTO purchase_holds VALUES ($1, $2, $3)", (line.hold, purchase.id, number)
    rows = yield "SELECT * FROM purchases WHERE id = $1", (purchase.id,)
    return _purchase(*rows[0])


def _purchase(name: str, buyer: str, at_ms: int, lines: str) -> Purchase:
    return Purchase(name, buyer, at_ms, [PurchaseLine(*line) for line in json.loads(lines)])
