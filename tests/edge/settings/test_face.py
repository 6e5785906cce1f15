"""The settings of the shop's face: what is refused, and which colours are hard to read."""

import pytest

from edge.settings.face import ColorSettings, LinkSettings, faint_colors


@pytest.mark.parametrize(
    ("url", "is_valid"),
    [
        ("https://shop.example/help", True),
        ("http://shop.example", True),
        ("/help?a=b", True),
        ("/", True),
        ("mailto:help@shop.example", True),
        ("javascript:alert(1)", False),
        ("//shop.example", False),
        ("/\\shop.example", False),
        ("data:text/html,x", False),
        ("https://", False),
        ("", False),
        ("help", False),
    ],
)
def test_a_link_leads_to_a_page(url: str, is_valid: bool) -> None:
    if is_valid:
        assert LinkSettings(text="Help", url=url).url == url
    else:
        with pytest.raises(ValueError, match="pattern"):
            LinkSettings(text="Help", url=url)


@pytest.mark.parametrize("color", ["red", "#fff", "#12345", "#12345g", "#123456;}", ""])
def test_a_colour_has_six_digits(color: str) -> None:
    with pytest.raises(ValueError, match="pattern"):
        ColorSettings(accent=color)


def test_colours_without_contrast_are_named_with_their_ratio() -> None:
    assert faint_colors(ColorSettings()) == []
    assert faint_colors(ColorSettings(background="#ffffff", text="#000000", accent="#aa0000")) == []
    [(key, why)] = faint_colors(ColorSettings(background="#ffffff", text="#777777"))
    assert key == "text"
    assert "#777777 on #ffffff has a contrast of 4.47:1, below the 4.5:1 of WCAG 2.2 (1.4.3) for text" in why
    assert [key for key, _ in faint_colors(ColorSettings(background="#101010"))] == ["text", "accent"]
