"""The buttons of the waiting page, with a real browser: leave, move to another device, take the turn, be notified."""

from pathlib import Path
from time import time

import pytest
from playwright.async_api import Browser, BrowserContext, Page, expect

from tests.browser.conftest import Arrive, Watch
from tests.browser.scripted_edge import ROOM, ScriptedEdge, admitted, waiting
from tests.browser.visitor import poll
from tests.edge.running import one_room, running_edge, running_upstream, wait_until
from tests.edge.whole import Upstream
from waiting_room.status import LEFT, MISSED, MOVED, State, Status

pytestmark = pytest.mark.asyncio(loop_scope="session")


def turn(confirm_by: float) -> Status:
    return Status(State.WAITING, ROOM, poll_after_s=5.0, first_seen=time() - 60.0, confirm_by=confirm_by)


async def open_page(browser: Browser, url: str, watch: Watch, **options: bool) -> tuple[BrowserContext, Page]:
    context = await browser.new_context(**options)  # type: ignore[arg-type]
    context.set_default_timeout(30_000)
    page = await context.new_page()
    page.on("request", watch.request)
    page.on("console", watch.console)
    page.on("pageerror", watch.error)
    await page.goto(url)
    return context, page


@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_place_moves_to_a_phone_and_is_left_there(
    chromium: Browser, tmp_path: Path, with_scripts: bool
) -> None:
    """On the real edge: the old page says where the place is, the phone waits, leaves, and can join again."""
    room = {"capacity": {"admissions_per_second": 0.001}, "polling": {"min_seconds": 0.5, "max_seconds": 2.0}}
    async with running_upstream(Upstream().handle) as shop, running_edge(one_room(shop, **room), tmp_path) as edge:
        watch = Watch(edge.url)
        for _ in range(4):  # the first visitors are let in
            context, page = await open_page(chromium, f"{edge.url}/checkout?item=7", watch)
            await context.close()
        opened = [
            await open_page(chromium, f"{edge.url}/checkout?item=7", watch, java_script_enabled=with_scripts)
            for _ in range(2)
        ]
        (desk, page), (phone, small) = opened
        await expect(page.locator("h1")).to_have_text("You are in line")
        await page.get_by_role("button", name="Wait on another device").click()
        await expect(page.get_by_role("img", name="QR code with the link")).to_be_visible()
        link = await page.locator(".own a").get_attribute("href")
        assert link
        await page.get_by_role("link", name="Back", exact=True).click()
        await expect(page.locator("h1")).to_have_text("You are in line")
        await small.goto(link)
        await small.get_by_role("button", name="Move my place here").click()
        await expect(small).to_have_url(f"{edge.url}/checkout?item=7")
        await expect(small.locator("h1")).to_have_text("You are in line")
        await expect(page.locator("h1")).to_have_text("Your place has moved", timeout=20_000)
        await small.get_by_role("button", name="Leave the line").click()
        await expect(small).to_have_title("Leave the line")
        await small.get_by_role("button", name="Leave the line").click()
        await expect(small.locator("h1")).to_have_text("You have left the line")
        await expect(small.get_by_role("link", name="Back to the shop")).to_be_visible()
        await small.get_by_role("button", name="Join the line again").click()
        await expect(small).to_have_url(f"{edge.url}/checkout?item=7")
        await expect(small.locator("h1")).to_have_text("You are in line")
        for context in (desk, phone):
            await context.close()
        assert not watch.faults


@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_visitor_clicks_when_it_is_their_turn(chromium: Browser, tmp_path: Path, with_scripts: bool) -> None:
    room = {
        "capacity": {"admissions_per_second": 0.5},
        "polling": {"min_seconds": 0.5, "max_seconds": 1.0},
        "session": {"presence_seconds": 600.0},
    }
    async with running_upstream(Upstream().handle) as shop, running_edge(one_room(shop, **room), tmp_path) as edge:
        watch, contexts = Watch(edge.url), []

        async def waits() -> bool:
            context, page = await open_page(
                chromium, f"{edge.url}/checkout?item=7", watch, java_script_enabled=with_scripts
            )
            contexts.append((context, page))
            return await page.locator("h1").count() > 0

        await wait_until(waits, "a visitor waits")
        _, page = contexts[-1]
        await expect(page.locator("h1")).to_have_text("It is your turn", timeout=30_000)
        await expect(page.locator("#left")).to_be_visible()
        await page.get_by_role("button", name="Enter now").click()
        await expect(page.locator("body")).to_have_text("the shop")
        await expect(page).to_have_url(f"{edge.url}/checkout?item=7")
        for context, _ in contexts:
            await context.close()
        assert not watch.faults


@pytest.mark.parametrize(
    ("status", "headline"),
    [
        (Status(State.CLOSED, ROOM, paused=LEFT), "You have left the line"),
        (Status(State.CLOSED, ROOM, paused=MOVED), "Your place has moved"),
        (turn(time() + 100.0), "It is your turn"),
        (turn(MISSED), "You missed your turn"),
    ],
    ids=["left", "moved", "turn", "missed"],
)
async def test_the_script_loads_the_page_for_a_view_that_only_the_server_has(
    arrive: Arrive, edge: ScriptedEdge, status: Status, headline: str
) -> None:
    """Once, and it stays in that view while the answers do."""
    edge.pages, edge.answers = [waiting(12, 300), status], [status]
    page = await arrive()
    await page.clock.fast_forward(6_000)
    await expect(page.locator("h1")).to_have_text(headline)
    await expect(page.locator("#acts")).to_be_hidden()
    if status.poll_after_s is not None:
        await poll(page, 6)
        await expect(page.locator("h1")).to_have_text(headline)
    assert len(edge.visits) == 2


async def test_the_time_of_a_turn_counts_down_and_a_missed_turn_is_told(arrive: Arrive, edge: ScriptedEdge) -> None:
    now = time()
    edge.pages, edge.answers = [turn(now + 95.0), turn(MISSED)], [turn(now + 95.0), turn(MISSED)]
    page = await arrive(clock=now)
    before = await page.locator("#left").inner_text()
    await poll(page, 6)
    await expect(page.locator("#left")).not_to_have_text(before)
    await page.clock.fast_forward(6_000)
    await expect(page.locator("h1")).to_have_text("You missed your turn")


async def test_a_form_names_the_page_that_the_visitor_comes_back_to(arrive: Arrive, edge: ScriptedEdge) -> None:
    page = await arrive("/checkout?item=7")
    async with page.expect_request("**/_stanchion/transfer**") as sent:
        await page.get_by_role("button", name="Wait on another device").click()
    assert (await sent.value).url.endswith("?room=checkout&back=%2Fcheckout%3Fitem%3D7")


async def test_a_visitor_that_asks_for_it_is_notified_once(arrive: Arrive, edge: ScriptedEdge) -> None:
    """When it is nearly their turn and when it is, while they look elsewhere."""
    edge.answers = [waiting(50, 500), waiting(5, 50), waiting(4, 40), admitted()]
    page = await arrive(permissions=["notifications"])
    await page.evaluate("""() => {
        window.told = [];
        window.Notification = class { constructor(text) { window.told.push(text); } };
        Notification.permission = "default";
        Notification.requestPermission = async () => "granted";
        document.hasFocus = () => false;
    }""")
    bell = page.get_by_role("button", name="Notify me")
    await expect(bell).to_have_attribute("aria-pressed", "false")
    await bell.click()
    await expect(bell).to_have_attribute("aria-pressed", "true")
    for _ in range(3):
        await poll(page, 6)
    assert await page.evaluate("window.told") == ["It is nearly your turn – Lumen Records"]
    assert "#turn" in (await page.locator('link[rel="icon"]').get_attribute("href") or "")


async def test_nobody_is_notified_without_asking(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.answers = [waiting(5, 50)]
    page = await arrive()
    await page.evaluate("""() => {
        window.told = [];
        window.Notification = class { constructor(text) { window.told.push(text); } };
        document.hasFocus = () => false;
    }""")
    await poll(page, 6)
    assert await page.evaluate("window.told") == []
