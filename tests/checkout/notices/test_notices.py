"""Notices arrive once: on a real mail server and a real webhook, under replays, faults and crashes."""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from aiohttp import ClientSession, web

from checkout.bus.bus import Message
from checkout.bus.embedded import EmbeddedBus
from checkout.engines.sqlite import SqliteEngine
from checkout.notices.channels import Smtp, Webhook, signature
from checkout.notices.outbox import LEASE_MS, ClaimLost, Outbox
from checkout.notices.planner import STOCK, Planner
from checkout.notices.sender import Sender
from checkout.sale_list import SaleList
from checkout.values import Event, Hold, OpenSale, Sale
from edge.supervisor.webhooks import signature as edge_signature
from tests.checkout.conftest import Serve
from tests.checkout.notices.mail import MailServer, mail_server
from tests.checkout.shop_processes import serving_app

SALE = Sale("launch", "Größe One", 5, 24_900, "EUR", 0, 0, 120_000, 1)
NOW = 1_800_000_000_000
SECRET = "a secret of the webhook"


def event(seq: int, kind: str, hold: str = "h1", user: str = "u1", *, free: tuple[int, int] = (3, 3)) -> Event:
    """free: before and after."""
    return Event(
        seq, "launch", hold, user, kind, "user", "", NOW, free[0], 0, 0, free[1], 0, 0, NOW + 120_000, "", "", ""
    )  # fmt: skip


async def terms(hold: Hold) -> Sale | None:
    """Each unit costs what the sale says."""
    return SALE if hold.sale == SALE.id else None


def told(*events: Event) -> list[Message]:
    return [Message.of(each.seq, each) for each in events]


class Desk:
    """Planner, outbox and sender on a clock that the test moves."""

    def __init__(self, outbox: Outbox, planner: Callable[[Callable[[], int]], Planner], sender: Sender) -> None:
        self.outbox, self.sender = outbox, sender
        self.now_ms = NOW
        self.planner = planner(lambda: self.now_ms)

    async def pass_ms(self, ms: int) -> None:
        self.now_ms += ms
        while await self.sender.step():
            pass


@pytest.fixture
async def mail() -> AsyncIterator[tuple[MailServer, str]]:
    async with mail_server() as server:
        yield server


@pytest.fixture
async def desk(mail: tuple[MailServer, str], tmp_path: Path) -> AsyncIterator[Desk]:
    engine, outbox = await SqliteEngine.open(":memory:"), await Outbox.open(str(tmp_path / "outbox.db"))
    await engine.apply([OpenSale(SALE)])
    host, port = mail[1].split(":")
    smtp = Smtp(host, int(port), "shop@example.com", "none", "", "")
    desk: Desk
    sender = Sender(outbox, {"email": smtp}, lambda: desk.now_ms)
    desk = Desk(outbox, lambda clock: Planner(outbox, SaleList(engine), terms, ["email"], 30_000, clock), sender)
    await outbox.set_contact("u1", "ada@example.com")
    yield desk
    await outbox.close()
    await engine.close()


async def test_an_order_is_confirmed_once(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """The same events again, from the beginning, send nothing again. The text is readable."""
    trail = told(event(1, "held"), event(2, "paying"), event(3, "sold"))
    for _ in range(3):
        await desk.planner.apply(trail)
        await desk.pass_ms(1)
    await desk.pass_ms(LEASE_MS * 3)
    [received] = mail[0].mails
    assert (received["To"], received["Subject"]) == ("ada@example.com", "Your order: Größe One")
    assert "Your order h1 is confirmed: Größe One, 249.00 EUR." in received.get_content()
    assert received["Message-ID"].endswith("@example.com>")


async def test_a_hold_is_reminded_of_before_its_end(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """Not before its time, and not if the visitor has paid or left meanwhile, also if events arrive late."""
    await desk.planner.apply(told(event(1, "held"), event(2, "held", "h2"), event(4, "cancelled", "h3")))
    await desk.planner.apply(told(event(3, "held", "h3")))
    await desk.pass_ms(89_000)
    assert mail[0].mails == []
    await desk.planner.apply(told(event(5, "paying", "h2")))
    await desk.pass_ms(2_000)
    assert [received["Subject"] for received in mail[0].mails] == ["Your reservation ends soon: Größe One"]
    assert "/checkout/holds/h1" in mail[0].mails[0].get_content()


async def test_a_reminder_after_the_end_is_not_sent(desk: Desk, mail: tuple[MailServer, str]) -> None:
    await desk.planner.apply(told(event(1, "held")))
    await desk.pass_ms(120_001)
    assert mail[0].mails == []


async def test_back_in_stock_is_told_in_order_and_once(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """One free unit is told to five visitors, in the order in which they asked."""
    for number in range(7):
        await desk.outbox.wish(STOCK, "launch", f"u{number}", f"u{number}@example.com")
        await desk.outbox.wish(STOCK, "launch", f"u{number}", f"u{number}@example.com")
    again = told(event(9, "expired", free=(0, 1)))
    await desk.planner.apply(told(event(8, "expired", free=(1, 2))))
    await desk.pass_ms(1)
    assert mail[0].mails == []
    await desk.planner.apply(again)
    await desk.pass_ms(1)
    assert sorted(received["To"] for received in mail[0].mails) == [f"u{number}@example.com" for number in range(5)]
    await desk.planner.apply(told(event(11, "expired", free=(0, 3))))
    await desk.pass_ms(1)
    assert sorted(received["To"] for received in mail[0].mails)[5:] == ["u5@example.com", "u6@example.com"]


async def test_nobody_can_fill_the_mailbox_of_another(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """A client without a cookie is a new visitor at every request. The address is told once all the same."""
    for number in range(20):
        await desk.outbox.wish(STOCK, "launch", f"u{number}", "victim@example.com")
    await desk.outbox.wish(STOCK, "launch", "u0", "other@example.com")
    await desk.planner.apply(told(event(9, "expired", free=(0, 3))))
    await desk.pass_ms(1)
    assert [received["To"] for received in mail[0].mails] == ["other@example.com"]


async def test_a_mail_is_sent_again_until_the_server_takes_it(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """ "Not now" is repeated after growing pauses; the mail arrives once."""
    mail[0].answers = ["451 try later", "452 no space", "421 busy"]
    await desk.planner.apply(told(event(3, "sold")))
    for ms in (1, 1_000, 1_000, 1_000, 4_000):
        await desk.pass_ms(ms)
    assert (mail[0].texts, len(mail[0].mails)) == (4, 1)
    assert desk.sender.results == {("email", "retried"): 3, ("email", "sent"): 1}
    await desk.pass_ms(LEASE_MS * 2)
    assert len(mail[0].mails) == 1


async def test_a_mail_is_not_sent_twice_after_its_answer_was_lost(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """The server has it, the shop does not know. The shop counts it as unsure and leaves it."""
    mail[0].answers = ["cut"]
    await desk.planner.apply(told(event(3, "sold")))
    await desk.pass_ms(1)
    await desk.pass_ms(LEASE_MS * 5)
    assert len(mail[0].mails) == 1
    assert desk.sender.results == {("email", "unsure"): 1}
    assert await desk.outbox.counts() == {("email", "handed_over"): 1, ("email", "cancelled"): 1}


async def test_a_mailbox_that_does_not_exist_is_not_tried_again(desk: Desk, mail: tuple[MailServer, str]) -> None:
    mail[0].refused.add("ada@example.com")
    await desk.planner.apply(told(event(3, "sold")))
    await desk.pass_ms(1)
    await desk.pass_ms(LEASE_MS * 5)
    assert desk.sender.results == {("email", "failed"): 1}
    assert mail[0].mails == []


async def test_a_sender_that_dies_before_the_text_loses_nothing(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """What a dead process had claimed is due again after the lease."""
    await desk.planner.apply(told(event(3, "sold")))
    assert len(await desk.outbox.claim(NOW, 10)) == 1
    await desk.pass_ms(1)
    assert mail[0].mails == []
    await desk.pass_ms(LEASE_MS)
    assert len(mail[0].mails) == 1


async def test_many_notices_at_once_arrive_once_each(desk: Desk, mail: tuple[MailServer, str]) -> None:
    """Twenty are on their way at the same time, while others are planned."""
    holds = [f"h{number}" for number in range(60)]
    async with asyncio.TaskGroup() as tasks:
        for at in range(0, 60, 10):
            sold = [event(seq, "sold", hold) for seq, hold in enumerate(holds[at : at + 10], at + 1)]
            tasks.create_task(desk.planner.apply(told(*sold)))
        tasks.create_task(desk.pass_ms(1))
    await desk.pass_ms(1)
    assert len({received["Message-ID"] for received in mail[0].mails}) == len(mail[0].mails) == 60
    assert desk.sender.results == {("email", "sent"): 60}


async def test_a_sender_that_is_too_slow_leaves_the_notice_to_the_next(
    desk: Desk, mail: tuple[MailServer, str]
) -> None:
    """Its lease has ended before it hands the text over. Only one of the two sends."""
    await desk.planner.apply(told(event(3, "sold")))
    [slow] = await desk.outbox.claim(NOW, 10)
    await desk.pass_ms(LEASE_MS + 1)
    assert len(mail[0].mails) == 1
    with pytest.raises(ClaimLost):
        await desk.outbox.hand_over(slow)
    await desk.outbox.again(slow, NOW, "slow")
    await desk.pass_ms(LEASE_MS + 1)
    assert len(mail[0].mails) == 1


async def test_a_webhook_gets_each_notice_under_one_delivery(tmp_path: Path) -> None:
    """It is signed. Attempts after a fault have the same `Shop-Delivery`, so the receiver can tell them apart."""
    seen: list[tuple[str, dict[str, str]]] = []

    async def take(request: web.Request) -> web.Response:
        body = await request.read()
        stamp = request.headers["Shop-Timestamp"]
        assert request.headers["Shop-Signature"] == signature(SECRET.encode(), stamp, body)
        seen.append((request.headers["Shop-Delivery"], json.loads(body)))
        return web.Response(status=500 if len(seen) == 1 else 204)

    app = web.Application()
    app.router.add_post("/notices", take)
    engine, outbox = await SqliteEngine.open(":memory:"), await Outbox.open(str(tmp_path / "outbox.db"))
    await engine.apply([OpenSale(SALE)])
    now = [NOW]
    async with AsyncExitStack() as stack:
        url = await stack.enter_async_context(serving_app(app))
        session = await stack.enter_async_context(ClientSession())
        sender = Sender(outbox, {"webhook": Webhook(session, f"{url}/notices", SECRET)}, lambda: now[0])
        planner = Planner(outbox, SaleList(engine), terms, ["webhook"], 30_000, lambda: now[0])
        await planner.apply(told(event(3, "sold")))
        for _ in range(3):
            await sender.step()
            now[0] += 1_500
    assert [body["kind"] for _, body in seen] == ["order_confirmed", "order_confirmed"]
    assert len({delivery for delivery, _ in seen}) == 1
    assert (seen[0][1]["user"], seen[0][1]["key"]) == ("u1", "order/h1")
    await outbox.close()
    await engine.close()


@pytest.mark.parametrize("body", [b"", b'{"event": "sale.opened"}', "ä".encode()])
def test_the_shop_signs_as_the_edge_does(body: bytes) -> None:
    """So the shop can check the edge's webhooks."""
    assert signature(SECRET.encode(), "1800000000", body) == edge_signature(SECRET.encode(), 1_800_000_000, body)


async def test_a_shop_mails_its_buyers(
    serve: Serve, mail: tuple[MailServer, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From a contact over the API to the mail of the order; and "your turn is near" after a message of the edge."""
    monkeypatch.setenv("CHECKOUT_LINE_SECRET", SECRET)
    notices: dict[str, object] = {"smtp": mail[1], "smtp_from": "shop@example.com", "smtp_security": "none"}
    engine: dict[str, object] = {"path": str(tmp_path / "shop.db")}
    async with serve(stock=5, engine=engine, sections={"notices": notices}) as visit:
        headers = {"X-Stanchion-Ticket": "a", "Accept": "application/json"}
        for email in ("", "ada", "a b@c.d", "a@b\nTo: c@d", "ä@b.de", "a@" + "b" * 260):
            async with visit.client.put("/api/contact", json={"email": email}, headers=headers) as answer:
                assert answer.status == 400
        async with visit.client.put("/api/contact", json={"email": "a@example.com"}, headers=headers) as answer:
            assert answer.status == 200
        for path in ("/api/sales/launch/turn-notices", "/api/sales/launch/stock-notices"):
            async with visit.client.post(path, json={"email": "b@example.com"}, headers=headers) as answer:
                assert answer.status == 202
        async with visit.client.get("/checkout", headers={**headers, "Accept": "text/html"}) as answer:
            assert 'href="/contact"' in await answer.text()
        async with visit.client.get("/contact") as answer:
            assert 'name="email"' in await answer.text()
        for form, status in (({"email": "x"}, 400), ({"email": "c@example.com", "turn": "1"}, 200)):
            async with visit.client.post("/contact", data=form, headers={"X-Stanchion-Ticket": "c"}) as answer:
                assert answer.status == status
        async with visit.client.post("/api/sales/x/turn-notices", json={"email": "b@example.com"}) as answer:
            assert answer.status == 404
        async with visit.client.post("/checkout", json={"card": "1"}, headers=headers) as answer:
            assert answer.status == 201
        body, stamp = json.dumps({"event": "sale.opened", "room": "launch"}).encode(), str(int(time.time()))
        for signed, status in (("v1=0", 401), (signature(SECRET.encode(), stamp, body), 204)):
            line = {"Stanchion-Timestamp": stamp, "Stanchion-Signature": signed}
            async with visit.client.post("/hooks/line", data=body, headers=line) as answer:
                assert answer.status == status
        async with asyncio.timeout(30):
            while len(mail[0].mails) < 3:
                await asyncio.sleep(0.05)
    assert sorted((received["To"], received["Subject"].partition(":")[0]) for received in mail[0].mails) == [
        ("a@example.com", "Your order"),
        ("b@example.com", "Your turn is near"),
        ("c@example.com", "Your turn is near"),
    ]


async def test_the_bus_and_the_outbox_send_once_after_a_crash(
    desk: Desk, mail: tuple[MailServer, str], tmp_path: Path
) -> None:
    """A consumer that dies between planning and acknowledging gets the events again; the notice is the same one."""
    bus = await EmbeddedBus.open(str(tmp_path / "bus.db"), lease_s=0.05)
    await bus.publish("sales", told(event(1, "held"), event(2, "paying"), event(3, "sold")))
    for _ in range(3):
        async with asyncio.timeout(30):
            while not (taken := await bus.take("sales", "notices", 10, 1.0)):
                pass
        await desk.planner.apply([delivery.message for delivery in taken])  # and dies
        await desk.pass_ms(1)
    assert len(mail[0].mails) == 1
    await bus.close()
