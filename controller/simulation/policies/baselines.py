"""The published policies that the gate is compared with, each in its best known form.

    bucket          no threshold: a leaky bucket, and a lottery among polling visitors (Shopify 2016; Envoy, nginx)
    lag-p           P on the lag: threshold += dt * (1 + K e)  (Shopify's "stateless fair queueing", 2017, as far as
                    known)
    timestamp-pid   PID on the raw timestamp, dt * K e + I
    csfq            core-stateless fair queueing: lag *= measured eligible rate / share  (Stoica, Shenker, Zhang 1998)
    feed-forward    threshold += dt * share / density * (1 + K e), density of first requests near the threshold

with e = (share - eligible polls per second) / share, clamped to [-3, 1]. All of them ask visitors to poll every
`POLL_S` +- 20 %, as their originals do: 5 s is the interval of the published reports. They share the product's bucket,
so only the law and the appointments differ.
"""

from collections.abc import Mapping
from math import inf

from controller.law.bucket import LeakyBucket
from controller.settings import GateSettings
from controller.simulation.policy import Baseline, PolicyMaker
from controller.verdicts import Admit, Verdict, Wait

__all__ = ["BASELINES"]

POLL_S = 5.0
TICK_S = 1.0


class BucketOnly(Baseline):
    """The lottery. The other policies add a threshold to it."""

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        del resume
        self.share = settings.admissions_per_second
        self.bucket = LeakyBucket(self.share, max(1.0, settings.burst_seconds * self.share), now)
        self.threshold = inf
        self.eligible = 0
        self.ticked_at = now
        self.is_crowded = False

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict:
        del vacancies
        if first_seen <= self.threshold:
            self.eligible += 1
            if self.bucket.take(now):
                return Admit()
        # The first visitor that is not admitted starts the line.
        if not self.is_crowded:
            self.is_crowded = True
            self.start(now)
        self.refuse(first_seen, now)
        return Wait(POLL_S * (0.8 + 0.4 * u), None, None, None)

    def tick(self, now: float) -> None:
        dt = now - self.ticked_at
        if dt >= TICK_S:
            if self.is_crowded and self.share > 0.0:
                e = (self.share * dt - self.eligible) / (self.share * dt)
                self.move(now, dt, min(max(e, -3.0), 1.0))
            self.eligible = 0
            self.ticked_at = now

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        self.share = settings.admissions_per_second
        self.bucket.reshape(self.share, max(1.0, settings.burst_seconds * self.share), now)

    def start(self, now: float) -> None:
        """Begin a line."""

    def refuse(self, first_seen: float, now: float) -> None:
        """Note a visitor that is not admitted."""

    def move(self, now: float, dt: float, e: float) -> None:
        """Do one control step. e: the relative error of the eligible rate."""


class LagP(BucketOnly):
    """Shopify's rule, with the best gain of our own sweep."""

    K = 1.0

    def start(self, now: float) -> None:
        self.threshold = now

    def move(self, now: float, dt: float, e: float) -> None:
        self.threshold = min(self.threshold + dt * (1.0 + self.K * e), now)


class TimestampPid(BucketOnly):
    """A PI controller on the threshold, as in a textbook."""

    KP, KI = 1.0, 0.05
    integral = 0.0

    def start(self, now: float) -> None:
        self.threshold = now

    def move(self, now: float, dt: float, e: float) -> None:
        self.integral = min(max(self.integral + self.KI * e * dt, -1.0), 1.0)
        self.threshold = min(self.threshold + dt * (self.KP * e + self.integral), now)


class Csfq(BucketOnly):
    """A multiplicative rule: an integral controller without a tuning constant."""

    def start(self, now: float) -> None:
        self.opened = now
        self.threshold = now

    def move(self, now: float, dt: float, e: float) -> None:
        """Scale the served span by share / eligible rate, at most by a tenth a step."""
        del dt
        span = max(self.threshold - self.opened, 0.1)
        ratio = 1.0 / max(1.0 - e, 0.25)
        self.threshold = min(self.opened + span * min(max(ratio, 0.9), 1.1), now)


class FeedForward(BucketOnly):
    """Translate the rate to a threshold through the density of first requests, with P on the rate."""

    K = 0.5

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        super().__init__(settings, now, resume)
        self.first_requests: dict[int, int] = {}

    def start(self, now: float) -> None:
        self.threshold = now

    def refuse(self, first_seen: float, now: float) -> None:
        if now - first_seen < 0.5:
            self.first_requests[int(first_seen)] = self.first_requests.get(int(first_seen), 0) + 1

    def move(self, now: float, dt: float, e: float) -> None:
        second = int(self.threshold)
        density = sum(self.first_requests.get(s, 0) for s in (second - 1, second, second + 1)) / 3.0
        speed = 1.1 * self.share / max(density, self.share / 3.0)
        self.threshold = min(self.threshold + dt * max(0.0, speed * (1.0 + self.K * e)), now)


BASELINES: dict[str, PolicyMaker] = {
    "bucket": BucketOnly,
    "timestamp-pid": TimestampPid,
    "lag-p": LagP,
    "csfq": Csfq,
    "feed-forward": FeedForward,
}
