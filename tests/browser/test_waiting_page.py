"""The waiting page in a real browser, against an edge that follows a script.

The visitor's clock is moved, not waited for.
"""

import re
from dataclasses import replace
from time import time

import pytest
from playwright.async_api import Page, Route, expect

from controller.simulation import page as simulated_page
from tests.browser.conftest import Arrive, Watch
from tests.browser.scripted_edge import (
    PROTECTED,
    Fault,
    Reply,
    ScriptedEdge,
    admitted,
    all_held,
    closed,
    early,
    sold_out,
    waiting,
)
from waiting_room.texts import Texts

pytestmark = pytest.mark.asyncio(loop_scope="session")

STATUS = re.compile(r"/_stanchion/status\?room=checkout$")


async def settle(page: Page) -> None:
    """Whatever came before this has been handled by the page now, and whatever it meant to ask has been asked."""
    await page.evaluate("fetch('/cart').catch(() => null)")


async def poll_that_takes(page: Page, edge: ScriptedEdge, milliseconds: int) -> None:
    """The first poll, whose answer takes so long; the clock stands still from then on."""
    await page.clock.pause_at((await page.evaluate("Date.now()") + 500) / 1000)
    edge.answering.clear()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    await page.clock.fast_forward(milliseconds)
    async with page.expect_response(STATUS) as response:
        edge.answering.set()
    await (await response.value).finished()
    await settle(page)


async def poll(page: Page, after_s: float) -> None:
    """Move the visitor's clock until the page asks, and let it take in the answer."""
    async with page.expect_response(STATUS) as response:
        await page.clock.fast_forward(int(after_s * 1000))
    await (await response.value).finished()
    await settle(page)


async def fail(page: Page, after_s: float) -> None:
    """The same for a poll that gets no answer."""
    async with page.expect_event("requestfailed", lambda request: STATUS.search(request.url) is not None):
        await page.clock.fast_forward(int(after_s * 1000))
    await settle(page)


async def dispatch(page: Page, target: str, event: str) -> None:
    await page.evaluate(f"{target}.dispatchEvent({event})")


async def wake(page: Page) -> None:
    await dispatch(page, "document", "new Event('visibilitychange')")


# ---- what is shown -----------------------------------------------------------------------------------------


async def test_shows_place_and_wait_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The first values come with the page, before any poll."""
    edge.pages = [waiting(1240, 95, message="One per <person>.", stock=312)]
    page = await arrive()
    await expect(page).to_have_title("#1,240 in line – Lumen Records")
    await expect(page.locator("#place")).to_have_text("1,240")
    await expect(page.locator("#wait")).to_have_text("about 2 minutes")
    await expect(page.locator("#within")).to_have_text("nine in ten wait less than 3 minutes")
    await expect(page.locator("#stock")).to_have_text("312")
    await expect(page.locator("#message")).to_have_text("One per <person>.")
    await expect(page.locator("#updated")).to_be_visible()
    assert edge.polls == []


async def test_server_and_script_word_alike(arrive: Arrive, edge: ScriptedEdge) -> None:
    """What the server wrote into the page stays when the script takes over, for every length of wait."""
    page = await arrive("/cart")
    for seconds in (0, 44, 45, 89, 91, 361, 3200, 25_000, 26_000):
        edge.pages = [waiting(seconds * 50, seconds)]
        await page.context.clear_cookies()
        response = await page.goto(edge.url)
        assert response is not None
        document = await response.text()
        for name in ("place", "wait", "within"):
            shown = await page.locator(f"#{name}").text_content()
            assert re.search(rf'id="{name}"[^>]*>{re.escape(shown or "")} *<', document), (seconds, name, shown)


async def test_place_and_title_shrink(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Every answer moves the visitor forward, on the page and in the tab's title."""
    edge.answers = [waiting(500, 70), waiting(40, 20), waiting(28, 14)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("#place")).to_have_text("500")
    await poll(page, 6)
    await expect(page.locator("#place")).to_have_text("40")
    await poll(page, 6)
    await expect(page.locator("#wait")).to_have_text("less than a minute")
    await expect(page).to_have_title("#28 in line – Lumen Records")
    assert all(edge.polls), "every poll brings the ticket"


async def test_does_not_jump(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A nervous estimate (the series is one that a shop's visitors really saw) and place are shown calmly."""
    told = [(500, 88), (520, 161), (490, 136), (505, 114), (480, 120), (495, 80)]
    edge.pages = [waiting(500, 88, stock=0)]
    edge.answers = [waiting(p, eta, stock=i) for i, (p, eta) in enumerate(told[1:], start=1)]
    page = await arrive()
    seen = []
    for i in range(1, 6):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(i))  # this answer, and no other, is on the page
        seen.append((await page.locator("#place").inner_text(), await page.locator("#wait").inner_text()))
    places = [int(place) for place, _ in seen]
    assert places == sorted(places, reverse=True)
    simulated = simulated_page.Page()
    for i, (place, wait_s) in enumerate(told):
        simulated.receive(6.0 * i, place, wait_s, wait_s * 1.4)
        assert simulated.position is not None
        assert i == 0 or abs(places[i - 1] - simulated.position) <= 2, "the browser's clock runs on meanwhile"
    waits = [wait for _, wait in seen]
    assert waits == sorted(waits), "it changes its mind once at most"
    assert set(waits) <= {"about 1 minute", "about 2 minutes"}


async def test_shows_what_the_simulator_takes_it_to_show(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Places that scatter, one of them far too good, and then, all at once, shrink; waits that scatter and then get
    longer."""
    told = [(900, 610), (930, 640), (780, 530), (850, 600), (140, 90), (730, 500), (560, 390), (400, 270), (390, 800)]
    told += [(380, 820), (370, 790), (365, 760), (372, 765), (377, 768), (380, 770)]
    every_s = 10
    edge.pages = [waiting(*told[0], stock=0)]
    edge.answers = [waiting(*answer, stock=i) for i, answer in enumerate(told[1:], start=1)]
    english = Texts.load("en")
    simulated = simulated_page.Page()
    page = await arrive()
    for i, (place, wait_s) in enumerate(told):
        if i:
            await poll(page, every_s)
            await expect(page.locator("#stock")).to_have_text(str(i))
        simulated.receive(i * every_s, place, wait_s, wait_s * 1.4)
        shown = int(await page.locator("#place").inner_text())
        assert simulated.position is not None
        assert simulated.step is not None
        assert abs(shown - simulated.position) <= 0.01 * simulated.position + 1  # the browser's clock runs on meanwhile
        assert await page.locator("#wait").inner_text() == english.wait(simulated_page.STEPS_S[simulated.step])


async def test_tells_a_real_slow_down(arrive: Arrive, edge: ScriptedEdge) -> None:
    """When several answers agree that it takes longer, the page says so, and says why the number grew."""
    edge.pages = [waiting(500, 120)]
    edge.answers = [waiting(500, 900)]
    page = await arrive()
    for _ in range(3):
        await poll(page, 6)
    await expect(page.locator("#notice")).to_have_text("The line is moving more slowly than before.")
    await expect(page.locator("#wait")).to_have_text("about 10 minutes")


async def test_tells_that_a_place_has_moved_back(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Whoever was away for too long reads so on the page, until it is loaded again; with scripts off at once."""
    edge.answers = [replace(waiting(700, 300), moved_back_s=430.0), waiting(690, 290)]
    page = await arrive()
    for _ in range(2):
        await poll(page, 6)
    await expect(page.locator("#notice")).to_have_text(re.compile("yours has moved back by about 7 minutes"))
    edge.pages = [replace(waiting(700, 300), moved_back_s=430.0)]
    plain = await arrive(java_script_enabled=False)
    await expect(plain.locator("#notice")).to_have_text(re.compile("yours has moved back by about 7 minutes"))


async def test_a_reload_does_not_jump_either(arrive: Arrive, edge: ScriptedEdge) -> None:
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


async def test_a_held_line_has_no_estimate(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(None, None)]
    page = await arrive()
    await expect(page.locator("#wait")).to_have_text("not known right now")
    await expect(page.locator("#place-box")).to_be_hidden()
    await expect(page).to_have_title("In line – Lumen Records")


async def test_counts_down_by_the_servers_clock(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A visitor whose clock is two hours slow sees the right time left."""
    edge.pages = [early(time() + 754)]
    page = await arrive(clock=time() - 7200)
    await expect(page.locator("h1")).to_have_text("Not open yet")
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"in 12:3[0-4]"))
    await page.clock.fast_forward(4000)
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"in 12:(2\d|30)"))


# ---- when it asks ------------------------------------------------------------------------------------------


async def test_never_asks_earlier_than_told(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(10, 30, poll_after_s=30)]
    page = await arrive()
    await page.clock.fast_forward(25_000)
    await wake(page)
    await page.clock.fast_forward(2000)
    await settle(page)
    assert edge.polls == []
    await poll(page, 8)
    assert len(edge.polls) == 1


async def test_what_is_on_the_way_is_not_waited_for_twice(arrive: Arrive, edge: ScriptedEdge) -> None:
    """An answer took a second to come, so the next request leaves 0.8 s before the time it was told to be there at."""
    edge.answers = [waiting(7, 20, poll_after_s=10)]
    page = await arrive()
    await poll_that_takes(page, edge, 1000)
    await page.clock.fast_forward(9000)
    await settle(page)
    assert len(edge.polls) == 1
    await poll(page, 0.5)
    assert len(edge.polls) == 2


@pytest.mark.parametrize("held_ms", [0, 1300])
async def test_after_an_answer_that_was_held_it_asks_again_at_once(
    arrive: Arrive, edge: ScriptedEdge, held_ms: int
) -> None:
    """Half a second from one poll to the next is the least; what the answer took counts."""
    edge.answers = [waiting(1, 1, poll_after_s=0.0)]
    page = await arrive()
    await poll_that_takes(page, edge, held_ms)
    await page.clock.fast_forward(50)
    await settle(page)
    assert len(edge.polls) == (2 if held_ms else 1)
    if not held_ms:
        await poll(page, 0.5)
        assert len(edge.polls) == 2


async def test_never_two_polls_in_flight(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A poll that hangs is given up after its time, and nothing makes the page ask a second time meanwhile."""
    edge.answers = [Fault.SILENT, waiting(7, 20)]
    page = await arrive()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    for _ in range(3):
        await wake(page)
        await dispatch(page, "window", "new Event('online')")
        await page.clock.fast_forward(1000)
    await settle(page)
    assert len(edge.polls) == 1
    await fail(page, 11)
    await poll(page, 3)
    await expect(page.locator("#place")).to_have_text("7")


async def test_a_waking_tab_asks_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A sleeping tab's timers stand still; waking after its appointment, it asks without waiting for them."""
    edge.pages = [waiting(10, 600, poll_after_s=60)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await page.clock.set_system_time((time() + 300) * 1000)
    async with page.expect_response(STATUS):
        await wake(page)
    await expect(page.locator("#place")).to_have_text("3")


async def test_a_clock_set_back_does_not_prolong_the_wait(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A phone that corrects its clock by two hours does not wait two hours for its next appointment."""
    edge.pages = [waiting(10, 30, poll_after_s=20)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await page.clock.set_system_time((time() - 7200) * 1000)
    async with page.expect_response(STATUS):
        await wake(page)
    await expect(page.locator("#place")).to_have_text("3")


async def test_comes_back_from_the_back_forward_cache(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A page put away stops asking, and goes on where it was when it is taken out again."""
    edge.pages = [waiting(10, 30, poll_after_s=20)]
    edge.answers = [waiting(3, 20)]
    page = await arrive()
    await dispatch(page, "window", "new PageTransitionEvent('pagehide', {persisted: true})")
    await page.clock.fast_forward(60_000)
    await settle(page)
    assert edge.polls == []
    async with page.expect_response(STATUS):
        await dispatch(page, "window", "new PageTransitionEvent('pageshow', {persisted: true})")
    await expect(page.locator("#place")).to_have_text("3")


async def test_leaving_ends_the_poll_under_way(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Nothing hangs on to a page that is put away, and what it missed is asked again when it comes back."""
    edge.answers = [Fault.SILENT, waiting(3, 20)]
    page = await arrive()
    async with page.expect_request(STATUS):
        await page.clock.fast_forward(6000)
    async with page.expect_event("requestfailed"):
        await dispatch(page, "window", "new PageTransitionEvent('pagehide', {persisted: true})")
    async with page.expect_response(STATUS):
        await dispatch(page, "window", "new PageTransitionEvent('pageshow', {persisted: true})")
    await expect(page.locator("#place")).to_have_text("3")


# ---- when the edge is away ---------------------------------------------------------------------------------


async def test_backs_off_and_recovers(arrive: Arrive, edge: ScriptedEdge) -> None:
    """One failure is no news; several are told calmly, retried ever more rarely, and then forgotten."""
    edge.answers = [Fault.DROPPED]
    page = await arrive()
    await fail(page, 6)
    await expect(page.locator("#notice")).to_be_hidden()
    await fail(page, 2.1)
    await expect(page.locator("#notice")).to_have_text("Connection lost. Your place is kept; trying again.")
    await expect(page.locator("#place")).to_have_text("1,240")
    await expect(page.locator("#live")).to_have_text("Connection lost. Your place is kept; trying again.")
    await fail(page, 4.1)
    await fail(page, 8.1)
    asked = len(edge.polls)
    await page.clock.fast_forward(7500)
    await settle(page)
    assert len(edge.polls) == asked, "the fifth comes after 8 to 16 s"
    await fail(page, 8.6)
    edge.answers = [waiting(800, 60)]
    await poll(page, 33)
    await expect(page.locator("#place")).to_have_text("800")
    await expect(page.locator("#notice")).to_be_hidden()
    await expect(page.locator("#live")).to_have_text("Connected again.")


async def test_online_again_ends_the_back_off(arrive: Arrive, edge: ScriptedEdge) -> None:
    """The network is back: the page does not sit out the long pause that it has come to by then."""
    edge.answers = [waiting(800, 60)]
    page = await arrive()
    await page.context.set_offline(True)
    for after_s in (6, 2.1, 4.1, 8.1, 16.1, 32.1):
        await fail(page, after_s)
    async with page.expect_response(STATUS):
        await page.context.set_offline(False)
    await expect(page.locator("#place")).to_have_text("800")


async def test_respects_retry_after(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [Reply(503, retry_after=120), waiting(800, 60)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("#notice")).to_be_visible()
    await page.clock.fast_forward(115_000)
    await dispatch(page, "window", "new Event('online')")
    await page.clock.fast_forward(2000)
    await settle(page)
    assert len(edge.polls) == 1
    await poll(page, 10)
    await expect(page.locator("#place")).to_have_text("800")


async def test_an_answer_that_makes_no_sense_is_a_failure(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Something in between answers with a page of its own: the visitor waits on, and is not lost."""
    edge.answers = [Reply(200), Reply(200), waiting(500, 60)]
    page = await arrive()
    await poll(page, 6)
    await poll(page, 2.1)
    await expect(page.locator("#notice")).to_have_text("Connection lost. Your place is kept; trying again.")
    await poll(page, 4.1)
    await expect(page.locator("#place")).to_have_text("500")


async def test_a_very_late_appointment_is_not_an_early_one(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A browser's timer set for more than 25 days would fire at once."""
    edge.pages = [early(time() + 30e5, poll_after_s=30e5)]
    page = await arrive()
    await page.clock.run_for(2000)
    await settle(page)
    assert edge.polls == []
    await expect(page.locator("#countdown")).to_be_hidden()


# ---- when it is over ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "headline"), [(sold_out(), "Sold out"), (closed(), "Closed")])
async def test_stops_when_over(arrive: Arrive, edge: ScriptedEdge, answer: object, headline: str) -> None:
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


async def test_sold_out_for_now_goes_on(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [sold_out(poll_after_s=10), waiting(4, 10)]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out for now")
    await poll(page, 11.1)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await expect(page.locator("#place")).to_have_text("4")


async def test_all_held_says_how_many_still_pay(arrive: Arrive, edge: ScriptedEdge) -> None:
    """With each poll, the place too; it is said to screen readers once; then the line goes on, or is over."""
    edge.answers = [all_held(37, 12), all_held(36, 11), waiting(4, 10), all_held(1, 3), sold_out()]
    page = await arrive()
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out for the moment")
    await expect(page).to_have_title("Sold out for the moment – Lumen Records")
    await expect(page.locator("#held")).to_have_text("37")
    await expect(page.locator("#place")).to_have_text("12")
    await expect(page.locator("#wait-box")).to_be_hidden()
    await expect(page.locator("#stock-box")).to_be_hidden()
    await expect(page.locator("#live")).to_have_text(re.compile(r"^Sold out for the moment\. Still paying: 37\. "))
    await poll(page, 6)
    await expect(page.locator("#held")).to_have_text("36")
    await expect(page.locator("#place")).to_have_text("11")
    await expect(page.locator("#live")).to_have_text(re.compile("Still paying: 37"))
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await expect(page.locator("#held-box")).to_be_hidden()
    await poll(page, 6)
    await poll(page, 6)
    await expect(page.locator("h1")).to_have_text("Sold out")
    await expect(page.locator("#place-box")).to_be_hidden()


async def test_all_held_is_told_without_scripts(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [all_held(37, 12), waiting(3, 20, poll_after_s=1)]
    page = await arrive(java_script_enabled=False)
    await expect(page.locator("h1")).to_have_text("Sold out for the moment")
    await expect(page.locator("#held")).to_have_text("37")
    await expect(page.locator("h1")).to_have_text("You are in line", timeout=20_000)


async def test_admitted_goes_in_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [waiting(1, 2), admitted()]
    page = await arrive()
    await poll(page, 6)
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")
    assert edge.visits == ["GET", "GET"]
    assert len(edge.polls) == 2


async def test_a_form_keeps_its_method_and_its_fields(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Going in repeats the visitor's own request, which may be the form of a full cart."""
    edge.answers = [admitted()]
    page = await arrive("/cart")
    await page.get_by_role("button").click()
    await expect(page.locator("h1")).to_have_text("You are in line")
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: POST 42")
    assert edge.visits == ["POST", "POST"]


async def test_being_sent_back_is_no_loop(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Admitted, and back on the waiting page each time: after three times it slows down and explains."""
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


async def test_a_room_that_is_gone_keeps_nobody(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [waiting(10, 30), admitted()]
    edge.answers = [Reply(404)]
    page = await arrive()
    await page.clock.fast_forward(6000)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")


# ---- cookies -----------------------------------------------------------------------------------------------


async def test_explains_lost_cookies_after_the_second_answer(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A browser that keeps no cookie is a newcomer each time: one such answer is a coincidence, two are not."""
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


async def test_one_new_ticket_is_no_lost_cookie(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Somebody who clears their cookies once is a newcomer once."""
    page = await arrive()
    await page.context.clear_cookies()
    edge.answers = [waiting(5000, None, stock=n) for n in (1, 2, 3)]
    for n in (1, 2, 3):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#place")).to_have_text("5,000")


async def test_explains_disabled_cookies_at_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/cart")
    session = await page.context.new_cdp_session(page)
    await session.send("Emulation.setDocumentCookieDisabled", {"disabled": True})
    await page.goto(edge.url)
    await expect(page.locator("h1")).to_have_text("Your browser did not keep your place")


async def test_an_explanation_from_the_server_does_not_poll(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.cookies_missing = True
    page = await arrive()
    await expect(page.locator("h1")).to_have_text("Your browser did not keep your place")
    await page.clock.fast_forward(600_000)
    await settle(page)
    assert edge.polls == []
    edge.cookies_missing = False
    await page.get_by_role("link", name="Try again").click()
    await expect(page.locator("h1")).to_have_text("You are in line")


# ---- for everybody -----------------------------------------------------------------------------------------


async def test_screen_readers_hear_now_and_then(arrive: Arrive, edge: ScriptedEdge) -> None:
    """Not at every poll: the place once a minute, a change of state at once."""
    edge.pages = [waiting(1000, 6000)]
    edge.answers = [waiting(1000 - n, 6000 - 6 * n, stock=n) for n in range(1, 14)]
    page = await arrive()
    for n in range(1, 10):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#live")).to_have_text("")
    for n in range(10, 13):
        await poll(page, 6)
        await expect(page.locator("#stock")).to_have_text(str(n))
    await expect(page.locator("#live")).to_have_text(re.compile(r"^Your place in line: 99\d\. Estimated wait: "))
    edge.answers = [sold_out(poll_after_s=10)]
    await poll(page, 6)
    await expect(page.locator("#live")).to_have_text(re.compile("^Sold out for now"))


async def test_gets_in_without_scripts(arrive: Arrive, edge: ScriptedEdge) -> None:
    """With scripts off the page does the whole job by loading itself again."""
    edge.pages = [waiting(3, 130, poll_after_s=1), waiting(2, 20, poll_after_s=1), admitted()]
    page = await arrive(java_script_enabled=False)
    await expect(page.locator("#place")).to_have_text("3")
    await expect(page.locator("#wait")).to_have_text("about 2 minutes")
    await expect(page.locator("#place")).to_have_text("2")
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")
    assert edge.polls == []


async def hasten_rescue(route: Route) -> None:
    """The slow refresh of a page whose script does not arrive, after one second instead of sixty."""
    response = await route.fetch()
    await route.fulfill(response=response, body=(await response.text()).replace('content="60"', 'content="1"'))


async def test_gets_in_when_the_script_does_not_arrive(arrive: Arrive, edge: ScriptedEdge) -> None:
    """A lost file must not leave a visitor waiting for ever."""
    edge.pages = [waiting(3, 130), admitted()]
    page = await arrive("/cart")
    await page.route("**/waiting.*.js", lambda route: route.abort())
    await page.route("**/checkout", hasten_rescue)
    await page.goto(edge.url)
    await expect(page.locator("h1")).to_have_text(f"{PROTECTED}: GET nothing")


async def test_the_script_calls_every_refresh_off(arrive: Arrive, edge: ScriptedEdge) -> None:
    """With the script at work the page is loaded once, and its polls alone keep it up to date."""
    edge.pages = [waiting(3, 130, poll_after_s=1)]
    edge.answers = [waiting(2, 120, poll_after_s=1)]
    page = await arrive("/cart")
    await page.route("**/checkout", hasten_rescue)
    await page.goto(edge.url)
    started = time()
    while time() < started + 1.5:  # longer than either refresh would take
        await poll(page, 1.2)
    assert edge.visits == ["GET"]


MEASURE_CONTRAST = """() => {
    const light = (rgb) => {
        const [r, g, b] = rgb.map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parse = (color) => color.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
        for (let e = element; e; e = e.parentElement) {
            const rgba = parse(getComputedStyle(e).backgroundColor);
            if (rgba.length === 3 || rgba[3] > 0) return rgba.slice(0, 3);
        }
    };
    const found = {};
    for (const e of document.querySelectorAll("main *")) {
        const hasText = [...e.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim());
        if (!hasText || !e.checkVisibility()) continue;
        const pair = [light(parse(getComputedStyle(e).color).slice(0, 3)), light(behind(e))].sort((a, b) => b - a);
        found[e.textContent] = (pair[0] + 0.05) / (pair[1] + 0.05);
    }
    return found;
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("path", ["/checkout", "/broken/502"])
async def test_is_readable(arrive: Arrive, edge: ScriptedEdge, scheme: str, path: str) -> None:
    """WCAG 1.4.3: every text has a contrast of 4.5:1 to what is behind it."""
    edge.pages = [waiting(1240, 95, message="One per person.", stock=3)]
    edge.answers = [Reply(503, retry_after=60)]
    page = await arrive(path, color_scheme=scheme)
    if path == "/checkout":
        await poll(page, 6)
        await expect(page.locator("#notice")).to_be_visible()
    contrasts = await page.evaluate(MEASURE_CONTRAST)
    assert len(contrasts) >= 4
    assert {text: c for text, c in contrasts.items() if c < 4.5} == {}


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_fits_the_screen(arrive: Arrive, edge: ScriptedEdge, width: int) -> None:
    """WCAG 1.4.10: nothing sticks out sideways, even with a million in front and an endless word."""
    edge.pages = [waiting(1_234_567, 20_000, message="x" * 200, stock=1_000_000)]
    page = await arrive(viewport={"width": width, "height": 700})
    assert await page.evaluate("document.documentElement.scrollWidth") <= width
    box = await page.locator("#place").bounding_box()
    assert box is not None
    assert await page.locator("#place").evaluate("e => e.scrollWidth <= e.clientWidth + 1")


async def test_an_error_is_explained(arrive: Arrive) -> None:
    page = await arrive("/broken/502")
    await expect(page).to_have_title("The shop is not answering")
    await expect(page.get_by_text("Please try again in a few seconds.")).to_be_visible()
    await expect(page.get_by_role("link", name="Try again")).to_be_visible()


async def test_the_watch_sees(arrive: Arrive, watch: Watch) -> None:
    """What every test relies on: inline code and other origins are refused, and noticed."""
    page = await arrive()
    async with page.expect_event("console"):
        await page.evaluate(
            "document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.broken = 1'}))"
        )
    assert await page.evaluate("window.broken") is None
    assert any("script-src" in fault for fault in watch.faults)
    watch.faults.clear()
