"""The two ideals that runs are compared with: a central line before one leaky bucket, and the same line with polls.

The central line (`fifo`) serves visitors in order of arrival. A token goes to the oldest visitor that is still there.

    F_i = max(A_i, moment of the next token);   a visitor that left before F_i takes no token

The polling ideal (`polled`) is the same line, but nobody can be admitted between two polls. A server that knows the
future puts the last poll of each visitor exactly on F_i. That fails if F_i is less than the shortest interval after the
first request. Then the visitor is admitted at A_i + poll_min, and their token waits in the bucket:

    P_i = A_i  if F_i = A_i,  else max(F_i, A_i + poll_min)
    polls_i = 1 + ceil((P_i - A_i) / poll_max)

A_i: arrival, F_i and P_i: admission, seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from controller.simulation.crowd import Crowd, Floats

__all__ = ["Capacity", "busy_until", "fifo", "fifo_awake", "polled", "polls_needed"]


@dataclass(frozen=True, slots=True)
class Capacity:
    """A rate that changes at given moments. rates: pairs of (from_s, admissions per second), the first from 0.

    burst_s: depth of the bucket, in seconds of the rate.
    """

    rates: tuple[tuple[float, float], ...]
    burst_s: float

    def at(self, t: float) -> float:
        rate = self.rates[0][1]
        for since, value in self.rates:
            if t >= since:
                rate = value
        return rate

    def tokens(self, t: float) -> float:
        """Return the tokens made by `t`, without any bound."""
        total = 0.0
        for i, (since, rate) in enumerate(self.rates):
            until = self.rates[i + 1][0] if i + 1 < len(self.rates) else np.inf
            if t <= since:
                break
            total += rate * (min(t, until) - since)
        return total

    def moment(self, tokens: float) -> float:
        """Return when that many tokens have been made."""
        total = 0.0
        for i, (since, rate) in enumerate(self.rates):
            until = self.rates[i + 1][0] if i + 1 < len(self.rates) else np.inf
            made = rate * (until - since) if rate > 0.0 else 0.0
            if total + made >= tokens:
                return since + (tokens - total) / rate if rate > 0.0 else since
            total += made
        return float("inf")


class _Bucket:
    """The bucket of the central line."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._level = capacity.burst_s * capacity.at(0.0)
        self._made = 0.0

    def next(self, now: float) -> float:
        """Return when the next token is there, from `now` on."""
        have, made = self._at(now)
        return now if have >= 1.0 - 1e-9 else self._capacity.moment(made + 1.0 - have)

    def take(self, now: float) -> None:
        """Take a token at `now`, a moment that `next` returned."""
        have, self._made = self._at(now)
        self._level = have - 1.0

    def _at(self, now: float) -> tuple[float, float]:
        made = self._capacity.tokens(now)
        depth = max(1.0, self._capacity.burst_s * self._capacity.at(now))
        return min(self._level + made - self._made, depth), made


def fifo(people: Crowd, capacity: Capacity) -> Floats:
    """Return each visitor's admission time in the central line; nan for visitors that left first."""
    leave: Sequence[float] = people.leave_s.tolist()
    out = np.full(len(people), np.nan)
    bucket, clock = _Bucket(capacity), 0.0
    for i, since in enumerate(people.arrival_s.tolist()):
        when = bucket.next(max(since, clock))
        if leave[i] < when:
            continue
        out[i] = clock = when
        bucket.take(when)
    return out


def fifo_awake(people: Crowd, capacity: Capacity) -> Floats:
    """Return the admission times of a central line that passes over visitors that are asleep.

    They are first in line again when they wake. The others gain while they sleep and give it back afterwards, in any
    line; this ideal separates that effect from the faults of a policy.
    """
    leave, asleep, awake = people.leave_s.tolist(), people.sleep_from_s.tolist(), people.sleep_to_s.tolist()
    out = np.full(len(people), np.nan)
    bucket, clock = _Bucket(capacity), 0.0
    coming = [(since, i) for i, since in enumerate(people.arrival_s.tolist())]  # sorted, so a heap
    here: list[int] = []
    while coming or here:
        if not here:
            clock = max(clock, coming[0][0])
        clock = bucket.next(clock)
        while coming and coming[0][0] <= clock:
            heappush(here, heappop(coming)[1])
        i = heappop(here)
        if leave[i] < clock:
            continue
        if asleep[i] < clock < awake[i]:
            heappush(coming, (awake[i], i))
            continue
        out[i] = clock
        bucket.take(clock)
    return out


def polled(people: Crowd, ideal: Floats, poll_min_s: float) -> Floats:
    """Return the admission times of the polling ideal."""
    at_once = ideal <= people.arrival_s
    return np.where(at_once, ideal, np.maximum(ideal, people.arrival_s + poll_min_s))


def polls_needed(people: Crowd, admitted_s: Floats, poll_max_s: float) -> Floats:
    """Return the least number of requests of each visitor: the first, and one every poll_max until the end."""
    end = np.where(np.isnan(admitted_s), people.leave_s, admitted_s)
    inside = np.floor((end - people.arrival_s) / poll_max_s)
    return np.where(np.isnan(admitted_s), 1.0 + inside, 1.0 + np.ceil((end - people.arrival_s) / poll_max_s))


def busy_until(people: Crowd, ideal: Floats) -> float:
    """Return the moment at which the central line is empty for good."""
    waited: NDArray[np.bool_] = ideal > people.arrival_s + 1e-9
    return float(np.max(ideal[waited])) if waited.any() else float(np.nanmax(ideal, initial=0.0))
