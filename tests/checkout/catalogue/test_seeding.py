"""The file of products for the first start: what it creates, and which faults it names."""

from pathlib import Path

import pytest

from checkout.app import running_shop
from checkout.catalogue.seeding import read_products
from checkout.errors import ConfigurationError
from checkout.settings import parse

EXAMPLE = Path(__file__).parents[3] / "configs" / "catalogue.yaml"


def test_the_example_is_a_catalogue() -> None:
    """Every SKU but that of the line has a sale of its own with its price."""
    products, sales = read_products(EXAMPLE)
    skus = {sku.sale: sku for product in products for sku in product.skus}
    assert skus.keys() - {sale.id for sale in sales} == {"launch"}
    assert all(sale.price_cents == skus[sale.id].price_cents for sale in sales)


async def test_a_file_is_read_once(tmp_path: Path) -> None:
    """At the next start neither products nor sales change, also if the file did."""
    file = tmp_path / "products.yaml"
    settings = parse(
        {
            "listen": "127.0.0.1:0",
            "engine": {"path": str(tmp_path / "shop.db")},
            "catalogue": {"file": str(file)},
        }
    )
    for price in (100, 200):
        sku = f"{{id: cup, title: One, price_cents: {price}, sale: cup, stock: {price}}}"
        file.write_text(f"products: [{{id: cup, title: Cup, skus: [{sku}]}}]")
        async with running_shop(settings) as shop:
            stock = await shop.inventory.stock("cup")
            assert stock is not None
            assert stock.total == 100
            [(_, _), (sale, _)] = await shop.inventory.engine.sales()
            assert (sale.title, sale.price_cents) == ("Cup", 100)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("a: 1", "expected a list of products"),
        ("products: [1]", "products.0"),
        ("products: [{id: Cup}]", "products.0: id"),
        (
            "products: [{id: a, title: A, skus: [{id: a, title: A, price_cents: 1, sale: a, stock: -1}]}]",
            "a: stock: expected a whole number, got -1",
        ),
    ],
)
def test_a_faulty_file_is_a_configuration_error(text: str, fault: str, tmp_path: Path) -> None:
    file = tmp_path / "products.yaml"
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=fault):
        read_products(file)
