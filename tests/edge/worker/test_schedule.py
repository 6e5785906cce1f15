"""Quiet rooms cost little, however many there are: only some of them take part in each step."""

from types import SimpleNamespace

import pytest

from controller import Gate, GateSettings
from edge.worker.schedule import QUIET_AT_ONCE, due_at


def rooms(count: int, busy: tuple[int, ...] = ()) -> list[SimpleNamespace]:
    return [SimpleNamespace(at=at, sale=None, gate=SimpleNamespace(is_quiet=at not in busy)) for at in range(count)]


@pytest.mark.parametrize("count", [0, 1, QUIET_AT_ONCE, QUIET_AT_ONCE + 1, 500])
def test_every_room_takes_part_and_no_step_has_many_rooms(count: int) -> None:
    all_rooms = rooms(count)
    steps = -(-count // QUIET_AT_ONCE)
    due = [due_at(all_rooms, step) for step in range(7, 7 + steps)]
    assert sorted(room.at for step in due for room in step) == list(range(count))
    assert all(len(step) <= QUIET_AT_ONCE for step in due)


def test_a_busy_room_takes_part_in_every_step() -> None:
    all_rooms = rooms(500, busy=(3, 77))
    assert all({3, 77} <= {room.at for room in due_at(all_rooms, step)} for step in range(20))


def test_a_room_takes_part_when_its_sale_turns() -> None:
    all_rooms = rooms(500)
    all_rooms[77].sale = SimpleNamespace(phase=SimpleNamespace(until=1000.0))
    assert all(77 in {room.at for room in due_at(all_rooms, step, 1000.0)} for step in range(20))
    assert not all(77 in {room.at for room in due_at(all_rooms, step, 999.9)} for step in range(20))


def test_a_gate_is_busy_from_the_first_poll_until_its_line_is_empty_and_calm() -> None:
    gate = Gate(GateSettings(admissions_per_second=1.0), now=0.0)
    gate.tick(0.1)
    assert gate.is_quiet
    gate.decide(0.1, 0.1, 0.5)
    assert not gate.is_quiet
    for step in range(2, 400):
        gate.tick(step / 10)
        if step in (30, 31):  # two more visitors: the second has to wait
            gate.decide(step / 10, step / 10, 0.5)
        assert not gate.is_quiet or step > 100
    assert gate.is_quiet
