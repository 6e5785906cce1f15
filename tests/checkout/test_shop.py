"""The shop as its visitors and the edge see it, over real sockets."""

import asyncio
from collections import Counter

import pytest

from tests.checkout.conftest import Serve

JSON = {"Accept": "application/json"}


def ticket(number: object) -> dict[str, str]:
    return {**JSON, "X-Stanchion-Ticket": str(number)}


async def test_pages_work_without_scripts(serve: Serve) -> None:
    """The way from product to order needs links, forms and a cookie, nothing else."""
    async with serve(stock=2) as visit:
        async with visit.client.get("/") as answer:
            assert 'href="/checkout"' in await answer.text()
        async with visit.client.get("/checkout") as answer:
            page = await answer.text()
            assert '<form method="post" action="/checkout"' in page
        async with visit.client.post("/checkout", data={"name": "Ada", "card": "4242"}) as answer:
            assert answer.status == 200
            assert answer.url.path.startswith("/orders/")
            assert "it is yours" in await answer.text()


async def test_pages_load_nothing_from_elsewhere(serve: Serve) -> None:
    """A strict policy forbids outside resources and inline scripts, and the assets are there."""
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


async def test_what_a_client_sends_is_shown_as_text(serve: Serve) -> None:
    """Nothing a visitor or operator writes becomes markup."""
    async with serve(title="<b>Watch</b>") as visit, visit.client.get("/") as answer:
        text = await answer.text()
        assert "&lt;b&gt;Watch" in text
        assert "<b>Watch" not in text


async def test_one_ticket_buys_one_unit(serve: Serve) -> None:
    """However often and however parallel a ticket asks, it gets one order."""
    async with serve(stock=10) as visit:

        async def buy() -> int:
            async with visit.client.post("/checkout", json={"card": "1"}, headers=ticket("t1")) as answer:
                return answer.status

        statuses = await asyncio.gather(*(buy() for _ in range(20)))
        assert Counter(statuses) == {201: 1, 409: 19}
        stock = await visit.shop.inventory.stock("launch")
        assert stock is not None
        assert (stock.free, stock.held, stock.sold) == (9, 0, 1)


async def test_never_sells_more_than_it_has(serve: Serve) -> None:
    """With more buyers than units exactly the units are sold and the others hear so."""
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


async def test_overrun_is_refused_and_counted(serve: Serve) -> None:
    """Over its slots and its backlog the checkout answers 503 at once; below it never does."""
    async with serve(stock=100, rate=20.0, seconds=0.1, backlog_s=0.1) as visit:  # 2 slots, 2 waiting

        async def buy(number: int) -> int:
            async with visit.client.post("/checkout", json={}, headers=ticket(number)) as answer:
                assert (answer.status == 503) == ("Retry-After" in answer.headers)
                return answer.status

        statuses = Counter(await asyncio.gather(*(buy(n) for n in range(10))))
        assert statuses == {201: 4, 503: 6}
        async with visit.client.get("/stats") as answer:
            seen = await answer.json()
        assert (seen["served"], seen["refused_503"], seen["most_concurrent"]) == (4, 6, 4)
        assert (seen["orders"], seen["stock_left"], seen["stock_total"]) == (4, 96, 100)


async def test_declined_card_gives_the_unit_back(serve: Serve) -> None:
    """A declined payment costs nothing: the unit is free again and the same visitor may try another card."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout", json={"card": "decline"}, headers=ticket(1)) as answer:
            assert answer.status == 402
            assert answer.content_type == "application/problem+json"
            assert answer.headers["Stanchion-Stock"] == "1"
        async with visit.client.post("/checkout", json={"card": "good"}, headers=ticket(1)) as answer:
            assert answer.status == 201


async def test_form_sent_twice_is_one_order(serve: Serve) -> None:
    """The hidden key of a form makes a repeated submit show the same order."""
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
    """No bytes in a request make the shop fail."""
    headers = {**ticket(1), "Content-Type": "application/json"}
    async with serve() as visit, visit.client.post("/checkout", data=body, headers=headers) as answer:
        assert answer.status < 500


async def test_reserve_first_and_pay_later(serve: Serve) -> None:
    """A reservation shows its time left, is found again, is paid once, and then leads to its order."""
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


async def test_give_back_a_reservation(serve: Serve) -> None:
    """A reservation given back is free for the next, and its page says that it has ended."""
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


async def test_reservation_of_another_does_not_exist(serve: Serve) -> None:
    """Pages of a reservation are its owner's alone."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout/holds", data={}) as answer:
            where = answer.url.path
        for method, path in (("GET", where), ("POST", f"{where}/pay"), ("POST", f"{where}/cancel")):
            async with visit.client.request(method, path, headers=ticket("eve")) as answer:
                assert answer.status == 404


async def test_bank_without_an_answer(serve: Serve) -> None:
    """A bank that loses its answer is a 504 page, and the order appears once the shop has asked it again."""
    async with serve(stock=1) as visit:
        async with visit.client.post("/checkout", json={"card": "lost"}, headers=ticket(1)) as answer:
            assert answer.status == 504
        await visit.shop.settle()
        stock = await visit.shop.inventory.stock("launch")
        assert stock is not None
        assert stock[:3] == (0, 0, 1)


async def test_sale_that_is_not_open_yet(serve: Serve) -> None:
    """Before the opening the page counts down and checkout refuses."""
    async with serve(opens_in_seconds=90) as visit:
        async with visit.client.get("/") as answer:
            assert "Opens in 1 min" in await answer.text()
        async with visit.client.post("/checkout", json={}, headers=ticket(1)) as answer:
            assert answer.status == 409
            assert (await answer.json())["type"].endswith("not-open")


async def test_metrics_say_what_the_shop_does(serve: Serve) -> None:
    """Units by state, decisions, purchases served and refused; and still an answer when the store is away."""
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


async def test_stock_is_what_the_edge_asks_for(serve: Serve) -> None:
    """The headers of every answer of checkout, without a visitor; the version grows."""
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


async def test_a_sale_that_is_not_there_tells_the_edge_nothing(serve: Serve) -> None:
    """Whoever asks for another sale's name must not make the line believe that this one is sold out."""
    async with serve(stock=2) as visit:
        headers = {**ticket(1), "Idempotency-Key": "k"}
        async with visit.client.post("/api/sales/other/holds", json={}, headers=headers) as answer:
            assert answer.status == 404
            assert not [name for name in answer.headers if name.startswith("Stanchion-")]


def samples_of(text: str) -> dict[str, float]:
    """Prometheus' text by name and labels."""
    lines = [line.rpartition(" ") for line in text.splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in lines}
