"""The law: how far the door is open. It moves one number, the threshold, and knows nothing of who passes.

The process variable is the bucket's level in seconds of the share, counting eligible visitors who were
refused as negative: y = (level - R * refused/s) / rate; of joined nodes it is the room's level, see pool.py. It
should stay at a reserve (RESERVE_S): late by so little for everybody, and hardly ever empty. The output is a *number of
people* to call, not a time:

    k(t) = flow * (depth + u),        u = Kp e + Ki * integral(e dt) + boost,      e = y - reserve
    threshold = first_seen of the k-th visitor in this node's line

`flow` (visitors a second that the whole fleet takes from this node's sample of the line) makes the loop gain
the same at 1/s and at 5,000/s, and the line itself translates people to time, so the density of arrivals,
which varies twentyfold within one sale, drops out: a plain PID on the timestamp crawls or rings there.

Why it is stable: those called are there, for their answers are held, or poll within a second or so, so a step of k
changes the eligible visitors per second within that (dead time) and has no integrator of its own; the bucket is one
integrator, bounded at both ends, Kp 0.8 with a dead time of about 0.5 s keeps a phase margin above 45 degrees,
and Ki = Kp/8 only takes out what is steadily wrong (latency, show-up share, an uneven load balancer).

`depth` is what is called ahead when all is well, plus half of the time by which visitors come late: DEPTH_S, since
whoever comes finds the others by chance; EXACT_DEPTH_S on a node that knows the whole line by itself.

`boost` is the anti-waste term: a bucket more than half full is about to lose capacity for good, which makes
*everybody* late, so the call grows with the square of the excess, up to BOOST_S.

No information is no error: while nobody waits, the room is held or no place is free, nothing is integrated.
"""

from math import inf
from typing import Final

from controller.law.pi import Gains, PiController, PiTerms
from controller.line.line import Line
from controller.line.meter import RateMeter

RESERVE_S: Final = 0.06  # late by this much: half of what comes in between two control steps
SAMPLED_RESERVE_S: Final = 0.04  # of a node that sees a sample: the visitors whom it holds differ by more than that
DEPTH_S: Final = 0.3  # called ahead when all is well: of the others' visitors some are there, some on their way
EXACT_DEPTH_S: Final = 0.05  # where nearly all are there the more are called, the less it counts who is first
REFUSED_S: Final = 0.5  # a refused visitor is on the way back for half an interval, on average
BOOST_S: Final = 6.0
POOLED_ERROR_S: Final = 0.4  # joined nodes all see the same error at once, and react to it all at once
PATIENCE_S: Final = 1.2  # and wait until those called have had the time to come before they call more
LATE: Final = 0.5  # of the lateness, as of the interval
OVERDUE_S: Final = 0.25
HOLD: Final = 0.5  # of the root of a second's admissions, by which the level comes and goes
SAMPLED_HOLD: Final = 0.2  # each of many nodes holds it, and who leaves takes it along
FULL: Final = 0.999  # of a bucket: one that is full always gives
AGREE: Final = 0.25  # of the difference, each heartbeat; news of one is two heartbeats old at most
GAINS: Final = Gains(kp=0.8, ki=0.1, low=-5.0, high=60.0)


class ThresholdLaw:
    """Feedback from the bucket to the threshold of one node."""

    __slots__ = (
        "_idle_s", "_pi", "_refused", "ahead", "hold", "is_exact", "is_sampled", "late_s", "overdue", "threshold",
    )  # fmt: skip

    def __init__(self, threshold: float = inf, integral: float = 0.0) -> None:
        self._pi = PiController(GAINS, integral)
        self._refused = RateMeter(1.0)
        self._idle_s = 0.0  # for how long the bucket has been more than half full, be it that nobody could come
        self.threshold = threshold  # older ones are called; inf: everybody
        self.overdue = threshold  # whose turn is over: they may take the last tokens
        self.hold = 0.0  # tokens that the others leave in the bucket
        self.ahead = 0.0  # visitors of the node's line who are called
        self.late_s = 0.0  # so much later than usual visitors come
        self.is_exact = False  # this node knows the whole line by itself, so its appointments are exact
        self.is_sampled = False  # it sees a sample, and hears of no other node

    def __repr__(self) -> str:
        return f"<ThresholdLaw {self.threshold:.3f} {self._pi!r}>"

    @property
    def terms(self) -> PiTerms:
        return self._pi.terms

    @property
    def integral(self) -> float:
        """Of the feedback, seconds."""
        return self._pi.integral

    @property
    def depth_s(self) -> float:
        """Called ahead when all is well, seconds of the flow: who is asked back every second is on the way longer."""
        return (EXACT_DEPTH_S if self.is_exact else DEPTH_S) + LATE * self.late_s

    @property
    def reserve_s(self) -> float:
        """What a node on its own keeps, seconds of its share."""
        return SAMPLED_RESERVE_S if self.is_sampled else RESERVE_S

    def refuse(self) -> None:
        """A called visitor found the bucket empty."""
        self._refused.count += 1

    def agree(self, dissent_s: float) -> None:
        """The laws of joined nodes act on one room. What each sees of it differs a little, always in the same sense,
        and integrals of that drift apart: some nodes would call ever more, and the others ever fewer."""
        self._pi.shift(AGREE * dissent_s)

    def keep(self, rate: float, depth: float) -> None:
        """What those whose turn is not over leave in a bucket, or in the room's, of such a rate and depth."""
        hold = SAMPLED_HOLD if self.is_sampled else HOLD
        self.hold = min(hold * rate**0.5, FULL * (depth - 1.0))

    def open(self) -> None:
        """Nobody waits."""
        self.threshold = self.overdue = inf
        self.hold = self.ahead = 0.0
        self._pi.hold()

    def step(
        self,
        line: Line,
        level: float,
        capacity: float,
        rate: float,
        flow: float,
        dt: float,
        is_blocked: bool,
        reserve_s: float | None = None,
    ) -> None:
        """One control step; `is_blocked`: the bucket idles for want of free places, nobody's error. `reserve_s`: of
        joined nodes, whose level is that of the room; None: this node is on its own."""
        refused = self._refused.tick(dt)
        is_alone = reserve_s is None
        excess = max(0.0, 2.0 * level / capacity - 1.0)
        self._idle_s = self._idle_s + dt if excess > 0.0 else 0.0
        if is_blocked:
            u = self._pi.hold()
        else:
            owed = (
                (REFUSED_S + LATE * self.late_s) * refused if is_alone else 0.0
            )  # of the room's tokens a refusal here says nothing
            most = 1.0 if is_alone else POOLED_ERROR_S
            target = min(self.reserve_s if reserve_s is None else reserve_s, 0.5 * capacity / rate)
            u = self._pi.step(min(max((level - owed) / rate - target, -most), most), dt)
            if is_alone or self._idle_s > PATIENCE_S:
                u += BOOST_S * excess**2
        overdue = line.nth(OVERDUE_S * flow)
        self.overdue = inf if overdue is None else overdue
        called = line.nth(max(0.0, flow * (self.depth_s + u)))
        self.threshold = inf if called is None else called
        self.ahead = len(line) if called is None else line.ahead(called)
