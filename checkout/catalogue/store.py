"""Products in the database: every change is one transaction with its event, and the event's number is the version.

    counter (locked until the commit) ──▶ event ──▶ product, SKUs ──▶ listing and words

So a reader that has seen event N has every version up to N, and no later commit can add an event below N.
"""

from typing import Any, NamedTuple

from checkout.catalogue.database import Database, Steps
from checkout.catalogue.product import Product, Sku, Stored
from checkout.catalogue.search import SearchIndex
from checkout.errors import Conflict

PRODUCT = "SELECT version, made_ms, changed_ms, document FROM products WHERE id = $1"
KEEP_PRODUCT = """
INSERT INTO products VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT (id) DO UPDATE SET
version = excluded.version, changed_ms = excluded.changed_ms, document = excluded.document
"""
EVENT = "INSERT INTO catalogue_events VALUES ($1, $2, $3, $4, $5, $6, $7)"
EVENTS = (
    "SELECT seq, product, kind, actor, at_ms, made_ms, document FROM catalogue_events "
    "WHERE seq > $1 ORDER BY seq LIMIT $2"
)
LIST = """
INSERT INTO listing (number, id, currency, price_cents, made_ms, sales_7d) VALUES ($1, $2, $3, $4, $5,
(SELECT CAST(coalesce(sum(units), 0) AS BIGINT) FROM sold_7d JOIN skus ON skus.sale = sold_7d.sale
WHERE skus.product = $2))
"""


class ProductEvent(NamedTuple):
    """One change of a product, with the product after it."""

    seq: int
    kind: str
    actor: str
    at_ms: int
    stored: Stored

    def document(self) -> dict[str, Any]:
        names = {"seq": self.seq, "kind": self.kind, "actor": self.actor, "at_ms": self.at_ms}
        return names | {"product": self.stored.document()}


class SaleSku(NamedTuple):
    """The product and the SKU that a sale sells."""

    product: str
    sku: str


class ProductStore:
    """The products of one database. Every method may raise `StoreError`."""

    def __init__(self, database: Database, index: SearchIndex) -> None:
        self._database = database
        self._index = index

    async def put(self, product: Product, actor: str, now_ms: int, expected: int | None = None) -> Stored:
        """Create or change a product. A product that is the same already stays as it is, with its version.

        expected: the version that is changed, or None for any. Raises `Conflict`.
        """
        return await self._database.write(self.putting(product, actor, now_ms, expected))

    async def retire(self, product_id: str, actor: str, now_ms: int) -> Stored | None:
        """Take a product out of the catalogue. None if there is no such product."""
        stored = await self.read(product_id)
        if stored is None:
            return None
        return await self.put(stored.product.model_copy(update={"is_retired": True}), actor, now_ms, stored.version)

    async def read(self, product_id: str) -> Stored | None:
        """Return a product as it is now, or None."""
        rows = await self._database.read(PRODUCT, product_id)
        return _stored(rows[0]) if rows else None

    async def sku_of(self, sale: str) -> SaleSku | None:
        """Return the SKU that sells the units of a sale, or None. It never changes."""
        rows = await self._database.read("SELECT product, id FROM skus WHERE sale = $1", sale)
        return SaleSku(*rows[0]) if rows else None

    async def events(self, after: int, limit: int) -> list[ProductEvent]:
        """Return the changes after this number, in order."""
        return [_event(row) for row in await self._database.read(EVENTS, after, limit)]

    async def last_seq(self) -> int:
        """Return the number of the last event."""
        seq: int = (await self._database.read("SELECT seq FROM catalogue_counter"))[0][0]
        return seq

    async def set_sales_7d(self, units: dict[str, int]) -> None:
        """Store the units that sales have sold in seven days. units: by sale, those that have changed."""
        await self._database.write(_set_sales_7d(units))

    async def sales_7d(self) -> dict[str, int]:
        """Return the stored units of all sales that have any."""
        rows = await self._database.read("SELECT sale, units FROM sold_7d")
        return {row[0]: row[1] for row in rows}

    # -- transactions --------------------------------------------------------------------------------------------

    def putting(self, product: Product, actor: str, now_ms: int, expected: int | None) -> Steps[Stored]:
        """Return the transaction of `put`, for callers that have more to write with it."""
        rows = yield "UPDATE catalogue_counter SET seq = seq + 1 RETURNING seq", ()
        seq: int = rows[0][0]
        rows = yield PRODUCT, (product.id,)
        before = _stored(rows[0]) if rows else None
        version = before.version if before else 0
        if expected is not None and expected != version:
            detail = f"The product has version {version}, and the request changes version {expected}. Read it again."
            raise Conflict("version-conflict", "The product has changed", detail)
        if before is not None and before.product == product:
            yield "UPDATE catalogue_counter SET seq = seq - 1", ()
            return before
        yield from _keep_skus(before.product if before else None, product)
        made_ms = before.made_ms if before else now_ms
        document = product.model_dump_json()
        kind = "retired" if product.is_retired else "changed" if before else "created"
        yield EVENT, (seq, product.id, kind, actor, now_ms, made_ms, document)
        yield KEEP_PRODUCT, (product.id, seq, seq, made_ms, now_ms, document)
        for sku in _added(before.product if before else None, product):
            yield "INSERT INTO skus VALUES ($1, $2, $3)", (sku.id, product.id, sku.sale)
        rows = yield "SELECT number FROM products WHERE id = $1", (product.id,)
        yield from self._list(rows[0][0], product, made_ms)
        return Stored(product=product, version=seq, made_ms=made_ms, changed_ms=now_ms)

    def _list(self, number: int, product: Product, made_ms: int) -> Steps[None]:
        """Replace what lists and search know of a product. One that cannot be bought is in neither."""
        yield from self._index.drop(number)
        yield "DELETE FROM listing WHERE number = $1", (number,)
        if (price_cents := product.price_cents) is not None:
            yield LIST, (number, product.id, product.currency, price_cents, made_ms)
            yield from self._index.add(number, product)


def _added(before: Product | None, product: Product) -> list[Sku]:
    known = {sku.id for sku in before.skus} if before else set()
    return [sku for sku in product.skus if sku.id not in known]


def _keep_skus(before: Product | None, product: Product) -> Steps[None]:
    """Refuse a change after which a sale would sell something else. Raises `Conflict`."""
    now = {sku.id: sku for sku in product.skus}
    for old in before.skus if before else ():
        if old.id not in now or now[old.id].sale != old.sale:
            detail = f"SKU {old.id!r} must stay, with sale {old.sale!r}. Set its is_retired to end it."
            raise Conflict("sku-fixed", "A SKU cannot be removed", detail)
    for sku in _added(before, product):
        rows = yield "SELECT id, product, sale FROM skus WHERE id = $1 OR sale = $2", (sku.id, sku.sale)
        for taken, owner, sale in rows:
            what = f"SKU {taken!r}" if taken == sku.id else f"sale {sale!r}"
            raise Conflict("sku-taken", "The SKU exists already", f"{what} belongs to product {owner!r}.")


def _set_sales_7d(units: dict[str, int]) -> Steps[None]:
    changed: set[str] = set()
    for sale, count in units.items():
        yield (
            "INSERT INTO sold_7d VALUES ($1, $2) ON CONFLICT (sale) DO UPDATE SET units = excluded.units",
            (sale, count),
        )
        rows = yield "SELECT product FROM skus WHERE sale = $1", (sale,)
        changed.update(row[0] for row in rows)
    for product in sorted(changed):
        yield (
            "UPDATE listing SET sales_7d = (SELECT CAST(coalesce(sum(units), 0) AS BIGINT) FROM sold_7d "
            "JOIN skus ON skus.sale = sold_7d.sale WHERE skus.product = $1) WHERE id = $1",
            (product,),
        )


def _stored(row: Any) -> Stored:
    version, made_ms, changed_ms, document = row
    product = Product.model_validate_json(document)
    return Stored(product=product, version=version, made_ms=made_ms, changed_ms=changed_ms)


def _event(row: Any) -> ProductEvent:
    seq, _, kind, actor, at_ms, made_ms, document = row
    return ProductEvent(seq, kind, actor, at_ms, _stored((seq, made_ms, at_ms, document)))
