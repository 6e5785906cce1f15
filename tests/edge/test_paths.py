"""Path matching: one normalised form, so that no spelling walks around a room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.paths import compile_globs, normalised_path


@pytest.mark.parametrize(
    "target",
    [
        "/checkout",
        "/Checkout",
        "//checkout",
        "///checkout/",
        "/%63heckout",
        "/a/../checkout",
        "/a/%2e%2e/checkout",
        "/./checkout",
        "/checkout;x=1",
        "/checkout;/",
        "/checkout.",
        "/checkout%20",
        "/checkout?x=1",
        "/..//checkout",
        "\\checkout",
        "/checkout%2f",
    ],
)
def test_every_spelling_of_a_path_is_one_place(target: str) -> None:
    """What an upstream may take for /checkout is /checkout here."""
    assert normalised_path(target) == "/checkout"


@given(st.text())
def test_any_text_has_a_normalised_form(text: str) -> None:
    """It starts with a slash, has no empty, dot or parent segments, and is normal already."""
    path = normalised_path(text)
    assert path.startswith("/")
    assert not {"", ".", ".."} & set(path.split("/")[1:]) or path == "/"


@pytest.mark.parametrize(
    ("glob", "path", "covers"),
    [
        ("/checkout*", "/checkout", True),
        ("/checkout*", "/checkout/pay", True),
        ("/checkout*", "/check", False),
        ("/Checkout*", "/checkout", True),
        ("*.css", "/a/b.css", True),
        ("*.css", "/a.css/b", False),
        ("/a.c", "/abc", False),
        ("/a/*/c", "/a/b/b/c", True),
        ("*", "/", True),
    ],
)
def test_a_star_stands_for_any_run_of_characters(glob: str, path: str, covers: bool) -> None:
    """Everything else in a glob stands for itself, whatever its case."""
    assert bool(compile_globs([glob]).fullmatch(path)) is covers


def test_no_glob_covers_nothing() -> None:
    """An empty list is not a list of everything."""
    assert compile_globs([]).fullmatch("/") is None
    assert compile_globs([]).fullmatch("") is None
