"""`stanchion ticket inspect`, `status` and `lists`: a cookie and a running edge, read from a terminal."""

import asyncio
from pathlib import Path

import pytest

from edge.cli.main import main
from tests.edge.observed import Shop
from tests.edge.running import one_room, running_edge, running_upstream
from waiting_room.ticket import Keyring, Pass, new_ticket

ROOM = {"capacity": {"admissions_per_second": 40}}
KEY = "a-key-for-tests-only-" + "x" * 22


@pytest.fixture
def settings_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("STANCHION_KEYS", KEY)
    file = tmp_path / "edge.yaml"
    file.write_text(one_room("http://127.0.0.1:9", **ROOM))
    return str(file)


def test_a_verified_ticket_prints_its_times(settings_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """With the settings' keys: readable times, a valid signature, exit code 0."""
    cookie = Keyring([KEY.encode()]).seal(new_ticket("checkout", 1_795_000_000.123, bytes(16)))
    assert main(["ticket", "inspect", f"stanchion_checkout={cookie}", "--config", settings_file]) == 0
    printed = capsys.readouterr().out
    assert "kind: ticket" in printed
    assert "first seen: 2026-11-18T11:06:40.123Z" in printed
    assert "signature: valid" in printed


def test_a_verified_pass_prints_its_times(settings_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    cookie = Keyring([KEY.encode()]).seal(Pass("i" * 22, "checkout", 1e9, 1e9 + 5, 1e9 + 600))
    assert main(["ticket", "inspect", cookie, "--config", settings_file]) == 0
    assert "expires: 2001-09-09T01:56:40.000Z" in capsys.readouterr().out


def test_a_lane_is_printed(settings_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    cookie = Keyring([KEY.encode()]).seal(new_ticket("checkout", 1_795_000_000.123, bytes(16), "members"))
    assert main(["ticket", "inspect", cookie, "--config", settings_file]) == 0
    assert "lane: members" in capsys.readouterr().out.splitlines()


def test_a_pass_is_compared_with_a_browser_and_a_network(
    settings_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the support desk: the visitor's browser and address from the log, against the pass."""
    keys = Keyring([KEY.encode()])
    binding_digest = keys.binding_digest("i" * 22, "curl", "192.0.2.0/24")
    cookie = keys.seal(Pass("i" * 22, "checkout", 1e9, 1e9 + 5, 1e9 + 600, binding_digest))
    shown = ["--user-agent", "curl/8.5", "--address", "198.51.100.1"]
    assert main(["ticket", "inspect", cookie, "--config", settings_file, *shown]) == 0
    printed = capsys.readouterr().out
    assert "browser: matches (bound)" in printed
    assert "network: differs (not bound)" in printed


@pytest.mark.parametrize("cookie", ["", "nonsense", "t1.checkout.x.1.2.forged", "p1.checkout.x"])
def test_an_unverified_cookie_is_exit_code_1(
    cookie: str, settings_file: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Malformed or forged text, and any text without keys."""
    assert main(["ticket", "inspect", cookie, "--config", settings_file]) == 1
    assert main(["ticket", "inspect", cookie]) == 1
    monkeypatch.delenv("STANCHION_KEYS")
    capsys.readouterr()
    assert main(["ticket", "inspect", cookie]) == 1
    printed = capsys.readouterr().out
    assert "--config" in printed if cookie.startswith(("t1.", "p1.")) else "not a ticket" in printed


def test_without_settings_the_keys_come_from_the_usual_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """STANCHION_KEYS, with several keys too. A key that is not the edge's is named as the reason."""
    cookie = Keyring([KEY.encode()]).seal(Pass("i" * 22, "checkout", 1e9, 1e9 + 5, 1e9 + 600))
    monkeypatch.setenv("STANCHION_KEYS", f"{'n' * 43},{KEY}")
    assert main(["ticket", "inspect", cookie, "--user-agent", "curl/8"]) == 0
    printed = capsys.readouterr().out
    assert "signature: valid" in printed
    assert "browser: not recorded in the pass (bound by default)" in printed
    monkeypatch.setenv("STANCHION_KEYS", "z" * 43)
    assert main(["ticket", "inspect", cookie]) == 1
    assert "rejected by the keys in STANCHION_KEYS: signature" in capsys.readouterr().out
    monkeypatch.setenv("STANCHION_KEYS", "short")
    assert main(["ticket", "inspect", cookie]) == 2
    assert "shorter than 16" in capsys.readouterr().err


async def test_status_and_lists_of_a_running_edge(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table of every room. A refused change is exit code 1, no edge is 3, each with a reason."""
    async with (
        running_upstream(Shop().handle) as upstream,
        running_edge(one_room(upstream, **ROOM), tmp_path) as edge,
    ):
        assert await asyncio.to_thread(main, ["status", "--admin", edge.admin]) == 0
        printed = capsys.readouterr().out
        assert "2 of 2 nodes ready" in printed
        assert "checkout  0" in printed
        assert await asyncio.to_thread(main, ["lists", "--admin", edge.admin]) == 0
        assert "no network is on a list" in capsys.readouterr().out
        command = ["lists", "deny", "not-a-network", "--admin", edge.admin]
        assert await asyncio.to_thread(main, command) == 1
        assert f"{edge.admin}/lists: " in capsys.readouterr().err
        admin = edge.admin
    assert await asyncio.to_thread(main, ["status", "--admin", admin]) == 3
    assert "nothing listens there" in capsys.readouterr().err
