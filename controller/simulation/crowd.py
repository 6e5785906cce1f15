"""The people: when each arrives, how long they stay, and what their client does. Arrays, drawn from a seed.

A crowd is what happens to us; nothing in it depends on the gate. Times in seconds from the opening.
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
HONEST, GHOST, SLEEPER, FAST, COLLECTOR, PLAIN = range(6)


@dataclass(frozen=True, slots=True)
class Crowd:
    """One row a ticket, sorted by arrival."""

    arrival_s: Floats
    leave_s: Floats  # moment at which they give up; inf = never
    kind: NDArray[np.int8]
    sleep_from_s: Floats  # inf = never asleep
    sleep_to_s: Floats

    def __len__(self) -> int:
        return len(self.arrival_s)


class Maker(Protocol):
    """Draws a crowd from a seeded generator."""

    def __call__(self, rng: np.random.Generator) -> Crowd: ...


def crowd(
    arrival_s: Floats,
    patience_s: Floats | None = None,
    kind: NDArray[np.int8] | None = None,
) -> Crowd:
    """A crowd in order of arrival; patience inf and kind honest unless told."""
    order = np.argsort(arrival_s, kind="stable")
    n = len(order)
    never = np.full(n, np.inf)
    arrival = np.asarray(arrival_s, dtype=np.float64)[order]
    leave = never if patience_s is None else arrival + patience_s[order]
    kinds = np.zeros(n, dtype=np.int8) if kind is None else kind[order]
    leave = np.where(kinds == GHOST, arrival, leave)
    return Crowd(arrival, leave, kinds, never, never.copy())


def surge(rng: np.random.Generator, visitors: int, start_s: float = 0.0) -> Floats:
    """Arrivals of a flash sale: 90 % evenly at random in 30 s, the rest over the next 270 s."""
    early = int(visitors * 0.9)
    return np.concatenate(
        [start_s + rng.uniform(0.0, 30.0, early), start_s + rng.uniform(30.0, 300.0, visitors - early)]
    )


def impatient(rng: np.random.Generator, visitors: int, share: float, mean_s: float) -> Floats:
    """Patience: exponential for `share` of the visitors, endless for the others."""
    patience = rng.exponential(mean_s, visitors)
    patience[rng.random(visitors) >= share] = np.inf
    return patience


def asleep(rng: np.random.Generator, people: Crowd, share: float, sleep_s: float, until_s: float) -> Crowd:
    """`share` of the crowd falls asleep once, at a random moment before `until_s`, for `sleep_s`."""
    n = len(people)
    chosen = rng.random(n) < share
    start = people.arrival_s + rng.random(n) * np.maximum(until_s - people.arrival_s, 1.0)
    kind = np.where(chosen, SLEEPER, people.kind).astype(np.int8)
    start = np.where(chosen, start, np.inf)
    return Crowd(people.arrival_s, people.leave_s, kind, start, start + sleep_s)
