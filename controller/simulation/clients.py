"""How clients keep an appointment: the rules of static/waiting.js, and of clients that break them.

    next request = response + max(poll_after + late - allowed, SHORTEST_S)        the browser's page
                   late = uniform * min(jitter * poll_after, jitter_max_s)
                   allowed = min(allowance * quickest round trip, poll_after / 2, allowance_max_s)
    PLAIN (without scripts): whole seconds, rounded up
    FAST: every FAST_POLL_S, whatever the response says

All times are seconds. A test compares the constants with those of the page.
"""

from math import ceil, inf
from typing import Final

import numpy as np

from controller.simulation.crowd import FAST, PLAIN, Crowd
from controller.simulation.scenario import Client

__all__ = ["BACK_OFF_MOST_S", "BACK_OFF_S", "FAST_POLL_S", "SHORTEST_S", "STEP_S", "Clients", "retry_at"]

#: No interval is shorter: requests are sorted within steps of this length.
STEP_S: Final = 0.01
FAST_POLL_S: Final = 0.1
#: Between two requests of a page, whatever the response says.
SHORTEST_S: Final = 0.5
#: First and longest pause of a client that reaches no node. Half of each pause is random.
BACK_OFF_S, BACK_OFF_MOST_S = 2.0, 60.0


class Clients:
    """The clients of a crowd: what each knows of its way to the nodes."""

    def __init__(self, client: Client, people: Crowd, rng: np.random.Generator) -> None:
        n = len(people)
        self._client, self._kind = client, people.kind
        self._round_trip_s: list[float] = (
            2.0 * client.latency_median_s * np.exp(client.latency_sigma * rng.standard_normal(n))
        ).tolist()
        self._quickest_s = [inf] * n

    def interval(self, visitor: int, after: float, parked_s: float, wobble: float, uniform: float) -> float:
        """Return the seconds from a response to the arrival of the next request at a node.

        parked_s: how much later than its request the response was sent.
        """
        c, kind = self._client, self._kind[visitor]
        trip = self._round_trip_s[visitor] * wobble
        if kind == PLAIN:
            return trip + max(1, ceil(after))
        if kind == FAST:
            after = FAST_POLL_S
        quickest = self._quickest_s[visitor]
        allowed = min(c.allowance * quickest, 0.5 * after, c.allowance_max_s) if quickest < inf else 0.0
        self._quickest_s[visitor] = min(trip + parked_s, c.forgets * quickest)
        late = uniform * min(c.jitter * after, c.jitter_max_s)
        pause = after + late - allowed
        if kind != FAST:
            pause = max(pause, SHORTEST_S - trip - parked_s)
        return max(trip + pause, STEP_S)


def retry_at(now: float, until: float, uniform: float) -> float:
    """Return when a client that reaches no node before `until` gets through: pauses double, half of each is random."""
    back_off_s = BACK_OFF_S
    while now < until:
        now += back_off_s * (0.5 + 0.5 * uniform)
        back_off_s = min(2.0 * back_off_s, BACK_OFF_MOST_S)
    return now
