"""A join challenge in a real browser and a real edge: solved by the script, or waited for without scripts."""

import time
from pathlib import Path

import pytest
from playwright.async_api import Browser, Request, expect

from tests.browser.conftest import REPORT_VIOLATIONS, Watch
from tests.browser.test_real_edge import TIMEOUT_MS
from tests.edge.running import one_room, running_edge, running_upstream, wait_until
from tests.edge.whole import Upstream

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest.mark.parametrize("with_scripts", [True, False], ids=["scripts on", "scripts off"])
async def test_a_visitor_joins_and_gets_in(chromium: Browser, tmp_path: Path, with_scripts: bool) -> None:
    """Our worker solves the puzzle within the policy. Without scripts the page says how long the wait is."""
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
        requests: list[str] = []

        def record(request: Request) -> None:
            requests.append(request.url)

        page.on("request", watch.request)
        page.on("request", record)
        page.on("console", watch.console)
        page.on("pageerror", watch.error)
        arrived = time.monotonic()
        await page.goto(f"{edge.url}/checkout")
        if not with_scripts:
            await expect(page.locator("#headline")).to_have_text("One moment")
            await expect(page.locator("#next")).to_contain_text("If scripts are off, it takes a few seconds")
        await expect(page.get_by_text("the shop", exact=True)).to_be_visible(timeout=TIMEOUT_MS)
        solutions = [url for url in requests if "altcha=" in url]
        assert len(solutions) == with_scripts
        if not with_scripts:
            assert time.monotonic() - arrived >= without_s - 0.5
        metric = 'stanchion_join_challenges_total{result="%s",room="checkout"}' % (
            "solved" if with_scripts else "waited"
        )

        async def is_counted() -> bool:
            return await edge.metric(metric) == 1

        await wait_until(is_counted, "the workers report their counts twice a second")
        assert watch.faults == []
        await context.close()
