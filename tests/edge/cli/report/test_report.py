"""The report: figures from records with known answers, the page, and what the command says of faults."""

import json
import random
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from controller.simulation.crowd import crowd
from controller.simulation.ideal import Capacity, fifo
from controller.simulation.measures import kendall as kendall_of_numpy
from edge.cli.main import main
from edge.cli.report.figures import figures_of, kendall, percentile
from edge.cli.report.page import page
from edge.cli.report.reading import Visitor, read_record, segments_in
from edge.cli.report.supply import Piece, ideal_line
from edge.cli.report.timeline import timeline
from edge.cli.report.words import duration, sentences, share
from edge.record.events import ADMITTED, ARRIVED, SEEN, TOLD, event_bytes, lane_code
from edge.record.store import Store, batch_frame, note_frame

START = 1_790_000_000.0
STATE: dict[str, Any] = {
    "mode": "open", "capacity": 2.0, "burst_s": 0.5, "limit": None, "paused": [], "sold_out": False, "waiting": 50,
    "active": 0, "stock": None, "factor": 1.0, "shadow": None, "nodes": [[0, True, 0], [1, True, 0]], "joined": [],
}  # fmt: skip


def written(folder: Path, machine: str = "m1", hold: tuple[float, float] | None = None) -> None:
    """Write a sale: 100 visitors come in 10 s, two a second are admitted in order, each fifth leaves after 5 s."""
    store = Store(folder, machine, 1 << 24)
    frames = [
        note_frame(START - 1, "begin", {"version": "0", "machine": machine, "poll_min_s": 1.0, "poll_max_s": 15.0})
    ]
    for second in range(-1, 70, 1):
        at = START + second
        is_held = hold is not None and hold[0] <= second < hold[1]
        frames.append(note_frame(at, "state", {**STATE, "mode": "hold" if is_held else "open"}))
    if hold is not None:
        for second, before, after in ((hold[0], "open", "hold"), (hold[1], "hold", "open")):
            reason = {"reason": "bank is down"}
            change = {"actor": "anna", "action": "change room checkout", "result": "done"}
            entry = {**change, "before": {"mode": before}, "after": {"mode": after, **reason}}
            frames.append(note_frame(START + second, "audit", entry))
    now = 0.0
    for number in range(100):
        arrival = START + number / 10
        visitor = (round(arrival * 1000), number)
        events = [
            event_bytes(ARRIVED, arrival, arrival, *visitor),
            event_bytes(TOLD, arrival, arrival, *visitor, number / 2),
        ]
        if number % 5 == 4:
            events.append(event_bytes(SEEN, arrival + 5.0, arrival, *visitor))
        else:
            now = max(now + 0.5, number / 10)
            if hold is not None and hold[0] <= now < hold[1]:
                now = hold[1]
            events.append(event_bytes(ADMITTED, START + now, arrival, *visitor))
        frames.append(batch_frame(arrival, number % 2, b"".join(events)))
    frames.append(note_frame(START + 5, "refused", {"shield_refusals.rate": 12, "ticket_rejections.expired": 1}))
    store.append("checkout", frames)
    store.close()


def read(folder: Path) -> Any:
    return figures_of(read_record(segments_in([folder], "checkout"), "checkout"))


def test_the_figures_of_a_sale_with_known_answers(tmp_path: Path) -> None:
    written(tmp_path)
    f = read(tmp_path)
    assert (f.came, f.got_in, f.left, f.waiting) == (100, 80, 20, 0)
    assert f.kendall == 0.0
    assert f.displacement.p99 < 0.51, "the ideal line of the same capacity admits at the same moments"
    assert f.use > 0.97
    assert f.left_after.p50 == pytest.approx(5.0, abs=0.01)
    assert [node.admitted for node in f.nodes] == [40, 40]
    assert f.refused == {"shield_refusals.rate": 12, "ticket_rejections.expired": 1}
    assert f.told_error.count == 80
    assert sum(f.series.arrivals) * f.series.step_s == pytest.approx(100)
    assert sum(f.series.admissions) * f.series.step_s == pytest.approx(80)


def test_a_hold_is_no_unfairness_but_lost_capacity(tmp_path: Path) -> None:
    written(tmp_path, hold=(12.0, 22.0))
    f = read(tmp_path)
    # One visitor is admitted just before the hold in one line, and just after it in the other.
    assert f.displacement.p90 < 0.6
    assert f.capacity_parts["paused.operator"] == pytest.approx(20.0, abs=2.5)
    assert "because an operator held or closed the room" in sentences(f)[2]
    texts = [entry.text for entry in timeline(f.history)]
    assert "anna: mode open → hold" in texts
    assert "anna: mode hold → open" in texts


def test_a_sale_opens_at_its_time_although_its_state_is_noted_later(tmp_path: Path) -> None:
    """50 visitors wait before the opening. The nodes report that they go on 1.4 s after it."""
    opens = START + 20.6
    before, after = {"paused": ["sale"], "opens_at": opens}, {"paused": [], "opens_at": None}
    store = Store(tmp_path, "m1", 1 << 24)
    frames = [note_frame(START + at, "state", {**STATE, **(before if at < 22 else after)}) for at in range(60)]
    for number in range(50):
        arrival, admitted = START + number / 10, opens + number / 2
        visitor = (round(arrival * 1000), number)
        noted = [event_bytes(ARRIVED, arrival, arrival, *visitor), event_bytes(ADMITTED, admitted, arrival, *visitor)]
        frames.append(batch_frame(arrival, 0, b"".join(noted)))
    store.append("checkout", frames)
    store.close()
    f = read(tmp_path)
    assert f.displacement.p99 < 0.6
    assert "paused.sale" not in f.capacity_parts, "capacity is not lost before the sale begins"


def test_a_line_in_disorder_is_called_so(tmp_path: Path) -> None:
    chance = random.Random(3)
    store = Store(tmp_path, "m1", 1 << 24)
    moments = [START + 1 + at for at in range(200)]
    chance.shuffle(moments)
    events = [
        event_bytes(ADMITTED, at, START, round(START * 1000) + 10 * number, number) for number, at in enumerate(moments)
    ]
    store.append(
        "checkout", [note_frame(START, "state", {**STATE, "capacity": 1.0}), batch_frame(START, 0, b"".join(events))]
    )
    store.append("checkout", [note_frame(START + at, "state", {**STATE, "capacity": 1.0}) for at in range(10, 210, 10)])
    store.close()
    f = read(tmp_path)
    assert 0.4 < f.kendall < 0.6
    assert f.displacement.p50 > 30


def with_lanes(folder: Path) -> None:
    """Write a sale with two lanes: all come in the same second, and the members are admitted first, in order."""
    store = Store(folder, "m1", 1 << 24)
    lanes = [["general", 75.0], ["members", 25.0]]
    frames = [note_frame(START + at, "state", {**STATE, "lanes": lanes}) for at in range(0, 70, 10)]
    members = lane_code("members")
    for number in range(60):
        is_member = number >= 40
        arrival = START + number / 100
        visitor = (round(arrival * 1000), number)
        # The last ten members came as others, and changed lanes before their admission.
        came_to = members if 40 <= number < 50 else 0
        events = [event_bytes(ARRIVED, arrival, arrival, *visitor, came_to)]
        if number % 10 == 9:
            events.append(event_bytes(SEEN, arrival + 5.0, arrival, *visitor))
        else:
            admitted = START + 1.0 + (number - 40 if is_member else number + 20) / 2
            events.append(event_bytes(ADMITTED, admitted, arrival, *visitor, members if is_member else 0))
        frames.append(batch_frame(arrival, 0, b"".join(events)))
    store.append("checkout", frames)
    store.close()


def test_each_lane_is_counted_and_its_order_is_its_own(tmp_path: Path) -> None:
    with_lanes(tmp_path)
    f = read(tmp_path)
    general, members = f.lanes
    assert (general.name, general.share, general.came, general.got_in, general.left) == ("general", 75.0, 41, 36, 5)
    assert (members.name, members.share, members.came, members.got_in, members.left) == ("members", 25.0, 19, 18, 1)
    assert general.wait.p50 > members.wait.p50 > 0.0
    assert f.kendall == general.kendall == members.kendall == 0.0, "a member passes others, but no member"
    assert "In each lane first come, first served held exactly" in sentences(f)[2]
    html = page(f, "stanchion 0")
    assert "<h2>The lanes</h2>" in html
    assert '<th scope="row">members</th><td data-label="capacity">25 %</td>' in html


def test_a_lane_that_the_record_does_not_name_is_shown_all_the_same(tmp_path: Path) -> None:
    store = Store(tmp_path, "m1", 1 << 24)
    visitor = (round(START * 1000), 1)
    events = [
        event_bytes(ARRIVED, START, START, *visitor),
        event_bytes(ADMITTED, START + 1, START, *visitor, lane_code("vip")),
    ]
    store.append("checkout", [note_frame(START, "state", STATE), batch_frame(START, 0, b"".join(events))])
    store.close()
    general, lane = read(tmp_path).lanes
    assert (general.name, general.came) == ("general", 0)
    assert (lane.name, lane.share, lane.got_in) == (f"lane {lane_code('vip'):06x}", None, 1)


def test_a_room_without_lanes_has_none_in_the_report(tmp_path: Path) -> None:
    """So it is in records from before lanes were noted: their events hold 0."""
    written(tmp_path)
    f = read(tmp_path)
    assert f.lanes == []
    assert "The lanes" not in page(f, "stanchion 0")


def test_several_machines_are_read_together_and_each_visitor_counts_once(tmp_path: Path) -> None:
    written(tmp_path / "a")
    other = Store(tmp_path / "b", "m2", 1 << 24)
    # Machine m2 saw visitor 0 poll after their admission was noted elsewhere, and one visitor of its own.
    seen = event_bytes(SEEN, START + 3, START, round(START * 1000), 0)
    own = event_bytes(ADMITTED, START + 30, START, round((START + 2) * 1000), 99_999)
    other.append("checkout", [batch_frame(START, 0, seen + own)])
    other.close()
    history = read_record(segments_in([tmp_path / "a", tmp_path / "b"], "checkout"), "checkout")
    f = figures_of(history)
    assert (f.came, f.got_in, f.left) == (101, 81, 20)
    assert {node.name for node in f.nodes} == {"m1/0", "m1/1", "m2/0"}


@pytest.mark.parametrize("seed", range(5))
def test_the_ideal_line_is_that_of_the_simulator(seed: int) -> None:
    chance = random.Random(seed)
    arrival = sorted(chance.uniform(0, 60) for _ in range(400))
    patience = [chance.choice((float("inf"), chance.uniform(0, 60))) for _ in arrival]
    rates = ((0.0, 5.0), (20.0, 0.0), (30.0, 12.0))
    theirs = fifo(crowd(np.array(arrival), np.array(patience)), Capacity(rates, 1.0))
    visitors = [
        Visitor(at, seen_s=None if stays == float("inf") else at + stays)
        for at, stays in zip(arrival, patience, strict=True)
    ]
    ends = [20.0, 30.0, 1000.0]
    supply = [
        Piece(begin, end, rate, rate, max(1.0, rate), 9, "", is_full=False, is_sold_out=False)
        for (begin, rate), end in zip(rates, ends, strict=True)
    ]
    ours = [float("nan") if at is None else at for at in ideal_line(visitors, supply)]
    np.testing.assert_allclose(ours, theirs, atol=1e-6)


def test_kendall_and_percentiles_are_those_of_numpy() -> None:
    chance = np.random.default_rng(7)
    arrival = np.sort(chance.uniform(0, 100, 500))
    admitted = arrival + chance.uniform(0, 20, 500)
    assert kendall(admitted.tolist()) == pytest.approx(kendall_of_numpy(arrival, admitted))
    together = np.floor(admitted)  # many in one moment
    assert kendall(together.tolist()) == pytest.approx(kendall_of_numpy(arrival, together))
    assert kendall([1.0] * 100) == 0.0
    for part in (0.0, 0.5, 0.9, 0.99, 1.0):
        assert percentile(sorted(admitted.tolist()), part) == pytest.approx(float(np.percentile(admitted, part * 100)))


def test_the_page_stands_alone(tmp_path: Path) -> None:
    written(tmp_path, hold=(12.0, 22.0))
    html = page(read(tmp_path), "stanchion 0")
    assert not re.search(r"<script|https?://|url\(|@import|<link|<img", html.replace("http-equiv", ""))
    assert all(sentence.replace("&", "&amp;") in html for sentence in sentences(read(tmp_path)))
    assert html.count('class="wide-chart"') == html.count('class="narrow-chart"') == 3


def test_hostile_words_of_operators_are_only_words(tmp_path: Path) -> None:
    written(tmp_path)
    store = Store(tmp_path, "m3", 1 << 24)
    entry = {"actor": "<b>eve", "action": "change room checkout", "result": "done", "before": {"message": None}}
    hostile = {**entry, "after": {"message": "<script>alert(1)</script>", "reason": "<img src=x>"}}
    store.append("checkout", [note_frame(START + 3, "audit", hostile)])
    store.close()
    html = page(read(tmp_path), "stanchion 0")
    assert "<script" not in html
    assert "<img" not in html
    assert "&lt;script&gt;" in html


def test_the_command_writes_a_page_and_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    written(tmp_path / "record")
    out = tmp_path / "report.html"
    assert main(["report", "checkout", "--record", str(tmp_path / "record"), "-o", str(out)]) == 0
    assert capsys.readouterr().out == f"report: {out}\n"
    assert out.read_text("utf-8").startswith("<!doctype html>")
    for place in ("record/checkout", next((tmp_path / "record/checkout").glob("*.rec")).relative_to(tmp_path)):
        assert main(["report", "checkout", "--record", str(tmp_path / place), "--json"]) == 0
        document = json.loads(capsys.readouterr().out)
        assert (document["came"], document["lanes"]) == (100, [])
    assert main(["report", "checkout", "--record", str(tmp_path / "record"), "--json", "--until", str(START + 5)]) == 0
    assert json.loads(capsys.readouterr().out)["came"] in (50, 51)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["other", "--record", "record"], "has no record of the room 'other'; it has: checkout"),
        (["checkout", "--record", "empty"], "it holds no record"),
        (["checkout", "--record", "nowhere"], "it is not there"),
        (["checkout", "--record", "record", "--until", "1000"], "nobody came in this time"),
        (["checkout", "--record", "picture.rec"], "is not a segment of a record"),
    ],
)
def test_faults_say_what_is_there_instead(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    arguments: list[str],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    written(tmp_path / "record")
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.rec").write_bytes(b"PNG")
    assert main(["report", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_words() -> None:
    assert [duration(s) for s in (0.04, 9.9, 59.6, 200, 3599, 3900)] == [
        "0.0 s", "9.9 s", "60 s", "3 min 20 s", "59 min", "1 h 5 min",
    ]  # fmt: skip
    assert [share(s) for s in (0.0, 1e-9, 0.5, 0.99999, 1.0)] == ["0 %", "< 0.1 %", "50.0 %", "> 99.9 %", "100 %"]
