"""The command line: one line when listening, a clean end on signals, exit codes by blame."""

import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from checkout.cli import main

SERVE = [sys.executable, "-m", "checkout", "serve", "--listen", "127.0.0.1:0"]


@contextmanager
def serving(*options: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A shop in its own process, and its address."""
    with subprocess.Popen([*SERVE, *options], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            assert line.startswith("listening on http://127.0.0.1:")
            yield process, line.split()[-1]
        finally:
            process.kill()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(number: signal.Signals) -> None:
    """It says where it listens, serves, and ends with 0 on TERM and INT."""
    with serving("--stock", "3") as (process, url):
        with urllib.request.urlopen(url + "/health", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_orders_survive_a_restart(tmp_path: Path) -> None:
    """With a database file the stock goes on where it was, also after kill -9."""
    options = ["--stock", "3", "--seconds-per-checkout", "0", "--database", str(tmp_path / "shop.db")]
    for left in (2, 1):
        with serving(*options) as (process, url):
            request = urllib.request.Request(
                url + "/checkout", b"card=1", {"X-Stanchion-Ticket": f"t{left}", "Accept": "application/json"}
            )
            with urllib.request.urlopen(request, timeout=10) as answer:
                assert answer.status == 201
                assert answer.headers["Stanchion-Stock"] == str(left)
            process.kill()


@pytest.mark.parametrize(
    ("arguments", "fault"),
    [
        (["--stock", "-1"], "product.stock: Input should be greater than or equal to 0, got -1"),
        (
            ["--checkouts-per-second", "0"],
            "capacity.checkouts_per_second: Input should be greater than 0, got 0",
        ),
        (["--listen", "nowhere"], "listen: HOST:PORT expected"),
    ],
)
def test_bad_settings_are_named(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A faulty setting is exit code 2 and a line that says which and why."""
    assert main(["serve", *arguments]) == 2
    assert fault in capsys.readouterr().err


def test_busy_port_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """A port that is taken is exit code 1, not a traceback."""
    with serving() as (_, url):
        assert main(["serve", "--listen", url.removeprefix("http://")]) == 1
    assert "address already in use" in capsys.readouterr().err
