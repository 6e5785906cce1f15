"""What the plots of the dashboard show: a sample a second, and means of them for the longer windows."""

from typing import Any

import pytest

from edge.supervisor.history import KEYS, WINDOWS, History
from edge.support.errors import ClientError


class Rooms:
    def __init__(self) -> None:
        self.figures: dict[str, dict[str, Any]] = {"a": dict.fromkeys(KEYS, 0.0)}

    def now(self) -> dict[str, dict[str, Any]]:
        return self.figures


def played(values: list[float | None]) -> History:
    rooms = Rooms()
    history = History(rooms.now)
    for value in values:
        rooms.figures["a"]["waiting"] = value
        history.step()
    return history


def test_the_newest_samples_are_kept_at_every_step():
    history = played([float(at) for at in range(1200)])
    for minutes, step in WINDOWS.items():
        shown = history.series("a", minutes)
        assert shown["step_seconds"] == step
        expected = [sum(range(at, at + step)) / step for at in range(0, 1200, step)][-minutes * 60 // step :]
        assert shown["series"]["waiting"] == expected


def test_an_unknown_figure_is_a_gap_and_does_not_count_in_a_mean():
    history = played([None, 4.0, None, 8.0, None, None, None, None, None, None])
    assert history.series("a", 5)["series"]["waiting"][:4] == [None, 4.0, None, 8.0]
    assert history.series("a", 30)["series"]["waiting"] == [6.0]
    assert played([None] * 10).series("a", 30)["series"]["waiting"] == [None]


def test_a_room_that_is_gone_is_forgotten():
    rooms = Rooms()
    history = History(rooms.now)
    history.step()
    rooms.figures = {"b": dict.fromkeys(KEYS, 1.0)}
    history.step()
    assert history.series("a", 5)["series"]["waiting"] == []
    assert history.series("b", 5)["series"]["waiting"] == [1.0]


def test_a_recent_mean_needs_enough_samples():
    history = played([1.0, 2.0, 3.0])
    assert history.recent_mean("a", "waiting", 4) is None
    assert history.recent_mean("a", "waiting", 2) == 2.5
    assert history.recent_mean("b", "waiting", 1) is None


def test_another_window_is_refused():
    with pytest.raises(ClientError, match="one of 5, 30, 180, got 6"):
        played([]).series("a", 6)
