"""The shop over real sockets, as visitors and the edge see it."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from tests.checkout.conftest import Serve

JSON = {"Accept": "application/json"}


def ticket(number: object) -> dict[str, str]:
    return {**JSON, "X-Stanchion-Ticket": str(number)}


async def test_pages_work_without_scripts(serve: Serve) -> None:
    """From product to order a visitor needs only links, forms and a cookie."""
    async with serve(stock=2) as visit:
        async with visit.client.get("/") as answer:
            assert 'href="/checkout"' in await answer.text()
        async with visit.client.get("/checkout") as answer:
            page = await answer.text()
            assert '<form method="post" action="/checkout"' in page
        async with visit.client.post("/checkout", data={"name": "Ada", "card": "4242"}) as answer:
            assert answer.status == 200
            assert answer.url.path.startswith("/orders/")
            assert "Thank you for your order" in await answer.text()


async def test_pages_load_nothing_from_other_hosts(serve: Serve) -> None:
    """The policy forbids other hosts and inline scripts, and the shop serves its assets."""
    async with serve() as visit:
        for path in ("/", "/checkout"):
            async with visit.client.get(path) as answer:
                assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
                assert "http" not in (await answer.text()).replace("http-equiv", "")
        for asset in ("shop.css", "shop.js", "icon.svg"):
            async with visit.client.get(f"/assets/{asset}") as answer:
                assert answer.status == 200
        for hostile in ("..%2fpages.py", "nothing.css", "__init__.py"):
            async with visit.client.get(f"/assets/{hostile}") as answer:
                assert answer.status == 404


async def test_texts_are_escaped(serve: Serve) -> None:
    """A text of a visitor or operator never becomes markup."""
    async with serve(title="<b>Watch</b>") as visit, visit.client.get("/") as answer:
        text = await answer.text()
        assert "&lt;b&gt;Watch" in text
        assert "<b>Watch" not in text


async def test_one_ticket_buys_one_unit(serve: Serve) -> None:
    """Parallel requests with one ticket get one order."""
    async with serve(stock=10) as visit:

        async def buy() -> int:
            async with visit.client.post("/checkout", json={"card": "1"}, headers=ticket("t1")) as answer:
                return answer.status

        statuses = await asyncio.gather(*(buy() for _ in range(20)))
        assert Counter(statuses) == {201: 1, 409: 19}
        stock = await visit.shop.inventory.stock("launch")
        assert stock is not None
        assert (stock.free, stock.held, stock.sold) == (9, 0, 1)


async def test_the_shop_never_oversells(serve: Serve) -> None:
    """With more buyers than units every unit is sold once, and the other buyers are refused."""
    async with serve(stock=7) as visit:

        async def buy(number: int) -> tuple[int, str | None]:
            async with visit.client.post("/checkout", json={}, headers=ticket(number)) as answer:
                return answer.status, answer.headers.get("Stanchion-Command")

        answers = Counter(await asyncio.gather(*(buy(n) for n in range(40))))
        assert answers[(201, "complete")] == 7
        assert sum(count for (status, _), count in answers.items() if status == 409) == 33
        async with visit.client.get("/checkout", headers=JSON) as answer:
            assert answer.headers["Stanchion-Stock"] == "0"
            assert answer.headers["Stanchion-Command"] == "sold-out"


async def test_purchases_over_the_limit_are_refused_and_counted(serve: Serve) -> None:
    """Above the limit and its backlog checkout answers 503 at once; below it never does."""
    async with serve(stock=100, rate=20.0, seconds=0.1, backlog_s=0.1) as visit:  # 2 run, 2 wait

        async def buy(number: int) -> int:
            async with visit.client.post("/checkout", json={}, headers=ticket(number)) as answer:
                assert (answer.status == 503) == ("Retry-After" in answer.headers)
                return answer.status

        statuses = Counter(await asyncio.gather(*(buy(n) for n in range(10))))
        assert statuses == {201: 4, 503: 6}
        async with visit.client.get("/stats") as answer:
            stats = await answer.json()
        assert (stats["served"], stats["refused_503"], stats["most_concurrent"]) == (4, 6, 4)
        assert (stats["orders"], stats["stock_left"], stats["stock_total"]) == (4, 96, 100)


async def test_a_declined_card_frees_the_unit(serve: Serve) -> None:
    """After a declined payment the unit is free, and the visitor may try another card."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout", json={"card": "decline"}, headers=ticket(1)) as answer:
            assert answer.status == 402
            assert answer.content_type == "application/problem+json"
            assert answer.headers["Stanchion-Stock"] == "1"
        async with visit.client.post("/checkout", json={"card": "good"}, headers=ticket(1)) as answer:
            assert answer.status == 201


async def test_a_form_sent_twice_is_one_order(serve: Serve) -> None:
    """The hidden key of a form makes a second submit return the same order."""
    async with serve(stock=5) as visit:
        body = {"card": "1", "key": "k1"}
        async with visit.client.post("/checkout", json=body, headers=ticket(1)) as first:
            order = (await first.json())["order"]
        async with visit.client.post("/checkout", json=body, headers=ticket(1)) as second:
            assert second.status == 201
            assert (await second.json())["order"] == order
        async with visit.client.post("/checkout", json={**body, "card": "2"}, headers=ticket(1)) as other:
            assert other.status == 422


@pytest.mark.parametrize("body", [b"", b"{", b"[1]", b"\xff\xfe", b'{"card": null}', b'{"card": {"a": 1}}'])
async def test_any_body_is_an_order_or_a_refusal(serve: Serve, body: bytes) -> None:
    """No request body causes a 5xx."""
    headers = {**ticket(1), "Content-Type": "application/json"}
    async with serve() as visit, visit.client.post("/checkout", data=body, headers=headers) as answer:
        assert answer.status < 500


async def test_a_reservation_can_be_paid_later(serve: Serve) -> None:
    """A reservation shows the time left, is found again, is paid once, and then leads to its order."""
    async with serve(stock=1) as visit:
        async with visit.client.get("/checkout") as answer:
            assert 'action="/checkout/holds"' in await answer.text()
        async with visit.client.post("/checkout/holds", data={"key": "k"}) as answer:
            where, page = answer.url.path, await answer.text()
            assert where.startswith("/checkout/holds/")
            assert 'role="timer"' in page
            assert "2 min 00 s" in page or "1 min 59 s" in page
        async with visit.client.post("/checkout/holds", data={"key": "other"}) as answer:
            assert f'href="{where}"' in await answer.text()
        for _ in range(2):
            async with visit.client.post(f"{where}/pay", data={"card": "1", "key": "p"}) as answer:
                assert answer.url.path == where.replace("/checkout/holds/", "/orders/")
        async with visit.client.get(where) as answer:
            assert answer.url.path.startswith("/orders/")


async def test_a_cancelled_reservation_frees_the_unit(serve: Serve) -> None:
    """After a cancellation the unit is free, and the reservation's page says that it has ended."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout/holds", data={}) as answer:
            where = answer.url.path
        async with visit.client.post("/checkout/holds", data={}, headers=ticket("next")) as answer:
            assert answer.status == 409
        async with visit.client.post(f"{where}/cancel") as answer:
            assert answer.status == 200
            assert answer.headers["Stanchion-Stock"] == "1"
        async with visit.client.get(where) as answer:
            assert answer.status == 409
            assert "has ended" in await answer.text()


async def test_only_its_owner_sees_a_reservation(serve: Serve) -> None:
    """For every other visitor the pages of a reservation are 404."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout/holds", data={}) as answer:
            where = answer.url.path
        for method, path in (("GET", where), ("POST", f"{where}/pay"), ("POST", f"{where}/cancel")):
            async with visit.client.request(method, path, headers=ticket("eve")) as answer:
                assert answer.status == 404


async def test_a_bank_without_an_answer_is_504(serve: Serve) -> None:
    """If the answer of the bank is lost, the page is a 504, and the next settlement makes the order."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout", json={"card": "lost"}, headers=ticket(1)) as answer:
            assert answer.status == 504
        await visit.shop.settle()
        stock = await visit.shop.inventory.stock("launch")
        assert stock is not None
        assert stock[:3] == (0, 0, 1)


async def test_checkout_refuses_before_the_opening(serve: Serve) -> None:
    """Before the opening the product page counts down and checkout refuses."""
    async with serve(opens_in_seconds=90) as visit:
        async with visit.client.get("/") as answer:
            assert "Opens in 1 min" in await answer.text()
        async with visit.client.post("/checkout", json={}, headers=ticket(1)) as answer:
            assert answer.status == 409
            assert (await answer.json())["type"].endswith("not-open")


async def test_metrics_count_units_and_purchases(serve: Serve) -> None:
    """The metrics show units by state, decisions, and purchases by result."""
    async with serve(stock=2) as visit:
        async with visit.client.post("/checkout", json={"card": "1"}, headers=ticket(1)) as answer:
            assert answer.status == 201
        async with visit.client.post("/checkout/holds", json={}, headers=ticket(2), allow_redirects=False) as answer:
            assert answer.status == 303
        async with visit.client.get("/metrics") as answer:
            samples = samples_of(await answer.text())
        units = {state: samples[f'shop_units{{sale="launch",state="{state}"}}'] for state in ("free", "held", "sold")}
        assert units == {"free": 0, "held": 1, "sold": 1}
        assert samples['shop_checkouts_total{result="served"}'] == 1
        assert samples["shop_decisions_total"] == 5, "opened, reserved, paid, confirmed, reserved"
        assert samples["shop_store_up"] == 1
        assert samples["shop_payments_unsettled"] == 0


async def test_the_stock_endpoint_carries_the_headers_for_the_edge(serve: Serve) -> None:
    """`/stock` has the same headers as checkout, and the version grows with every change."""
    async with serve(stock=2) as visit:
        async with visit.client.get("/stock") as answer:
            before = answer.headers
            assert (await answer.json())["free"] == 2
        async with visit.client.post("/checkout/holds", json={}, headers=ticket(2), allow_redirects=False) as answer:
            assert answer.headers["Stanchion-Held"] == "1"
        async with visit.client.get("/stock") as answer:
            after = answer.headers
        assert (before["Stanchion-Stock"], before["Stanchion-Held"]) == ("2", "0")
        assert (after["Stanchion-Stock"], after["Stanchion-Held"]) == ("1", "1")
        assert int(after["Stanchion-Version"]) > int(before["Stanchion-Version"])


async def test_an_unknown_sale_sends_no_stock_headers(serve: Serve) -> None:
    """A request for an unknown sale must not make the edge believe that this sale is sold out."""
    async with serve(stock=2) as visit:
        headers = {**ticket(1), "Idempotency-Key": "k"}
        async with visit.client.post("/api/sales/other/holds", json={}, headers=headers) as answer:
            assert answer.status == 404
            assert not [name for name in answer.headers if name.startswith("Stanchion-")]


def samples_of(text: str) -> dict[str, float]:
    """Return Prometheus' text as values by name and labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}


async def test_a_buyer_that_has_paid_is_told_so(serve: Serve) -> None:
    """To pay again with another key, or to cancel, changes nothing: page and API say it and link to the order."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout/holds", data={"key": "k"}) as answer:
            where = answer.url.path
        hold = where.rpartition("/")[2]
        async with visit.client.post(f"{where}/pay", data={"card": "1", "key": "p"}) as answer:
            assert answer.url.path == f"/orders/{hold}"
        for step, form in (("pay", {"card": "1", "key": "other"}), ("cancel", {})):
            async with visit.client.post(f"{where}/{step}", data=form) as answer:
                page = await answer.text()
                assert answer.status == 409
                assert "already paid" in page
                assert "charged once" in page
                assert f'href="/orders/{hold}"' in page
                assert "on sale again" not in page
        for step in ("payment", "cancellation"):
            headers = {**JSON, "Idempotency-Key": "another"}
            async with visit.client.post(f"/api/holds/{hold}/{step}", json={"card": "1"}, headers=headers) as answer:
                body = await answer.json()
                assert (answer.status, body["type"]) == (409, "urn:checkout:problem:already-paid")
                assert (body["order"], body["url"]) == (hold, f"/orders/{hold}")
        stock = await visit.shop.inventory.stock("launch")
        assert stock is not None
        assert stock[:3] == (0, 0, 1)


@pytest.mark.parametrize(
    ("card", "end", "told"),
    [("", "cancelled", "Nothing was charged."), ("decline", "declined", "declined and nothing was charged")],
)
async def test_a_reservation_that_has_ended_says_what_happened_to_the_money(
    serve: Serve, card: str, end: str, told: str
) -> None:
    """The text depends on the money of the reservation."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout/holds", data={"key": "k"}) as answer:
            where = answer.url.path
        step, form = ("pay", {"card": card, "key": "p"}) if card else ("cancel", {})
        async with visit.client.post(f"{where}/{step}", data=form) as answer:
            assert answer.status == (402 if card else 200), end
        async with visit.client.post(f"{where}/pay", data={"card": "1", "key": "late"}) as answer:
            page = await answer.text()
            assert answer.status == 409
            assert "on sale again" in page
            assert told in page


async def test_a_stock_in_doubt_is_unknown_and_not_over(serve: Serve, tmp_path: Path) -> None:
    """While the store is in doubt, the edge hears "unknown" and buyers are asked to wait; nobody hears "sold out"."""
    path = tmp_path / "shop.db"
    async with serve(stock=5, engine={"path": str(path)}) as visit:
        (tmp_path / "shop.db.journal").write_bytes(b"")  # somebody has replaced the evidence
        async with visit.client.post("/checkout/holds", data={"key": "k"}, headers={"Accept": "text/html"}) as answer:
            assert answer.status == 503
            assert "Please wait" in await answer.text()
            assert answer.headers["Retry-After"]
        async with asyncio.timeout(20):
            while True:
                async with visit.client.get("/stock", headers=JSON) as answer:
                    if answer.headers["Stanchion-Stock"] == "unknown":
                        break
        assert answer.status == 503
        assert "Stanchion-Held" not in answer.headers
        assert "Stanchion-Command" not in answer.headers
        async with visit.client.post("/checkout", json={}, headers=ticket(1)) as answer:
            assert (answer.status, (await answer.json())["type"]) == (503, "urn:checkout:problem:stock-unknown")
