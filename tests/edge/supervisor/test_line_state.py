"""What the line needs after a crash: kept once a second, used if it is young, ignored if it makes no sense."""

from pathlib import Path
from typing import Any

import pytest

from edge.messages.processes import RoomReport
from edge.supervisor.line_state import MOST_AGE_S, LineState
from edge.supervisor.state_folder import StateFolder
from edge.supervisor.worker_handle import WorkerHandle

NOW = 1_795_000_000.0


def report(threshold: float) -> RoomReport:
    checkpoint = {"at": NOW, "threshold": threshold, "open": 0.0, "level": 2.0}
    return RoomReport({}, {}, 0, None, None, False, (), None, checkpoint)


def workers(*thresholds: float) -> list[WorkerHandle]:
    handles = [WorkerHandle(index, []) for index in range(len(thresholds))]
    for handle, threshold in zip(handles, thresholds, strict=True):
        handle.reports = {"checkout": report(threshold)}
    return handles


def resumed(folder: StateFolder, count: int, now: float) -> list[WorkerHandle]:
    handles = [WorkerHandle(index, []) for index in range(count)]
    LineState(folder, handles, lambda: ["checkout"]).resume(now)
    return handles


@pytest.mark.parametrize("count", [1, 2, 3])
def test_workers_resume_from_what_was_kept_with_an_empty_bucket(tmp_path: Path, count: int) -> None:
    """Also if they are more or fewer. They wait until their visitors are back."""
    folder = StateFolder(tmp_path)
    LineState(folder, workers(10.0, 11.0), lambda: ["checkout"]).write(NOW)
    for handle in resumed(folder, count, NOW + 3.0):
        found = handle.checkpoints(["checkout", "other"], NOW + 3.0)
        threshold = (10.0, 11.0)[handle.index % 2]
        wanted = {"at": NOW + 3.0, "threshold": threshold, "open": 0.0, "level": 0.0, "returning": 1.0}
        assert found == {"checkout": wanted}


def test_a_worker_that_is_restarted_later_resumes_from_its_report(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    LineState(folder, workers(10.0), lambda: ["checkout"]).write(NOW)
    [handle] = resumed(folder, 1, NOW)
    handle.reports = {"checkout": report(12.0)}
    found = handle.checkpoints(["checkout"], NOW + 9.0)["checkout"]
    assert found["threshold"] == 12.0
    assert "returning" not in found


def test_a_second_crash_before_the_first_report_loses_nothing(tmp_path: Path) -> None:
    folder = StateFolder(tmp_path)
    LineState(folder, workers(10.0), lambda: ["checkout"]).write(NOW)
    between = [WorkerHandle(0, [])]
    state = LineState(folder, between, lambda: ["checkout"])
    state.resume(NOW + 3.0)
    state.write(NOW + 4.0)
    assert resumed(folder, 1, NOW + 7.0)[0].kept["checkout"]["threshold"] == 10.0


@pytest.mark.parametrize("age_s", [MOST_AGE_S + 1.0, -60.0])
def test_an_old_file_and_one_from_the_future_are_ignored(tmp_path: Path, age_s: float) -> None:
    folder = StateFolder(tmp_path)
    LineState(folder, workers(10.0), lambda: ["checkout"]).write(NOW)
    assert not resumed(folder, 1, NOW + age_s)[0].kept


@pytest.mark.parametrize(
    "content",
    [
        {}, {"at": "soon", "rooms": {}}, {"at": NOW}, {"at": NOW, "rooms": 3}, {"at": NOW, "rooms": {"checkout": 3}},
        {"at": NOW, "rooms": {"checkout": [3, None, []]}}, {"at": NOW, "rooms": {"checkout": []}},
        {"at": NOW, "rooms": {"checkout": [{"threshold": float("nan"), "open": "yes"}]}},
    ],
)  # fmt: skip
def test_a_file_that_makes_no_sense_is_ignored(tmp_path: Path, content: dict[str, Any]) -> None:
    folder = StateFolder(tmp_path)
    folder.write("line", content)
    assert not resumed(folder, 1, NOW)[0].kept


def test_without_a_state_folder_nothing_is_kept() -> None:
    folder = StateFolder()
    LineState(folder, workers(10.0), lambda: ["checkout"]).write(NOW)
    assert not resumed(folder, 1, NOW)[0].kept
