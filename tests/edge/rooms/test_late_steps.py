"""The control step is made up for by polls, while the event loop comes to no timer."""

import os

from controller import Admit, Park, Wait
from edge.rooms.room import Room
from edge.rooms.table import build_rooms
from edge.settings.loading import parse_settings
from waiting_room.assets import Assets
from waiting_room.places import TicketIds, place_of
from waiting_room.ticket import new_ticket

NOW = 1_795_000_000.0
YAML = """
secret_keys_env: KEYS
upstream: {url: "http://127.0.0.1:9"}
rooms: [{name: checkout, match: {paths: ["/checkout*"]}, capacity: {admissions_per_second: 10}}]
"""


def crowded_room() -> tuple[Room, list[int]]:
    """Return a room in which 60 visitors wait, and their places."""
    [room] = build_rooms(parse_settings(YAML), Assets.load(), lambda _: (), 0, NOW, NOW).rooms
    ids = TicketIds(os.urandom, 0)
    now, places = NOW, []
    for at in range(100):
        now = NOW + at / 100
        place = place_of(new_ticket("checkout", now, ids.new(now)))
        room.answer_older(place, now)
        if isinstance(room.poll(place, now, 0.5), Wait):
            places.append(place)
        if at % 10 == 9:
            room.tick(now)
    return room, places


def test_visitors_are_admitted_in_order_at_full_rate_without_any_timer() -> None:
    room, places = crowded_room()
    now, admitted = NOW + 1.0, []
    for _ in range(3000):  # every visitor polls all the time, and nobody calls `tick`
        for place in places:
            now += 1 / 1000
            room.answer_older(place, now)
            verdict = room.poll(place, now, 0.5, may_park=False)
            assert not isinstance(verdict, Park)
            if isinstance(verdict, Admit):
                admitted.append((now, place))
        places = [place for place in places if place not in {each for _, each in admitted}]
        if not places:
            break
    assert len(admitted) > 60
    order = [place for _, place in admitted]
    assert max(abs(rank - order.index(place)) for rank, place in enumerate(sorted(order))) <= 12
    assert admitted[-1][0] - admitted[0][0] < 1.15 * len(admitted) / 10


def test_a_parked_visitor_is_admitted_when_another_one_polls() -> None:
    room, places = crowded_room()
    now = NOW + 1.05
    answered: list[float] = []
    room.answer_older(places[0], now)
    verdict = room.poll(places[0], now, 0.5, may_park=True)
    if isinstance(verdict, Park):
        room.park(places[0], verdict, answered.append)
        for at in range(40):
            room.answer_older(places[-1], now + at / 20)
        assert answered
        assert answered[0] < now + 0.5
    else:
        assert isinstance(verdict, Admit)
