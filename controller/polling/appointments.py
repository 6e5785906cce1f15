"""When a waiting visitor polls again. The server picks the appointment; it is the strongest lever that it has.

    eta > far           the longest interval (stretched while there are more polls than the budget allows)
    far >= eta > near   min(FAR * eta, eta - APPROACH_S - spread), so that the last stretch begins in time
                        even if the line moves 1 / FAR times as fast as expected
    near >= eta         exactly at the front if this node knows the whole line, else after the shortest interval;
                        their poll is parked by then (`parking`, controller/polling/parked_polls.py)

`spread` is the uncertainty of the estimate: a line of n visitors of which the node sees a sample is known to sqrt(n),
which is sqrt(eta / flow) seconds. A newcomer's first appointment is at half the ETA, to learn whether they come back at
all, and within 1 .. 1 + PROBE shortest intervals while that is not known of newcomers in general.
"""

from dataclasses import dataclass
from math import inf
from typing import Final

from controller.settings import GateSettings

APPROACH_S: Final = 2.0
FAR: Final = 0.77
SPREAD: Final = 0.3
PROBE: Final = 0.5
PARKED: Final = 1.5  # shortest intervals
PARKED_BELOW: Final = 0.9  # of it: the rest is for the error of the estimate
SAMPLED_PARKED_BELOW: Final = 1.8
FROM_FAR: Final = 3  # power of `want`: how far back a node looks that few visitors poll
PARKED_MOST_S: Final = 5.0  # every client, and every proxy in between, waits for ten seconds at least


def exact_appointment(eta_s: float, min_s: float, far_s: float) -> float:
    """Return the seconds until the next poll of a visitor that is admitted in `eta_s`, where the ETA is exact.

    min_s, far_s: the shortest interval, and the longest as it is stretched now.
    """
    if eta_s <= 2.0 * APPROACH_S:
        return max(eta_s, min_s)
    after_s = min(eta_s - APPROACH_S, FAR * eta_s)
    return max(min(after_s, far_s), min_s)


def sampled_appointment(eta_s: float, flow: float, min_s: float, far_s: float) -> float:
    """Return the same where the ETA is known from a sample of the line of which `flow` visitors a second go in."""
    if eta_s <= 2.0 * APPROACH_S:
        return min_s
    spread: float = (eta_s / flow) ** 0.5
    early_s = APPROACH_S + SPREAD * spread
    after_s = min(eta_s - early_s, FAR * eta_s)
    return max(min(after_s, far_s), min_s)


def far_eta(far_s: float, flow: float) -> float:
    """Return an ETA from which on every appointment is the longest interval, so that none need be computed."""
    spread = SPREAD * ((2.0 * far_s + APPROACH_S) / flow) ** 0.5
    return max(far_s / FAR, far_s + APPROACH_S + spread) if spread <= far_s else inf


def first_appointment(
    s: GateSettings, eta_s: float, after_s: float, is_probed: bool, u: float, is_spread: bool
) -> float:
    """Return a newcomer's appointment: soon enough to learn the return rate, and such that no crowd polls in step.

    after_s: their appointment, were they no newcomer. u: uniform in [0, 1). Of a line that has just formed the first
    visitors are back after exactly the shortest interval: the bucket is full by then, and what overflows makes every
    visitor late for good. is_spread: not even those, because joined nodes would overshoot: they hear of each other's
    admissions a heartbeat later.
    """
    if not is_probed and eta_s < 2.0 * s.poll_max_s:
        apart = 1.0 if is_spread else min(max(eta_s / s.poll_min_s - 1.0, 0.0), 1.0)
        return s.poll_min_s * (1.0 + PROBE * u * apart)
    if eta_s < 2.0 * s.poll_min_s:  # in two steps the second would be too long
        return after_s
    return max(s.poll_min_s, min(after_s * (1.0 - 0.1 * u), 0.5 * eta_s))


@dataclass(frozen=True, slots=True)
class Parking:
    """How long a poll is parked at most, and up to which ETA: of a page load, and of a poll by script."""

    parked_s: float
    page_below_s: float
    poll_below_s: float


def parking(s: GateSettings, below: float = PARKED_BELOW, want: float = 1.0) -> Parking:
    """Return how long polls are parked, and from which ETA on.

    A node that knows the whole line parks the visitors that are admitted within that time. A node that sees a sample
    parks twice as many (`below`), some of them in vain: so its part of the next seconds' visitors is parked there, not
    of the next second's alone, and the oldest of more visitors are more nearly the oldest of all. It costs no more
    polls, because `sampled_appointment` would ask them back sooner than that.

    want: this node's capacity to what its part of the visitors makes of the room's. A node that too few visitors poll
    must admit some from far back. So that it can choose, it parks those longer, up to PARKED_MOST_S, and from much
    further back. Only visitors with an open page do not notice that; a visitor that far back does not load a page.
    """
    usual_s = min(PARKED * s.poll_min_s, PARKED_MOST_S)
    below_s = below * usual_s
    return Parking(min(usual_s * want, PARKED_MOST_S), below_s, below_s * want**FROM_FAR)
