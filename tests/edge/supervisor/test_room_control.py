"""What operators change of a room: in force at once, kept over a crash, and the same on machines that were apart."""

import itertools
from pathlib import Path
from typing import Any

import pytest

from edge.messages.cluster import RoomState, RoomStates
from edge.settings.loading import parse_settings
from edge.settings.model import Settings
from edge.supervisor import room_control
from edge.supervisor.room_control import NoSuchRoom, RoomControl
from edge.supervisor.shared_control import ChangedMeanwhile
from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError

SETTINGS = parse_settings(
    "secret_keys_env: K\nupstream: {url: 'http://127.0.0.1:9'}\nrooms:\n"
    "- {name: a, match: {paths: ['/a']}, capacity: {admissions_per_second: 5}, page: {message: hello}}\n"
    "- {name: b, match: {paths: ['/b']}, capacity: {admissions_per_second: 7}}\n"
)


class Machine:
    """A control that records its calls."""

    def __init__(self, folder: StateFolder | None = None) -> None:
        self.applied = 0
        self.sent: list[RoomStates] = []
        self.control = RoomControl(self._apply, self.sent.append, folder or StateFolder())

    def _apply(self) -> None:
        self.applied += 1

    def change(self, **change: Any) -> dict[str, Any]:
        return self.control.change("ann", SETTINGS, "a", change)

    def room(self) -> tuple[str, float, int | None, str | None]:
        return in_force(self.control.extended(SETTINGS))


def in_force(settings: Settings) -> tuple[str, float, int | None, str | None]:
    room = settings.rooms[0]
    return (
        room.mode,
        room.capacity.admissions_per_second,
        room.capacity.total_active_users,
        room.page.message,
    )


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [1_000.0]
    monkeypatch.setattr(room_control.time, "time", lambda: now[0])
    return now


def test_a_change_is_in_force_and_told_at_once():
    machine = Machine()
    machine.change(mode="hold", reason="bank is down")
    assert machine.room() == ("hold", 5.0, None, "hello")
    machine.change(admissions_per_second=2.0, total_active_users=9, message="soon")
    assert machine.room() == ("hold", 2.0, 9, "soon"), "what a change does not name stays"
    machine.change(mode=None, message="")
    assert machine.room() == ("open", 2.0, 9, None), "null leaves a key to the file, and an empty message shows none"
    assert (machine.applied, len(machine.sent)) == (3, 3)
    assert SETTINGS.rooms[1] == machine.control.extended(SETTINGS).rooms[1]


def test_reset_leaves_all_to_the_settings_file():
    machine = Machine()
    machine.change(mode="closed", admissions_per_second=0.0, reason="x")
    shown = machine.control.reset("bob", SETTINGS, "a")
    assert machine.room() == in_force(SETTINGS)
    assert (shown["changed"], shown["reason"]) == ([], None)


def test_the_state_says_what_differs_from_the_file_and_by_whom(clock: list[float]):
    machine = Machine()
    shown = machine.change(mode="drain", until=1_060.0, reason="night")
    assert shown == {
        "room": "a",
        "mode": "drain",
        "admissions_per_second": 5.0,
        "total_active_users": None,
        "message": "hello",
        "until": 1_060.0,
        "reason": "night",
        "changed": ["mode"],
        "changed_at": 1_000.0,
        "changed_by": "ann",
        "version": shown["version"],
    }


def test_a_change_ends_at_its_time(clock: list[float]):
    machine = Machine()
    shown = machine.change(mode="hold", until=1_060.0)
    clock[0] = 1_059.9
    assert machine.room()[0] == "hold"
    clock[0] = 1_060.0
    assert machine.room()[0] == "open"
    after = machine.control.status(SETTINGS, "a")
    assert (after["changed"], after["until"]) == ([], None)
    assert after["version"] != shown["version"], "a client that read it before must read it again"


@pytest.mark.parametrize("until", [1_000.0, 999.0, 0.0])
def test_a_time_that_is_over_is_refused(clock: list[float], until: float):
    machine = Machine()
    with pytest.raises(ClientError, match="until: must be in the future"):
        machine.change(mode="hold", until=until)
    assert machine.room()[0] == "open"


def test_a_change_that_is_based_on_an_old_version_is_refused():
    machine = Machine()
    version = machine.control.version("a")
    machine.control.change("ann", SETTINGS, "a", {"mode": "hold"}, version)
    with pytest.raises(ChangedMeanwhile, match="read it again"):
        machine.control.change("bob", SETTINGS, "a", {"mode": "open"}, version)
    assert machine.room()[0] == "hold"


def test_versions_differ_even_if_the_clock_stands_still_or_goes_back(clock: list[float]):
    machine = Machine()
    seen = {machine.control.version("a")}
    for at in (1_000.0, 1_000.0, 900.0, 1_000.0):
        clock[0] = at
        machine.change(mode="hold")
        machine.change(mode="open")
        seen.add(machine.control.version("a"))
    assert len(seen) == 5


def test_an_unknown_room_is_named():
    with pytest.raises(NoSuchRoom, match="there is no room 'c'; the rooms are a, b"):
        Machine().control.change("ann", SETTINGS, "c", {"mode": "hold"})


def test_a_held_room_is_still_held_after_a_crash(tmp_path: Path):
    machine = Machine(StateFolder(tmp_path))
    machine.change(mode="hold", reason="bank is down")
    after = Machine(StateFolder(tmp_path))
    assert after.room()[0] == "hold"
    assert after.control.status(SETTINGS, "a")["reason"] == "bank is down"
    after.control.reset("ann", SETTINGS, "a")
    assert Machine(StateFolder(tmp_path)).room()[0] == "open"


@pytest.mark.parametrize(
    "content",
    [
        {},
        {"states": 3},
        {"states": [1]},
        {"states": [{"room": "a"}]},
        {"states": [{"room": "a", "changed": 1, "mode": "x"}]},
    ],
)
def test_a_file_of_another_version_does_not_stop_a_start(tmp_path: Path, content: dict[str, Any]):
    folder = StateFolder(tmp_path)
    folder.write("rooms", content)
    assert Machine(folder).room() == in_force(SETTINGS)


def test_machines_that_were_apart_agree_in_any_order():
    states = [RoomState("a", at, mode=mode) for at, mode in ((1.0, "hold"), (2.0, None), (3.0, "drain"))]  # type: ignore[arg-type]
    for order in itertools.permutations(states):
        machine = Machine()
        for state in order:
            machine.control.receive(RoomStates((state,)))
        assert machine.room()[0] == "drain"
    machine = Machine()
    machine.control.receive(RoomStates(tuple(states)))
    applied = machine.applied
    machine.control.receive(RoomStates(tuple(states)))
    assert machine.applied == applied, "old news configures nobody again"


def test_a_machine_with_a_clock_far_ahead_is_not_believed(clock: list[float]):
    machine = Machine()
    machine.control.receive(RoomStates((RoomState("a", 1_400.0, mode="closed"),)))
    assert machine.room()[0] == "open"
