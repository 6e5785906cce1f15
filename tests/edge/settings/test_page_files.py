"""The files of a room's page: read beside the settings, refused with their line, and served by a real edge."""

import gzip
import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.check import check
from edge.cli.check_pages import page_warnings
from edge.rooms.pages import languages_of, pages_of
from edge.settings.loading import load_settings
from edge.support.errors import ConfigurationError
from tests.edge.settings.test_page_template import GOOD
from waiting_room.assets import STATIC_PATH, Assets
from waiting_room.frame import CONTENT_SECURITY_POLICY
from waiting_room.status import State, Status

FONTS = Path(__file__).parents[2] / "waiting_room" / "fonts"
WAITING = Status(State.WAITING, "checkout", 12, 95.0, 130.0, 4.2, first_seen=1_000_000.0)


def write(folder: Path, files: dict[str, str | bytes], **page: Any) -> Path:
    for name, content in files.items():
        (folder / name).write_bytes(content if isinstance(content, bytes) else content.encode())
    room = {"name": "checkout", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": 1}}
    tree = {
        "secret_keys_env": "KEYS",
        "upstream": {"url": "http://127.0.0.1:9"},
        "rooms": [{**room, "page": page}],
    }
    file = folder / "edge.yaml"
    file.write_text(yaml.safe_dump(tree))
    return file


def rendered(file: Path) -> tuple[str, Assets, str]:
    """Return a waiting page, the files, and the policy of the page."""
    settings, assets = load_settings(file), Assets.load()
    page = pages_of(settings.rooms[0], settings.page_files, assets, languages_of(settings)).page("", "")
    for coding, unpack in (("gzip", gzip.decompress),):
        assert unpack(page.render(WAITING, coding=coding)) == page.render(WAITING)  # type: ignore[arg-type]
    return page.render(WAITING).decode(), assets, page.policy


def test_a_font_and_a_style_sheet_are_files_of_the_edge(tmp_path: Path) -> None:
    font = (FONTS / "square-variable.woff2").read_bytes()
    file = write(tmp_path, {"f.woff2": font, "own.css": "h1{color:red}"}, font="f.woff2", stylesheet="own.css")
    page, assets, policy = rendered(file)
    [served] = re.findall(rf'href="{STATIC_PATH}(font-checkout\.[0-9a-f]{{8}}\.woff2)"', page)
    [sheet] = re.findall(rf'href="{STATIC_PATH}(face-checkout\.[0-9a-f]{{8}}\.css)"', page)
    found, rules = assets.get(served), assets.get(sheet)
    assert found is not None
    assert found.body == font
    assert found.content_type == "font/woff2"
    assert found.gzipped == b"", "it is compressed already"
    assert rules is not None
    assert f'url("{STATIC_PATH}{served}") format("woff2");font-weight:100 900'.encode() in rules.body
    assert rules.body.endswith(b"h1{color:red}"), "the shop's rules come last"
    assert page.index("/waiting.") < page.index("/face-checkout.")
    assert "font-src 'self'" in policy
    assert "unsafe" not in policy


def test_a_room_without_files_has_the_policy_and_the_page_as_before(tmp_path: Path) -> None:
    page, _, policy = rendered(write(tmp_path, {}, title="Shop"))
    assert policy == CONTENT_SECURITY_POLICY
    assert page.count("stylesheet") == 1
    assert "{{" not in page


def test_families_need_no_file(tmp_path: Path) -> None:
    page, assets, _ = rendered(write(tmp_path, {}, font='Georgia, "Times New Roman", serif'))
    [sheet] = re.findall(rf'href="{STATIC_PATH}(face-[^"]*)"', page)
    rules = assets.get(sheet)
    assert rules is not None
    assert rules.body == b'html{font-family:Georgia, "Times New Roman", serif}'


@pytest.mark.parametrize("font", ["Georgia;}", "a{b", "url(x)", '"open', "Georgia,,serif", "3D Font"])
def test_a_list_of_families_changes_nothing_else(tmp_path: Path, font: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rooms\[0\]\.page\.font: must be a font file"):
        load_settings(write(tmp_path, {}, font=font))


def test_a_template_has_the_shops_page_around_ours(tmp_path: Path) -> None:
    text = GOOD.replace(
        "<main>", '<header title="{{ shop_name }}">{{shop}}</header>\n<!-- a note --><main class="own">'
    )
    page, _, _ = rendered(write(tmp_path, {"page.html": text}, template="page.html", title='A "shop"'))
    assert page.startswith('<!doctype html>\n<html lang="en" dir="ltr">')
    assert '<header title="A &quot;shop&quot;"><p class="shop">A &quot;shop&quot;</p>' in page
    assert '<main class="own">' in page
    assert "a note" not in page
    assert "{{" not in page
    assert 'id="live"' in page
    assert 'class="language"' not in page, "the template has no slot for it"


def test_a_form_is_kept_on_a_shops_own_page_too(tmp_path: Path) -> None:
    settings = load_settings(write(tmp_path, {"page.html": GOOD}, template="page.html"))
    page = pages_of(settings.rooms[0], settings.page_files, Assets.load(), languages_of(settings)).page("", "")
    kept = page.render(WAITING, form_url="/checkout?key=1").decode()
    assert 'data-form-url="/checkout?key=1" data-view="waiting"' in kept
    assert ';url=/checkout?key=1"' in kept
    lost = page.render(WAITING, form_url="").decode()
    assert lost.index('<noscript><p class="notice">') < lost.index('<h1 id="headline">')


def test_other_origins_stand_in_the_policy(tmp_path: Path) -> None:
    sources = {"images": ["https://cdn.example"], "scripts": ["https://*.stats.example"]}
    _, _, policy = rendered(write(tmp_path, {}, sources=sources))
    assert "img-src 'self' https://cdn.example;" in policy
    assert "script-src 'self' https://*.stats.example;" in policy
    assert "style-src 'self';" in policy
    assert policy.startswith("default-src 'none'")


def test_texts_of_a_room_override_those_of_all_rooms(tmp_path: Path) -> None:
    file = write(tmp_path, {}, texts={"en": {"views.waiting.headline": "In line for the tour"}})
    tree = yaml.safe_load(file.read_text())
    own = {"views.waiting.headline": "In line", "labels.place": "Your number"}
    tree["languages"] = {"texts": {"en": own}}
    tree["rooms"].append({**tree["rooms"][0], "name": "other", "page": {}})
    file.write_text(yaml.safe_dump(tree))
    settings = load_settings(file)
    languages, assets = languages_of(settings), Assets.load()
    first, second = (pages_of(room, {}, assets, languages).page("", "").render(WAITING) for room in settings.rooms)
    assert b"In line for the tour" in first
    assert b"Your number" in first
    assert b"In line for the tour" not in second
    assert b"Your number" in second


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        ({"en": {"errors.502.title": "x"}}, "put it into languages.texts"),
        ({"en": {"views.waiting.headlin": "x"}}, "there is no text named"),
        ({"en": {"views.waiting.title": "{x}"}}, "has no value {x}"),
        ({"xx": {}}, "there is no language 'xx'"),
    ],
)
def test_a_text_that_a_room_cannot_have_is_refused(tmp_path: Path, texts: dict[str, Any], expected: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(expected)):
        load_settings(write(tmp_path, {}, texts=texts))


def test_every_fault_is_told_with_file_and_line(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "page.html": GOOD.replace("{{end}}", '{{ends}}\n<img src="https://cdn.example/x.png" alt="">'),
        "own.css": "a{\nbackground:url(x.png)}",
        "f.woff2": b"not a font",
    }
    report = check(
        write(tmp_path, files, template="page.html", stylesheet="own.css", font="f.woff2"), asks_network=False
    )
    assert [str(fault) for fault in report.faults] == [
        "rooms[0].page.template: page.html, line 10: {{ends}} is not a slot: did you mean {{end}}?",
        "rooms[0].page.template: page.html, line 11: https://cdn.example/x.png is an outside resource: a page loads"
        " files of its own host only. Put the file there, or allow it by page.sources.images: [https://cdn.example]",
        "rooms[0].page.template: page.html, line 13: the slot {{end}} is missing: write it before </body>",
        "rooms[0].page.stylesheet: own.css, line 2: x.png is relative, and the page has many addresses: begin"
        " with / (/x.png)",
        "rooms[0].page.font: f.woff2 is not a font: it must be WOFF2 (best), WOFF, TrueType or OpenType",
    ]


def test_a_file_that_is_missing_too_large_or_no_text_is_told(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {"large.css": "a" * 131_073, "latin.html": "a\n\xe4".encode("latin-1")}
    for page, expected in (
        ({"template": "none.html"}, "none.html cannot be read: No such file or directory"),
        ({"stylesheet": "large.css"}, "large.css is larger than 128 KiB"),
        ({"template": "latin.html"}, "latin.html, line 2: is not UTF-8 text"),
    ):
        with pytest.raises(ConfigurationError, match=re.escape(expected)):
            load_settings(write(tmp_path, files, **page))


def test_what_is_not_seen_is_warned_of(tmp_path: Path) -> None:
    text = GOOD.replace("{{line}}", '{{line}}<img src="/checkout/logo" alt="">')
    files: dict[str, str | bytes] = {"page.html": text, "own.css": "\n.shop{color:#777;background:#fff}"}
    settings = load_settings(write(tmp_path, files, template="page.html", stylesheet="own.css", footer="Shop Ltd"))
    found = [str(each) for each in page_warnings(settings)]
    assert any("page.stylesheet: line 2: #777777 on #ffffff has a contrast of 4.47:1" in each for each in found)
    assert any("page.template: line 8: /checkout/logo waits in line itself" in each for each in found)
    assert any("page.footer is set, and the template has no slot {{footer}}" in each for each in found)
    assert any("cannot choose another language" in each for each in found)


def test_check_prints_the_line(tmp_path: Path) -> None:
    file = write(tmp_path, {"page.html": GOOD.replace("{{line}}", "")}, template="page.html")
    command = [sys.executable, "-m", "edge.cli", "check", "--json", "--offline", str(file)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    [fault] = json.loads(ended.stdout)["faults"]
    assert fault["path"] == "rooms[0].page.template"
    assert "the slot {{line}} is missing: write it into <main>" in fault["message"]
