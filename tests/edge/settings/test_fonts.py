"""Which file is a font, and whether it has all weights."""

from pathlib import Path

import pytest

from edge.settings.fonts import read_font

FONTS = Path(__file__).parents[2] / "waiting_room" / "fonts"


@pytest.mark.parametrize("ending", ["woff2", "woff", "ttf"])
def test_a_font_is_known_by_its_content(ending: str) -> None:
    assert read_font((FONTS / f"square.{ending}").read_bytes()) == (ending, False)


def test_a_variable_font_has_all_weights() -> None:
    assert read_font((FONTS / "square-variable.woff2").read_bytes()) == ("woff2", True)


@pytest.mark.parametrize("content", [b"", b"<html>", b"wOF2", b"\x89PNG\r\n"])
def test_what_is_no_font_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError, match=r"is not a font|is cut off|no tables"):
        read_font(content)


@pytest.mark.parametrize("ending", ["woff2", "woff", "ttf"])
def test_a_font_that_is_cut_off_is_refused(ending: str) -> None:
    with pytest.raises(ValueError, match="cut off"):
        read_font((FONTS / f"square.{ending}").read_bytes()[:52])
