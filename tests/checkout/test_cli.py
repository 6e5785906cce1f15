"""The command line: one line when it listens, a clean end on signals, exit codes by blame."""

import json
import signal
import sqlite3
import urllib.request
from pathlib import Path

import pytest

from checkout.cli import main
from checkout.engines.sql import schema
from tests.checkout.conftest import serving


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_serves_until_a_signal(number: signal.Signals) -> None:
    """The shop prints its address, serves, and ends with exit code 0 on SIGTERM and SIGINT."""
    with serving("--stock", "3") as (process, url):
        with urllib.request.urlopen(url + "/health", timeout=10) as answer:
            assert answer.status == 200
        process.send_signal(number)
        assert process.wait(timeout=20) == 0


def test_orders_survive_a_restart(tmp_path: Path) -> None:
    """With a database file the stock continues where it was, also after kill -9."""
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
        (["--listen", "nowhere"], "listen: expected HOST:PORT"),
    ],
)
def test_bad_settings_are_named(arguments: list[str], fault: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong setting is exit code 2 and a line that names the setting and the reason."""
    assert main(["serve", *arguments]) == 2
    assert fault in capsys.readouterr().err


def test_a_port_in_use_is_exit_code_1(capsys: pytest.CaptureFixture[str]) -> None:
    """A port in use is exit code 1, not a traceback."""
    with serving() as (_, url):
        assert main(["serve", "--listen", url.removeprefix("http://")]) == 1
    assert "address already in use" in capsys.readouterr().err


def test_the_audit_finds_a_missing_order(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The audit reads the file of a running shop. If an order is deleted, its exit code is 1."""
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
def test_the_audit_of_a_missing_file_or_sale_is_exit_code_2(
    arguments: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing file or sale is an error, never "clean"."""
    path = tmp_path / "shop.db"
    db = sqlite3.connect(path)
    db.executescript(schema())
    db.close()
    assert main(["audit", *(argument.format(path=path) for argument in arguments)]) == 2
    assert capsys.readouterr().err.startswith(("--database: no such file", "no sale"))
