"""A client that wants something to show gets the page."""

import pytest

from edge.decision.negotiation import accepts_gzip, wants_page

CHROME = "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8"


@pytest.mark.parametrize(
    ("accept", "mode", "page"),
    [
        (CHROME, "navigate", True),
        (CHROME, "", True),
        ("text/html", "", True),
        ("TEXT/HTML; q=0.5", "", True),
        ("application/json", "", False),
        ("application/json", "navigate", False),
        ("application/json, text/html;q=0.9", "", False),
        ("application/json;q=0.9, text/html", "", True),
        ("application/json;q=0, text/html;q=0.1", "", True),
        ("text/html;q=0", "", False),
        ("text/html;q=x", "", False),
        ("*/*", "cors", False),
        ("*/*", "", False),
        ("", "", False),
        ("", "navigate", True),
        ("*/*", "navigate", True),
        ("image/avif,image/webp,*/*;q=0.8", "no-cors", False),
    ],
)
def test_a_client_that_wants_a_page_gets_one(accept: str, mode: str, page: bool) -> None:
    """Programs get the document, even if they accept anything."""
    assert wants_page(accept, mode) is page


@pytest.mark.parametrize(
    ("header", "accepted"),
    [("gzip, br", True), ("br;q=1.0, GZIP;q=0.5", True), ("gzip;q=0", False), ("br", False), ("", False), ("*", False)],
)
def test_gzip_is_used_if_it_is_named(header: str, accepted: bool) -> None:
    """A quality of zero is a refusal."""
    assert accepts_gzip(header) is accepted
