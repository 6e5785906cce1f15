"""The cashier: for every behaviour of the bank, a buyer pays at most once and a unit is sold or free."""

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
from checkout.tasks import background
from checkout.values import Done, Hold, Money, Reason, Refused, State
from checkout.writer import Writer
from tests.checkout.engines.contract import HOLD_MS, ManualClock, sale_of

SALE = sale_of(1, 1, "s")


@dataclass
class Payments:
    inventory: Inventory
    cashier: Cashier
    bank: Bank
    clock: ManualClock
    may_answer: asyncio.Event
    was_asked: asyncio.Event

    async def pay(self, card: str, key: str = "") -> Receipt:
        return await self.cashier.pay(SALE, "h1", card, key, "f")

    async def findings(self) -> list[Finding]:
        evidence = await self.inventory.engine.evidence("s")
        assert evidence is not None
        return audit(replace(evidence, movements=self.bank.movements), is_quiet=True)

    async def end_hold(self) -> None:
        self.clock.now_ms += HOLD_MS
        await self.inventory.stock("s")

    async def state(self) -> tuple[State, Money]:
        hold = await self.inventory.find("h1")
        assert hold is not None
        return hold.state, hold.money


@asynccontextmanager
async def payments(store: type[SqliteEngine] = SqliteEngine) -> AsyncIterator[Payments]:
    """Yield one unit, held by one user, and a bank that answers when the test allows it."""
    clock, may_answer, was_asked = ManualClock(), asyncio.Event(), asyncio.Event()
    may_answer.set()
    engine = await store.open(":memory:", clock=clock)
    writer = Writer(engine)

    async def wait(seconds: float) -> None:
        was_asked.set()
        await may_answer.wait()

    try:
        async with background(writer.run()):
            inventory = Inventory(engine, writer)
            bank = Bank(wait=wait)
            cashier = Cashier(inventory, bank)
            bank.notify = cashier.apply_verdict
            await inventory.open(SALE)
            assert isinstance(await inventory.reserve("s", "ada", "h1"), Done)
            yield Payments(inventory, cashier, bank, clock, may_answer, was_asked)
    finally:
        await engine.close()


async def test_good_card_is_sold() -> None:
    async with payments() as t:
        assert isinstance(await t.pay("ok"), Sold)
        assert await t.findings() == []


async def test_declined_card_frees_the_unit() -> None:
    """A declined payment ends the hold, and the next visitor gets the unit."""
    async with payments() as t:
        assert isinstance(await t.pay("decline"), NotPaid)
        assert isinstance(await t.inventory.reserve("s", "bob", "h2"), Done)
        assert await t.inventory.cancel("h2")
        assert await t.findings() == []


async def test_a_repeated_verdict_is_one_sale() -> None:
    """If the bank answers and then sends the same verdict again, there is one charge and one sale."""
    async with payments() as t:
        assert isinstance(await t.pay("twice"), Sold)
        assert await t.findings() == []


async def test_a_lost_answer_is_settled_as_sold() -> None:
    """If the answer to a charge is lost, a later lookup sells the unit without a second charge."""
    async with payments() as t:
        with pytest.raises(NoAnswer):
            await t.pay("lost")
        assert await t.cashier.settle_all() == 1
        assert await t.state() == (State.SOLD, Money.CHARGED)
        assert await t.findings() == []


async def test_a_lost_answer_is_refunded_after_the_hold() -> None:
    """If the hold has ended meanwhile, the money is refunded and the unit is free."""
    async with payments() as t:
        with pytest.raises(NoAnswer):
            await t.pay("lost")
        await t.end_hold()
        assert await t.cashier.settle_all() == 1
        assert await t.state() == (State.EXPIRED, Money.REFUNDED)
        assert [move.kind for move in t.bank.movements] == ["charge", "refund"]
        assert await t.findings() == []


async def test_a_hold_sold_after_the_list_was_read_is_not_refunded() -> None:
    """A hold may be sold between the reading of the list and its settlement; then it keeps its money."""

    class Late(SqliteEngine):
        async def unsettled(self, limit: int = 1000) -> list[Hold]:
            return await self.holds("s")

    async with payments(Late) as t:
        assert isinstance(await t.pay("ok"), Sold)
        assert await t.cashier.settle_all() == 0
        assert [move.kind for move in t.bank.movements] == ["charge"]
        assert await t.findings() == []


async def test_a_silent_bank_costs_no_unit() -> None:
    """If nothing was charged and the bank is silent, the hold ends, the intent is void and the unit is free."""
    async with payments() as t:
        with pytest.raises(NoAnswer):
            await t.pay("silent")
        assert await t.cashier.settle_all() == 0
        await t.end_hold()
        assert await t.cashier.settle_all() == 1
        assert await t.cashier.settle_all() == 0
        assert await t.findings() == []


async def test_a_late_charge_is_refunded() -> None:
    """If the bank charges after the end of the hold, its notification causes a refund."""
    async with payments() as t:
        with pytest.raises(NoAnswer):
            await t.pay("late")
        await t.end_hold()
        await t.bank.finish_late()
        assert await t.state() == (State.EXPIRED, Money.REFUNDED)
        assert await t.findings() == []


async def test_there_is_no_charge_after_the_settlement() -> None:
    """After the settlement the intent is void, and a later charge takes nothing."""
    async with payments() as t:
        with pytest.raises(NoAnswer):
            await t.pay("late")
        await t.end_hold()
        await t.cashier.settle_all()
        await t.bank.finish_late()
        assert t.bank.movements == []
        assert await t.findings() == []


async def test_an_answer_after_the_end_of_the_hold_is_refunded() -> None:
    """If the hold ends while the bank works, the buyer is refunded and the unit is free."""
    async with payments() as t:
        t.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(t.pay("ok"))
            await t.was_asked.wait()
            await t.end_hold()
            t.may_answer.set()
        assert isinstance(paying.result(), TooLate)
        assert await t.findings() == []


async def test_a_key_is_refused_while_its_payment_runs() -> None:
    """The key is refused while the bank works, then returns the same receipt. With another body it is refused."""
    async with payments() as t:
        t.may_answer.clear()
        async with asyncio.TaskGroup() as tasks:
            paying = tasks.create_task(t.pay("ok", "k"))
            await t.was_asked.wait()
            running = await t.pay("ok", "k")
            assert isinstance(running, Refused)
            assert running.reason is Reason.KEY_RUNNING
            t.may_answer.set()
        assert paying.result() == await t.pay("ok", "k")
        other = await t.cashier.pay(SALE, "h1", "ok", "k", "another body")
        assert isinstance(other, Refused)
        assert other.reason is Reason.KEY_REUSED
        assert await t.findings() == []


async def test_an_unsafe_retry_is_caught() -> None:
    """A cashier that retries under a new intent charges twice, and the checker finds it."""

    class Unsafe(Cashier):
        async def apply_verdict(self, hold_id: str, verdict: Verdict) -> Receipt:
            again = replace(self.intent(SALE, hold_id, "ok"), id=f"{hold_id}-retry")
            await t.bank.charge(again)
            return await super().apply_verdict(hold_id, verdict)

    async with payments() as t:
        t.cashier = Unsafe(t.inventory, t.bank)
        await t.pay("ok")
        assert {finding.rule for finding in await t.findings()} >= {"double-charge"}
