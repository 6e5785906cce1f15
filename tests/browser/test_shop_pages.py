"""The shop's pages in a real browser: a person buys on a phone without scripts, and axe finds nothing."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from axe_playwright_python.async_playwright import Axe
from playwright.async_api import Browser, Page

from checkout.app import RunningShop, running_shop
from checkout.settings import parse

pytestmark = pytest.mark.asyncio(loop_scope="session")

CATALOGUE = Path(__file__).parents[2] / "configs" / "catalogue.yaml"
PHONE = {"width": 390, "height": 844}
FITS = "document.documentElement.scrollWidth <= innerWidth"


@pytest_asyncio.fixture(loop_scope="session")
async def shop() -> AsyncIterator[RunningShop]:
    settings = {
        "listen": "127.0.0.1:0",
        "catalogue": {"file": str(CATALOGUE)},
        "capacity": {"checkouts_per_second": 1000, "seconds_per_checkout": 0},
    }
    async with running_shop(parse(settings)) as running:
        yield running


async def put_into_cart(page: Page, address: str) -> None:
    await page.goto(address)
    await page.get_by_role("button", name="Put into the cart").click()


async def test_a_person_buys_on_a_phone_without_scripts(chromium: Browser, shop: RunningShop) -> None:
    """Search with a typing error, product, cart, checkout, confirmation."""
    context = await chromium.new_context(viewport=PHONE, java_script_enabled=False)
    page = await context.new_page()
    await page.goto(f"{shop.url}/")
    await page.get_by_role("link", name="Products").click()
    await page.get_by_label("Search").fill("tepot")
    await page.get_by_role("button", name="Search").click()
    await page.get_by_role("link", name="Teapot").click()
    await page.get_by_label("Units").fill("2")
    await page.get_by_role("button", name="Put into the cart").click()
    await page.get_by_role("link", name="Check out").click()
    await page.get_by_label("Name on the order").fill("Ada")
    await page.get_by_role("button", name="Pay").click()
    assert await page.get_by_role("heading", level=1).inner_text() == "Thank you for your order"
    assert "108.00 EUR" in await page.locator(".total").inner_text()
    await context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
async def test_the_pages_are_accessible_and_fit_a_phone(chromium: Browser, shop: RunningShop, scheme: str) -> None:
    """axe finds no fault, and no page is wider than the phone."""
    context = await chromium.new_context(viewport=PHONE, color_scheme=scheme)  # type: ignore[arg-type]
    page = await context.new_page()
    await put_into_cart(page, f"{shop.url}/products/shirt")
    await put_into_cart(page, f"{shop.url}/products/meridian-one")
    for path in ("/", "/products?q=wathc", "/products/shirt", "/cart", "/checkout/cart", "/best-sellers"):
        await page.goto(shop.url + path)
        assert await page.evaluate(FITS), path
        found = (await Axe().run(page)).response["violations"]
        assert found == [], (path, [each["id"] for each in found])
    await context.close()
