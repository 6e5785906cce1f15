"""The error page: no value changes the structure of the document."""

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
