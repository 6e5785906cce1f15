"""When a waiting visitor comes back: the server picks the appointment, the strongest lever there is.

    eta > far           poll_max (stretched while there are more polls than the budget allows)
    far >= eta > near   min(FAR * eta, eta - APPROACH_S - spread), so that the last stretch begins in time
                        even if the line moves 1 / FAR times as fast as foreseen
    near >= eta         exactly at the front if this node knows the whole line, else after poll_min; their answer
                        is held by then (`holding`, controller/polling/parked_polls.py)

`spread` is the uncertainty of the estimate: a line of n visitors of which the node sees a sample is known to
sqrt(n), which is sqrt(eta / flow) seconds. A newcomer's first appointment is at half the ETA (do they come
back at all?), and within a second or so while that is not known of newcomers in general: poll_min (1 .. 1 + PROBE).
"""

from math import inf
from typing import Final

from controller.settings import GateSettings

APPROACH_S: Final = 2.0
FAR: Final = 0.77
SPREAD: Final = 0.3
PROBE: Final = 0.5
HELD: Final = 1.5  # shortest intervals
HELD_BELOW: Final = 0.9  # of it: the rest is for what the estimate is off by
SAMPLED_HELD_BELOW: Final = 1.8
FROM_FAR: Final = 3  # power of `want`: how far back a node looks that few come to
HELD_MOST_S: Final = 5.0  # whoever asks, and every proxy in between, waits for ten seconds at least
CALM_POLL_S: Final = 5.0  # while the room is held
AIM: Final = 0.97  # of the budget: what jitter may add to a second is kept free
LONGEST_S: Final = 86_400.0


def appointment(eta_s: float, flow: float, min_s: float, far_s: float, is_exact: bool) -> float:
    """Seconds until the next poll of a visitor whose turn comes in `eta_s`. min_s, far_s: the shortest interval, and
    the longest as it is stretched now."""
    if eta_s <= 2.0 * APPROACH_S:
        return max(eta_s, min_s) if is_exact else min_s
    spread: float = 0.0 if is_exact else (eta_s / flow) ** 0.5
    early_s = APPROACH_S + SPREAD * spread
    after_s = min(eta_s - early_s, FAR * eta_s)
    return max(min(after_s, far_s), min_s)


def far_eta(s: GateSettings, flow: float, stretch: float) -> float:
    """From this ETA on `appointment` is the longest interval (a safe bound, so it need not be asked)."""
    far = s.poll_max_s * stretch
    spread = SPREAD * ((2.0 * far + APPROACH_S) / flow) ** 0.5
    return max(far / FAR, far + APPROACH_S + spread) if spread <= far else inf


def first_appointment(
    s: GateSettings, eta_s: float, after_s: float, is_probed: bool, u: float, is_joined: bool
) -> float:
    """The same for a newcomer: soon enough to find out who comes back, and no crowd marches in step.

    Of a line that has just formed the first are back after poll_min to the point: the bucket is full by then, and what
    overflows makes everybody late for good. Joined nodes would overshoot, for they hear of it a heartbeat later.
    """
    if not is_probed and eta_s < 2.0 * s.poll_max_s:
        apart = 1.0 if is_joined else min(max(eta_s / s.poll_min_s - 1.0, 0.0), 1.0)
        return s.poll_min_s * (1.0 + PROBE * u * apart)
    if eta_s < 2.0 * s.poll_min_s:  # in two steps the second would be too long
        return after_s
    return max(s.poll_min_s, min(after_s * (1.0 - 0.1 * u), 0.5 * eta_s))


def holding(s: GateSettings, is_exact: bool, want: float = 1.0) -> tuple[float, float, float]:
    """For how many seconds an answer is held at most, up to which ETA, and up to which that of a poll by script is.

    A node that knows the whole line holds those whose turn comes within that time. A node that sees a sample holds
    twice as many, some of them in vain: so its part of the next seconds' visitors waits there, not of the next
    second's alone, and the oldest of more visitors are more nearly the oldest of all. It takes no more polls, for
    `appointment` would ask them back sooner than that.

    want: its capacity to what its part of the visitors makes of the room's. A node that gets too few must let in some
    who come from far back. So that it can choose, it holds those longer, up to HELD_MOST_S, and from much further
    back. Only who waits in a page that is there does not mind: nobody who is that far looks at a page that loads.
    """
    usual_s = min(HELD * s.poll_min_s, HELD_MOST_S)
    below_s = (HELD_BELOW if is_exact else SAMPLED_HELD_BELOW) * usual_s
    return min(usual_s * want, HELD_MOST_S), below_s, below_s * want**FROM_FAR


def calm(s: GateSettings, stretch: float, u: float) -> float:
    """While nobody can be admitted at all."""
    stretched_by_s = s.poll_max_s * (stretch - 1.0)
    return (min(max(CALM_POLL_S, s.poll_min_s), s.poll_max_s) + stretched_by_s) * (0.8 + 0.4 * u)


def stretched(stretch: float, seats: float, s: GateSettings, dt: float) -> float:
    """The next stretch of the longest interval, `lead = stretch * poll_max`; 1 = none.

    The lead is how far ahead the calendar of appointments is full. Every poll takes one seat in it, and AIM * budget
    seats a second are free: lead += seats / (AIM * budget) - dt. Whoever is told to come back in `lead` seconds then
    comes when a seat was free for them, so the polls of a crowd that came all at once are spread evenly however large
    it is, and nothing has to be estimated. (A leaky bucket of appointments; generic cell rate algorithm, ITU-T I.371.)
    """
    if s.poll_budget_per_s is None:
        return 1.0
    lead_s = stretch * s.poll_max_s + seats / (AIM * s.poll_budget_per_s) - dt
    return max(1.0, min(lead_s, LONGEST_S) / s.poll_max_s)


def newcomers_seats(count: int, per_s: float, show_up: float, budget_per_s: float | None) -> float:
    """Seats of so many first visits, beyond the one that every poll takes.

    A first visit took no seat, so it takes one now, and the crowd pays for it by coming a little later: as long as
    newcomers fill no more than half of the budget. A rush that does will not last. Who does not come back takes none.
    """
    if budget_per_s is None or not count:
        return 0.0
    return count * (min(1.0, 0.5 * budget_per_s / max(per_s, 1e-9)) - (1.0 - show_up))
