"""A product and its SKUs, as they are sent, stored and read.

    product   what a page shows: title, text, pictures, attributes
    SKU       what is put into a cart: one variant of a product with its price; its units are those of one sale

A SKU never changes its sale, so the units of a sale always stay the same thing. The price of a SKU may change.
"""

from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StrictBool, StrictStr, ValidationError

from checkout.errors import BadRequest

MOST_CENTS = 10**9
NAME = r"^[a-z0-9][a-z0-9-]{0,63}$"
LINE = r"^[^\x00-\x1f\x7f]*$"
TEXT = r"^[^\x00-\x09\x0b-\x1f\x7f]*$"
ATTRIBUTE = r"^[a-z][a-z0-9_-]{0,31}$"
PATH = r"^/([!-.0-\[\]-~][!-\[\]-~]*)?$"
"""A path on the shop's own host: a page loads nothing from other hosts."""


def _whole(value: Any) -> Any:
    """Return 5 for 5.0, which is a whole number in JSON. Refuse what is not a number."""
    if type(value) is float and value.is_integer():
        return int(value)
    if type(value) is not int:
        raise ValueError("expected a whole number")
    return value


Name = Annotated[StrictStr, Field(pattern=NAME)]
Line = Annotated[StrictStr, Field(min_length=1, max_length=200, pattern=LINE)]
Cents = Annotated[int, BeforeValidator(_whole), Field(ge=0, le=MOST_CENTS)]
AttributeName = Annotated[StrictStr, Field(pattern=ATTRIBUTE)]
AttributeValue = Annotated[StrictStr, Field(min_length=1, max_length=100, pattern=LINE)]
Attributes = Annotated[dict[AttributeName, AttributeValue], Field(max_length=32)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Picture(_Part):
    url: Annotated[StrictStr, Field(max_length=500, pattern=PATH)]
    alt: Annotated[StrictStr, Field(max_length=200, pattern=LINE)] = ""


class Sku(_Part):
    """One variant. `sale`: the name of the sale that holds its units."""

    id: Name
    title: Line
    price_cents: Cents
    sale: Name
    attributes: Attributes = {}
    is_retired: StrictBool = False


class Product(_Part):
    """A product. `is_retired`: it is not listed, not found and not sold any more; old orders still name it."""

    id: Name
    title: Line
    currency: Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")] = "EUR"
    category: Annotated[StrictStr, Field(pattern=r"^([a-z0-9][a-z0-9-]{0,63})?$")] = ""
    text: Annotated[StrictStr, Field(max_length=4000, pattern=TEXT)] = ""
    attributes: Attributes = {}
    pictures: Annotated[tuple[Picture, ...], Field(max_length=10)] = ()
    skus: Annotated[tuple[Sku, ...], Field(min_length=1, max_length=50)]
    is_retired: StrictBool = False

    def live_skus(self) -> Iterator[Sku]:
        """Yield the SKUs that can be bought."""
        if not self.is_retired:
            yield from (sku for sku in self.skus if not sku.is_retired)

    def sku(self, sku_id: str) -> Sku | None:
        """Return a SKU that can be bought, or None."""
        return next((sku for sku in self.live_skus() if sku.id == sku_id), None)

    @property
    def price_cents(self) -> int | None:
        """The lowest price of a SKU, or None if nothing can be bought."""
        return min((sku.price_cents for sku in self.live_skus()), default=None)


class Stored(_Part):
    """A product as it is stored. `version` is the number of the event that wrote it: higher is newer."""

    product: Product
    version: int
    made_ms: int
    changed_ms: int

    def document(self) -> dict[str, Any]:
        """Return it as programs read it."""
        times = {"version": self.version, "made_ms": self.made_ms, "changed_ms": self.changed_ms}
        return self.product.model_dump(mode="json") | times


def product_of(body: dict[str, Any]) -> Product:
    """Check what an operator sent. Raises `BadRequest` that names every fault."""
    try:
        product = Product.model_validate(body)
    except ValidationError as error:
        faults = [f"{'.'.join(map(str, fault['loc'])) or 'body'}: {fault['msg']}" for fault in error.errors()]
        raise BadRequest("; ".join(faults)) from error
    for what, names in (("id", [sku.id for sku in product.skus]), ("sale", [sku.sale for sku in product.skus])):
        if len(set(names)) < len(names):
            raise BadRequest(f"skus: two SKUs have the same {what}")
    return product
