"""The law: how many visitors to call. It reads one sample a control step, and admits nobody itself.

The process variable is the bucket's level in seconds of the share, and a called visitor that was refused counts as a
negative token: y = (level - R * refused/s) / rate. Of joined nodes it is the level of the shared bucket. It should
stay at a target: every visitor is late by that little, and the bucket is hardly ever empty. The output is a *number
of visitors* to call, not a time:

    k(t) = flow * (depth + u),        u = Kp e + Ki * integral(e dt) + boost,      e = y - target
    threshold = first_seen of the k-th visitor in this node's line

`flow` (visitors a second that the whole fleet takes from this node's sample of the line) makes the loop gain the same
at 1/s and at 5,000/s. The line itself translates visitors to time, so the density of arrivals, which varies twentyfold
within one sale, drops out. A plain PID on the timestamp crawls or rings there.

Why it is stable: called visitors are parked, or poll within a second or so. A step of k therefore changes the eligible
visitors per second within that dead time and has no integrator of its own. The bucket is one integrator, bounded at
both ends. Kp 0.8 with a dead time of about 0.5 s keeps a phase margin above 45 degrees, and Ki = Kp/8 only removes what
is steadily wrong (latency, return rate, an uneven load balancer).

`depth` is what is called ahead when all is well, plus half of the time by which visitors are late. It depends on the
mode (`LawTuning`).

`boost` works against waste. A bucket more than half full is about to lose capacity for good, which makes *every*
visitor late, so the call grows with the square of the excess, up to BOOST_S.

After a standstill the called visitors need some seconds to be back, and an unused bucket is no sign that more must be
called: there is no boost for CALM_S.

No information is no error: while nobody waits, the room is closed or there is no vacancy, nothing is integrated.
"""

from typing import Final

from controller.law.pi import Gains, PiController, PiTerms
from controller.law.sample import LATE, Call, LawSample, LawTuning
from controller.meter import RateMeter

REFUSED_S: Final = 0.5  # a refused visitor is on the way back for half an interval, on average
BOOST_S: Final = 6.0
CALM_S: Final = 2.0
OVERDUE_S: Final = 0.25
FULL: Final = 0.999  # of a bucket: a full one always gives
AGREE: Final = 0.25  # of the difference, each heartbeat; news of it is two heartbeats old at most
GAINS: Final = Gains(kp=0.8, ki=0.1, low=-5.0, high=60.0)


class ThresholdLaw:
    """Feedback from the bucket to the number of visitors called. It keeps its own memory and nothing else."""

    __slots__ = ("_idle_s", "_pi", "_refused")

    def __init__(self, integral: float = 0.0) -> None:
        self._pi = PiController(GAINS, integral)
        self._refused = RateMeter(1.0)
        self._idle_s = 0.0  # how long the bucket has been more than half full, also when nobody could poll

    def __repr__(self) -> str:
        return f"<ThresholdLaw {self._pi!r}>"

    @property
    def terms(self) -> PiTerms:
        return self._pi.terms

    @property
    def integral(self) -> float:
        """Of the feedback, seconds."""
        return self._pi.integral

    def agree(self, dissent_s: float) -> None:
        """Move the integral towards the fleet's mean.

        The laws of joined nodes act on one room. Each sees it a little differently, always in the same sense, so their
        integrals would drift apart: some nodes would call ever more visitors and the others ever fewer.
        """
        self._pi.shift(AGREE * dissent_s)

    def calm(self) -> None:
        """Note that this node stood still until now."""
        self._idle_s = -CALM_S

    def rest(self) -> None:
        """Take a step without information: nobody waits."""
        self._pi.freeze()

    def step(self, sample: LawSample, tuning: LawTuning) -> Call:
        """Take one control step and return how many visitors to call."""
        supply, dt = sample.supply, sample.dt_s
        rate, capacity = supply.rate, supply.capacity
        self._refused.count += sample.refused
        refused = self._refused.tick(dt)
        excess = max(0.0, 2.0 * supply.level / capacity - 1.0)
        self._idle_s = self._idle_s + dt if excess > 0.0 else min(self._idle_s + dt, 0.0)
        if sample.is_blocked:
            u = self._pi.freeze()
        else:
            owed = (REFUSED_S + LATE * sample.late_s) * refused if tuning.counts_refusals else 0.0
            most = tuning.error_limit_s
            target = min(supply.target_s, 0.5 * capacity / rate)
            u = self._pi.step(min(max((supply.level - owed) / rate - target, -most), most), dt)
            if self._idle_s > tuning.patience_s:
                u += BOOST_S * excess**2
        called = max(0.0, supply.flow * (tuning.ahead_s(sample.late_s) + u))
        reserve = min(tuning.reserve * supply.room_rate**0.5, FULL * (supply.room_depth - 1.0))
        return Call(called, OVERDUE_S * supply.flow, reserve)
