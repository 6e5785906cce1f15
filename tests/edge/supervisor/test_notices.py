"""What an operator is told to look at, and when it goes away."""

from typing import Any

import pytest

from edge.supervisor.notices import machine_notices, room_notices


def worker(**changes: Any) -> dict[str, Any]:
    return {"node": 0, "pid": 1, "ready": True, "restarts": 0, "report_age_seconds": 0.3, **changes}


def room(mode: str = "open", reason: str | None = None, limit: int | None = None, **figures: Any) -> dict[str, Any]:
    usual = {
        "missing": [],
        "sold_out": False,
        "adaptive": None,
        "admissions_per_second": 10.0,
        "waiting": 0,
        "active": 0,
    }
    return {"mode": mode, "reason": reason, "until": None, "total_active_users": limit, "figures": {**usual, **figures}}


def texts(notices: list[dict[str, str]]) -> list[tuple[str, str]]:
    return [(each["level"], each["text"].split(".")[0]) for each in notices]


def test_nothing_is_said_when_all_is_well():
    assert machine_notices([worker(), worker(report_age_seconds=None)], "up") == []
    assert room_notices(room(), 9.5) == []
    assert room_notices(room(waiting=1000), 9.5) == []
    assert room_notices(room(waiting=1000), None) == [], "not before enough was seen"


def test_workers_and_redis():
    notices = machine_notices([worker(ready=False), worker(node=1, report_age_seconds=9.4)], "down")
    assert [each["level"] for each in notices] == ["error", "warning", "warning"]
    assert notices[1]["text"] == "Worker 1 has not reported for 9 s."


@pytest.mark.parametrize("mode", ["hold", "drain", "closed", "shadow"])
def test_a_mode_that_somebody_chose_is_not_forgotten(mode: str):
    [notice] = room_notices(room(mode, "bank is down"), None)
    assert notice["level"] == "info"
    assert notice["text"].endswith("Reason: bank is down.")


@pytest.mark.parametrize("missing", ["upstream", "redis", "stock"])
def test_what_is_missing_is_named(missing: str):
    [notice] = room_notices(room(missing=[missing], waiting=1000), 0.0)
    assert notice["level"] == "error"
    assert "Nobody is admitted" in notice["text"]


def test_capacity_that_nobody_uses_while_visitors_wait():
    assert texts(room_notices(room(waiting=1000), 3.0)) == [("warning", "Visitors wait, but only 3")]
    assert room_notices(room(waiting=10), 3.0) == [], "a line of a second is none"
    full = room_notices(room(waiting=1000, active=99, limit=100), 3.0)
    assert texts(full) == [("info", "All 100 places in the room are taken")]
    for other in (room("hold", waiting=1000), room(waiting=1000, sold_out=True)):
        assert "only" not in str(room_notices(other, 0.0)), "there is a better reason"


def test_a_slow_shop_and_no_capacity():
    adaptive = {"factor": 0.42}
    assert texts(room_notices(room(adaptive=adaptive), None)) == [
        ("warning", "The shop is slow: the room uses 42% of its configured capacity")
    ]
    assert texts(room_notices(room(admissions_per_second=0.0), None)) == [
        ("warning", "The capacity is 0: nobody is admitted")
    ]


@pytest.mark.parametrize(
    ("phase", "suspended", "words"),
    [
        ("prequeue", False, []),
        ("before", False, []),
        ("open", False, ["Visitors wait, but only 0"]),
        ("open", True, ["The sale drop is suspended: it does not open, and admits nobody"]),
        ("prequeue", True, ["The sale drop is suspended: it does not open, and admits nobody"]),
        ("over", False, ["The sale is over: the room admits nobody until the sale is removed"]),
    ],
)
def test_a_line_before_the_opening_is_no_unused_capacity(phase: str, suspended: bool, words: list[str]):
    shown = {**room(waiting=1000), "sale": {"name": "drop", "phase": phase, "suspended": suspended}}
    assert [text for _, text in texts(room_notices(shown, 0.0))] == words
