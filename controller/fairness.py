"""Fairness as it happens: a recorder of bounded memory that every node keeps of its own admissions.

For each admission (first_seen, admitted_at):

    wait       admitted_at - first_seen, into a histogram with bins that grow by 5 % (error of a quantile <= 2.5 %)
    overtaken  a visitor that arrived earlier is admitted later: compared with the last `window` admissions,
               share of inverted pairs   K = sum [first_seen_j > first_seen_i, j before i] / pairs
               (Kendall's tau distance of the recent past) and by how many seconds of arrival at worst
    step       share of consecutive admissions that are in the wrong order (CloudEx' inbound unfairness ratio)

`record` costs O(log window): the window is kept sorted beside its order of admission.
"""

from bisect import bisect_right, insort
from collections import deque
from dataclasses import dataclass
from math import log
from typing import Final

GROWTH: Final = 1.05
FLOOR_S: Final = 0.01
BINS: Final = 320  # 0.01 s * 1.05^320 = 60,000 s


@dataclass(frozen=True, slots=True)
class FairnessSnapshot:
    """Figures since the start. Only `kendall` is over pairs within the window of recent admissions."""

    admissions: int
    wait_p50_s: float
    wait_p90_s: float
    wait_p99_s: float
    wait_max_s: float
    overtaking_share: float  # admissions that overtook the visitor that was admitted next
    kendall: float  # share of pairs admitted in the wrong order; 0 = first come first served, 0.5 = lottery
    overtaken_mean_s: float  # by how much overtaken visitors had arrived earlier, mean over them
    overtaken_max_s: float


class FairnessRecorder:
    """Call `record` for every admission, and `snapshot` at any time."""

    __slots__ = (
        "_admissions", "_bins", "_inversions", "_last", "_max_overtaken", "_max_wait", "_order", "_overtaken",
        "_overtaken_s", "_pairs", "_recent", "_steps", "_window",
    )  # fmt: skip

    def __init__(self, window: int = 1024) -> None:
        self._window = max(2, window)
        self._recent: list[float] = []  # sorted
        self._order: deque[float] = deque()
        self._bins = [0] * BINS
        self._admissions = self._steps = self._overtaken = self._inversions = self._pairs = 0
        self._max_wait = self._max_overtaken = self._overtaken_s = 0.0
        self._last: float | None = None

    def __len__(self) -> int:
        """Return how many admissions the window holds."""
        return len(self._order)

    def __repr__(self) -> str:
        return f"<FairnessRecorder {self._admissions} admissions, {self._overtaken} overtaken>"

    def record(self, first_seen: float, admitted_at: float) -> None:
        """Count one admission. Any floats are safe."""
        wait = max(0.0, admitted_at - first_seen)
        self._admissions += 1
        self._max_wait = max(self._max_wait, wait)
        self._bins[_bin(wait)] += 1
        if self._last is not None and first_seen < self._last:
            self._steps += 1
        self._last = first_seen
        recent = self._recent
        younger_before = len(recent) - bisect_right(recent, first_seen)
        self._pairs += len(recent)
        if younger_before:
            self._inversions += younger_before
            overtaken_s = recent[-1] - first_seen
            self._overtaken += 1
            self._overtaken_s += overtaken_s
            self._max_overtaken = max(self._max_overtaken, overtaken_s)
        insort(recent, first_seen)
        self._order.append(first_seen)
        if len(recent) > self._window:
            del recent[bisect_right(recent, self._order.popleft()) - 1]

    def snapshot(self) -> FairnessSnapshot:
        return FairnessSnapshot(
            admissions=self._admissions,
            wait_p50_s=self._quantile(0.50),
            wait_p90_s=self._quantile(0.90),
            wait_p99_s=self._quantile(0.99),
            wait_max_s=self._max_wait,
            overtaking_share=self._steps / max(1, self._admissions - 1),
            kendall=self._inversions / max(1, self._pairs),
            overtaken_mean_s=self._overtaken_s / max(1, self._overtaken),
            overtaken_max_s=self._max_overtaken,
        )

    def _quantile(self, q: float) -> float:
        wanted = q * self._admissions
        seen = 0
        for i, count in enumerate(self._bins):
            seen += count
            if count and seen >= wanted:
                return 0.0 if i == 0 else min(FLOOR_S * GROWTH ** (i - 0.5), self._max_wait)
        return 0.0


def _bin(wait_s: float) -> int:
    if wait_s < FLOOR_S:
        return 0
    return min(BINS - 1, 1 + int(log(wait_s / FLOOR_S) / log(GROWTH)))
