"""The phases of a room with sales, by the clock alone."""

from typing import Any

import pytest

from edge.rooms.sale_clock import SaleClock, phase_at
from edge.settings.room import RoomSettings
from waiting_room.draw import seed_of
from waiting_room.places import place_of
from waiting_room.ticket import Ticket

T = 1_800_000_000.0
FIRST = {"name": "first", "prequeue_at": T, "opens_at": T + 100, "closes_at": T + 200}
SECOND = {"name": "second", "prequeue_at": T + 1000, "opens_at": T + 1100}
SEEDS = {name: seed_of(b"k" * 16, "checkout", name, T) for name in ("first", "second")}


def room(*sales: dict[str, Any], **more: Any) -> RoomSettings:
    match, capacity = {"paths": ["/"]}, {"admissions_per_second": 5.0}
    tree = {"name": "checkout", "match": match, "capacity": capacity, "sales": list(sales), **more}
    return RoomSettings.model_validate(tree)


@pytest.mark.parametrize(
    ("after_s", "closed", "opened"),
    [
        (-1, "before first", "outside"),
        (0, "prequeue first", "prequeue first"),
        (99.999, "prequeue first", "prequeue first"),
        (100, "open first", "open first"),
        (199.999, "open first", "open first"),
        (200, "before second", "outside"),
        (1000, "prequeue second", "prequeue second"),
        (1100, "open second", "open second"),
        (90_000, "open second", "open second"),
    ],
)
def test_the_phases_follow_each_other(after_s: float, closed: str, opened: str) -> None:
    for outside, expected in (("closed", closed), ("open", opened)):
        phase = phase_at(room(SECOND, FIRST, outside_sales=outside), T + after_s)
        assert f"{phase.name} {phase.sale.name if phase.sale else ''}".strip() == expected
        assert phase.since <= T + after_s < phase.until


def test_a_sale_without_an_end_ends_with_the_next_pre_queue() -> None:
    sales = room({**FIRST, "closes_at": None}, {**SECOND, "closes_at": T + 2000})
    names = [phase_at(sales, T + after_s).name for after_s in (999, 1000, 2000)]
    assert names == ["open", "prequeue", "over"]


def test_no_sale_concerns_a_room_in_shadow() -> None:
    assert phase_at(room(FIRST, mode="shadow"), T + 50).name == "outside"


def test_a_drawn_place_belongs_to_the_pre_queue_alone() -> None:
    clock = SaleClock(room({**FIRST, "order": "draw"}, SECOND), SEEDS, T + 50)
    for first_seen, is_drawn in ((T - 1, False), (T, True), (T + 99.999, True), (T + 100, False), (T + 1050, False)):
        ticket = Ticket("a" * 22, "checkout", first_seen, first_seen)
        assert (clock.place_of(ticket) != place_of(ticket)) == is_drawn
    one, other = (Ticket(ident * 22, "checkout", T + 1, T + 1) for ident in "ab")
    assert clock.place_of(one) != clock.place_of(other)
    assert clock.place_of(one) == SaleClock(room({**FIRST, "order": "draw"}), SEEDS, T + 5000).place_of(one)


def test_the_seed_is_told_after_the_opening_only() -> None:
    clock = SaleClock(room({**FIRST, "order": "draw"}), SEEDS, T + 99.999)
    seed = SEEDS["first"].hex()
    assert clock.is_drawing
    assert seed not in clock.draw_json
    clock.use(T + 100)
    assert seed in clock.draw_json
    clock.use(T + 50)
    assert seed not in clock.draw_json


def test_tickets_of_an_earlier_sale_count_no_longer() -> None:
    clock = SaleClock(room(FIRST, SECOND), {}, T + 1001)
    assert clock.counts_from == T + 1000
    assert SaleClock(room(FIRST, SECOND, outside_sales="open"), {}, T + 1001).counts_from < 0


def test_a_suspended_sale_tells_no_time() -> None:
    clock = SaleClock(room({**FIRST, "suspended": True}), {}, T + 50)
    assert (clock.is_suspended, clock.opens_at) == (True, None)
    assert SaleClock(room(FIRST), {}, T + 50).opens_at == T + 100
