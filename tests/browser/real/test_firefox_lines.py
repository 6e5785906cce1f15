"""A visitor, a single-page shop and an operator with Firefox, before a real edge."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.browser.firefox import Firefox, running_firefox
from tests.browser.real.lines import ASK, Line, line_before
from tests.edge.whole import whole_edge

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.browsers]

PRIVATE = {"browser.privatebrowsing.autostart": True}
PLACE = "document.getElementById('place')?.textContent.trim()"
HEADING = "document.querySelector('h1')?.textContent"
INSIDE = "the shop: GET "


async def gets_in(firefox: Firefox, line: Line) -> None:
    line.open()
    await firefox.wait(HEADING, INSIDE)
    assert line.shop.at("/checkout/order") == [("GET", "")], "the shop was asked once"


@pytest.mark.parametrize("preferences", [{}, PRIVATE], ids=["a usual window", "a private window"])
async def test_a_visitor_waits_and_gets_in(tmp_path: Path, preferences: dict[str, bool]) -> None:
    async with line_before(tmp_path) as line, running_firefox(tmp_path, preferences) as firefox:
        await firefox.open(line.url)
        await firefox.wait(PLACE, "1")
        assert await firefox.value("document.querySelector('meta[http-equiv=refresh]')") is None
        await gets_in(firefox, line)
        assert firefox.faults == []


async def test_the_way_back_leads_to_the_line(tmp_path: Path) -> None:
    async with line_before(tmp_path) as line, running_firefox(tmp_path) as firefox:
        await firefox.open(line.url)
        await firefox.wait(PLACE, "1")
        await firefox.open(f"{line.edge.url}/")
        await firefox.wait(HEADING, "shop")
        await firefox.back()
        await firefox.wait(PLACE, "1")
        await gets_in(firefox, line)


@pytest.mark.parametrize("has_worker", [False, True], ids=["alone", "beside a service worker"])
async def test_the_client_of_single_page_shops_sends_its_order_once(tmp_path: Path, has_worker: bool) -> None:
    async with line_before(tmp_path, has_worker=has_worker) as line, running_firefox(tmp_path) as firefox:
        await firefox.open(f"{line.edge.url}/")
        if has_worker:
            await firefox.wait("navigator.serviceWorker.controller !== null")
        assert await firefox.value(ASK)
        await firefox.wait("seen.length > 0 && seen.every(([state, isLost]) => state === 'waiting' && !isLost)")
        assert line.shop.at("/checkout/order") == []
        line.open()
        assert await firefox.value("answer") == [200, "<title>shop</title><h1>the shop: POST note=1</h1>"]
        assert line.shop.at("/checkout/order") == [("POST", "note=1")]
        assert await firefox.value("seen.at(-1)") == ["admitted", False]


async def press(firefox: Firefox, within: str, name: str) -> None:
    """Press a button by its name, in the first element that a selector finds."""
    button = f"""[...document.querySelector({json.dumps(within)}).querySelectorAll("button")]
        .find((button) => button.textContent.trim() === {json.dumps(name)} && button.checkVisibility())"""
    await firefox.wait(f"Boolean({button})")
    await firefox.run(f"{button}.click()")


async def test_an_operator_holds_a_room_and_schedules_a_sale(tmp_path: Path) -> None:
    async with (
        whole_edge(tmp_path, workers=1) as edge,
        running_firefox(tmp_path) as firefox,
    ):
        await firefox.open(edge.running.admin + "/")
        await firefox.wait("document.querySelector('article .mode')?.textContent", "Open")
        await press(firefox, "article", "Hold")
        await press(firefox, "dialog[open]", "Set to on hold")
        await firefox.wait("document.querySelector('article .mode').textContent", "On hold")
        opens = (datetime.now(UTC) + timedelta(minutes=20)).strftime("%Y-%m-%dT%H:%M:%S")
        await firefox.run(f"""(() => {{
            const form = document.querySelector("article .schedule");
            const labels = [...form.querySelectorAll("label")];
            const of = (text) => labels.find((label) => label.textContent.includes(text)).querySelector("input");
            of("Sale").value = "drop";
            const local = new Date("{opens}Z");
            local.setMinutes(local.getMinutes() - local.getTimezoneOffset());
            of("Opens at").value = local.toISOString().slice(0, 19);
        }})()""")
        await press(firefox, "article .schedule", "Schedule")
        await press(firefox, "dialog[open]", "Schedule")
        await firefox.wait("/^opens in (20:00|19:[0-9]{2})$/.test(document.querySelector('.sale-state').textContent)")
        await firefox.resize(390, 800)
        assert await firefox.value("document.documentElement.scrollWidth <= innerWidth")
        assert firefox.faults == []
