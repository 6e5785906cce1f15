"""The command line: one line when listening, a clean end on signals, exit codes by blame."""

import json
import signal
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from checkout.cli import main
from checkout.engines.schema import schema
from tests.checkout.conftest import serving


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


def test_audit_of_a_running_shop(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The checker reads the file of a shop that is selling, finds a forged order, and says so by its exit
    code.
    """
    path = tmp_path / "shop.db"
    with serving("--stock", "3", "--seconds-per-checkout", "0", "--database", str(path)) as (_, url):
        request = urllib.request.Request(url + "/checkout", b"card=1", {"Accept": "application/json"})
        with urllib.request.urlopen(request, timeout=10) as answer:
            assert answer.status == 201
        assert main(["audit", "launch", "--database", str(path)]) == 0
        assert "launch in sqlite: 4 events, 2 free, 0 held, 1 sold: clean" in capsys.readouterr().out
    db = sqlite3.connect(path, isolation_level=None)
    db.execute("DELETE FROM orders")
    db.close()
    assert main(["audit", "launch", "--database", str(path), "--json"]) == 1
    assert json.loads(capsys.readouterr().out)[0]["rule"] == "orders"


@pytest.mark.parametrize("arguments", [["launch", "--database", "/nowhere.db"], ["other", "--database", "{path}"]])
def test_audit_of_nothing(arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A file or sale that is not there is exit code 2, never "clean"."""
    path = tmp_path / "shop.db"
    db = sqlite3.connect(path)
    db.executescript(schema())
    db.close()
    assert main(["audit", *(argument.format(path=path) for argument in arguments)]) == 2
    assert capsys.readouterr().err.startswith(("--database: no such file", "no sale"))
