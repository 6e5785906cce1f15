"""What a supervisor keeps over a crash: written as a whole, private, and never in the way of a start."""

import json
import os
from pathlib import Path

import pytest

from edge.supervisor.state_folder import StateFolder


def test_what_was_written_is_read_by_the_next_supervisor(tmp_path: Path):
    file = tmp_path / "edge.yaml"
    StateFolder.find("state", file, {}).write("rooms", {"a": 1}, durably=True)
    assert StateFolder.find("state", file, {}).read("rooms") == {"a": 1}
    assert StateFolder.find("state", tmp_path / "other.yaml", {}).read("rooms") is None, (
        "each settings file has its own"
    )


def test_files_are_private(tmp_path: Path):
    folder = StateFolder.find("state", tmp_path / "edge.yaml", {})
    folder.write("rooms", {})
    assert folder.folder is not None
    assert (folder.folder / "rooms.json").stat().st_mode & 0o777 == 0o600
    assert folder.folder.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize("content", [b"", b"{", b"[1]", b"\xff\xfe", b'{"a": 1}x'])
def test_a_broken_file_counts_as_none(tmp_path: Path, content: bytes, caplog: pytest.LogCaptureFixture):
    folder = StateFolder(tmp_path)
    (tmp_path / "rooms.json").write_bytes(content)
    assert folder.read("rooms") is None
    assert "ignored" in caplog.text


def test_the_first_folder_that_can_be_written_is_used(tmp_path: Path):
    given, home = tmp_path / "given", tmp_path / "home"
    environment = {"STATE_DIRECTORY": f"{given}:{tmp_path / 'second'}", "HOME": str(home)}
    assert str(StateFolder.find("auto", tmp_path / "e.yaml", environment).folder).startswith(str(given))
    del environment["STATE_DIRECTORY"]
    environment["XDG_STATE_HOME"] = str(home)
    assert str(StateFolder.find("auto", tmp_path / "e.yaml", environment).folder).startswith(f"{home}/stanchion/")


def test_without_a_folder_the_edge_goes_on(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    (tmp_path / "file").write_text("no folder")
    folder = StateFolder.find("file/below", tmp_path / "edge.yaml", {})
    folder.write("rooms", {"a": 1})
    assert folder.read("rooms") is None
    assert "no state is kept" in caplog.text
    assert StateFolder.find("off", tmp_path / "edge.yaml", {}).folder is None


def test_a_write_that_fails_leaves_what_was_there(tmp_path: Path, caplog: pytest.LogCaptureFixture):
    folder = StateFolder(tmp_path)
    folder.write("rooms", {"a": 1})
    (tmp_path / f".rooms.{os.getpid()}").mkdir()
    folder.write("rooms", {"a": 2})
    folder.write("rooms", {"a": 3})
    assert json.loads((tmp_path / "rooms.json").read_text()) == {"a": 1}
    assert caplog.text.count("cannot be written") == 1, "logged once"
