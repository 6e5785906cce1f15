"""The waiting page in a browser that does not keep cookies."""

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import (
    ScriptedEdge,
    waiting,
)
from tests.browser.visitor import poll, settle

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_lost_cookies_are_explained_after_the_second_response(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A browser without cookies is a new visitor at every poll. The page explains that after two such responses."""
    edge.gives_tickets = False
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Your browser did not keep your place")
    await expect(page.get_by_role("link", name="Try again")).to_be_visible()
    await expect(page.locator("#place-box")).to_be_hidden()
    await page.clock.fast_forward(600_000)
    await settle(page)
    assert edge.polls == [False, False]


async def test_one_new_ticket_is_not_a_lost_cookie(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A visitor that deletes their cookies once is new once."""
    page = await arrive()
    await page.context.clear_cookies()
    edge.answers = [waiting(5000, None, stock=n) for n in (1, 2, 3)]
    for n in (1, 2, 3):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#place")).to_have_text("5,000")


async def test_disabled_cookies_are_explained_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/cart")
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setDocumentCookieDisabled", {"disabled": True})
    await page.goto(edge.url)
    await expect(page.locator("h1")).to_have_text("Your browser did not keep your place")


async def test_the_explanation_from_the_server_does_not_poll(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.cookies_missing = True
    page = await arrive()
    await expect(page.locator("h1")).to_have_text("Your browser did not keep your place")
    await page.clock.fast_forward(600_000)
    await settle(page)
    assert edge.polls == []
    edge.cookies_missing = False
    await page.get_by_role("link", name="Try again").click()
    await expect(page.locator("h1")).to_have_text("You are in line")
