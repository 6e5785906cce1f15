"""The figures on the waiting page: shown at once, and calm while the answers scatter."""

import re
from dataclasses import replace
from time import time

import pytest
from playwright.async_api import expect

from controller.simulation import page as simulated_page
from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import (
    ScriptedEdge,
    early,
    waiting,
)
from tests.browser.visitor import poll
from waiting_room.texts import Texts

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_place_and_wait_are_shown_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The first values are in the page, before any poll."""
    edge.pages = [waiting(1240, 95, message="One per <person>.", stock=312)]
    page = await arrive()
    await expect(page).to_have_title("#1,240 in line – Lumen Records")
    await expect(page.locator("#place")).to_have_text("1,240")
    await expect(page.locator("#wait")).to_have_text("about 2 minutes")
    await expect(page.locator("#within")).to_have_text("9 out of 10 visitors wait less than 3 minutes")
    await expect(page.locator("#stock")).to_have_text("312")
    await expect(page.locator("#message")).to_have_text("One per <person>.")
    await expect(page.locator("#updated")).to_be_visible()
    assert edge.polls == []


async def test_server_and_script_use_the_same_wording(arrive: Arrive, edge: ScriptedEdge) -> None:
    """For every length of wait the script shows the same text as the server."""
    page = await arrive("/cart")
    for seconds in (0, 7, 8, 21, 22, 44, 45, 89, 91, 361, 3200, 25_000, 26_000):
        edge.pages = [waiting(seconds * 50, seconds)]
        await page.context.clear_cookies()
        response = await page.goto(edge.url)
        assert response is not None
        document = await response.text()
        for name in ("place", "wait", "within"):
            shown = await page.locator(f"#{name}").text_content()
            assert re.search(rf'id="{name}"[^>]*>{re.escape(shown or "")} *<', document), (seconds, name, shown)


async def test_place_and_title_shrink(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Every response moves the visitor forward, on the page and in the title of the tab."""
    edge.answers = [waiting(500, 70), waiting(40, 20), waiting(28, 14)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("#place")).to_have_text("500")
    await poll(page, 6)
    await expect(page.locator("#place")).to_have_text("40")
    await poll(page, 6)
    await expect(page.locator("#wait")).to_have_text("about half a minute")
    await expect(page).to_have_title("#28 in line – Lumen Records")
    assert all(edge.polls), "every poll carries the ticket"


async def test_the_figures_do_not_jump(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The shown place only shrinks and the wait changes once. The series is one that visitors of a shop really got."""
    answers = [(500, 88), (520, 161), (490, 136), (505, 114), (480, 120), (495, 80)]
    edge.pages = [waiting(500, 88, stock=0)]
    edge.answers = [waiting(p, eta, stock=i) for i, (p, eta) in enumerate(answers[1:], start=1)]
    page = await arrive()
    shown = []
    for i in range(1, 6):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(i))  # exactly this response is on the page
        shown.append((await page.locator("#place").inner_text(), await page.locator("#wait").inner_text()))
    places = [int(place) for place, _ in shown]
    assert places == sorted(places, reverse=True)
    simulated = simulated_page.Page()
    for i, (place, wait_s) in enumerate(answers):
        simulated.receive(6.0 * i, place, wait_s, wait_s * 1.4)
        assert simulated.position is not None
        assert i == 0 or abs(places[i - 1] - simulated.position) <= 2, "the browser's clock also runs between polls"
    waits = [wait for _, wait in shown]
    assert waits == sorted(waits), "it changes once at most"
    assert set(waits) <= {"about 1 minute", "about 2 minutes"}


async def test_the_page_shows_what_the_simulator_expects(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The places scatter, one is far too good, and then they shrink at once. The waits scatter and then get longer."""
    answers = [
        (900, 610),
        (930, 640),
        (780, 530),
        (850, 600),
        (140, 90),
        (730, 500),
        (560, 390),
        (400, 270),
        (390, 800),
    ]
    answers += [(380, 820), (370, 790), (365, 760), (372, 765), (377, 768), (380, 770)]
    every_s = 10
    edge.pages = [waiting(*answers[0], stock=0)]
    edge.answers = [waiting(*answer, stock=i) for i, answer in enumerate(answers[1:], start=1)]
    english = Texts.load("en")
    simulated = simulated_page.Page()
    page = await arrive()
    for i, (place, wait_s) in enumerate(answers):
        if i:
            await poll(page, every_s)
            await expect(page.locator("#stock")).to_have_text(str(i))
        simulated.receive(i * every_s, place, wait_s, wait_s * 1.4)
        shown = int(await page.locator("#place").inner_text())
        assert simulated.position is not None
        assert simulated.step is not None
        # The browser's clock also runs between polls.
        assert abs(shown - simulated.position) <= 0.01 * simulated.position + 1
        assert await page.locator("#wait").inner_text() == english.wait(simulated_page.STEPS_S[simulated.step])


async def test_a_real_slow_down_is_shown(arrive: Arrive, edge: ScriptedEdge) -> None:
    """If several responses agree that the wait is longer, the page shows it, with the reason."""
    edge.pages = [waiting(500, 120)]
    edge.answers = [waiting(500, 900)]
    page = await arrive()
    for _ in range(3):
        await poll(page, 6)
    await expect(page.locator("#notice")).to_have_text("The line is moving more slowly than before.")
    await expect(page.locator("#wait")).to_have_text("about 10 minutes")


async def test_a_place_that_was_moved_back_is_explained(arrive: Arrive, edge: ScriptedEdge) -> None:
    """After a long absence the page says so until it is loaded again, also without scripts."""
    edge.answers = [replace(waiting(700, 300), moved_back_s=430.0), waiting(690, 290)]
    page = await arrive()
    for _ in range(2):
        await poll(page, 6)
    await expect(page.locator("#notice")).to_have_text(re.compile("your place has moved back by about 7 minutes"))
    edge.pages = [replace(waiting(700, 300), moved_back_s=430.0)]
    plain = await arrive(java_script_enabled=False)
    await expect(plain.locator("#notice")).to_have_text(re.compile("your place has moved back by about 7 minutes"))


async def test_a_reload_does_not_change_the_place(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(500, 100), waiting(530, 130)]
    page = await arrive()
    await page.reload()
    await expect(page.locator("#place")).to_have_text("500")


async def test_progress_only_grows(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(500, 60)]
    edge.answers = [waiting(500, 6000, stock=1)]
    page = await arrive()
    before = float(await page.locator("#progress").evaluate("bar => bar.value"))
    await poll(page, 6)
    await expect(page.locator("#stock")).to_have_text("1")
    assert float(await page.locator("#progress").evaluate("bar => bar.value")) >= before > 0


async def test_a_room_on_hold_has_no_estimate(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(None, None)]
    page = await arrive()
    await expect(page.locator("#wait")).to_have_text("not known right now")
    await expect(page.locator("#place-box")).to_be_hidden()
    await expect(page).to_have_title("In line – Lumen Records")


async def test_the_countdown_uses_the_servers_clock(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A visitor with a clock that is two hours slow sees the right time left."""
    edge.pages = [early(time() + 754)]
    page = await arrive(clock=time() - 7200)
    await expect(page.locator("h1")).to_have_text("The sale is not open yet")
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"in 12:3[0-4]"))
    await page.clock.fast_forward(4000)
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"in 12:(2\d|30)"))


async def test_a_line_that_stands_still_says_so_and_keeps_the_place(arrive: Arrive, edge: ScriptedEdge) -> None:
    down = replace(waiting(1240, None), paused="upstream")
    edge.answers = [down, waiting(1239, 95)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("#headline")).to_have_text("The shop is not available right now")
    await expect(page.locator("#place")).to_have_text("1,240")
    await expect(page.locator("#wait-box")).to_be_hidden()
    await expect(page.locator("#live")).to_contain_text("nobody overtakes you")
    await poll(page, 6)
    await expect(page.locator("#headline")).to_have_text("You are in line")
    await expect(page.locator("#wait-box")).to_be_visible()
