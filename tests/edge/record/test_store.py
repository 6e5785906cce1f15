"""The files of a record: what is written is read again, the size stays bounded, and a crash costs the last frame."""

import time
from pathlib import Path

import pytest

from edge.record.events import ADMITTED, ARRIVED, SEEN, event_bytes, mark_key, mark_of, read_events
from edge.record.store import Batch, Note, Store, batch_frame, note_frame, read_segment, rooms_in, segments_of

NOW = 1_790_000_000.0
KEY = mark_key(b"a-key-of-32-bytes-" + b"x" * 16)


def batch(visitors: int, kind: int = ADMITTED) -> bytes:
    events = [event_bytes(kind, NOW - 0.25, NOW, round(NOW * 1000) + i, mark_of(i, KEY)) for i in range(visitors)]
    return batch_frame(NOW, 3, b"".join(events))


def all_frames(folder: Path, room: str = "checkout") -> list[Batch | Note]:
    return [frame for path in segments_of(folder, room) for frame in read_segment(path)]


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    store = Store(tmp_path, "m1", 1 << 20)
    store.append("checkout", [batch(2), note_frame(NOW, "state", {"mode": "open"})])
    store.append("other", [batch(1)])
    store.close()
    first, second = all_frames(tmp_path)
    assert isinstance(first, Batch)
    assert (first.base_s, first.node) == (NOW, 3)
    events = list(read_events(first.content, first.base_s))
    assert [event.kind for event in events] == [ADMITTED, ADMITTED]
    assert [event.arrival_ms - round(NOW * 1000) for event in events] == [0, 1]
    assert events[0].at_s == pytest.approx(NOW - 0.25, abs=0.001)
    assert second == Note(NOW, "state", {"mode": "open"})
    assert rooms_in(tmp_path) == ["checkout", "other"]


def test_the_oldest_segments_go_when_the_record_gets_too_large(tmp_path: Path) -> None:
    store = Store(tmp_path, "m1", 200_000)
    for number in range(200):
        store.append("checkout" if number % 3 else "other", [note_frame(NOW + number, "n", {"i": number}), batch(400)])
        time.sleep(0.001)  # the start of a segment is in its name, in milliseconds
    store.close()
    assert store.size <= 200_000
    assert sum(path.stat().st_size for path in tmp_path.glob("*/*.rec")) == store.size
    kept = [frame.values["i"] for frame in all_frames(tmp_path) if isinstance(frame, Note)]
    assert kept[-1] in (198, 199)
    assert min(kept) > 0
    assert kept == sorted(kept)


def test_a_new_process_counts_the_segments_of_the_last_one(tmp_path: Path) -> None:
    first = Store(tmp_path, "m1", 1 << 20)
    first.append("checkout", [batch(1000)])
    first.close()
    second = Store(tmp_path, "m2", 1 << 20)
    assert second.size == sum(path.stat().st_size for path in tmp_path.glob("*/*.rec")) > 0
    time.sleep(0.002)
    second.append("checkout", [batch(10)])
    second.close()
    assert len(segments_of(tmp_path, "checkout")) == 2


@pytest.mark.parametrize("cut", [1, 3, 40])
def test_a_frame_that_a_crash_cut_costs_only_itself(tmp_path: Path, cut: int) -> None:
    store = Store(tmp_path, "m1", 1 << 20)
    store.append("checkout", [note_frame(NOW, "a", {}), note_frame(NOW, "b", {"text": "x" * 50})])
    store.close()
    [path] = segments_of(tmp_path, "checkout")
    path.write_bytes(path.read_bytes()[:-cut])
    assert [frame.kind for frame in all_frames(tmp_path) if isinstance(frame, Note)] == ["a"]


def test_a_damaged_frame_ends_its_segment_and_another_file_is_refused(tmp_path: Path) -> None:
    store = Store(tmp_path, "m1", 1 << 20)
    store.append("checkout", [note_frame(NOW, "a", {}), batch(50)])
    store.close()
    [path] = segments_of(tmp_path, "checkout")
    damaged = bytearray(path.read_bytes())
    damaged[-20] ^= 0xFF
    path.write_bytes(damaged)
    assert len(all_frames(tmp_path)) == 1
    path.write_bytes(b"PNG")
    with pytest.raises(ValueError, match="is not a segment"):
        list(read_segment(path))


def test_a_visitor_takes_few_bytes(tmp_path: Path) -> None:
    """An arrival and an admission, as 40 visitors in half a second make them."""
    store = Store(tmp_path, "m1", 1 << 30)
    for _ in range(100):
        store.append("checkout", [batch(40, ARRIVED), batch(40, ADMITTED)])
    store.close()
    assert store.size / 4000 < 40


def test_a_mark_tells_nobody_the_place_without_the_key() -> None:
    other = mark_key(b"another-key-of-32-bytes-" + b"x" * 16)
    assert mark_of(12345, KEY) == mark_of(12345, KEY) < 2**32
    assert mark_of(12345, KEY) != mark_of(12345, other)
    assert len({mark_of(place, KEY) for place in range(10_000)}) > 9_990
    assert SEEN != ADMITTED
