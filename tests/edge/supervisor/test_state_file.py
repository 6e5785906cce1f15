"""The state file: written atomically and privately, read if it is young, ignored if it is anything else."""

import json
import stat
from pathlib import Path
from typing import Any

import pytest

from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.supervisor.state_file import MOST_AGE_S, StateFile
from edge.supervisor.worker_handle import WorkerHandle

NOW = 1_795_000_000.0
CHECKPOINTS = {"checkout": [{"at": NOW, "threshold": NOW - 9.0, "open": 0.0}, {"at": NOW, "threshold": NOW - 8.5}]}


def settings(folder: Path | str | None, listen: str = "tcp://127.0.0.1:8080") -> Settings:
    return parse_settings(
        json.dumps(
            {
                "listen": [listen],
                "state_folder": None if folder is None else str(folder),
                "secret_keys_env": "KEYS",
                "upstream": {"url": "http://127.0.0.1:9"},
                "rooms": [{"name": "checkout", "match": {"paths": ["/"]}, "capacity": {"admissions_per_second": 1}}],
            }
        ),
        "test.yaml",
    )


def test_what_is_written_is_read(tmp_path: Path) -> None:
    file = StateFile.of(settings(tmp_path / "new" / "folder"), {})
    assert file.read(NOW) == {}
    file.write(CHECKPOINTS, NOW)
    assert StateFile.of(settings(tmp_path / "new" / "folder"), {}).read(NOW + 3.0) == CHECKPOINTS


def test_only_its_user_can_read_it_and_nothing_else_is_left_in_the_folder(tmp_path: Path) -> None:
    file = StateFile.of(settings(tmp_path), {})
    file.write(CHECKPOINTS, NOW)
    file.write(CHECKPOINTS, NOW + 1.0)
    [kept] = tmp_path.iterdir()
    assert kept == file.path
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600


@pytest.mark.parametrize("age_s", [MOST_AGE_S + 1.0, -60.0])
def test_an_old_file_and_one_from_the_future_are_ignored(tmp_path: Path, age_s: float) -> None:
    file = StateFile.of(settings(tmp_path), {})
    file.write(CHECKPOINTS, NOW)
    assert file.read(NOW + age_s) == {}


@pytest.mark.parametrize(
    "text",
    [
        b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"version": 1}', b'{"version": 1, "at": "soon", "rooms": {}}',
        b'{"version": 1, "at": 1795000000.0, "rooms": {"checkout": [{"threshold": NaN}]}}',
        b'{"version": 1, "at": 1795000000.0, "rooms": {"checkout": [3]}}',
        b'{"version": 9, "at": 1795000000.0, "rooms": {"checkout": []}}',
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_ignored(tmp_path: Path, text: bytes) -> None:
    file = StateFile.of(settings(tmp_path), {})
    assert file.path is not None
    file.path.write_bytes(text)
    assert file.read(NOW) == {}


def test_a_folder_that_cannot_be_written_is_logged_once_and_stops_nothing(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("no folder")
    file = StateFile.of(settings(tmp_path / "file"), {})
    for second in range(3):
        file.write(CHECKPOINTS, NOW + second)
    assert [record.message for record in caplog.records if "cannot be written" in record.message] != []
    assert len(caplog.records) == 1


def test_auto_takes_the_first_folder_that_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    chosen = StateFile.of(settings("auto"), {"STATE_DIRECTORY": f"{tmp_path}/given:/other", "HOME": "/nowhere"})
    assert chosen.path is not None
    assert chosen.path.parent == tmp_path / "given"


def test_edges_that_listen_elsewhere_have_other_files_and_one_on_any_free_port_has_none(tmp_path: Path) -> None:
    one, other = (StateFile.of(settings(tmp_path, f"tcp://127.0.0.1:{port}"), {}).path for port in (8080, 8081))
    assert one != other
    assert StateFile.of(settings("auto", "tcp://127.0.0.1:0"), {"STATE_DIRECTORY": str(tmp_path)}).path is None
    assert StateFile.of(settings(None), {"STATE_DIRECTORY": str(tmp_path)}).path is None


def test_a_worker_resumes_from_the_file_until_it_has_reported() -> None:
    """With an empty bucket, and it waits until its visitors are back. A restarted worker resumes from its report."""
    handle = WorkerHandle(0, [])
    handle.kept["checkout"] = CHECKPOINTS["checkout"][0]
    wanted: dict[str, Any] = {"threshold": NOW - 9.0, "open": 0.0, "level": 0.0, "at": NOW + 3.0, "returning": 1.0}
    assert handle.checkpoints(["checkout"], NOW + 3.0) == {"checkout": wanted}
