"""The recorder of fairness: bounded memory, and figures that agree with a count of all pairs."""

import random

import pytest

from controller import FairnessRecorder


def test_first_come_first_served_has_a_kendall_of_zero() -> None:
    """A line in order has no overtaking at all."""
    recorder = FairnessRecorder()
    for i in range(5000):
        recorder.record(first_seen=float(i), admitted_at=i + 10.0)
    s = recorder.snapshot()
    assert s.admissions == 5000
    assert s.kendall == s.overtaking_share == s.overtaken_max_s == 0.0
    assert s.wait_p50_s == pytest.approx(10.0, rel=0.03)


def test_a_lottery_has_a_kendall_of_one_half() -> None:
    """Random order inverts half of the pairs."""
    chance = random.Random(1)
    recorder = FairnessRecorder(window=256)
    for i in range(5000):
        recorder.record(first_seen=chance.random(), admitted_at=float(i))
    assert recorder.snapshot().kendall == pytest.approx(0.5, abs=0.02)


def test_quantiles_and_overtaking_agree_with_the_whole_record() -> None:
    """Quantiles are within 6 %, and Kendall within the window is what a count of pairs gives."""
    chance = random.Random(2)
    waits = [chance.lognormvariate(2.0, 1.0) for _ in range(3000)]
    recorder = FairnessRecorder(window=4000)
    order = sorted((i * 0.1 + w, i * 0.1) for i, w in enumerate(waits))
    for admitted_at, first_seen in order:
        recorder.record(first_seen, admitted_at)
    s = recorder.snapshot()
    ranked = sorted(waits)
    assert s.wait_p50_s == pytest.approx(ranked[1500], rel=0.04)
    assert s.wait_p99_s == pytest.approx(ranked[2970], rel=0.06)
    seen = [f for _, f in order]
    inverted = sum(seen[j] < seen[i] for i in range(0, 3000, 10) for j in range(i + 1, 3000))
    pairs = sum(3000 - i - 1 for i in range(0, 3000, 10))
    assert s.kendall == pytest.approx(inverted / pairs, rel=0.1)


def test_memory_is_bounded() -> None:
    """Only the window is kept, whatever is recorded."""
    recorder = FairnessRecorder(window=64)
    for value in (float("1e300"), -1e300, 0.0, *range(1000)):
        recorder.record(float(value), 0.0)
    assert len(recorder) == 64
