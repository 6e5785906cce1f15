"""The waiting page: no value changes the structure of the document, and the values are right."""

import gzip
import json
import re
from dataclasses import replace

import brotli
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting_room.documents import Outline, messages, outline, texts
from waiting_room.assets import STATIC_PATH, Assets
from waiting_room.page import WaitingPage, progress_percent
from waiting_room.status import State, Status

ASSETS = Assets.load()
PAGE = WaitingPage(ASSETS, "checkout", "Lumen Records")
PLAIN = Status(State.WAITING, "checkout", 1240, 95.0, 130.0, 4.2, first_seen=1_000_000.0)
NOW = 1_000_060.0

seconds = st.none() | st.floats(0, 1e7)
statuses = st.builds(
    Status,
    state=st.sampled_from(State),
    room=st.just("checkout"),
    position=st.none() | st.integers(1, 10**9),
    eta_p50_s=seconds,
    eta_p90_s=seconds,
    poll_after_s=st.none() | st.floats(0, 1e5),
    first_seen=st.none() | st.floats(0, 4e9),
    message=messages,
    stock=st.none() | st.integers(0, 10**9),
    held=st.none() | st.integers(0, 10**9),
    opens_at=st.none() | st.floats(0, 4e9),
    paused=st.none() | st.sampled_from(["upstream", "operator", "nodes"]),
)


@given(status=statuses, cookies_missing=st.booleans(), now=st.none() | st.floats(0, 4e9))
def test_no_status_changes_the_structure(status: Status, cookies_missing: bool, now: float | None) -> None:
    """For every status the page has the same elements and attributes, and is small."""
    document = PAGE.render(status, cookies_missing=cookies_missing, now=now)
    assert outline(document) == outline(PAGE.render(PLAIN))
    assert len(document) <= 8192 + 12 * len(status.message or "")


@given(status=statuses, cookies_missing=st.booleans(), now=st.none() | st.floats(0, 4e9))
def test_every_coding_unpacks_to_the_same_page(status: Status, cookies_missing: bool, now: float | None) -> None:
    plain = PAGE.render(status, cookies_missing=cookies_missing, now=now)
    for coding, unpack in (("gzip", gzip.decompress), ("br", brotli.decompress)):
        packed = PAGE.render(status, cookies_missing=cookies_missing, now=now, coding=coding)
        assert unpack(packed) == plain
        assert len(packed) < 0.65 * len(plain)


@given(message=messages)
def test_a_message_is_not_changed(message: str | None) -> None:
    """The visible message and the script's copy equal the message of the shop."""
    found = Outline(PAGE.render(replace(PLAIN, message=message)))
    if message is not None and "\x00" not in message and "\r" not in message:
        assert found.texts.get("message", "") == message
    assert json.loads(found.texts["status"])["message"] == message


@given(title=texts, room=texts.filter(bool))
def test_no_title_changes_the_structure(title: str, room: str) -> None:
    page = WaitingPage(ASSETS, room, title)
    assert outline(page.render(replace(PLAIN, room=room))) == outline(PAGE.render(PLAIN))


def test_the_page_has_every_element_that_the_script_uses() -> None:
    """Every id in the script is an id in the page."""
    script = ASSETS.get(ASSETS.url("waiting.js").removeprefix(STATIC_PATH))
    assert script is not None
    used = set(re.findall(rb'\b(?:by|put|show)\("([\w-]+)"', script.body))
    ids = {(attributes.get("id") or "").encode() for _, attributes in Outline(PAGE.render(PLAIN)).attributes}
    assert used
    assert used <= ids


@pytest.mark.parametrize(
    ("status", "refresh"),
    [
        (PLAIN, 5),
        (replace(PLAIN, state=State.EARLY, poll_after_s=30.0), 30),
        (replace(PLAIN, state=State.SOLD_OUT, poll_after_s=10.0), 10),
        (replace(PLAIN, state=State.SOLD_OUT, poll_after_s=None), None),
        (replace(PLAIN, state=State.CLOSED, poll_after_s=None), None),
        (Status(State.ADMITTED, "checkout"), 1),
    ],
)
def test_without_scripts_the_page_reloads_after_the_interval(status: Status, refresh: int | None) -> None:
    """The page does not reload early, and not at all in a final state."""
    found = re.findall(rb'<noscript><meta http-equiv="refresh" content="(\d+)"></noscript>', PAGE.render(status))
    assert found == ([] if refresh is None else [b"%d" % refresh])
    rescue = re.findall(rb'^<meta http-equiv="refresh" content="(\d+)">$', PAGE.render(status), re.MULTILINE)
    assert rescue == ([] if refresh is None else [b"%d" % max(20, refresh)])


def test_missing_cookies_are_explained() -> None:
    """The explanation replaces the figures, and a browser without scripts reloads slowly."""
    document = PAGE.render(PLAIN, cookies_missing=True, now=NOW)
    found = Outline(document)
    assert found.texts["headline"] == "Your browser did not keep your place"
    hidden = {a["id"] for _, a in found.attributes if "hidden" in a and "id" in a}
    assert {"place-box", "wait-box", "progress-box", "stock-box", "message-box", "updated", "since"} <= hidden
    assert "again" not in hidden
    assert b'content="60"' in document


def test_the_page_shows_the_figures_of_a_wait() -> None:
    found = Outline(PAGE.render(replace(PLAIN, stock=0), now=NOW))
    assert found.texts["place"] == "1,240"
    assert found.texts["wait"] == "about 2 minutes"
    assert found.texts["within"] == "9 out of 10 visitors wait less than 3 minutes"
    assert found.texts["stock"] == "none free right now"
    assert ("progress", "38") in [(tag, a.get("value")) for tag, a in found.attributes]


def test_all_held_shows_the_unpaid_units_and_the_place() -> None:
    """While all units are held, the page shows the unpaid units and the kept place, but no estimate."""
    held = Status(State.SOLD_OUT, "checkout", 12, poll_after_s=4.2, first_seen=1_000_000.0, stock=0, held=1037)
    found = Outline(PAGE.render(held, now=NOW))
    hidden = {a["id"] for _, a in found.attributes if "hidden" in a and "id" in a}
    assert (found.texts["headline"], found.texts["held"], found.texts["place"]) == (
        "Sold out for the moment",
        "1,037",
        "12",
    )
    assert not {"held-box", "place-box"} & hidden
    assert {"wait-box", "progress-box", "stock-box"} <= hidden
    assert json.loads(found.texts["status"])["held"] == 1037
    over = Outline(PAGE.render(replace(held, held=0, poll_after_s=None), now=NOW))
    assert over.texts["headline"] == "Sold out"
    assert {"held-box", "place-box"} <= {a["id"] for _, a in over.attributes if "hidden" in a and "id" in a}


@given(status=statuses, now=st.floats(0, 4e9))
def test_progress_is_between_0_and_99_percent(status: Status, now: float) -> None:
    """The progress of a waiting visitor is never complete and never negative."""
    assert progress_percent(status, now) is None or 0 <= progress_percent(status, now) <= 99  # type: ignore[operator]


@pytest.mark.parametrize(
    ("paused", "headline"),
    [
        ("upstream", "The shop is not available right now"),
        ("operator", "The line is paused"),
        ("capacity", "The line is paused"),
        ("redis", "The line is paused"),
        ("stock", "The line is paused"),
        ("nodes", "You are in line"),
        (None, "You are in line"),
    ],
)
def test_a_line_that_stands_still_says_so_and_keeps_the_place(paused: str | None, headline: str) -> None:
    status = Status(State.WAITING, "checkout", 1240, poll_after_s=5.0, first_seen=NOW - 60, paused=paused)
    page = PAGE.render(status, now=NOW).decode()
    assert f'<h1 id="headline">{headline}</h1>' in page
    assert re.search(r'<dd id="place">1,240 *</dd>', page)
    if headline != "You are in line":
        assert '<div id="wait-box" hidden>' in page
        assert "Your place in line is kept" in page


DRAW = json.dumps({"sale": "drop", "commitment": "ab" * 32, "seed": None, "opens_at": "x", "window_seconds": 2})
EARLY = Status(State.EARLY, "checkout", 12, poll_after_s=9.0, first_seen=NOW - 60.0, opens_at=NOW + 245.0)


@pytest.mark.parametrize(
    ("status", "headline", "shown"),
    [
        (EARLY, "The sale is not open yet", {"place-box", "opens-box", "countdown", "since"}),
        (replace(EARLY, position=None, draw=DRAW, ticket="abc"), "The sale is not open yet", {"opens-box", "draw-box"}),
        (replace(EARLY, first_seen=None, position=None), "Not open yet", {"opens-box", "countdown"}),
        (Status(State.CLOSED, "checkout", paused="over"), "The sale is over", set()),
    ],
)
def test_the_page_of_a_scheduled_sale_says_when_it_opens(status: Status, headline: str, shown: set[str]) -> None:
    found = Outline(PAGE.render(status, now=NOW))
    assert found.texts["headline"] == headline
    hidden = {a["id"] for _, a in found.attributes if "hidden" in a and "id" in a}
    boxes = {"place-box", "opens-box", "countdown", "since", "draw-box"}
    assert shown <= boxes - hidden
    assert {"wait-box", "progress-box", "stock-box"} <= hidden
    if "opens-box" in shown:
        assert found.texts["countdown"].strip() == "in 4:05"


def test_the_page_shows_what_verifies_the_draw() -> None:
    """The secret number is shown once it is known; before, the page says when that will be."""
    before = Outline(PAGE.render(replace(EARLY, draw=DRAW, ticket="<b>"), now=NOW)).texts
    assert (before["ticket"].strip(), before["commitment"]) == ("<b>", "ab" * 32)
    assert before["seed"] == "shown after the opening"
    opened = replace(PLAIN, draw=DRAW.replace("null", '"cd12"'), ticket="abc")
    plain = PAGE.render(opened, now=NOW)
    assert Outline(plain).texts["seed"] == "cd12"
    assert gzip.decompress(PAGE.render(opened, now=NOW, coding="gzip")) == plain
    assert brotli.decompress(PAGE.render(opened, now=NOW, coding="br")) == plain
