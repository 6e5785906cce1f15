"""From the catalogue to an order over real sockets, with links, forms and cookies alone, and by the API."""

import asyncio
import re
from collections import Counter
from typing import Any

import pytest

from tests.checkout.catalogue.places import product
from tests.checkout.conftest import Serve, Visit

TOKEN = {"Authorization": "Bearer secret"}
JSON = {"Accept": "application/json"}


@pytest.fixture(autouse=True)
def operator(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CHECKOUT_OPERATOR_TOKEN", "secret")


async def put(visit: Visit, name: str, price_cents: int = 1000, **fields: Any) -> int:
    body = product(name, price_cents, **fields).model_dump(mode="json")
    async with visit.client.put(f"/api/products/{name}", json=body, headers=TOKEN) as answer:
        assert answer.status in (200, 201), await answer.text()
        version: int = (await answer.json())["version"]
        return version


async def open_sale(visit: Visit, name: str, total: int = 10, price_cents: int = 1000) -> None:
    terms = {"id": f"{name}-sale", "title": name, "total": total, "price_cents": price_cents, "per_user": 20}
    async with visit.client.post("/api/sales", json=terms, headers=TOKEN) as answer:
        assert answer.status == 201


async def sell(visit: Visit, *names: str, total: int = 10) -> None:
    for name in names:
        await open_sale(visit, name, total)
        await put(visit, name)


async def page(visit: Visit, path: str) -> str:
    async with visit.client.get(path) as answer:
        return await answer.text()


async def add(visit: Visit, name: str, units: int = 1) -> str:
    form = {"product": name, "sku": f"{name}-sku", "units": str(units)}
    async with visit.client.post("/cart/lines", data=form) as answer:
        assert answer.url.path == "/cart", await answer.text()
        return await answer.text()


def hidden(text: str) -> dict[str, str]:
    return dict(re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', text))


async def pay(visit: Visit, card: str = "1", path: str = "/cart/checkout") -> tuple[int, str, str]:
    """Pay with the form of the checkout page. Return status, path and page that the visitor ends at."""
    form = hidden(await page(visit, path))
    async with visit.client.post(path, data={**form, "name": "Ada", "card": card}) as answer:
        return answer.status, answer.url.path, await answer.text()


async def stock(visit: Visit, sale: str) -> tuple[int, ...]:
    found = await visit.shop.inventory.stock(sale)
    assert found is not None
    return found[:3]


async def test_a_visitor_buys_from_the_list_without_scripts(serve: Serve) -> None:
    """List, search, product, cart, checkout, confirmation: links and forms lead all the way."""
    async with serve() as visit:
        await sell(visit, "lamp", "cup")
        assert 'href="/products/lamp"' in await page(visit, "/products")
        found = await page(visit, "/products?q=lmap&sort=&from=&to=")
        assert "These are results for “lamp”" in found
        assert "/products/cup" not in found
        shown = await page(visit, "/products/lamp")
        assert 'action="/cart/lines"' in shown
        assert "10 of 10 left" in shown
        assert '<img src="/pictures/lamp.svg"' in shown
        await add(visit, "lamp", 2)
        cart = await add(visit, "cup")
        assert "30.00 EUR" in cart
        assert 'href="/cart/checkout"' in cart
        status, path, confirmation = await pay(visit)
        assert (status, path.partition("/purchases/")[0]) == (200, "")
        assert "Thank you for your order" in confirmation
        orders = re.findall(r'href="(/orders/\w+)"', confirmation)
        assert len(orders) == 3
        assert "Lamp" in await page(visit, orders[0])
        assert "Your cart is empty" in await page(visit, "/cart")
        assert (await stock(visit, "lamp-sale"), await stock(visit, "cup-sale")) == ((8, 0, 2), (9, 0, 1))


async def test_the_same_form_twice_is_one_purchase(serve: Serve) -> None:
    """Parallel and late repetitions of a form buy nothing more, and lead to the same confirmation."""
    async with serve() as visit:
        await sell(visit, "lamp")
        await add(visit, "lamp", 2)
        form = {**hidden(await page(visit, "/cart/checkout")), "card": "1"}

        async def send() -> tuple[int, str]:
            async with visit.client.post("/cart/checkout", data=form) as answer:
                return answer.status, answer.url.path

        first = [path for status, path in await asyncio.gather(*(send() for _ in range(5))) if status == 200]
        assert len(set(first)) == 1
        assert await send() == (200, first[0])
        assert await stock(visit, "lamp-sale") == (8, 0, 2)


async def test_a_price_that_changed_must_be_agreed_to(serve: Serve) -> None:
    """The price is read again at checkout. If it is another one, nothing is bought until the buyer has seen it."""
    async with serve() as visit:
        await sell(visit, "lamp")
        await add(visit, "lamp")
        form = {**hidden(await page(visit, "/cart/checkout")), "card": "1"}
        await put(visit, "lamp", 1250)
        async with visit.client.post("/cart/checkout", data=form) as answer:
            text = await answer.text()
            assert answer.status == 409
            assert "Nothing was bought" in text
            assert "it was 10.00 EUR" in text
        assert await stock(visit, "lamp-sale") == (10, 0, 0)
        status, _, confirmation = await pay(visit)
        assert status == 200
        assert "12.50 EUR" in confirmation


async def test_one_refused_unit_buys_nothing(serve: Serve) -> None:
    """If a unit of the cart is sold out, the others are freed, nothing is charged, and the cart stays."""
    async with serve() as visit:
        await sell(visit, "lamp")
        await sell(visit, "cup", total=1)
        await add(visit, "lamp", 3)
        await add(visit, "cup", 2)
        status, _, text = await pay(visit)
        assert status == 409
        assert "Sold out" in text
        assert (await stock(visit, "lamp-sale"), await stock(visit, "cup-sale")) == ((10, 0, 0), (1, 0, 0))
        assert "50.00 EUR" in await page(visit, "/cart")


async def test_a_declined_card_keeps_the_cart(serve: Serve) -> None:
    async with serve() as visit:
        await sell(visit, "lamp")
        await add(visit, "lamp", 2)
        assert (await pay(visit, "decline"))[0] == 402
        assert await stock(visit, "lamp-sale") == (10, 0, 0)
        assert (await pay(visit))[0] == 200
        assert await stock(visit, "lamp-sale") == (8, 0, 2)


async def test_units_of_the_line_are_checked_out_in_its_room(serve: Serve) -> None:
    """A cart with a unit of the sale behind the line is paid below /checkout, and the edge is told of the stock."""
    async with serve(stock=3, price_cents=900) as visit:
        body = product("watch", 900).model_dump(mode="json")
        body["skus"][0]["sale"] = "launch"
        async with visit.client.put("/api/products/watch", json=body, headers=TOKEN) as answer:
            assert answer.status == 201
        body["skus"][0]["price_cents"] = 800
        async with visit.client.put("/api/products/watch", json=body, headers=TOKEN) as answer:
            assert (answer.status, (await answer.json())["type"]) == (409, "urn:checkout:problem:price-fixed")
        assert 'href="/checkout"' in await page(visit, "/products/watch")
        form = {"product": "watch", "sku": "watch-sku", "units": "1"}
        async with visit.client.post("/cart/lines", data=form) as answer:
            assert 'href="/checkout/cart"' in await answer.text()
        async with visit.client.get("/cart/checkout") as answer:
            assert answer.url.path == "/checkout/cart"
            assert answer.headers["Stanchion-Stock"] == "3"
            agreed = hidden(await answer.text())
        async with visit.client.post("/cart/checkout", data={**agreed, "card": "1"}) as answer:
            assert answer.url.path == "/checkout/cart", "the form was sent outside of the room"
        async with visit.client.post("/checkout/cart", data={**agreed, "card": "1"}, allow_redirects=False) as answer:
            assert (answer.status, answer.headers["Stanchion-Command"]) == (303, "complete")
            assert answer.headers["Stanchion-Stock"] == "2"


async def test_a_cart_follows_its_buyer(serve: Serve) -> None:
    """At a log-in the cart of the browser joins the buyer's cart, which the next browser sees as well."""
    async with serve() as visit:
        await sell(visit, "lamp", "cup")
        account = {"email": "ada@example.org", "password": "correct horse"}
        async with visit.client.post("/api/accounts", json=account) as answer:
            assert answer.status == 201
        for name in ("lamp", "cup"):
            visit.client.cookie_jar.clear()
            await add(visit, name)
            async with visit.client.post("/api/sessions", json=account) as answer:
                assert answer.status == 200
        async with visit.client.get("/api/cart") as answer:
            assert [line["product"] for line in (await answer.json())["lines"]] == ["lamp", "cup"]
        visit.client.cookie_jar.clear()
        async with visit.client.get("/api/cart") as answer:
            assert (await answer.json())["lines"] == []


async def test_a_program_buys_a_cart(serve: Serve) -> None:
    """The API: put, read, check out with a key, and the same key again gives the same purchase."""
    async with serve() as visit:
        await sell(visit, "lamp")
        async with visit.client.put("/api/cart/lines/lamp-sku", json={"product": "lamp", "units": 2}) as answer:
            cart = await answer.json()
            assert (answer.status, cart["totals"]) == (200, {"EUR": 2000})
        body = {"card": "1", "agreement": cart["agreement"]}
        answers = []
        for _ in range(2):
            headers = {"Idempotency-Key": "k", "X-Stanchion-Ticket": "ada"}
            async with visit.client.post("/api/cart/checkout", json=body, headers=headers) as answer:
                assert answer.status == 201
                answers.append(await answer.json())
        assert answers[0] == answers[1]
        assert Counter(line["state"] for line in answers[0]["lines"]) == {"sold": 2}
        async with visit.client.get(f"/api/purchases/{answers[0]['purchase']}") as answer:
            assert await answer.json() == answers[0]
        headers = {"Idempotency-Key": "k2", "X-Stanchion-Ticket": "ada"}
        async with visit.client.post("/api/cart/checkout", json=body, headers=headers) as answer:
            assert (answer.status, (await answer.json())["type"]) == (409, "urn:checkout:problem:cart-empty")
        async with visit.client.get("/api/sales/lamp-sale/audit", headers=TOKEN) as answer:
            assert (await answer.json())["is_clean"]


async def test_more_units_than_one_visitor_may_take_are_refused_before_a_hold(serve: Serve) -> None:
    """The page says how many; nothing is held meanwhile."""
    async with serve(stock=9, per_user=2) as visit:
        body = product("watch", 24_900).model_dump(mode="json")
        body["skus"][0]["sale"] = "launch"
        async with visit.client.put("/api/products/watch", json=body, headers=TOKEN) as answer:
            assert answer.status == 201
        await add(visit, "watch", 3)
        status, _, text = await pay(visit, path="/checkout/cart")
        assert status == 409
        assert "One visitor may take 2 units" in text
        found = await visit.shop.inventory.stock("launch")
        assert found is not None
        assert found.version == 1, "nothing but the opening is in the trail"


async def test_a_list_shows_a_change_at_once(serve: Serve) -> None:
    """What a search found is kept for a moment, but not longer than until this shop changes a product."""
    async with serve() as visit:
        for name in ("lamp", "cup", "lamp-two"):
            await put(visit, name)
            assert f'href="/products/{name}"' in await page(visit, "/products")
            assert f'href="/products/{name}"' in await page(visit, "/products")


async def test_faults_of_a_form_are_pages(serve: Serve) -> None:
    """A visitor reads what is wrong; a program gets a problem document."""
    async with serve() as visit:
        async with visit.client.get("/products?from=abc", headers={"Accept": "text/html"}) as answer:
            assert (answer.status, answer.content_type) == (400, "text/html")
            assert "expected a price such as 12 or 12.50" in await answer.text()
        async with visit.client.get("/api/products?min_cents=abc") as answer:
            assert (answer.status, answer.content_type) == (400, "application/problem+json")


async def test_a_bank_without_an_answer_settles_the_cart_later(serve: Serve) -> None:
    async with serve() as visit:
        await sell(visit, "lamp")
        await add(visit, "lamp")
        assert (await pay(visit, "lost"))[0] == 504
        await visit.shop.settle()
        assert await stock(visit, "lamp-sale") == (9, 0, 1)


async def test_only_the_operator_changes_the_catalogue(serve: Serve) -> None:
    async with serve() as visit:
        body = product("lamp").model_dump(mode="json")
        for method, path in (("PUT", "products/lamp"), ("DELETE", "products/lamp"), ("GET", "catalogue/events")):
            async with visit.client.request(method, f"/api/{path}", json=body) as answer:
                assert answer.status == 401


async def test_products_change_and_retire_by_the_api(serve: Serve) -> None:
    """All faults are reported together, versions protect changes, and a retired product is gone from list and cart."""
    async with serve() as visit:
        faulty = {"title": "", "colour": 1, "skus": [{"id": "X", "title": "a", "price_cents": -1, "sale": "s"}]}
        async with visit.client.put("/api/products/lamp", json=faulty, headers=TOKEN) as answer:
            detail = (await answer.json())["detail"]
            assert answer.status == 400
            assert all(name in detail for name in ("title", "colour", "skus.0.id", "skus.0.price_cents"))
        await sell(visit, "lamp")
        await add(visit, "lamp")
        async with visit.client.get("/api/products/lamp") as answer:
            body = await answer.json()
        for status in (200, 409):
            body["title"] += "!"
            async with visit.client.put("/api/products/lamp", json=body, headers=TOKEN) as answer:
                assert answer.status == status
        for _ in range(2):
            async with visit.client.delete("/api/products/lamp", headers=TOKEN) as answer:
                assert (answer.status, (await answer.json())["is_retired"]) == (200, True)
        async with visit.client.get("/api/catalogue/events?after=1", headers=TOKEN) as answer:
            assert [event["kind"] for event in await answer.json()] == ["changed", "retired"]
        async with visit.client.get("/api/products?q=lamp") as answer:
            assert await answer.json() == {"products": [], "next": "", "corrected": ""}
        async with visit.client.get("/products/lamp") as answer:
            assert answer.status == 410
        assert "not sold any more" in await page(visit, "/cart")
        async with visit.client.post("/cart/lines/lamp-sku", data={"units": "0"}) as answer:
            assert "Your cart is empty" in await answer.text()


async def test_best_sellers_reach_the_search(serve: Serve) -> None:
    """Sold units become `sales_7d`, by which the list is sorted."""
    async with serve() as visit:
        await sell(visit, "lamp", "cup", "bag")
        await add(visit, "cup", 2)
        assert (await pay(visit))[0] == 200
        async with asyncio.timeout(30):
            while True:
                async with visit.client.get("/api/products?sort=sales_7d&limit=1") as answer:
                    if (await answer.json())["products"][0]["id"] == "cup":
                        break
                await asyncio.sleep(0.05)


async def test_hostile_texts_never_become_markup(serve: Serve) -> None:
    text = '<b a="1">&amp;</b>'
    async with serve() as visit:
        await open_sale(visit, "lamp")
        await put(visit, "lamp", title=text, text=text, attributes={"kind": text})
        for path in ("/products", "/products/lamp", f"/products?q={text}&from=1&to=2"):
            assert "<b a=" not in await page(visit, path)
        assert "<b a=" not in await add(visit, "lamp")
        for path in (
            "/products?from=x",
            "/products?after=!",
            "/products?sort=x",
            "/products?category=A",
            "/api/products?q=" + "x" * 201,
        ):
            async with visit.client.get(path) as answer:
                assert answer.status == 400
        for form in ({}, {"product": "lamp", "sku": "x"}, {"product": "lamp", "sku": "lamp-sku", "units": "-1"}):
            async with visit.client.post("/cart/lines", data=form) as answer:
                assert answer.status in (400, 409)
