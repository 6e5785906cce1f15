"""When visitors are due: the margins of appointments and leases.

They are derived once a control step (`Forecast.renew`), not once a poll: `Gate.decide` only reads them. Flow and doubt
of the count are in the line view.
"""

from math import inf
from typing import Final

from controller.line.poll_latency import USUAL_S, PollLatency, watched_eta
from controller.line.view import LineView
from controller.polling.appointments import far_eta
from controller.settings import GateSettings

__all__ = ["Forecast"]

MARGIN_S: Final = 0.03  # a visitor is expected this much later than visitors poll on average
EARLY: Final = 0.6  # of the time for which a poll is parked: visitors are asked back at most this much early
NEW: Final = 0.5  # of the shortest interval: a younger visitor without a lease is new


class Forecast:
    """The margins of one gate, in seconds."""

    __slots__ = (
        "early_s", "far_eta_s", "far_s", "grace_s", "is_latency_known", "late_s", "min_s", "new_s", "page_below_s",
        "parked_s", "poll_below_s", "watched_eta_s",
    )  # fmt: skip

    def __init__(self) -> None:
        self.new_s = 0.0  # a visitor without a lease that arrived less than that ago is new
        self.min_s = self.far_s = 0.0  # the shortest interval, and the longest as it is stretched now
        self.far_eta_s = inf  # ETA from which on visitors get the longest interval
        self.watched_eta_s = inf  # ETA from which on they are watched as well (`PollLatency`)
        self.early_s = 0.0  # visitors are asked back this much before they are called
        self.grace_s = 0.0  # and are expected until this much later than asked
        self.parked_s = 0.0  # a poll is parked this long at most
        self.page_below_s = self.poll_below_s = 0.0  # if the ETA is not above: of a page load, and of a poll by script
        self.late_s = 0.0  # visitors poll this much later than usual
        self.is_latency_known = False

    def __repr__(self) -> str:
        return f"<Forecast {self.min_s:g}..{self.far_s:g} s, expects visitors {self.grace_s:.2f} s late>"

    def renew(self, s: GateSettings, view: LineView, longest_s: float, latency: PollLatency, is_young: bool) -> None:
        """Bring the margins up to date, after the view's figures.

        longest_s: the longest interval, as it is stretched now. is_young: the gate knows too little of the line to ask
        any visitor back after the longest interval.
        """
        late_s = latency.extra_s
        self.min_s, self.far_s = s.poll_min_s, longest_s
        self.far_eta_s = inf if is_young or view.flow <= 0.0 else far_eta(self.far_s, view.flow)
        self.watched_eta_s = watched_eta(self.far_s)
        self.new_s = NEW * s.poll_min_s
        parking = view.parking(s)
        self.parked_s, self.page_below_s, self.poll_below_s = (
            parking.parked_s,
            parking.page_below_s,
            parking.poll_below_s,
        )
        self.early_s = late_s + min(view.early_most_s, EARLY * self.parked_s)
        self.grace_s = USUAL_S + late_s + MARGIN_S  # no visitor means to poll early: less would end leases too soon
        self.late_s, self.is_latency_known = late_s, latency.is_known
