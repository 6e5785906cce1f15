"""The error page: no value changes the structure of the document."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.waiting_room.documents import messages, outline, texts
from waiting_room.assets import Assets
from waiting_room.error_page import ErrorPage

ASSETS = Assets.load()


@given(
    code=st.integers(400, 599),
    title=st.none() | texts,
    explanation=messages,
    after=st.none() | st.floats(0, 1e6),
)
def test_no_value_changes_the_structure(
    code: int, title: str | None, explanation: str | None, after: float | None
) -> None:
    page = ErrorPage(ASSETS)
    assert outline(page.render(code, title, explanation, after)) == outline(page.render(502))


def test_a_navigation_that_the_shop_failed_tries_again_by_itself() -> None:
    page = ErrorPage(ASSETS).render_trying(503, 7).decode()
    assert '<noscript><meta http-equiv="refresh" content="7"></noscript>' in page
    assert ASSETS.url("retry.js") in page
    assert "tries again by itself" in page


def test_a_form_that_the_shop_failed_is_never_sent_again() -> None:
    """Whether it reached the shop or not: the page has no script, no refresh and no link to its own address."""
    for is_sent in (True, False):
        page = ErrorPage(ASSETS).render_form(502, is_sent=is_sent).decode()
        assert "refresh" not in page
        assert "<script" not in page
        assert '<p hidden><a class="button"' in page
    assert "may have received it" in ErrorPage(ASSETS).render_form(504, is_sent=True).decode()
    assert "did not reach the shop" in ErrorPage(ASSETS).render_form(503, is_sent=False).decode()


def is_hidden(page: bytes, text: bytes) -> bool:
    """Return whether the paragraph with this text is hidden."""
    start = page.rindex(b"<p", 0, page.index(text))
    return b" hidden" in page[start : page.index(b">", start)]


@pytest.mark.parametrize(
    ("code", "retry_after_s", "can_retry"),
    [
        (400, None, False), (403, None, False), (403, 30, True), (404, None, False), (405, None, False),
        (408, None, True), (413, None, False), (414, None, False), (431, None, False), (500, None, True),
        (501, None, False), (502, None, True), (503, 5, True), (504, None, True), (505, None, False),
    ],
)  # fmt: skip
def test_the_page_offers_to_try_again_only_if_that_may_help(
    code: int, retry_after_s: float | None, can_retry: bool
) -> None:
    page = ErrorPage(ASSETS).render(code, retry_after_s=retry_after_s)
    assert is_hidden(page, b'<a class="button"') is not can_retry
    assert is_hidden(page, b"Please try again in") is not can_retry


def test_the_explanation_is_for_people_and_the_detail_stands_beside_the_code() -> None:
    page = ErrorPage(ASSETS).render(413, detail="the body is larger than 10 MB").decode()
    assert "<h1>Too large</h1>" in page
    assert "<p>The data that was sent is larger than the shop accepts." in page
    assert "<footer><p>Error 413: the body is larger than 10 MB</p></footer>" in page
