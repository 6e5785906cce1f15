"""The page of a scheduled sale: a countdown by the server's clock, the draw, the secret number after the opening."""

import json
import re
from dataclasses import replace
from time import time

import pytest
from playwright.async_api import expect

from tests.browser.conftest import Arrive
from tests.browser.scripted_edge import ScriptedEdge, closed, early, waiting
from tests.browser.visitor import poll

pytestmark = pytest.mark.asyncio(loop_scope="session")

DRAW = {"sale": "drop", "commitment": "ab" * 32, "seed": None, "opens_at": "x", "window_seconds": 2}


async def test_a_visitor_of_the_draw_reads_the_secret_number_after_the_opening(
    arrive: Arrive, edge: ScriptedEdge
) -> None:
    before = replace(early(time() + 754), draw=json.dumps(DRAW), ticket="ticket-of-ada")
    after = replace(waiting(12, 60), draw=json.dumps({**DRAW, "seed": "cd" * 32}), ticket="ticket-of-ada")
    edge.pages, edge.answers = [before], [before, after]
    page = await arrive()
    await expect(page.locator("h1")).to_have_text("The sale is not open yet")
    await expect(page.locator("#next")).to_contain_text("You are taking part in the draw.")
    await expect(page.locator("#countdown")).to_have_text(re.compile(r"in 12:3\d"))
    await expect(page.locator("#place-box")).to_be_hidden()
    await expect(page.locator("#ticket")).to_have_text(re.compile("ticket-of-ada"))
    await expect(page.locator("#commitment")).to_have_text("ab" * 32)
    await expect(page.locator("#seed")).to_have_text("shown after the opening")
    await poll(page, 11)
    await expect(page.locator("#seed")).to_have_text("shown after the opening")
    await poll(page, 11)
    await expect(page.locator("h1")).to_have_text("You are in line")
    await expect(page.locator("#seed")).to_have_text("cd" * 32)
    await expect(page.locator("#place")).to_have_text("12")
    await expect(page.locator("#opens-box")).to_be_hidden()


async def test_a_place_by_arrival_is_shown_before_the_opening(arrive: Arrive, edge: ScriptedEdge) -> None:
    edge.pages = [replace(early(time() + 754), position=7)]
    edge.answers = [replace(early(time() + 754), position=6), replace(closed(), paused="over")]
    page = await arrive()
    await expect(page.locator("#place")).to_have_text("7")
    await expect(page.locator("#draw-box")).to_be_hidden()
    await poll(page, 11)
    await expect(page.locator("#place")).to_have_text("6")
    await expect(page.locator("#live")).to_have_text("", timeout=1000)
    await poll(page, 11)
    await expect(page.locator("h1")).to_have_text("The sale is over")
    await expect(page.locator("#live")).to_have_text(re.compile("^The sale is over"))
