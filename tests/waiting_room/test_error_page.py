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
