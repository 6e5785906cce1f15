"""A shop's template: every slot has its place, and nothing is in it that the page's policy would block."""

import pytest

from edge.settings.page_template import examine
from edge.settings.sources import SourceSettings
from waiting_room.own_template import LINE

NONE = SourceSettings()
GOOD = """<!doctype html>
<html {{html}}>
<head>
{{head}}
</head>
<body {{body}}>
<main>
{{line}}
</main>
{{end}}
</body>
</html>
"""


def faults(text: str, sources: SourceSettings = NONE) -> list[tuple[int, str]]:
    return examine(text, sources).faults


def with_line(added: str) -> str:
    """Return a template with one more line, the ninth."""
    return GOOD.replace("</main>\n", f"{added}\n</main>\n")


def with_head(added: str) -> str:
    """Return a template with one more line in the head, the fifth."""
    return GOOD.replace("</head>\n", f"{added}\n</head>\n")


def test_a_sound_template_has_no_fault() -> None:
    assert faults(GOOD) == []
    assert examine(GOOD, NONE).warnings == []


def test_the_parts_of_the_line_may_stand_apart() -> None:
    parts = "\n".join(f'<div class="x">{{{{ {name} }}}}</div>' for name in reversed(LINE))
    assert faults(GOOD.replace("{{line}}", parts)) == []
    [(_line, why)] = faults(GOOD.replace("{{line}}", parts.replace("{{ next }}", "").replace("{{ draw }}", "")))
    assert "missing: {{next}}, {{draw}}" in why


@pytest.mark.parametrize("slot", ["html", "head", "body", "line", "end"])
def test_a_missing_slot_is_named_with_its_place(slot: str) -> None:
    [(_, why)] = faults(GOOD.replace(f"{{{{{slot}}}}}", ""))
    assert why.startswith(f"the slot {{{{{slot}}}}} is missing: write ")


def test_a_slot_in_a_comment_is_missing() -> None:
    [(_, why)] = faults(GOOD.replace("{{end}}", "<!-- {{end}} {{unknown}} -->"))
    assert "{{end}} is missing" in why


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("{{lin}}", "{{lin}} is not a slot: did you mean {{line}}?"),
        ("{{zzzzz}}", "{{zzzzz}} is not a slot: the slots are html, head"),
        ("{{ two words }}", "{{ two words }} is not a slot"),
        ("<p>{{open</p>", "{{open</p> is not a slot"),
        ("{{line}}", "{{line}} is in the template 2 times, and may be there once"),
        ("{{next}}", "{{line}} contains {{next}} already"),
        ("<p>{{links}}</p>", "{{links}} has elements that may not stand in <p>"),
        ("<textarea>{{links}}</textarea>", "{{links}} has elements that may not stand in <textarea>"),
        ('<p title="{{links}}">', "{{links}} may not stand in an attribute; only {{shop_name}} may"),
        ("<div {{body}}></div>", "{{body}} may not stand in the tag <div>"),
        ("{{head}}", "{{head}} is not directly in <head>"),
        ("<script>x()</script>", "a script in the page is blocked"),
        ("<style>a{}</style>", "a style sheet in the page is blocked"),
        ('<p style="color:red">x</p>', "style= is blocked"),
        ('<p ONCLICK="x()">x</p>', "onclick= is blocked"),
        ("<iframe src='/x'></iframe>", "a page in the page is blocked"),
        ("<a href=' JavaScript:x()'>x</a>", "a script in an address is blocked"),
        ('<form action="https://other.example/x"></form>', "forms send to this host only"),
        ('<img src="https://cdn.example/a.png" alt="">', "allow it by page.sources.images: [https://cdn.example]"),
        ('<img src="//cdn.example/a.png" alt="">', "//cdn.example/a.png is an outside resource"),
        ('<img srcset="/a.png 1x, https://cdn.example/a.png 2x" src="/a.png" alt="">', "is an outside resource"),
        ('<script src="https://cdn.example/a.js"></script>', "page.sources.scripts: [https://cdn.example]"),
        ('<svg><image xlink:href="http://cdn.example/a.png"/></svg>', "is an outside resource"),
        ('<video poster="/a.png" src="https://cdn.example:8443/a.mp4"></video>', "[https://cdn.example:8443]"),
        ('<img src="logo.png" alt="">', "logo.png is relative"),
        ('<img src="../logo.png" alt="">', "begin with / (/logo.png)"),
        ('<img src="data:image/png;base64,AAAA" alt="">', "allows no data in addresses"),
        ('<img src="ftp://cdn.example/a.png" alt="">', "only http and https"),
        ('<p id="place">x</p>', 'the id "place" is that of an element of the page'),
        ('<p id="seed">x</p>', 'the id "seed" is that of an element of the page'),
        ("</section>", "</section> closes no element, or an element inside is not closed"),
        ("<div>", "<div> is not closed"),
    ],
)
def test_a_fault_is_named_with_its_line(added: str, expected: str) -> None:
    found = faults(with_line(added))
    assert any(expected in why and line >= 9 for line, why in found), found
    assert any(line == 9 for line, _ in found) or "{{line}}" in expected


@pytest.mark.parametrize(
    ("added", "expected"),
    [
        ("<title>x</title>", "leave <title> out"),
        ('<base href="/x/">', "<base> is blocked"),
        ('<meta http-equiv="refresh" content="1">', "is set by the edge"),
        ('<link rel="stylesheet" href="https://fonts.example/a.css">', "page.sources.styles: [https://fonts.example]"),
        ('<link rel="preload" as="font" href="https://f.example/a.woff2" crossorigin>', "page.sources.fonts"),
        ('<link rel="preconnect" href="https://f.example">', "is an outside resource"),
        ('<link rel="manifest" href="/site.json">', "is blocked by the policy"),
        ('<link rel="icon" href="icon.png">', "is relative"),
    ],
)
def test_a_fault_in_the_head_is_named_with_its_line(added: str, expected: str) -> None:
    [(line, why)] = faults(with_head(added))
    assert line == 5
    assert expected in why


@pytest.mark.parametrize(
    "added",
    [
        '<img src="/static/logo.svg" alt="{{shop_name}}">',
        '<a href="https://shop.example/help">Help of {{shop_name}}</a>',
        '<script src="/static/own.js" defer></script>',
        '<script type="application/ld+json">{"a": 1}</script>',
        "<ul><li>one<li>two</ul><p>open",
        '<svg viewBox="0 0 1 1"><use href="#a"/></svg>',
        '<form action="/search?next=https://x"><input name="q"></form>',
        "<nav>{{links}}</nav><div>{{footer}}{{languages}}{{shop}}</div>",
    ],
)
def test_what_works_is_no_fault(added: str) -> None:
    assert faults(with_line(added)) == []


def test_an_allowed_origin_is_no_fault() -> None:
    sources = SourceSettings(images=("https://*.cdn.example",), styles=("https://fonts.example:8443",))
    image, style = '<img src="{}" alt="">', '<link rel="stylesheet" href="{}">'
    assert faults(with_line(image.format("https://a.cdn.example/x.png")), sources) == []
    assert faults(with_line(image.format("https://cdn.example/x.png")), sources) != []
    assert faults(with_line(image.format("http://a.cdn.example/x.png")), sources) != []
    assert faults(with_head(style.format("https://fonts.example:8443/a.css")), sources) == []
    assert faults(with_head(style.format("https://fonts.example/a.css")), sources) != []


def test_a_page_that_is_no_page_is_refused() -> None:
    whys = [why for _, why in faults("<p>{{line}}</p>")]
    assert "must begin with <!doctype html>" in whys
    assert "a template is a whole page with one <body>, and this one has 0" in whys


def test_what_is_worse_than_it_need_be_is_a_warning() -> None:
    found = examine(with_line('<h1>Shop</h1><img src="/a.png">').replace("main>", "div>"), NONE)
    assert found.faults == []
    assert [line for line, _ in found.warnings] == [9, 9, 14]
    assert found.addresses == [(9, "/a.png")]
