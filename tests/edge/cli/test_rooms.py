"""`stanchion room`: what an operator types is what the edge does, and a mistake is named."""

import argparse
import asyncio
import json
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from edge.cli.main import main
from edge.cli.rooms import change_of, until_of
from edge.support.errors import ConfigurationError
from tests.edge.whole import Edge, whole_edge

NOW = datetime(2026, 11, 27, 19, 30, tzinfo=timezone(timedelta(hours=1)))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20:15", "2026-11-27T20:15:00+01:00"),
        ("19:30", "2026-11-28T19:30:00+01:00"),
        ("7:05:30", "2026-11-28T07:05:30+01:00"),
        ("15m", "2026-11-27T19:45:00+01:00"),
        ("+90s", "2026-11-27T19:31:30+01:00"),
        ("2h", "2026-11-27T21:30:00+01:00"),
        ("2026-12-01T08:00", "2026-12-01T08:00:00+01:00"),
        ("2026-12-01T08:00:00+00:00", "2026-12-01T08:00:00+00:00"),
    ],
)
def test_a_time_means_what_an_operator_means(text: str, expected: str):
    assert until_of(text, NOW).isoformat() == expected


@pytest.mark.parametrize("text", ["", "soon", "25:00", "20:61", "15", "15 m", "2026-13-01", "99999999h", "-5m"])
def test_another_time_is_refused(text: str):
    with pytest.raises(ConfigurationError, match="must look like"):
        until_of(text, NOW)


def options(**given: Any) -> argparse.Namespace:
    usual = dict.fromkeys(("action", "room", "reason", "until", "capacity", "active_users", "message"))
    return argparse.Namespace(**{**usual, **given})


def test_a_mode_leaves_nothing_of_the_mode_before():
    assert change_of(options(action="close", room="a"), NOW) == {"mode": "closed", "reason": None, "until": None}


def test_set_changes_what_is_named_and_no_more():
    assert change_of(options(action="set", room="a", capacity=0.0), NOW) == {"admissions_per_second": 0.0}
    assert change_of(options(action="set", room="a", message="", reason="x"), NOW) == {"message": "", "reason": "x"}


@pytest.mark.parametrize(
    "given",
    [
        {"action": "hold"},
        {"action": "set", "room": "a"},
        {"action": "hold", "room": "a", "capacity": 5.0},
        {"action": "reset", "room": "a", "reason": "x"},
        {"reason": "x"},
    ],
)
def test_options_that_do_not_fit_are_refused(given: dict[str, Any]):
    with pytest.raises(ConfigurationError):
        change_of(options(**given), NOW)


async def room(edge: Edge, *arguments: str) -> int:
    return await asyncio.to_thread(main, ["room", *arguments, "--admin", edge.running.admin])


async def test_an_operator_changes_a_room(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    async with whole_edge(tmp_path, workers=1) as edge:
        assert await room(edge, "hold", "checkout", "--reason", "bank is down", "--until", "15m") == 0
        assert "hold*" in capsys.readouterr().out
        assert (await edge.room())["mode"] == "hold"
        assert await room(edge, "set", "checkout", "--capacity", "40", "--json") == 0
        shown = json.loads(capsys.readouterr().out)
        assert (shown["admissions_per_second"], shown["reason"]) == (40.0, "bank is down")
        assert datetime.fromisoformat(shown["until"]) > datetime.now(UTC) + timedelta(minutes=10)
        assert await room(edge, "reset", "checkout") == 0
        capsys.readouterr()
        assert await room(edge) == 0
        table = capsys.readouterr().out
        assert "*" not in table
        assert "checkout  open" in table

        assert await room(edge, "hold", "nothing") == 1
        assert "the rooms are checkout" in capsys.readouterr().err
        assert await room(edge, "hold") == 2
        assert await room(edge, "set", "checkout", "--capacity", "-1") == 1
        assert "admissions_per_second" in capsys.readouterr().err
