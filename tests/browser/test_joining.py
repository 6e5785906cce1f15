"""A place that costs some work, in a real browser before a real edge: with scripts a moment, without a told wait."""

import time
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, expect

from tests.browser.conftest import REPORT_VIOLATIONS, Watch
from tests.browser.test_real_edge import PATIENCE_MS
from tests.edge.running import one_room, running_edge, running_upstream, wait_until
from tests.edge.whole import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_visitor_joins_and_gets_in(chromium: Browser, tmp_path: Path, with_scripts: bool) -> None:
    """The puzzle is solved in a worker of ours, within the policy; without scripts the page says how long it takes."""
    without_s = 600 if with_scripts else 5
    join = {"proof": "all", "difficulty": 3000, "no_script_wait_seconds": without_s}
    async with (
        running_upstream(Upstream().handle) as shop,
        running_edge(one_room(shop, capacity={"admissions_per_second": 3}, join=join), tmp_path) as edge,
    ):
        context = await chromium.new_context(java_script_enabled=with_scripts)
        await context.add_init_script(REPORT_VIOLATIONS)
        page = await context.new_page()
        watch = Watch(edge.url)
        asked: list[str] = []

        def note(request: Request) -> None:
            asked.append(request.url)

        page.on("request", watch.request)
        page.on("request", note)
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
        came = time.monotonic()
        await page.goto(f"{edge.url}/checkout")
        if not with_scripts:
            await expect(page.locator("#headline")).to_have_text("One moment")
            await expect(page.locator("#next")).to_contain_text("Where scripts are off it takes less than a minute")
        await expect(page.get_by_text("the shop", exact=True)).to_be_visible(timeout=PATIENCE_MS)
        solutions = [url for url in asked if "altcha=" in url]
        assert len(solutions) == with_scripts
        if not with_scripts:
            assert time.monotonic() - came >= without_s - 0.5
        metric = 'stanchion_join_challenges_total{result="%s",room="checkout"}' % (
            "solved" if with_scripts else "waited"
        )

        async def is_counted() -> bool:
            return await edge.metric(metric) == 1

        await wait_until(is_counted, "counts are carried over twice a second")
        assert watch.faults == []
        await context.close()
