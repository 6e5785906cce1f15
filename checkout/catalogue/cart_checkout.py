"""Check out a cart: read its prices again, hold every unit, pay for each.

    review ──▶ the buyer agrees to lines and prices ──▶ recorded ──▶ hold all ──▶ pay each ──▶ orders
                    │ anything has changed                            │ one is refused
                    └──▶ review again                                 └──▶ all are freed, nothing was charged

The prices come from the database, not from a cache, and a purchase at other prices than those the buyer saw is
refused. A unit is one hold, one charge and one order, as without a cart. So a crash leaves holds that expire and
payments that are settled, and a request repeated with the same key continues where the first one ended.
"""

import asyncio
import hashlib
from collections.abc import Iterable
from typing import NamedTuple

from checkout.cashier import Cashier, Receipt, Sold
from checkout.catalogue.carts import CartLine, CartStore
from checkout.catalogue.catalogue import Catalogue
from checkout.catalogue.product import Sku, Stored
from checkout.catalogue.purchases import Purchase, PurchaseLine, PurchaseStore, hold_id, purchase_id
from checkout.clock import ClockMs
from checkout.errors import Conflict
from checkout.gateway import NoAnswer
from checkout.identity import fingerprint
from checkout.inventory import Inventory
from checkout.sale_list import SaleList
from checkout.values import Done, Refused, Sale


class ReviewLine(NamedTuple):
    """A line of a cart with the product as it is now. sku: None if it cannot be bought any more."""

    line: CartLine
    stored: Stored | None
    sku: Sku | None

    @property
    def total_cents(self) -> int:
        return self.sku.price_cents * self.line.units if self.sku else 0

    @property
    def has_changed(self) -> bool:
        """Whether the price is not the one that the visitor saw last."""
        return self.sku is not None and self.sku.price_cents != self.line.price_cents


class Review(NamedTuple):
    """A cart at current prices. `agreement`: a digest of its lines and prices."""

    lines: list[ReviewLine]

    @property
    def agreement(self) -> str:
        parts = [(each.line.sku, each.line.units, each.sku.price_cents if each.sku else None) for each in self.lines]
        return hashlib.sha256(repr(sorted(parts, key=repr)).encode()).hexdigest()[:32]

    @property
    def totals(self) -> dict[str, int]:
        """The sum of the lines in cents, by currency."""
        sums: dict[str, int] = {}
        for each in self.lines:
            if each.sku is not None and each.stored is not None:
                currency = each.stored.product.currency
                sums[currency] = sums.get(currency, 0) + each.total_cents
        return sums

    def sales(self) -> set[str]:
        return {each.sku.sale for each in self.lines if each.sku is not None}


class NotTaken(NamedTuple):
    """A unit was refused, so nothing of the purchase was bought."""

    line: PurchaseLine
    outcome: Refused


class Bought(NamedTuple):
    """The purchase with the result of each payment. `NoAnswer`: it is settled later."""

    purchase: Purchase
    receipts: list[Receipt | NoAnswer]

    @property
    def sold(self) -> int:
        return sum(isinstance(receipt, Sold) for receipt in self.receipts)


class CartCheckout:
    def __init__(
        self,
        catalogue: Catalogue,
        carts: CartStore,
        purchases: PurchaseStore,
        inventory: Inventory,
        cashier: Cashier,
        sales: SaleList,
        clock: ClockMs,
    ) -> None:
        self._catalogue = catalogue
        self._carts = carts
        self._purchases = purchases
        self._inventory = inventory
        self._cashier = cashier
        self._sales = sales
        self._clock = clock

    async def review(self, cart: str) -> Review:
        """Read the cart, and every product of it, as they are now. Raises `StoreError`."""
        lines = await self._carts.lines(cart)
        found = await asyncio.gather(*(self._catalogue.read(line.product) for line in lines))
        return Review(
            [
                ReviewLine(line, stored, stored.product.sku(line.sku) if stored else None)
                for line, stored in zip(lines, found, strict=True)
            ]
        )

    async def buy(self, cart: str, buyer: str, key: str, card: str, agreement: str) -> Bought | NotTaken:
        """Buy a cart. key: the same request again continues the same purchase. Raises `Conflict`, `StoreError`."""
        purchase = await self._purchases.find(purchase_id(buyer, key))
        if purchase is None:
            purchase = await self._purchases.begin(await self._agreed(cart, buyer, key, agreement))
        sales = {line.sale: await self._sale_of(line) for line in purchase.lines}
        refused = await self._hold_all(purchase)
        if refused is not None:
            return refused
        receipts = await asyncio.gather(*(self._pay(sales[line.sale], line, purchase, card) for line in purchase.lines))
        bought = [line.sku for line, receipt in zip(purchase.lines, receipts, strict=True) if isinstance(receipt, Sold)]
        await self._carts.drop(cart, dict.fromkeys(bought))
        return Bought(purchase, list(receipts))

    async def find(self, purchase: str) -> Purchase | None:
        return await self._purchases.find(purchase)

    async def _agreed(self, cart: str, buyer: str, key: str, agreement: str) -> Purchase:
        """Return the purchase that the buyer agreed to. Raises `Conflict` if the cart is not what they saw."""
        review = await self.review(cart)
        if not review.lines:
            raise Conflict("cart-empty", "The cart is empty", "Put something into the cart first.")
        if gone := [each.line.sku for each in review.lines if each.sku is None]:
            raise Conflict("not-sold", "Not sold any more", f"Remove from the cart: {', '.join(gone)}.")
        if review.agreement != agreement:
            detail = "A price or a line of the cart is not the one that you saw. Nothing was bought. Look at it again."
            raise Conflict("cart-changed", "The cart has changed", detail)
        await self._check_units(review)
        name = purchase_id(buyer, key)
        lines = [
            PurchaseLine("", sku.sale, stored.product.id, sku.id, title_of(stored, sku), sku.price_cents, currency)
            for line, stored, sku in review.lines
            if stored is not None and sku is not None
            for currency in [stored.product.currency] * line.units
        ]
        held = [line._replace(hold=hold_id(name, at)) for at, line in enumerate(lines)]
        return Purchase(name, buyer, self._clock(), held)

    async def _check_units(self, review: Review) -> None:
        """Refuse more units than one visitor may take. Raises `Conflict`."""
        for each in review.lines:
            sale = await self._sales.find(each.sku.sale) if each.sku else None
            if sale is not None and each.line.units > sale.per_user:
                most = "one unit" if sale.per_user == 1 else f"{sale.per_user} units"
                raise Conflict("too-many", "Too many units", f"One visitor may take {most} of {sale.title}.")

    async def _sale_of(self, line: PurchaseLine) -> Sale:
        sale = await self._sales.find(line.sale)
        if sale is None:
            raise Conflict("not-on-sale", "Not on sale yet", f"{line.title} is not on sale yet. Nothing was bought.")
        return sale

    async def _hold_all(self, purchase: Purchase) -> NotTaken | None:
        """Hold every unit, or free all that were held. Return the first refusal, if there is one."""
        outcomes = await asyncio.gather(*(self._hold(line, purchase) for line in purchase.lines))
        pairs = list(zip(purchase.lines, outcomes, strict=True))
        refused = [NotTaken(line, outcome) for line, outcome in pairs if isinstance(outcome, Refused)]
        if not refused:
            return None
        await self._free(outcome.hold.id for _, outcome in pairs if isinstance(outcome, Done) and outcome.hold)
        return refused[0]

    async def _hold(self, line: PurchaseLine, purchase: Purchase) -> Done | Refused:
        key, digest = f"{purchase.buyer}/cart/{line.hold}", fingerprint("cart", line.sale, line.sku)
        return await self._inventory.reserve(line.sale, purchase.buyer, line.hold, key, digest)

    async def _free(self, holds: Iterable[str]) -> None:
        """Free holds. One that was paid meanwhile, or has ended, stays as it is."""
        await asyncio.gather(*(self._inventory.cancel(hold) for hold in holds))

    async def _pay(self, sale: Sale, line: PurchaseLine, purchase: Purchase, card: str) -> Receipt | NoAnswer:
        terms = sale._replace(price_cents=line.price_cents, currency=line.currency)
        key = f"{purchase.buyer}/cart/{line.hold}/pay"
        try:
            return await self._cashier.pay(terms, line.hold, card, key, fingerprint("cart-pay", line.hold, card))
        except NoAnswer as error:
            return error


def title_of(stored: Stored, sku: Sku) -> str:
    """Return what a line is called: the product, and the SKU if there are several."""
    product = stored.product
    return product.title if len(product.skus) == 1 else f"{product.title}, {sku.title}"
