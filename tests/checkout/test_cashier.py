"""The cashier: whatever the bank does, a buyer pays at most once and a unit is sold or free."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from checkout.audit import Finding, audit
from checkout.bank import Bank
from checkout.cashier import Cashier, NotPaid, Receipt, Sold, TooLate
from checkout.engines.sqlite import SqliteEngine
from checkout.gateway import NoAnswer, Verdict
from checkout.inventory import Inventory
from checkout.tasks import beside
from checkout.values import Done, Hold, Money, Reason, Refused, State
from checkout.writer import Writer
from tests.checkout.engines.contract import HOLD_MS, ManualClock, sale_of

SALE = sale_of(1, 1, "s")


@dataclass
class Till:
    inventory: Inventory
    cashier: Cashier
    bank: Bank
    clock: ManualClock
    between: asyncio.Event
    asked: asyncio.Event

    async def pay(self, card: str, key: str = "") -> Receipt:
        return await self.cashier.pay(SALE, "h1", card, key, "f")

    async def findings(self) -> list[Finding]:
        evidence = await self.inventory.engine.evidence("s")
        assert evidence is not None
        return audit(replace(evidence, movements=self.bank.movements), is_quiet=True)

    async def end_of_hold(self) -> None:
        self.clock.now_ms += HOLD_MS
        await self.inventory.stock("s")

    async def state(self) -> tuple[State, Money]:
        hold = await self.inventory.find("h1")
        assert hold is not None
        return hold.state, hold.money


@asynccontextmanager
async def till(store: type[SqliteEngine] = SqliteEngine) -> AsyncIterator[Till]:
    """One unit, held by one user, and a bank that waits until the test says so."""
    clock, between, asked = ManualClock(), asyncio.Event(), asyncio.Event()
    between.set()
    engine = await store.open(":memory:", clock=clock)
    writer = Writer(engine)

    async def wait(seconds: float) -> None:
        asked.set()
        await between.wait()

    try:
        async with beside(writer.run()):
            inventory = Inventory(engine, writer)
            bank = Bank(wait=wait)
            cashier = Cashier(inventory, bank)
            bank.notify = cashier.heard
            await inventory.open(SALE)
            assert isinstance(await inventory.reserve("s", "ada", "h1"), Done)
            yield Till(inventory, cashier, bank, clock, between, asked)
    finally:
        await engine.close()


async def test_good_card_is_sold() -> None:
    async with till() as t:
        assert isinstance(await t.pay("ok"), Sold)
        assert await t.findings() == []


async def test_declined_card_frees_the_unit() -> None:
    """A declined payment ends the hold as failed, and the next visitor gets the unit."""
    async with till() as t:
        assert isinstance(await t.pay("decline"), NotPaid)
        assert isinstance(await t.inventory.reserve("s", "bob", "h2"), Done)
        assert await t.inventory.cancel("h2")
        assert await t.findings() == []


async def test_two_answers_are_one_sale() -> None:
    """A bank that answers and then tells it again has charged once and sold once."""
    async with till() as t:
        assert isinstance(await t.pay("twice"), Sold)
        assert await t.findings() == []


async def test_lost_answer_is_settled_as_sold() -> None:
    """The bank charged but its answer was lost: asking it later sells the unit, without a second charge."""
    async with till() as t:
        with pytest.raises(NoAnswer):
            await t.pay("lost")
        assert await t.cashier.settle_all() == 1
        assert await t.state() == (State.SOLD, Money.CHARGED)
        assert await t.findings() == []


async def test_lost_answer_after_the_hold_is_refunded() -> None:
    """The same, but the hold has ended meanwhile: the money goes back and the unit is for sale."""
    async with till() as t:
        with pytest.raises(NoAnswer):
            await t.pay("lost")
        await t.end_of_hold()
        assert await t.cashier.settle_all() == 1
        assert await t.state() == (State.EXPIRED, Money.REFUNDED)
        assert [move.kind for move in t.bank.movements] == ["charge", "refund"]
        assert await t.findings() == []


async def test_sold_since_it_was_listed_keeps_its_money() -> None:
    """A hold that is sold between the listing of open payments and its turn is not given back."""

    class Late(SqliteEngine):
        async def unsettled(self, limit: int = 1000) -> list[Hold]:
            return await self.holds("s")

    async with till(Late) as t:
        assert isinstance(await t.pay("ok"), Sold)
        assert await t.cashier.settle_all() == 0
        assert [move.kind for move in t.bank.movements] == ["charge"]
        assert await t.findings() == []


async def test_silent_bank_costs_no_unit() -> None:
    """Nothing was charged and nobody answers: the hold runs out, the intent is void, the unit free."""
    async with till() as t:
        with pytest.raises(NoAnswer):
            await t.pay("silent")
        assert await t.cashier.settle_all() == 0
        await t.end_of_hold()
        assert await t.cashier.settle_all() == 1
        assert await t.cashier.settle_all() == 0
        assert await t.findings() == []


async def test_charge_after_the_hold_is_given_back() -> None:
    """A bank that charges when the hold has long ended: refunded at its notice."""
    async with till() as t:
        with pytest.raises(NoAnswer):
            await t.pay("late")
        await t.end_of_hold()
        await t.bank.finish_late()
        assert await t.state() == (State.EXPIRED, Money.REFUNDED)
        assert await t.findings() == []


async def test_charge_after_the_settlement_does_not_happen() -> None:
    """Once the shop has made the intent void, a charge that comes still later takes nothing."""
    async with till() as t:
        with pytest.raises(NoAnswer):
            await t.pay("late")
        await t.end_of_hold()
        await t.cashier.settle_all()
        await t.bank.finish_late()
        assert t.bank.movements == []
        assert await t.findings() == []


async def test_answer_after_the_end_of_the_hold() -> None:
    """The hold ends while the bank works: the buyer hears so, has their money, and the unit is free."""
    async with till() as t:
        t.between.clear()
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(t.pay("ok"))
            await t.asked.wait()
            await t.end_of_hold()
            t.between.set()
        assert isinstance(paying.result(), TooLate)
        assert await t.findings() == []


async def test_key_running_then_done() -> None:
    """The same key: refused as running while the bank works, then the same answer; another body: refused."""
    async with till() as t:
        t.between.clear()
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(t.pay("ok", "k"))
            await t.asked.wait()
            running = await t.pay("ok", "k")
            assert isinstance(running, Refused)
            assert running.reason is Reason.KEY_RUNNING
            t.between.set()
        assert paying.result() == await t.pay("ok", "k")
        other = await t.cashier.pay(SALE, "h1", "ok", "k", "another body")
        assert isinstance(other, Refused)
        assert other.reason is Reason.KEY_REUSED
        assert await t.findings() == []


async def test_seeded_unsafe_retry_is_caught() -> None:
    """A cashier that asks again under a new intent charges twice, and the checker says so."""

    class Unsafe(Cashier):
        async def heard(self, hold_id: str, verdict: Verdict) -> Receipt:
            again = replace(self.intent(SALE, hold_id, "ok"), id=f"{hold_id}-retry")
            await t.bank.charge(again)
            return await super().heard(hold_id, verdict)

    async with till() as t:
        t.cashier = Unsafe(t.inventory, t.bank)
        await t.pay("ok")
        assert {finding.rule for finding in await t.findings()} >= {"double-charge"}
