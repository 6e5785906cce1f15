"""`stanchion page`: the preview holds every view and needs no network, and says what it cannot do."""

import base64
import gzip
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.main import main
from edge.settings.page_template import examine
from edge.settings.sources import SourceSettings
from waiting_room.language_file import LANGUAGES

SVG = b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 9 9"><path d="M0 0h9v9z"/></svg>'


def settings(folder: Path, **page: Any) -> Path:
    """Write settings with two rooms, the second with this page."""
    room = {"match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": 1}}
    rooms = [{**room, "name": "first"}, {**room, "name": "tour", "page": {"title": "Lumen Records", **page}}]
    file = folder / "edge.yaml"
    file.write_text(yaml.safe_dump({"secret_keys_env": "K", "upstream": {"url": "http://127.0.0.1:9"}, "rooms": rooms}))
    return file


def sheet(folder: Path, *more: str, **page: Any) -> tuple[dict[str, Any], dict[str, dict[str, str]], str]:
    """Write a sheet. Return its facts, its pages by language and view, and the whole text."""
    output = folder / "sheet.html"
    command = ["page", "preview", "--config", str(settings(folder, **page)), "--room", "tour", "--output", str(output)]
    assert main([*command, *more]) == 0
    text = output.read_text("utf-8")
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', text)
    assert found is not None
    facts = json.loads(found[1])
    pages = {
        language: json.loads(gzip.decompress(base64.b64decode(packed))) for language, packed in facts["packed"].items()
    }
    return facts, pages, text


def test_the_sheet_holds_every_view_in_every_language(tmp_path: Path) -> None:
    facts, pages, text = sheet(tmp_path)
    assert set(pages) == set(LANGUAGES)
    assert {"waiting", "paused", "draw", "sold out for good", "closed", "cookies", "error", "too many requests"} <= set(
        facts["views"]
    )
    assert all(set(made) == set(facts["views"]) for made in pages.values())
    assert len(text) < 1_000_000
    assert "Lumen Records" in pages["ar"]["waiting"]
    assert 'dir="rtl"' in pages["ar"]["waiting"]


def test_the_sheet_needs_no_network(tmp_path: Path) -> None:
    """A font, a picture in the style sheet, the logo and the icon are in the sheet itself."""
    (tmp_path / "static").mkdir()
    (tmp_path / "static" / "logo.svg").write_bytes(SVG)
    (tmp_path / "own.css").write_text('.shop{background:url("/static/logo.svg")}')
    facts, pages, _ = sheet(
        tmp_path, "--files", str(tmp_path), "--language", "en", logo="/static/logo.svg", stylesheet="own.css"
    )
    encoded = base64.b64encode(SVG).decode()
    assert f'<img src="data:image/svg+xml;base64,{encoded}"' in pages["en"]["waiting"]
    assert any(f'url("data:image/svg+xml;base64,{encoded}")' in style for style in facts["styles"])
    for page in pages["en"].values():
        assert "<script" not in page
        assert "http-equiv" not in page
        assert not re.search(r'(?:src|href)="/_stanchion/static', page)
    assert list(pages) == ["en"]


def test_a_file_outside_of_the_folder_is_not_shown(tmp_path: Path) -> None:
    (tmp_path / "files").mkdir()
    (tmp_path / "logo.svg").write_bytes(SVG)
    _, pages, _ = sheet(tmp_path, "--files", str(tmp_path / "files"), "--language", "en", logo="/../logo.svg")
    assert '<img src="/../logo.svg"' in pages["en"]["waiting"]


def test_one_view_may_be_asked_for(tmp_path: Path) -> None:
    facts, _, _ = sheet(tmp_path, "--view", "sold out", "--view", "waiting", "--language", "de")
    assert facts["views"] == ["sold out", "waiting"]


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (["--room", "none"], "--room none: there is no such room; there are first, tour"),
        (["--language", "xx"], "--language xx: the settings offer"),
        (["--view", "none"], "--view 'none': there is no such view; there are waiting"),
        (["--files", "/does/not/exist"], "is no folder"),
        (["--png", "pictures", "--browser", "/no/such/browser"], "there is no such program"),
        (["--output", "/does/not/exist/sheet.html"], "cannot be written: No such file"),
    ],
)
def test_what_cannot_be_done_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], expected: str
) -> None:
    command = ["page", "preview", "--config", str(settings(tmp_path)), "--output", str(tmp_path / "sheet.html")]
    assert main([*command, *more]) == 1
    assert expected in capsys.readouterr().err


def test_without_chromium_pictures_are_refused_before_anything_is_written(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    output = tmp_path / "sheet.html"
    command = ["page", "preview", "--config", str(settings(tmp_path)), "--output", str(output), "--png", "pictures"]
    assert main(command) == 1
    assert "sudo apt-get install chromium" in capsys.readouterr().err
    assert not output.exists()


def test_the_template_to_begin_with_is_sound(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["page", "template"]) == 0
    found = examine(capsys.readouterr().out, SourceSettings())
    assert (found.faults, found.warnings) == ([], [])
