"""The shop's face: colours with enough contrast, a logo, links and a line of text, and nothing that opens the page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting_room.documents import Outline, texts
from waiting_room.assets import STATIC_PATH, Assets
from waiting_room.face import LEAST_CONTRAST, Colors, Face, contrast, mixed
from waiting_room.page import WaitingPage
from waiting_room.status import State, Status

colors = st.integers(0, 0xFFFFFF).map("#{:06x}".format)
WAITING = Status(State.WAITING, "checkout", 12, 95.0, 130.0, 4.2, first_seen=1_000_000.0)


@pytest.mark.parametrize(
    ("one", "other", "ratio"),
    [
        ("#000000", "#ffffff", 21.0),
        ("#777777", "#ffffff", 4.48),
        ("#767676", "#ffffff", 4.54),
        ("#123456", "#123456", 1),
    ],
)
def test_the_contrast_is_that_of_wcag(one: str, other: str, ratio: float) -> None:
    assert contrast(one, other) == pytest.approx(ratio, abs=0.01)
    assert contrast(one, other) == contrast(other, one)


@given(accent=colors, background=colors, text=colors)
def test_the_grey_text_of_a_shop_can_be_read_if_its_text_can(accent: str, background: str, text: str) -> None:
    sheet = Colors(accent, background, text).style_sheet()
    [soft] = re.findall(r"--soft:(#[0-9a-f]{6})", sheet)
    assert contrast(soft, background) >= min(LEAST_CONTRAST, contrast(text, background)) - 0.01


def test_a_mixed_colour_is_between_the_two() -> None:
    assert mixed("#000000", "#ffffff", 0.5) == "#808080"
    assert mixed("#10203f", "#10203f", 0.3) == "#10203f"


def test_the_page_has_the_shops_face() -> None:
    """The colours are a file of the edge, because the policy of the page allows no style in it."""
    assets = Assets.load()
    face = Face(Colors("#aa0000", "#000000", "#ffffff"), "/static/logo.svg", [("Help", "/help")], "Shop Ltd")
    page = WaitingPage(assets, "checkout", "Shop", face=face).render(WAITING)
    references = [value for _, attributes in Outline(page).attributes if (value := attributes.get("href"))]
    [url] = [each for each in references if "face-checkout." in each]
    sheet = assets.get(url.removeprefix(STATIC_PATH))
    assert sheet is not None
    assert b"--paper:#000000" in sheet.body
    assert b"color-scheme:dark" in sheet.body
    assert page.index(b"/waiting.") < page.index(b"/face-checkout.")
    assert b'<img src="/static/logo.svg" alt="Shop">' in page
    assert b'<p class="shop" hidden>' in page, "the logo says it"
    assert b'<a href="/help">Help</a>' in page
    assert b">Shop Ltd</p>" in page
    assert b"style=" not in page


def test_a_changed_face_takes_the_place_of_the_one_before() -> None:
    """A page of before asks by the old name, and gets the present file."""
    assets = Assets.load()
    count = len(list(assets))
    first = assets.add("face-a.css", b"1")
    assert assets.add("face-a.css", b"1") == first
    second = assets.add("face-a.css", b"2")
    assert len(list(assets)) == count + 1
    found, is_exact = assets.find(first.removeprefix(STATIC_PATH))
    assert found is not None
    assert (found.body, is_exact) == (b"2", False)
    assert assets.url("face-a.css") == second


@given(text=texts.filter(bool), footer=texts)
def test_no_text_of_a_face_changes_the_structure(text: str, footer: str) -> None:
    assets = Assets.load()
    page = WaitingPage(assets, "checkout", "Shop", face=Face(None, None, [(text, "/a")], footer or "x")).render(WAITING)
    plain = WaitingPage(assets, "checkout", "Shop", face=Face(None, None, [("a", "/a")], "x")).render(WAITING)
    assert [tag for tag, _ in Outline(page).attributes] == [tag for tag, _ in Outline(plain).attributes]
