"""What a gate foresees: how fast its list moves on, when visitors are due, and how sure that is.

Worked out once a control step (`Forecast.renew`), not once a call: `Gate.decide` only reads it.

    flow     visitors of this node's list who go in a second: its share of the room's, or of what was seen to be let
             in while free places are scarcer than tokens
    P90      eta + a share of it + one more poll + what the count may be off by (`Forecast.doubt`)
"""

from math import inf
from typing import Final

from controller.line.line import Line
from controller.line.poll_latency import USUAL_S, watched_eta
from controller.polling.appointments import far_eta, holding
from controller.settings import GateSettings

__all__ = ["Forecast"]

MARGIN_S: Final = 0.03  # a client is expected this much later than clients come on average
OWN: Final = 0.9  # of the appointments are kept where they were given: one node, or clients that stick to theirs
# Who knows the whole line asks visitors back so much before they are expected in: more than the network and the page
# vary by, so that nearly all are there, and held, when they are called.
LEAD_S: Final = 0.6
LEAD: Final = 0.6  # of the time for which they would be held, at most
LEAST_FLOW: Final = 0.01  # of what tokens allow, while no place becomes free
# ETA interval, fitted to the scenarios
DOUBT_SHARE: Final = 0.08
DOUBT_S: Final = 1.2
DOUBT_SD: Final = 2.6
DOUBT_TURNS: Final = 2.0  # turns of the room's: where one takes a second or more, DOUBT_S is less than one too many
DOUBT_GUESSED: Final = 0.5  # instead of DOUBT_SHARE while it is not known who of those before them comes back


class Forecast:
    """All in seconds and visitors of this node's list; while joined with other nodes, of the whole room's."""

    __slots__ = (
        "_doubt_scale",
        "doubt_s",
        "early_s",
        "far_eta_s",
        "far_s",
        "flow",
        "grace_s",
        "held_below_s",
        "hold_s",
        "is_exact",
        "is_own",
        "lead_s",
        "min_s",
        "new_s",
        "polls_held_below_s",
        "sample",
        "sure_until",
        "watched_eta_s",
    )

    def __init__(self) -> None:
        self.is_own = self.is_exact = False
        self.sample = 1.0  # visitors of the list to one of the room's
        self.flow = 0.0  # 0: nobody is let in
        self.lead_s = 0.0  # whoever is called is in within it
        self.new_s = 0.0  # who came first less than that ago and is not expected is new
        self.min_s = self.far_s = 0.0  # the shortest interval, and the longest as it is stretched now
        self.far_eta_s = self.watched_eta_s = (
            inf  # from these on: the longest interval; `controller/line/poll_latency.py`
        )
        self.early_s = 0.0  # visitors are asked back so much before they are called
        self.grace_s = 0.0  # and are expected until so much later
        self.hold_s = self.held_below_s = self.polls_held_below_s = 0.0
        self.doubt_s = DOUBT_S
        self.sure_until = -inf  # of who came first by then P90 is eta + DOUBT_SHARE * eta + doubt_s
        self._doubt_scale = 1.0

    def __repr__(self) -> str:
        return f"<Forecast of {self.flow:.1f}/s, sees {self.sample:.2f} of the room>"

    def renew(self, s: GateSettings, line: Line, stretch: float, extra_s: float, places_per_s: float) -> None:
        """stretch: of the longest interval; extra_s: visitors come so much later than usual; places_per_s: free places
        for active visitors, where these are what is scarce, else inf."""
        share = line.returns.share
        self.is_own = is_own = share >= OWN
        self.is_exact = is_own or line.front is not None
        if line.front is not None:
            self.sample, flow, want = 1.0, s.room_rate, 1.0
            self._doubt_scale = max(1.0 / s.nodes if is_own else share, 1e-3)
        else:
            self.sample = 1.0 / s.nodes if is_own else share
            flow = s.admissions_per_second if is_own else share * s.room_rate
            want = max(1.0, s.admissions_per_second / flow) if flow > 0.0 else 1.0
            self._doubt_scale = 1.0
        if places_per_s < inf and flow > 0.0:
            flow = min(flow, max(places_per_s * flow / s.admissions_per_second, LEAST_FLOW * flow))
        self.flow = flow if s.admissions_per_second > 0.0 else 0.0
        self.doubt_s = max(DOUBT_S, DOUBT_TURNS * self.sample / flow) if flow > 0.0 else DOUBT_S
        is_sure = self.is_exact and line.front is None
        self.sure_until = min(line.guessed_from, line.freshest) if is_sure else -inf
        self.min_s, self.far_s = s.poll_min_s, s.poll_max_s * stretch
        self.far_eta_s = far_eta(s, self.flow, stretch) if self.flow > 0.0 else inf
        self.watched_eta_s = watched_eta(self.far_s)
        self.new_s = 0.5 * s.poll_min_s
        self.hold_s, self.held_below_s, self.polls_held_below_s = holding(s, self.is_exact, want)
        self.early_s = extra_s
        if self.is_exact:
            self.early_s += min(LEAD_S, LEAD * self.hold_s)
        self.grace_s = USUAL_S + extra_s + MARGIN_S  # nobody means to come early: less would end leases too soon

    def doubt(self, line: Line, first_seen: float, eta_s: float) -> float:
        """Seconds from the median to the 90th percentile: a share of it, one more poll, the count's error
        (a sample of n is known to sqrt(n)), and the newcomers ahead taken for ghosts, should they come. While that is
        being found out nodes that share nothing differ in their guesses, so in their appointments and counts."""
        flow = self.flow
        doubt = (DOUBT_SHARE if first_seen <= line.guessed_from else DOUBT_GUESSED) * eta_s + self.doubt_s
        if first_seen > line.freshest:
            doubt += line.doubted(first_seen) / (flow * self._doubt_scale)
        if line.front is not None:
            return doubt + DOUBT_SD * line.blurred(first_seen) / flow
        if self.is_exact:
            return doubt
        spread: float = (eta_s / flow) ** 0.5
        return doubt + DOUBT_SD * spread
