"""The pid file names a living edge, or it is known to be stale."""

import os
from pathlib import Path

import pytest

from edge.supervisor.pid_file import pid_file, running_pid
from edge.support.errors import ConfigurationError, UpstreamError


def test_the_file_exists_while_the_edge_runs(tmp_path: Path):
    file = tmp_path / "edge.pid"
    with pid_file(str(file)):
        assert file.read_text() == f"{os.getpid()}\n"
        assert running_pid(file) == os.getpid()
    assert not file.exists()


def test_a_second_edge_is_refused(tmp_path: Path):
    file = tmp_path / "edge.pid"
    refused = pytest.raises(ConfigurationError, match=f"another edge holds .*{os.getpid()}")
    with pid_file(str(file)), refused, pid_file(str(file)):
        pass


@pytest.mark.parametrize("content", ["1\n", "", "nonsense", "99999999\n"])
def test_a_file_that_was_left_behind_is_no_running_edge_and_is_taken_over(tmp_path: Path, content: str):
    """Whatever it holds: a signal must not reach the stranger that has this process id now."""
    file = tmp_path / "edge.pid"
    file.write_text(content)
    with pytest.raises(UpstreamError, match="no edge runs"):
        running_pid(file)
    with pid_file(str(file)):
        assert running_pid(file) == os.getpid()


def test_a_missing_file_and_a_folder_that_is_missing_are_reported(tmp_path: Path):
    with pytest.raises(UpstreamError, match="cannot be read: No such file"):
        running_pid(tmp_path / "none.pid")
    with pytest.raises(ConfigurationError, match="cannot be written"), pid_file(str(tmp_path / "none" / "edge.pid")):
        pass


def test_no_file_is_asked_for():
    with pid_file(None):
        pass
