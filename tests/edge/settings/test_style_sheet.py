"""A shop's style sheet: what the page could not load, what hides the rest, and contrast where it can be known."""

import pytest

from edge.settings.sources import SourceSettings
from edge.settings.style_sheet import addresses_in_style_sheet, faint_rules, faults_in_style_sheet

NONE = SourceSettings()


@pytest.mark.parametrize(
    ("text", "line", "expected"),
    [
        ('@import url("/a.css");', 1, "@import cannot be used"),
        ("\na{background:url(https://cdn.example/a.png)}", 2, "page.sources.images: [https://cdn.example]"),
        ("@font-face {\n src: url('//f.example/a.woff2')}", 2, "page.sources.fonts: [https://f.example]"),
        ("a{background:url(a.png)}", 1, "a.png is relative"),
        ("a{background:url( 'data:image/png;base64,AA' )}", 1, "allows no data"),
        ("a{color:red}}\nb{}", 1, "this } closes no block, so a browser ignores what follows"),
        ("a{\nb{color:red", 1, "this { is not closed"),
        ('a{background:image-set("/a.png" 1x)}', 1, "use url(...)"),
    ],
)
def test_a_fault_is_named_with_its_line(text: str, line: int, expected: str) -> None:
    at, why = faults_in_style_sheet(text, NONE)[0]
    assert at == line
    assert expected in why


@pytest.mark.parametrize(
    "text",
    [
        "/* @import url(x.png) } */ a{color:red}",
        'a::before{content:"} url(x.png) @import"}',
        "a{background:url(/static/a.png) no-repeat}",
        "a{fill:url(#gradient)}",
        "@media (prefers-color-scheme: dark){:root{--ink:#fff;--paper:#000}}",
        "",
    ],
)
def test_what_works_is_no_fault(text: str) -> None:
    assert faults_in_style_sheet(text, NONE) == []


def test_an_allowed_origin_is_no_fault() -> None:
    sheet = "@font-face{src:url(https://f.example/a.woff2)} a{background:url(https://f.example/a.png)}"
    [(_, why)] = faults_in_style_sheet(sheet, SourceSettings(fonts=("https://f.example",)))
    assert "a.png is an outside resource" in why


def test_contrast_is_said_only_where_one_rule_sets_both_colours() -> None:
    found = faint_rules("a{color:#777;background:#fff}\nb{color:#777}\nc{color:white;background:url(/a.png)}")
    assert found == [(1, "#777777 on #ffffff has a contrast of 4.47:1, below the 4.5:1 of WCAG 2.2 (1.4.3) for text")]
    assert faint_rules("/* a{color:#777;background:#fff} */ b{color:black;background-color:white}") == []
    [(line, _)] = faint_rules("\n:root{--paper:#777777}")
    assert line == 2


def test_the_addresses_of_this_host_are_found() -> None:
    assert addresses_in_style_sheet("a{}\nb{background:url('/a.png')} c{fill:url(#x)}") == [(2, "/a.png")]
