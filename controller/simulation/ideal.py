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


def fifo(people: Crowd, capacity: Capacity) -> Floats:
    """Admission time of each visitor in the central line; nan for those who left first."""
    arrival: Sequence[float] = people.arrival_s.tolist()
    leave: Sequence[float] = people.leave_s.tolist()
    out = np.full(len(people), np.nan)
    level = capacity.burst_s * capacity.at(0.0)
    clock = 0.0
    made = 0.0
    for i, since in enumerate(arrival):
        now = max(since, clock)
        made_now = capacity.tokens(now)
        depth = max(1.0, capacity.burst_s * capacity.at(now))
        have = min(level + made_now - made, depth)
        when = now if have >= 1.0 - 1e-9 else capacity.moment(made_now + 1.0 - have)
        if leave[i] < when:
            continue
        out[i] = when
        level = have + (capacity.tokens(when) - made_now) - 1.0
        clock, made = when, capacity.tokens(when)
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
