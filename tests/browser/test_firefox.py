"""A form that meets the line, in Firefox. It would ask in a dialog before it sends a form again, and here nobody is
there to answer: the page must go on without the dialog."""

from pathlib import Path

import pytest

from tests.browser.firefox import running_firefox
from tests.browser.test_visits import FORM, SHORT, Shop, edge_before, stand_in_line
from tests.edge.running import wait_until

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_form_that_meets_the_line_reaches_the_shop_once(tmp_path: Path) -> None:
    shop = Shop()
    shop.pages["/cart"] = FORM
    polling = {"min_seconds": 0.3, "max_seconds": 1.0}
    async with (
        edge_before(shop, tmp_path, capacity=SHORT, polling=polling) as edge,
        running_firefox(tmp_path) as firefox,
    ):
        await firefox.open(f"{edge.url}/cart")
        await stand_in_line(edge, 4)
        await firefox.evaluate("document.querySelector('form').submit()")
        shown: list[object] = []

        async def is_at_the_shop() -> bool:
            text = await firefox.evaluate("document.body ? document.body.dataset.view || document.body.innerText : ''")
            if not shown or shown[-1] != text:
                shown.append(text)
            return "the shop: POST note=by+hand" in str(text)

        await wait_until(is_at_the_shop, "the shop has the form")
        assert "waiting" in shown
        assert shop.at("/checkout/order") == [("POST", "note=by+hand")]
