"""The budget of polls: the longest interval is stretched so that a node sees no more polls than it wants.

    lead += entries / (AIM * budget) - dt          lead = stretch * poll_max, at least poll_max

The lead is how far ahead the calendar of appointments is full. Every poll takes one entry in it, and AIM * budget
entries a second are free. A visitor that is asked back in `lead` seconds then polls when an entry was free for them, so
the polls of a crowd that arrived at once are spread evenly however large it is, and nothing has to be estimated. (A
leaky bucket of appointments; generic cell rate algorithm, ITU-T I.371.)
"""

from typing import Final

from controller.meter import RateMeter
from controller.settings import GateSettings

AIM: Final = 0.97  # of the budget: what jitter may add to a second is kept free
LONGEST_S: Final = 86_400.0
METER_S: Final = 3.0


class PollBudget:
    """Counts polls and arrivals. The gate adds to the meters; call `tick` once a control step."""

    __slots__ = ("arrivals", "polls", "stretch")

    def __init__(self, stretch: float = 1.0) -> None:
        self.polls, self.arrivals = RateMeter(METER_S), RateMeter(METER_S)
        self.stretch = stretch  # of the longest interval; 1: polls are within the budget

    def __repr__(self) -> str:
        return f"<PollBudget {self.polls.rate:.1f} polls/s, intervals x {self.stretch:.2f}>"

    def tick(self, s: GateSettings, return_rate: float, dt: float) -> None:
        """Fold in the polls of the last `dt` seconds. return_rate: share of newcomers that poll again."""
        arrivals = self.arrivals
        entries = newcomers_entries(arrivals.count, arrivals.rate, return_rate, s.poll_budget_per_s)
        self.stretch = stretched(self.stretch, entries + self.polls.count, s, dt)
        self.polls.tick(dt)
        arrivals.tick(dt)


def stretched(stretch: float, entries: float, s: GateSettings, dt: float) -> float:
    """Return the next stretch of the longest interval, after polls that took this many entries in the calendar."""
    if s.poll_budget_per_s is None:
        return 1.0
    lead_s = stretch * s.poll_max_s + entries / (AIM * s.poll_budget_per_s) - dt
    return max(1.0, min(lead_s, LONGEST_S) / s.poll_max_s)


def newcomers_entries(count: int, per_s: float, return_rate: float, budget_per_s: float | None) -> float:
    """Return the entries that first visits take in the calendar, beyond the one that every poll takes.

    A first visit had no entry, so it takes one now, and the crowd pays for it by polling a little later, as long as
    newcomers fill no more than half of the budget. A rush beyond that will not last. A ghost takes none.
    """
    if budget_per_s is None or not count:
        return 0.0
    return count * (min(1.0, 0.5 * budget_per_s / max(per_s, 1e-9)) - (1.0 - return_rate))
