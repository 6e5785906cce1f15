"""Sales that operators schedule: in force at once, kept over a crash, the same on machines that were apart. The
commitment of a draw outlives the rotation of keys."""

from pathlib import Path
from typing import Any

import pytest

from edge.messages.cluster import SaleEntry, SaleStates
from edge.settings.loading import parse_settings
from edge.settings.room import RoomSettings
from edge.settings.sale import SaleSettings
from edge.supervisor import sale_control
from edge.supervisor.room_control import NoSuchRoom
from edge.supervisor.sale_control import NoSuchSale, SaleControl, SaleInFile
from edge.supervisor.shared_control import ChangedMeanwhile
from edge.supervisor.state_folder import StateFolder
from edge.support.errors import ClientError

T = 1_800_000_000.0
OLD, NEW = b"the old secret key", b"the new secret key"
SETTINGS = parse_settings(
    "secret_keys_env: K\nupstream: {url: 'http://127.0.0.1:9'}\nrooms:\n"
    "- {name: a, match: {paths: ['/a']}, capacity: {admissions_per_second: 5, total_active_users: 50}}\n"
    "- {name: b, match: {paths: ['/b']}, capacity: {admissions_per_second: 7}, "
    f"sales: [{{name: weekly, opens_at: {T + 7200}}}]}}\n"
)


class Machine:
    """A control that records its calls."""

    def __init__(self, folder: StateFolder | None = None) -> None:
        self.applied = 0
        self.sent: list[SaleStates] = []
        self.control = SaleControl(self._apply, self.sent.append, folder or StateFolder(), lambda: SETTINGS)

    def _apply(self) -> None:
        self.applied += 1

    def put(self, room: str = "a", version: str | None = None, **sale: Any) -> None:
        full = {"name": "drop", "prequeue_at": T + 100, "opens_at": T + 200, "closes_at": T + 300, **sale}
        self.control.put("ann", SETTINGS, room, SaleSettings.model_validate(full), version)

    def remove(self, sale: str = "drop", room: str = "a") -> None:
        self.control.remove("ann", SETTINGS, room, sale)

    def room(self, at: int = 0) -> RoomSettings:
        return self.control.extended(SETTINGS).rooms[at]

    def seed(self, *keys: bytes) -> bytes:
        return self.control.seeds(self.control.extended(SETTINGS), keys)["a"]["drop"]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    now = [T]
    monkeypatch.setattr(sale_control.time, "time", lambda: now[0])
    return now


def test_a_sale_is_in_force_and_told_at_once(clock: list[float]) -> None:
    machine = Machine()
    machine.put(admissions_per_second=80.0, message="soon")
    assert [sale.name for sale in machine.room().sales] == ["drop"]
    assert machine.room().capacity.admissions_per_second == 5.0, "its overrides begin with the pre-queue"
    clock[0] = T + 100
    assert machine.room().capacity.admissions_per_second == 80.0
    assert (machine.room().capacity.total_active_users, machine.room().page.message) == (50, "soon")
    clock[0] = T + 300
    assert machine.room().capacity.admissions_per_second == 5.0
    machine.put(suspended=True)
    assert machine.room().sales[0].suspended
    machine.remove()
    assert machine.room().sales == ()
    assert (machine.applied, len(machine.sent)) == (3, 3)


def test_a_sale_of_the_file_can_be_changed_and_is_back_afterwards(clock: list[float]) -> None:
    machine = Machine()
    with pytest.raises(SaleInFile, match="settings file"):
        machine.remove("weekly", "b")
    machine.put("b", name="weekly", suspended=True)
    assert [(sale.name, sale.opens_at) for sale in machine.room(1).sales] == [("weekly", T + 200)]
    assert machine.control.status(SETTINGS, [OLD], "b")["sales"][0]["source"] == "operator"
    machine.remove("weekly", "b")
    assert machine.room(1).sales == SETTINGS.rooms[1].sales


def test_what_is_wrong_is_said_and_nothing_changes(clock: list[float]) -> None:
    machine = Machine()
    machine.put()
    version = machine.control.version("a")
    with pytest.raises(ClientError, match="before 'drop' closes"):
        machine.put(name="second", prequeue_at=T + 250, opens_at=T + 400, closes_at=None)
    with pytest.raises(NoSuchRoom):
        machine.put("nothing")
    with pytest.raises(NoSuchSale):
        machine.remove("nothing")
    with pytest.raises(ChangedMeanwhile):
        machine.put(version="0", suspended=True)
    assert machine.control.version("a") == version
    machine.put(version=version, suspended=True)
    assert machine.control.version("a") != version


def test_sales_are_kept_over_a_crash(tmp_path: Path, clock: list[float]) -> None:
    before = Machine(StateFolder(tmp_path))
    before.put(order="draw")
    seed = before.seed(OLD)
    after = Machine(StateFolder(tmp_path))
    assert after.room().sales == before.room().sales
    assert after.seed(NEW, OLD) == seed


def test_the_later_entry_counts_on_machines_that_were_apart(clock: list[float]) -> None:
    one, other = Machine(), Machine()
    one.put()
    clock[0] += 1
    other.put(suspended=True)
    first, second = one.sent[-1], other.sent[-1]
    for machine, message in ((one, second), (other, first), (one, first)):
        machine.control.receive(message)
    assert one.room().sales == other.room().sales
    assert one.room().sales[0].suspended
    clock[0] += 1
    one.remove()
    other.control.receive(one.sent[-1])
    assert other.room().sales == ()


def test_a_draw_keeps_its_key_when_keys_are_rotated(tmp_path: Path, clock: list[float]) -> None:
    machine = Machine(StateFolder(tmp_path))
    machine.put(order="draw")
    seed = machine.seed(OLD)
    assert machine.seed(NEW, OLD) == seed
    machine.put(order="draw", suspended=True)
    assert machine.seed(NEW, OLD) == seed, "a change that does not move the opening draws the same places"
    machine.put(order="draw", opens_at=T + 201)
    assert machine.seed(NEW, OLD) != seed


def test_machines_agree_on_the_key_that_was_noted_first(clock: list[float]) -> None:
    one, other = Machine(), Machine()
    one.put(order="draw")
    other.control.receive(one.sent[-1])
    seed = one.seed(OLD)
    clock[0] += 1
    assert other.seed(NEW, OLD) != seed, "it has not heard of the other's note yet"
    applied = other.applied
    other.control.receive(one.sent[-1])
    one.control.receive(other.sent[-1])
    assert other.seed(NEW, OLD) == one.seed(NEW, OLD) == seed
    assert other.applied == applied + 1, "the workers are told"


def test_a_lost_key_is_an_error_in_the_log(clock: list[float], caplog: pytest.LogCaptureFixture) -> None:
    machine = Machine()
    machine.put(order="draw")
    seed = machine.seed(OLD)
    assert machine.seed(NEW) != seed
    machine.seed(NEW)
    assert [record.levelname for record in caplog.records if "the key of a draw" in record.message] == ["ERROR"]


@pytest.mark.parametrize(
    "content", ["[]", "{", '{"entries": 1}', '{"entries": [{"room": "a", "name": "x", "changed": 1e10, "sale": 5}]}']
)
def test_a_broken_file_costs_nothing_else(tmp_path: Path, content: str, clock: list[float]) -> None:
    (tmp_path / "sales.json").write_text(content)
    assert Machine(StateFolder(tmp_path)).room().sales == ()


def test_what_another_version_sent_is_left_out(clock: list[float]) -> None:
    machine = Machine()
    strange = SaleEntry("a", "drop", T, {"name": "drop", "opens_at": T + 9, "colour": "blue"})
    future = SaleEntry("a", "late", T + 86_400, {"name": "late", "opens_at": T + 9})
    machine.control.receive(SaleStates((strange, future), ()))
    assert machine.room().sales == ()


def test_the_seed_is_published_after_the_opening(clock: list[float]) -> None:
    machine = Machine()
    machine.put(order="draw")

    def draw() -> dict[str, Any]:
        found: dict[str, Any] = machine.control.status(SETTINGS, [OLD], "a")["sales"][0]["draw"]
        return found

    commitment = draw()["commitment"]
    clock[0] = T + 199.9
    assert draw()["seed"] is None
    clock[0] = T + 200
    assert (draw()["seed"], draw()["commitment"]) == (machine.seed(OLD).hex(), commitment)
