"""What nobody can beat: one central line in front of one leaky bucket, and the same line seen through polls.

The central line (`fifo`): visitors in order of arrival; a token goes to the oldest who is still there.

    F_i = max(A_i, moment of the next token);   who has left before F_i takes no token

The polling ideal (`polled`): the same, but nobody can be admitted between two polls. A clairvoyant server
puts the last poll of each visitor exactly on F_i, which works unless F_i is less than the shortest interval
away from the first request; then the visitor comes in at A_i + poll_min, and their token waits for them in
the bucket:

    P_i = A_i  if F_i = A_i,  else max(F_i, A_i + poll_min)
    polls_i = 1 + ceil((P_i - A_i) / poll_max)
"""

from collections.abc import Sequence
from dataclasses import dataclass
from heapq import heappop, heappush

import numpy as np
from numpy.typing import NDArray

from controller.simulation.crowd import Crowd, Floats


@dataclass(frozen=True, slots=True)
class Capacity:
    """A rate that changes at given moments; the bucket's burst in seconds of the first rate."""

    rates: tuple[tuple[float, float], ...]  # (from_s, admissions per second), the first from 0
    burst_s: float

    def at(self, t: float) -> float:
        rate = self.rates[0][1]
        for since, value in self.rates:
            if t >= since:
                rate = value
        return rate

    def tokens(self, t: float) -> float:
        """Tokens made by `t`, without any bound."""
        total = 0.0
        for i, (since, rate) in enumerate(self.rates):
            until = self.rates[i + 1][0] if i + 1 < len(self.rates) else np.inf
            if t <= since:
                break
            total += rate * (min(t, until) - since)
        return total

    def moment(self, tokens: float) -> float:
        """When that many tokens have been made."""
        total = 0.0
        for i, (since, rate) in enumerate(self.rates):
            until = self.rates[i + 1][0] if i + 1 < len(self.rates) else np.inf
            made = rate * (until - since) if rate > 0.0 else 0.0
            if total + made >= tokens:
                return since + (tokens - total) / rate if rate > 0.0 else since
            total += made
        return float("inf")


class _Tap:
    """The bucket of the central line."""

    def __init__(self, capacity: Capacity) -> None:
        self._capacity = capacity
        self._level = capacity.burst_s * capacity.at(0.0)
        self._made = 0.0

    def next(self, now: float) -> float:
        """When the next token is there, from `now` on."""
        have, made = self._at(now)
        return now if have >= 1.0 - 1e-9 else self._capacity.moment(made + 1.0 - have)

    def take(self, now: float) -> None:
        """Let one in at `now`, which `next` has said."""
        have, self._made = self._at(now)
        self._level = have - 1.0

    def _at(self, now: float) -> tuple[float, float]:
        made = self._capacity.tokens(now)
        depth = max(1.0, self._capacity.burst_s * self._capacity.at(now))
        return min(self._level + made - self._made, depth), made


def fifo(people: Crowd, capacity: Capacity) -> Floats:
    """Admission time of each visitor in the central line; nan for those who left first."""
    leave: Sequence[float] = people.leave_s.tolist()
    out = np.full(len(people), np.nan)
    tap, clock = _Tap(capacity), 0.0
    for i, since in enumerate(people.arrival_s.tolist()):
        when = tap.next(max(since, clock))
        if leave[i] < when:
            continue
        out[i] = clock = when
        tap.take(when)
    return out


def fifo_awake(people: Crowd, capacity: Capacity) -> Floats:
    """The same where nobody can be let in who is asleep: the line passes over them, and takes them first when they
    wake. It shows what others gain while somebody sleeps, and give back to them, whoever runs the line."""
    leave, asleep, awake = people.leave_s.tolist(), people.sleep_from_s.tolist(), people.sleep_to_s.tolist()
    out = np.full(len(people), np.nan)
    tap, clock = _Tap(capacity), 0.0
    coming = [(since, i) for i, since in enumerate(people.arrival_s.tolist())]  # sorted, so a heap
    here: list[int] = []
    while coming or here:
        if not here:
            clock = max(clock, coming[0][0])
        clock = tap.next(clock)
        while coming and coming[0][0] <= clock:
            heappush(here, heappop(coming)[1])
        i = heappop(here)
        if leave[i] < clock:
            continue
        if asleep[i] < clock < awake[i]:
            heappush(coming, (awake[i], i))
            continue
        out[i] = clock
        tap.take(clock)
    return out


def polled(people: Crowd, ideal: Floats, poll_min_s: float) -> Floats:
    """The polling ideal's admission times."""
    at_once = ideal <= people.arrival_s
    return np.where(at_once, ideal, np.maximum(ideal, people.arrival_s + poll_min_s))


def polls_needed(people: Crowd, admitted_s: Floats, poll_max_s: float) -> Floats:
    """Least number of requests of each: the first, and one every poll_max until they are in or gone."""
    end = np.where(np.isnan(admitted_s), people.leave_s, admitted_s)
    inside = np.floor((end - people.arrival_s) / poll_max_s)
    return np.where(np.isnan(admitted_s), 1.0 + inside, 1.0 + np.ceil((end - people.arrival_s) / poll_max_s))


def busy_until(people: Crowd, ideal: Floats) -> float:
    """The moment at which the central line is empty for good."""
    waited: NDArray[np.bool_] = ideal > people.arrival_s + 1e-9
    return float(np.max(ideal[waited])) if waited.any() else float(np.nanmax(ideal, initial=0.0))
