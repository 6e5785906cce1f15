"""The whole day of a sale, run from the dashboard alone: scheduled, opened, held, opened again, ended, reported.

The visitors are real browsers and a crowd, before a real edge. The operator uses nothing but the dashboard.
"""

import asyncio
import contextlib
import random
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, BrowserContext, Locator, Page, expect

from edge.cli.demo.crowd import Crowd, CrowdPlan
from tests.edge.running import wait_until
from tests.edge.whole import Edge, whole_edge

pytestmark = pytest.mark.asyncio(loop_scope="session")

TOKEN = "operate-token-for-tests"
OTHERS = 30
TIMEOUT_MS = 30_000


class Operator:
    """Sits before the dashboard."""

    def __init__(self, context: BrowserContext, page: Page) -> None:
        self.context = context
        self.page = page
        self.room = page.get_by_role("article", name="checkout")
        self.sale = self.room.locator(".sale-state")

    async def sign_in(self, edge: Edge) -> None:
        await self.page.goto(edge.running.admin + "/")
        await self.page.get_by_label("Admin token").fill(TOKEN)
        await self.page.get_by_role("button", name="Sign in").click()
        await expect(self.room.locator(".mode")).to_have_text("Open")

    async def confirm(self, button: str, **fields: str) -> str:
        """Fill in the dialog, and press its button. Return what it said."""
        dialog = self.page.get_by_role("dialog")
        for label, text in fields.items():
            await dialog.get_by_label(label).fill(text)
        said = await dialog.locator("#confirm-text").inner_text()
        await dialog.get_by_role("button", name=button).click()
        return said

    async def schedule(self, opens: datetime, closes: datetime) -> str:
        form = self.room.locator(".schedule")
        await form.get_by_label("Sale").fill("drop")
        await form.get_by_label("Opens at").fill(opens.strftime("%Y-%m-%dT%H:%M:%S"))
        await form.get_by_label("Ends at").fill(closes.strftime("%Y-%m-%dT%H:%M:%S"))
        await form.get_by_label("Pre-queue").fill("60")
        await form.get_by_role("button", name="Schedule").click()
        return await self.confirm("Schedule")

    async def set(self, form: str, label: str, text: str) -> None:
        await self.room.get_by_label(label).fill(text)
        await self.room.locator(f"{form} button").click()
        await self.confirm("Change")

    async def press(self, button: str, then: str, **fields: str) -> None:
        await self.room.get_by_role("button", name=button, exact=True).click()
        await self.confirm(then, **fields)


@contextlib.asynccontextmanager
async def visiting(chromium: Browser, edge: Edge) -> AsyncIterator[Page]:
    context = await chromium.new_context(timezone_id="UTC")
    context.set_default_timeout(TIMEOUT_MS)
    page = await context.new_page()
    await page.goto(edge.running.url + "/checkout")
    yield page
    await context.close()


@contextlib.asynccontextmanager
async def others_in_line(edge: Edge) -> AsyncIterator[None]:
    plan = CrowdPlan(rush=OTHERS, rush_s=0.5, total=OTHERS, impatient=0.0, buy=False)
    crowd = Crowd(edge.running.url, "/checkout", plan, random.Random(5))
    playing = asyncio.create_task(crowd.play())
    try:
        await crowd.wait_in_line(OTHERS)
        yield
        await playing
    finally:
        playing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await playing


async def test_a_sale_is_run_from_the_dashboard_alone(chromium: Browser, tmp_path: Path) -> None:
    (tmp_path / "tokens").write_text(f"operate ann {TOKEN}\n")
    admin = {"listen": "tcp://127.0.0.1:0", "tokens_file": "tokens"}
    room = {"capacity": {"admissions_per_second": 0.5, "burst_seconds": 1.0}}
    async with whole_edge(tmp_path, admin=admin, room=room, record={"folder": "record"}) as edge:
        context = await chromium.new_context(timezone_id="UTC")
        context.set_default_timeout(TIMEOUT_MS)
        page = await context.new_page()
        faults: list[str] = []
        page.on("pageerror", lambda fault: faults.append(str(fault)))
        operator = Operator(context, page)
        await operator.sign_in(edge)
        await play_the_day(operator, edge, chromium)
        await look_at_the_report(operator)
        await operator.press("Remove", "Remove")
        await expect(operator.room.locator(".sale")).to_be_hidden()
        assert faults == []
        await context.close()


async def play_the_day(operator: Operator, edge: Edge, chromium: Browser) -> None:
    now = datetime.now(UTC)
    said = await operator.schedule(now + timedelta(minutes=20), now + timedelta(hours=2))
    assert "It ends at " in said
    await expect(operator.sale).to_have_text(re.compile(r"^opens in (20:00|19:[0-9]{2})$"))
    async with visiting(chromium, edge) as first, others_in_line(edge), visiting(chromium, edge) as last:
        for visitor in (first, last):
            await expect(visitor.locator("h1")).to_have_text("The sale is not open yet")
        await expect(first.locator("#countdown")).to_have_text(re.compile(r"in 1\d:\d\d"))
        # The opening is moved to a few seconds from now. Visitors keep their places.
        await operator.schedule(datetime.now(UTC) + timedelta(seconds=4), now + timedelta(hours=2))
        await expect(operator.sale).to_have_text("is open", timeout=TIMEOUT_MS)
        await expect(operator.room.locator(".sale-more")).to_contain_text("closes in ")
        await expect(first.get_by_text("the shop", exact=True)).to_be_visible(timeout=TIMEOUT_MS)

        await operator.press("Hold", "Set to", Reason="the bank is down")
        await expect(operator.room.locator(".mode")).to_have_text("On hold")
        await operator.set(".message", "Message on the waiting page", "We go on soon.")
        await expect(operator.room.locator(".overrides")).to_contain_text("mode, message")
        await expect(operator.room.locator(".notices")).to_contain_text("Reason: the bank is down.")
        await expect(last.locator("h1")).to_have_text("The line is paused", timeout=TIMEOUT_MS)
        await expect(last.get_by_text("We go on soon.")).to_be_visible()

        await operator.press("Open", "Set to")
        await expect(operator.room.locator(".mode")).to_have_text("Open")
        await operator.set(".capacity", "Capacity, a second", "100")
        await expect(operator.room.locator(".of-capacity")).to_have_text("of 100")
        await expect(last.get_by_text("the shop", exact=True)).to_be_visible(timeout=TIMEOUT_MS)
    await operator.press("End now", "End now")
    await expect(operator.sale).to_have_text("is over")
    async with visiting(chromium, edge) as late:
        await expect(late.locator("h1")).to_have_text("The sale is over")


async def look_at_the_report(operator: Operator) -> None:
    async with operator.context.expect_page() as opened:
        await operator.room.get_by_role("link", name="Report of checkout").click()
    report = await opened.value
    came: Locator = report.locator(".story")

    async def is_complete() -> bool:
        await report.reload()
        return f"{OTHERS + 2} visitors came" in await came.inner_text() and "all got in" in await came.inner_text()

    await wait_until(is_complete, "the report counts all visitors")
    events = report.locator(".events")
    await expect(events).to_contain_text("ann: mode open → hold")
    await expect(events).to_contain_text("Reason: the bank is down")
    await expect(events).to_contain_text("capacity a second 0.5 → 100")
    await report.close()
