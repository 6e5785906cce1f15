"""Path matching: one normalised form, so that no spelling walks around a room."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.rooms.paths import PrefixIndex, compile_globs, readings


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
    """What an upstream may read as /checkout is /checkout here."""
    assert readings(target)[0] == "/checkout"


@pytest.mark.parametrize(
    "target",
    [
        "/checkout/../x",
        "/checkout/..;/x",
        "/checkout/%2e%2e/x",
        "/checkout/..%2fx",
        "/%2563heckout/x",
        "/x/%252e%252e/checkout/x",
    ],
)
def test_a_path_with_two_readings_has_both(target: str) -> None:
    """Some upstreams route before they resolve dots, some after, and some decode twice."""
    assert any(form.startswith("/checkout") for form in readings(target))


@pytest.mark.parametrize("target", ["/a..b", "/a.b/c", "/%41b?x=..%2f", "/caf%C3%A9", "/a/b/"])
def test_a_plain_path_has_one_reading(target: str) -> None:
    assert len(readings(target)) == 1 or ".." in target


@given(st.text())
def test_any_text_has_a_normalised_form(text: str) -> None:
    """It starts with a slash, has no empty, dot or parent segments, and normalising it again changes nothing."""
    for path in readings(text):
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
def test_a_star_matches_any_run_of_characters(glob: str, path: str, covers: bool) -> None:
    """Every other character matches itself, in either case."""
    assert bool(compile_globs([glob]).fullmatch(path)) is covers


def test_an_empty_list_of_globs_covers_nothing() -> None:
    assert compile_globs([]).fullmatch("/") is None
    assert compile_globs([]).fullmatch("") is None


GLOBS = st.lists(st.text("aAbß/*.", min_size=1, max_size=6).map(lambda text: "/" + text), min_size=1, max_size=3)


@given(st.lists(GLOBS, max_size=20), st.text("aAbß/.", max_size=8))
def test_the_index_finds_every_list_that_matches(lists: list[list[str]], target: str) -> None:
    """In the order of the lists."""
    (path, *_) = readings("/" + target)
    found = PrefixIndex(lists).candidates(path)
    assert found == sorted(set(found))
    assert set(found) >= {at for at, globs in enumerate(lists) if compile_globs(globs).fullmatch(path)}


def test_the_index_returns_few_of_many_lists() -> None:
    index = PrefixIndex([[f"/sale-{at}/*", f"/s{at}"] for at in range(500)])
    assert index.candidates("/sale-7/x") == [7]
    assert index.candidates("/elsewhere") == []
