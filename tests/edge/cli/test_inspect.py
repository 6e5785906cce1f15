"""Looking at a cookie and at a running edge from a terminal."""

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


def test_a_ticket_says_what_it_holds(settings_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Verified with the settings' keys: its times as a person reads them, and exit code 0."""
    cookie = Keyring([KEY.encode()]).seal(new_ticket("checkout", 1_795_000_000.123, bytes(16)))
    assert main(["ticket", "inspect", f"stanchion_checkout={cookie}", "--config", settings_file]) == 0
    said = capsys.readouterr().out
    assert "first seen: 2026-11-18T11:06:40.123Z" in said
    assert "signature: valid" in said


def test_a_pass_says_what_it_holds(settings_file: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for a pass."""
    cookie = Keyring([KEY.encode()]).seal(Pass("i" * 22, "checkout", 1e9, 1e9 + 5, 1e9 + 600))
    assert main(["ticket", "inspect", cookie, "--config", settings_file]) == 0
    assert "expires: 2001-09-09T01:56:40.000Z" in capsys.readouterr().out


def test_a_pass_says_whether_it_was_given_to_whoever_shows_it(
    settings_file: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """For the support desk: the visitor's browser and address from the log, against the pass."""
    keys = Keyring([KEY.encode()])
    binding_digest = keys.binding_digest("i" * 22, "curl", "192.0.2.0/24")
    cookie = keys.seal(Pass("i" * 22, "checkout", 1e9, 1e9 + 5, 1e9 + 600, binding_digest))
    shown = ["--user-agent", "curl/8.5", "--address", "198.51.100.1"]
    assert main(["ticket", "inspect", cookie, "--config", settings_file, *shown]) == 0
    said = capsys.readouterr().out
    assert "browser: the same (bound)" in said
    assert "network: another (not bound)" in said


@pytest.mark.parametrize("cookie", ["", "nonsense", "t1.checkout.x.1.2.forged", "p1.checkout.x"])
def test_what_cannot_be_believed_fails(cookie: str, settings_file: str) -> None:
    """Exit code 1, whatever the text; without keys nothing is believed."""
    assert main(["ticket", "inspect", cookie, "--config", settings_file]) == 1
    assert main(["ticket", "inspect", cookie]) == 1


async def test_status_shows_every_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A table for people; an edge that cannot be reached is a failure with a sentence."""
    async with (
        running_upstream(Shop().handle) as upstream,
        running_edge(one_room(upstream, **ROOM), tmp_path) as edge,
    ):
        assert await asyncio.to_thread(main, ["status", "--admin", edge.admin]) == 0
        said = capsys.readouterr().out
        assert "2 of 2 nodes ready" in said
        assert "checkout  0" in said
        admin = edge.admin
    assert await asyncio.to_thread(main, ["status", "--admin", admin]) == 1
    assert "no edge answers" in capsys.readouterr().err
