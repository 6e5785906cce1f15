"""Places are exact integers that no two visitors share, in the order of arrival, the same on every node."""

import os
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import Admit, GateSettings, Wait
from edge.rooms.room_gate import MOVE_AFTER_S, UNIT_S, RoomGate
from waiting_room.places import NO_PLACE, UNITS_PER_S, TicketIds, place_of
from waiting_room.ticket import Keyring, Ticket, new_ticket

NOW = 1_790_000_000.0
SETTINGS = GateSettings(admissions_per_second=0.001, burst_seconds=1.0, poll_min_s=1.0, poll_max_s=15.0)


def test_a_million_newcomers_of_one_second_have_a_million_places() -> None:
    """Eight workers of one machine make them, in any order, also many in one moment."""
    chance = random.Random(1)
    workers = [TicketIds(os.urandom, 77 + at) for at in range(8)]
    places = set()
    for at in range(1_000_000):
        now = NOW + (at // 500) / 2000
        ticket = new_ticket("a", now, chance.choice(workers).new(now))
        places.add(place_of(ticket))
    assert len(places) == 1_000_000


def test_a_worker_alone_makes_a_million_tickets_a_second_with_a_million_places() -> None:
    ids = TicketIds(os.urandom, 3)
    moments = [NOW + at / 1_000_000 for at in range(1_000_000)]
    assert len({place_of(new_ticket("a", now, ids.new(now))) for now in moments}) == 1_000_000


def test_ids_of_other_makers_seldom_share_a_place() -> None:
    """Tickets of older versions have random ids: of 60 in a millisecond two share a place in one of 600."""
    places = [place_of(new_ticket("a", NOW + at // 60 / 1000, os.urandom(16))) for at in range(60_000)]
    assert len(set(places)) > 59_950


@given(st.integers(0, 2**41), st.integers(0, 2**41), st.binary(min_size=16, max_size=16))
def test_the_earlier_millisecond_has_the_lesser_place(one: int, other: int, entropy: bytes) -> None:
    first = place_of(new_ticket("a", one / 1000, b"\xff" * 16))
    second = place_of(new_ticket("a", other / 1000, entropy))
    if one < other:
        assert first < second < NO_PLACE
    elif one == other:
        assert second <= first


@given(st.floats(0, 4e9), st.binary(min_size=16, max_size=16))
def test_a_place_is_the_same_after_the_cookie_has_travelled(now: float, entropy: bytes) -> None:
    keys = Keyring([b"k" * 32])
    ticket = new_ticket("a", now, entropy)
    read = keys.read(keys.seal(ticket), "a")
    assert isinstance(read, Ticket)
    assert place_of(read) == place_of(ticket)
    assert abs(place_of(ticket) / UNITS_PER_S - now) < 0.002


@given(st.floats(-60 * 86_400, 60 * 86_400), st.integers(0, 2**20 - 1))
def test_a_gate_knows_each_place_by_a_number_of_its_own(age_s: float, slot: int) -> None:
    gate = RoomGate(SETTINGS, NOW)
    place = int((NOW + age_s) * UNITS_PER_S) + slot
    numbers = [(each - gate.origin) * UNIT_S for each in (place - 1, place, place + 1)]
    assert all(before < after for before, after in pairwise(numbers))
    assert gate._place(numbers[1]) == place


def test_gates_with_other_origins_tell_each_other_places() -> None:
    """What one gate says of its visitors, another one finds again, although it counts from another origin."""
    settings = GateSettings(admissions_per_second=1.0, burst_seconds=1.0, poll_min_s=1.0, poll_max_s=15.0, nodes=2)
    gates = [RoomGate(settings, NOW - 40 * 86_400), RoomGate(settings, NOW)]
    ids = TicketIds(os.urandom, 1)
    places = [place_of(new_ticket("a", NOW, ids.new(NOW))) for _ in range(30)]
    for at in range(3):
        now = NOW + 0.2 * at
        said = [gate.summary(f"n{k}", at, now) for k, gate in enumerate(gates)]
        for k, gate in enumerate(gates):
            gate.observe(f"n{k}", said, now)
            gate.inner.tick(now - gate.origin_s)
    first, second = gates
    for place in places:
        first.inner.decide((place - first.origin) * UNIT_S, NOW + 0.7 - first.origin_s, 0.5)
    said = [gate.summary(f"n{k}", 4, NOW + 0.8) for k, gate in enumerate(gates)]
    told = [place for place, _, _ in said[0].leases]
    assert len(told) > 20
    assert set(told) <= set(places)
    second.observe("n1", said, NOW + 0.8)
    front = second.inner._fleet.view.front.book  # type: ignore[union-attr]
    assert {front.nth(k) for k in range(len(front))} == {(place - second.origin) * UNIT_S for place in told}


def test_an_old_gate_gets_a_new_origin_while_nobody_waits_and_goes_on() -> None:
    gate = RoomGate(SETTINGS, NOW)
    now = NOW + MOVE_AFTER_S + 1
    assert gate.moved(NOW + 5) is gate
    for _ in range(20):
        now += 0.1
        gate.inner.tick(now - gate.origin_s)

    def poll(of: RoomGate, arrived: float) -> Admit | Wait:
        place = place_of(Ticket("a" * 22, "a", arrived, arrived))
        return of.inner.decide((place - of.origin) * UNIT_S, now - of.origin_s, 0.5)

    moved = gate.moved(now)
    assert moved is not gate
    assert moved.snapshot(now).bucket_level == pytest.approx(gate.snapshot(now).bucket_level)
    assert isinstance(poll(moved, now), Admit)
    while isinstance(poll(moved, now), Admit):
        pass
    moved.inner.tick(now + 0.1 - moved.origin_s)
    assert moved.moved(now + MOVE_AFTER_S + 1) is moved, "somebody waits"


@pytest.mark.parametrize("waits", [False, True])
def test_a_checkpoint_holds_unix_times(waits: bool) -> None:
    gate = RoomGate(SETTINGS, NOW)
    now = NOW + 100
    if waits:
        for at in range(50):
            place = place_of(new_ticket("a", now + at / 1000, os.urandom(16)))
            gate.inner.decide((place - gate.origin) * UNIT_S, now + at / 1000 - gate.origin_s, 0.5)
    for _ in range(30):
        now += 0.1
        gate.inner.tick(now - gate.origin_s)
    saved = gate.checkpoint(now)
    assert saved["at"] == pytest.approx(now)
    later = RoomGate(SETTINGS, now + 50_000, saved)
    assert later.snapshot(now + 50_000).threshold == pytest.approx(
        gate.snapshot(now).threshold if waits else now + 50_000, abs=1e-3
    )
