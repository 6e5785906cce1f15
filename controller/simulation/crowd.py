"""The crowd of a sale: when each visitor arrives, how long they stay, and how their client behaves.

A crowd is arrays, drawn from a seeded generator. Nothing in it depends on the gate. Times are seconds from the opening.

    HONEST      polls when asked to
    GHOST       never polls again after the first request
    SLEEPER     sends nothing for a while (a closed laptop, a tunnel)
    FAST        polls ten times a second
    COLLECTOR   one person with many tickets
    PLAIN       a browser without scripts: polls in whole seconds
"""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "COLLECTOR",
    "FAST",
    "GHOST",
    "HONEST",
    "PLAIN",
    "SLEEPER",
    "Crowd",
    "Floats",
    "Maker",
    "asleep",
    "crowd",
    "impatient",
    "surge",
]

Floats = NDArray[np.float64]
HONEST, GHOST, SLEEPER, FAST, COLLECTOR, PLAIN = range(6)


@dataclass(frozen=True, slots=True)
class Crowd:
    """One row a ticket, sorted by arrival. leave_s: when the visitor gives up. inf means never."""

    arrival_s: Floats
    leave_s: Floats
    kind: NDArray[np.int8]
    sleep_from_s: Floats
    sleep_to_s: Floats

    def __len__(self) -> int:
        return len(self.arrival_s)


class Maker(Protocol):
    """Draw a crowd from a seeded generator."""

    def __call__(self, rng: np.random.Generator) -> Crowd: ...


def crowd(
    arrival_s: Floats,
    patience_s: Floats | None = None,
    kind: NDArray[np.int8] | None = None,
) -> Crowd:
    """Sort a crowd by arrival. Without patience nobody leaves; without kinds all are HONEST."""
    order = np.argsort(arrival_s, kind="stable")
    n = len(order)
    never = np.full(n, np.inf)
    arrival = np.asarray(arrival_s, dtype=np.float64)[order]
    leave = never if patience_s is None else arrival + patience_s[order]
    kinds = np.zeros(n, dtype=np.int8) if kind is None else kind[order]
    leave = np.where(kinds == GHOST, arrival, leave)
    return Crowd(arrival, leave, kinds, never, never.copy())


def surge(rng: np.random.Generator, visitors: int, start_s: float = 0.0) -> Floats:
    """Draw the arrivals of a flash sale: 90 % uniformly within 30 s, the rest over the next 270 s."""
    early = int(visitors * 0.9)
    return np.concatenate(
        [start_s + rng.uniform(0.0, 30.0, early), start_s + rng.uniform(30.0, 300.0, visitors - early)]
    )


def impatient(rng: np.random.Generator, visitors: int, share: float, mean_s: float) -> Floats:
    """Draw patience: exponential for `share` of the visitors, endless for the others."""
    patience = rng.exponential(mean_s, visitors)
    patience[rng.random(visitors) >= share] = np.inf
    return patience


def asleep(rng: np.random.Generator, people: Crowd, share: float, sleep_s: float, until_s: float) -> Crowd:
    """Let `share` of the crowd sleep once for `sleep_s`, from a random moment before `until_s` on."""
    n = len(people)
    chosen = rng.random(n) < share
    start = people.arrival_s + rng.random(n) * np.maximum(until_s - people.arrival_s, 1.0)
    kind = np.where(chosen, SLEEPER, people.kind).astype(np.int8)
    start = np.where(chosen, start, np.inf)
    return Crowd(people.arrival_s, people.leave_s, kind, start, start + sleep_s)
