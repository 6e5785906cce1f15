"""What a node notes of visitors: arrivals, admissions, and which have not polled for a while."""

from edge.record.events import (
    ADMITTED,
    ARRIVED,
    SEEN,
    TOLD,
    Event,
    lane_code,
    mark_key,
    mark_of,
    place_events,
    read_events,
)
from edge.rooms.recorder import MOST_EVENTS, MOST_POLLED, MOST_TOLD, Recorder
from waiting_room.places import UNITS_PER_S

KEY = mark_key(b"a-key-for-tests-only")
GONE_S = 45.0
START = 1_790_000_000


def place(second: float) -> int:
    return START * UNITS_PER_S + round(second * 1000) * UNITS_PER_S // 1000 + 77


def recorder() -> Recorder:
    return Recorder(GONE_S, START)


def taken(of: Recorder, second: float, *, is_last: bool = False) -> list[Event]:
    return list(
        read_events(place_events(of.take(START + second, is_last=is_last), START + second, KEY), START + second)
    )


def test_an_arrival_and_an_admission_name_the_same_visitor() -> None:
    r = recorder()
    r.note(ARRIVED, place(1.0), START + 1.0, "")
    r.polled.append(place(1.0))
    [arrived] = taken(r, 1.5)
    r.note(ADMITTED, place(1.0), START + 9.0, "members")
    [admitted] = taken(r, 9.2)
    assert (arrived.kind, admitted.kind) == (ARRIVED, ADMITTED)
    assert arrived.arrival_ms == admitted.arrival_ms == START * 1000 + 1000
    assert arrived.mark == admitted.mark == mark_of(place(1.0), KEY)
    assert abs(admitted.at_s - (START + 9.0)) < 0.002
    assert (arrived.value, admitted.value) == (0.0, lane_code("members"))


def test_a_visitor_that_stops_polling_is_seen_last_at_their_last_poll() -> None:
    r = recorder()
    found: list[Event] = []
    for step in range(600):
        second = step * 0.5
        if step % 20 == 0:
            r.polled.append(place(1.0))  # stays
            if second <= 60.0:
                r.polled.append(place(2.0))  # leaves after a minute
        found += taken(r, second)
    [gone] = found
    assert (gone.kind, gone.mark) == (SEEN, mark_of(place(2.0), KEY))
    assert abs(gone.at_s - (START + 60.0)) < 1.0


def test_an_admitted_visitor_is_not_gone() -> None:
    r = recorder()
    r.polled.append(place(1.0))
    taken(r, 1.0)
    r.note(ADMITTED, place(1.0), START + 2.0, "")
    assert [event.kind for second in range(2, 300) for event in taken(r, second)] == [ADMITTED]


def test_a_node_that_ends_says_which_visitors_it_saw() -> None:
    r = recorder()
    r.polled.extend(place(i) for i in range(5))
    taken(r, 6.0)
    last = taken(r, 20.0, is_last=True)
    assert sorted(event.mark for event in last) == sorted(mark_of(place(i), KEY) for i in range(5))
    assert {event.kind for event in last} == {SEEN}
    assert all(abs(event.at_s - (START + 6.0)) < 0.01 for event in last)
    assert taken(r, 21.0, is_last=True) == []


def test_buffers_are_bounded_and_what_is_lost_is_counted() -> None:
    r = recorder()
    for _ in range(100):
        r.tell(place(1.0), START + 1.0, 60.0)
    for number in range(MOST_EVENTS + 10 - MOST_TOLD):
        r.note(ADMITTED, place(number / 1000), START + 1.0, "")
    for number in range(MOST_POLLED + 10):
        r.polled.append(place(number / 1000))
    events = taken(r, 1.0)
    assert r.lost == 10
    assert sum(event.kind == ADMITTED for event in events) == MOST_EVENTS - MOST_TOLD
    told = [event for event in events if event.kind == TOLD]
    assert len(told) == MOST_TOLD
    assert told[0].value == 60.0
    r.tell(place(1.0), START + 2.0, None)
    assert taken(r, 2.0) == [], "if a visitor is told no wait, they are not in the sample"
