"""The page of a visitor in line is, byte for byte, the page of the same `Status`."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waiting_room.assets import Assets
from waiting_room.line_page import LinePage
from waiting_room.page import WaitingPage
from waiting_room.placeholders import CODINGS, Coding
from waiting_room.status import SharedFields, State, Status
from waiting_room.texts import Texts

NOW = 1_763_719_200.0
ASSETS = Assets.load()
PAGES = [WaitingPage(ASSETS, "checkout", "Shop", Texts.load(language)) for language in ("en", "ar", "hi")]
LINE_PAGES = [LinePage(page) for page in PAGES]
SHARED = [
    ((None, None, None), SharedFields(State.WAITING, "checkout")),
    ((None, 12, 3), SharedFields(State.WAITING, "checkout", None, 12, 3)),
    (("<b>Sale</b>", 0, None), SharedFields(State.WAITING, "checkout", "<b>Sale</b>", 0)),
]
#: Waits of all wordings, and the bounds between them.
WAITS_S = st.one_of(
    st.floats(0.0, 30_000.0), st.sampled_from([0.0, 7.9, 8.0, 22.0, 44.99, 45.0, 60.0, 90.0, 21_600.0, 25_920.0, 1e7])
)


@settings(max_examples=300)
@given(
    st.sampled_from(range(3)),
    st.sampled_from(SHARED),
    st.one_of(st.integers(1, 10_000_000), st.sampled_from([1, 999, 1000, 999_999, 1_000_000])),
    WAITS_S,
    st.one_of(st.just(0.0), st.floats(0.0, 5000.0)),
    st.one_of(st.floats(0.01, 60.0), st.floats(0.01, 9000.0)),
    st.one_of(st.just(0.0), st.floats(0.0, 90_000.0), st.floats(-2.0, 0.0)),
    st.floats(0.0, 200.0),
    st.sampled_from(CODINGS),
)
def test_it_is_the_page_of_the_same_status(
    at: int,
    shared: tuple[tuple[str | None, int | None, int | None], SharedFields],
    position: int,
    p50: float,
    more: float,
    after: float,
    age: float,
    later: float,
    coding: Coding,
):
    now = NOW + later
    (message, stock, held), fields = shared
    status = Status(State.WAITING, "checkout", position, p50, p50 + more, after, now - age, message, stock, held)
    wanted = PAGES[at].render(status, now=now, coding=coding)
    for _ in range(2):  # the second time from what the first one keeps
        assert LINE_PAGES[at].render(fields, position, p50, p50 + more, after, now - age, now, coding) == wanted


@pytest.mark.parametrize("name", ["a<b", "été"])
def test_a_room_with_an_unusual_name_gets_the_whole_look(name: str):
    page = WaitingPage(ASSETS, name, "Shop")
    status = Status(State.WAITING, name, 5, 100.0, 120.0, 10.0, NOW)
    made = LinePage(page).render(SharedFields(State.WAITING, name), 5, 100.0, 120.0, 10.0, NOW, NOW, "")
    assert made == page.render(status, now=NOW)


def test_pages_of_the_same_minute_share_what_is_the_same():
    """Otherwise the test above would compare the slow way with itself."""
    line, fields = LinePage(PAGES[0]), SharedFields(State.WAITING, "checkout")
    for at in range(50):
        line.render(fields, 1000 + at, 600.0 + at / 10, 700.0, 30.0, NOW + at / 100, NOW + at / 100, "br")
    assert [len(pages) for pages in line._minute_pages.values()] == [1]
    plain = line.render(fields, 1000, 600.0, 700.0, 30.0, NOW, NOW, "")
    packed = line.render(fields, 1000, 600.0, 700.0, 30.0, NOW, NOW, "gzip")
    assert zlib.decompress(packed, wbits=31) == plain
