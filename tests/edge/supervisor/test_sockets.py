"""Listening sockets: socket files with their mode and owner, sockets that systemd passes on."""

import os
import pwd
import socket
import stat
from pathlib import Path

import pytest

from edge.settings.listener import ListenerSettings
from edge.supervisor.sockets import address_of, open_sockets, remove_socket_files, socket_files, systemd_sockets
from edge.support.errors import ConfigurationError


def unix(path: Path, **more: str) -> ListenerSettings:
    return ListenerSettings.model_validate({"url": f"unix://{path}", **more})


def opened(*listeners: ListenerSettings | str, workers: int = 1, **more: object) -> list[list[socket.socket]]:
    return open_sockets(listeners, workers, **more)  # type: ignore[arg-type]


def close(sockets: list[list[socket.socket]]) -> None:
    for each in (each for listed in sockets for each in listed):
        each.close()


@pytest.mark.parametrize(("given", "mode"), [({}, 0o660), ({"mode": "0600"}, 0o600), ({"mode": "777"}, 0o777)])
def test_a_socket_file_has_its_mode(tmp_path: Path, given: dict[str, str], mode: int) -> None:
    sockets = opened(unix(tmp_path / "edge.sock", **given))
    assert stat.S_IMODE((tmp_path / "edge.sock").stat().st_mode) == mode
    assert address_of(sockets[0][0]) == f"unix://{tmp_path}/edge.sock"
    close(sockets)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give a file away")
@pytest.mark.parametrize("owner", ["nobody", "nobody:nogroup", ":nogroup", "65534:65534"])
def test_a_socket_file_has_its_owner(tmp_path: Path, owner: str) -> None:
    close(opened(unix(tmp_path / "edge.sock", owner=owner)))
    found = (tmp_path / "edge.sock").stat()
    assert found.st_uid == (pwd.getpwnam("nobody").pw_uid if not owner.startswith(":") else 0)
    assert found.st_gid == (65534 if ":" in owner else 0)


def test_all_workers_share_one_socket_file(tmp_path: Path) -> None:
    sockets = opened(unix(tmp_path / "edge.sock"), workers=3)
    with socket.socket(socket.AF_UNIX) as visitor:
        visitor.connect(str(tmp_path / "edge.sock"))
        sockets[2][0].setblocking(True)
        sockets[2][0].accept()[0].close()
    close(sockets)


def test_a_file_that_a_killed_edge_left_is_replaced(tmp_path: Path) -> None:
    close(opened(unix(tmp_path / "edge.sock")))
    close(opened(unix(tmp_path / "edge.sock")))


@pytest.mark.parametrize("there", ["served", "file", "folder", "nowhere", "nobody"])
def test_a_socket_file_that_cannot_be_is_explained(tmp_path: Path, there: str) -> None:
    path, says, more = tmp_path / "edge.sock", "", {}
    other = socket.socket(socket.AF_UNIX)
    if there == "served":
        other.bind(str(path))
        other.listen()
        says = "another program serves it"
    elif there == "file":
        path.write_text("precious")
        says = "is not a socket"
    elif there == "folder":
        path.mkdir()
        says = "is not a socket"
    elif there == "nowhere":
        path = tmp_path / "none" / "edge.sock"
        says = "No such file or directory"
    else:
        more, says = {"owner": "nobody-of-this-name"}, "no user or group"
    with other, pytest.raises(ConfigurationError, match=says) as raised:
        opened("tcp://127.0.0.1:0", unix(path, **more))
    assert [fault.path for fault in raised.value.faults] == ["listen[1]"]
    assert there != "file" or path.read_text() == "precious"


def test_files_are_removed_at_the_end_unless_they_are_anothers(tmp_path: Path) -> None:
    listeners = [unix(tmp_path / "a.sock"), unix(tmp_path / "b.sock")]
    close(opened(*listeners))
    files = socket_files(listeners)
    # A second edge has replaced one of them.
    kept = (tmp_path / "b.sock").rename(tmp_path / "kept")
    close(opened(listeners[1]))
    remove_socket_files(files)
    assert not (tmp_path / "a.sock").exists()
    assert (tmp_path / "b.sock").exists()
    assert kept.exists()


def test_sockets_from_systemd_are_found_by_name() -> None:
    with socket.create_server(("127.0.0.1", 0)) as first, socket.socket() as quiet:
        passed = {"web": first, "quiet": quiet}
        sockets = opened("systemd://web", workers=2, passed=passed)
        assert {each.getsockname() for [each] in sockets} == {first.getsockname()}
        close(sockets)
        with pytest.raises(ConfigurationError, match=r"no socket of this name \(passed: quiet, web\)"):
            opened("systemd://other", passed=passed)
        with pytest.raises(ConfigurationError, match=r"does not listen"):
            opened("systemd://quiet", passed=passed)
    with pytest.raises(ConfigurationError, match=r"\(passed: none\)"):
        opened("systemd://web")


@pytest.mark.parametrize("environment", [{}, {"LISTEN_FDS": "1", "LISTEN_PID": "1"}, {"LISTEN_FDS": "x"}])
def test_descriptors_for_another_process_are_left_alone(environment: dict[str, str]) -> None:
    assert systemd_sockets(environment) == {}
    assert environment == {}
