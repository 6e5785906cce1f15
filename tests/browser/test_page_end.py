"""The end of the wait: sold out, closed, or admitted."""

import asyncio
import re

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import (
    PROTECTED,
    Reply,
    ScriptedEdge,
    admitted,
    all_held,
    closed,
    sold_out,
    waiting,
)
from tests.browser.visitor import poll, settle, wake

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize(("answer", "headline"), [(sold_out(), "Sold out"), (closed(), "Closed")])
async def test_polling_stops_at_a_final_state(
    arrive: Arrive, edge: ScriptedEdge, answer: object, headline: str
) -> None:
    edge.answers = [answer]  # type: ignore[list-item]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text(headline)
    await expect(page).to_have_title(f"{headline} – Lumen Records")
    await expect(page.locator("#live")).to_have_text(re.compile(f"^{headline}"))
    await expect(page.locator("#place-box")).to_be_hidden()
    await page.clock.fast_forward(3_600_000)
    await wake(page)
    await settle(page)
    assert len(edge.polls) == 1


async def test_sold_out_for_now_keeps_polling(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [sold_out(poll_after_s=10), waiting(4, 10)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out for now")
    await poll(page, 11.1)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await expect(page.locator("#place")).to_have_text("4")


async def test_all_held_shows_the_number_of_unpaid_units(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Every poll updates the number and the place, and screen readers get it once. Then the line continues or ends."""
    edge.answers = [all_held(37, 12), all_held(36, 11), waiting(4, 10), all_held(1, 3), sold_out()]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out for the moment")
    await expect(page).to_have_title("Sold out for the moment – Lumen Records")
    await expect(page.locator("#held")).to_have_text("37")
    await expect(page.locator("#place")).to_have_text("12")
    await expect(page.locator("#wait-box")).to_be_hidden()
    await expect(page.locator("#stock-box")).to_be_hidden()
    await expect(page.locator("#live")).to_have_text(
        re.compile(r"^Sold out for the moment\. Reserved, not paid yet: 37\. ")
    )
    await poll(page, 6)
    await expect(page.locator("#held")).to_have_text("36")
    await expect(page.locator("#place")).to_have_text("11")
    await expect(page.locator("#live")).to_have_text(re.compile("Reserved, not paid yet: 37"))
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await expect(page.locator("#held-box")).to_be_hidden()
    await poll(page, 6)
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out")
    await expect(page.locator("#place-box")).to_be_hidden()


async def test_all_held_is_shown_without_scripts(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [all_held(37, 12), waiting(3, 20, poll_after_s=1)]
    edge.may_load = asyncio.Semaphore(1)
    page = await arrive(java_script_enabled=False)
    await expect(page.locator("h1")).to_have_text("Sold out for the moment")
    await expect(page.locator("#held")).to_have_text("37")
    edge.may_load.release()
    await expect(page.locator("h1")).to_have_text("You are in line", timeout=20_000)


async def test_an_admitted_visitor_enters_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [waiting(1, 2), admitted()]
    page = await arrive()
    await poll(page, 6)
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")
    assert edge.visits == ["GET", "GET"]
    assert len(edge.polls) == 2


async def test_a_form_keeps_its_method_and_its_fields(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Entering repeats the visitor's own request, which may be a form."""
    edge.answers = [admitted()]
    page = await arrive("/cart")
    await page.get_by_role("button").click()
    await expect(page.locator("h1")).to_have_text("You are in line")
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: POST 42")
    assert edge.visits == ["POST", "POST"]


async def test_a_shop_that_sends_visitors_back_causes_no_loop(arrive: Arrive, edge: ScriptedEdge) -> None:
    """If an admitted visitor is sent back three times, the page slows down and explains it."""
    edge.takes_passes = False
    edge.pages = [waiting(1, 1, poll_after_s=0.05)]
    edge.answers = [admitted()]
    page = await arrive()
    for _ in range(3):
        async with page.expect_navigation():
            await page.clock.fast_forward(1000)
    await page.clock.fast_forward(1000)
    await expect(page.locator("#notice")).to_have_text(re.compile("sent you back"))
    await expect(page.locator("#live")).to_have_text(re.compile("sent you back"))
    assert len(edge.visits) == 4
    await page.clock.fast_forward(31_000)
    await expect(page.locator("#notice")).to_have_text(re.compile("sent you back"))
    await settle(page)
    assert len(edge.visits) == 5


async def test_visitors_enter_if_the_room_was_removed(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(10, 30), admitted()]
    edge.answers = [Reply(404)]
    page = await arrive()
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")
