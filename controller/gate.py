"""The gate of one room on one node: who passes now, and when everybody else comes back."""

from collections.abc import Mapping
from dataclasses import replace
from math import inf, isfinite

from controller.bucket import LeakyBucket
from controller.decisions import Admit, Verdict, Wait
from controller.line import YOUNG_S, Line
from controller.meter import RateMeter
from controller.pid import Gains, Pid
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot

RESERVE_S = 0.15  # the bucket's set point, in seconds of the share: late by this much, hardly ever empty
DEPTH_S = 0.6
APPROACH_S = 2.0  # the last appointment but one is this far before the front
ZONE_S = 3.0  # beyond the longest interval
GRACE_S = 0.1  # a client is expected this much after its appointment
REFW = 0.5
CALM_POLL_S = 5.0  # interval while the room is held
GAINS = Gains(kp=1.0, ki=0.1, low=-5.0, high=60.0)


class Gate:
    """`decide` for every poll, `tick` a few times a second; all times are float seconds of the wall clock."""

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        self._settings = settings
        self._bucket = LeakyBucket(settings.admissions_per_second, settings.bucket_depth, now)
        self._line = Line(settings.max_leases, now, settings.poll_max_s + YOUNG_S)
        self._pid = Pid(GAINS)
        self._refused = RateMeter(1.0)
        self._threshold = inf  # inf: nobody waits, everybody may try the bucket
        self._slots_seen: int | None = None
        self._ticked_at = now
        self._clock = now  # never goes back
        self._shift = 0.0  # clock = wall + shift
        self._stretch = 1.0
        self._ahead = 0.0
        self._slot_rate = RateMeter(10.0)
        self._polls, self._arrivals, self._admitted = RateMeter(3.0), RateMeter(3.0), RateMeter(3.0)
        if resume is not None:
            self._resume(resume, now)

    def __repr__(self) -> str:
        return f"<Gate threshold={self._threshold:.3f} {self._bucket!r} {self._line!r}>"

    def decide(self, first_seen: float, now: float, draw: float, slots: int | None = None) -> Verdict:
        """One poll. `draw` is uniform in [0, 1); `slots`: free places for active visitors, None: no limit."""
        clock = self._read(now)
        line = self._line
        age_s = now - first_seen
        self._polls.count += 1
        is_first = age_s < 0.5 * self._settings.poll_min_s and first_seen not in line.book
        if is_first:
            self._arrivals.count += 1
        else:
            line.visit(first_seen, age_s)
        self._slots_seen = slots
        is_called = first_seen <= self._threshold or not line.book
        if is_called and (slots is None or slots > 0) and self._rate() > 0.0 and self._bucket.take(now):
            ahead = line.book.rank(first_seen)
            line.leave(first_seen)
            self._admitted.count += 1
            return Admit(max(0.0, age_s), not line.book, ahead)
        if is_called:
            self._refused.count += 1
        return self._wait(first_seen, clock, draw, is_first)

    def tick(self, now: float) -> None:
        """The control step: any dt works, also none and a negative one."""
        clock = self._read(now)
        dt = clock - self._ticked_at
        if dt <= 0.0:
            return
        self._ticked_at = clock
        self._line.tick(clock, now)
        polls = self._polls.tick(dt)
        self._arrivals.tick(dt)
        self._admitted.tick(dt)
        self._pace(polls, dt)
        self._move(now, clock, dt)

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """New settings from now on; nothing jumps: threshold, bucket level and lease book stay."""
        self._settings = settings
        self._bucket.reshape(settings.admissions_per_second, settings.bucket_depth, now)

    def set_share(self, admissions_per_second: float, now: float) -> None:
        """A new share of the capacity; the rest of the settings stays."""
        room = self._settings.room_admissions_per_second
        self.reconfigure(
            replace(self._settings, admissions_per_second=admissions_per_second, room_admissions_per_second=room),
            now,
        )

    def checkpoint(self, now: float) -> dict[str, float]:
        """What a restarted worker needs to go on: a small mapping of finite floats."""
        return {
            "at": now,
            "level": self._bucket.level(now),
            "threshold": self._threshold if isfinite(self._threshold) else 0.0,
            "open": 0.0 if isfinite(self._threshold) else 1.0,
            "integral": self._pid.terms.i,
            "polls_per_s": self._polls.rate,
            "arrivals_per_s": self._arrivals.rate,
            "admitted_per_s": self._admitted.rate,
        }

    def snapshot(self, now: float) -> GateSnapshot:
        """An immutable picture of now."""
        waiting = round(self._line.waiting())
        rate = self._rate()
        threshold = min(self._threshold, now)
        return GateSnapshot(
            now=now,
            lag_s=max(0.0, now - threshold),
            threshold=threshold,
            bucket_level=self._bucket.level(now),
            bucket_depth=self._bucket.depth,
            admissions_per_second=self._settings.admissions_per_second,
            waiting=waiting,
            waiting_room=waiting * self._settings.nodes,
            eta_last_s=waiting / rate if rate > 0.0 else None,
            polls_per_s=self._polls.rate,
            arrivals_per_s=self._arrivals.rate,
            admitted_per_s=self._admitted.rate,
            show_up=self._line.showup.share,
            budget_stretch=self._stretch,
            pid=self._pid.terms,
            admitted=self._admitted.total + self._admitted.count,
            polled=self._polls.total + self._polls.count,
            wasted=self._bucket.overflowed,
            held=self._settings.admissions_per_second <= 0.0,
        )

    def _wait(self, first_seen: float, clock: float, draw: float, is_first: bool) -> Wait:
        s = self._settings
        line = self._line
        ahead = line.ahead(first_seen)
        rate = self._rate()
        if rate <= 0.0:
            after = (
                min(max(CALM_POLL_S, s.poll_min_s), max(s.poll_max_s, s.poll_min_s))
                * self._stretch
                * (0.8 + 0.4 * draw)
            )
            line.expect(first_seen, clock + after + GRACE_S, is_first)
            return Wait(after, int(ahead * s.nodes) + 1, None, None)
        if s.nodes > 1 and first_seen > self._threshold:
            n = line.place(first_seen, self._threshold)
        else:
            n = ahead + 1.0 - self._ahead
        eta = max(0.0, DEPTH_S + RESERVE_S + n / rate)
        if eta <= APPROACH_S * 2.0:
            after = eta if s.nodes == 1 else s.poll_min_s
        else:
            after = min(eta - APPROACH_S, s.poll_max_s)
        if is_first and eta < 2.0 * s.poll_max_s:
            after = min(after, eta / 2) if line.is_probed else s.poll_min_s * (1.0 + 0.5 * draw)
        after = max(after, s.poll_min_s)
        if self._stretch > 1.0 and eta > 2.0 * APPROACH_S:
            after = min(after * self._stretch, max(after, eta - APPROACH_S))
        line.expect(first_seen, clock + after + GRACE_S, is_first)
        return Wait(after, int(ahead * s.nodes) + 1, eta, eta * 1.2 + 2.0)

    def _pace(self, polls: float, dt: float) -> None:
        """Stretch the intervals while there are more polls than the budget allows."""
        budget = self._settings.poll_budget_per_s
        if budget is None:
            self._stretch = 1.0
            return
        step = min(1.0, dt / 3.0)
        self._stretch = min(max(1.0, self._stretch * (1.0 + step * (polls / budget - 1.0))), 1e4)

    def _move(self, now: float, clock: float, dt: float) -> None:
        """Set the threshold so that those called within one horizon find just enough tokens."""
        rate = self._rate()
        level = self._bucket.level(now)
        if not self._line.book:
            self._threshold = inf
            self._pid.hold()
            return
        if rate <= 0.0 or (self._slots_seen is not None and self._slots_seen <= 0):
            self._pid.hold()
            return
        refused = self._refused.tick(dt)
        error = (level - REFW * refused) / rate - RESERVE_S
        trim = self._pid.step(min(max(error, -1.0), 1.0), dt)
        self._depth = max(0.0, rate * (DEPTH_S + trim))
        line = self._line
        at = line.nth(self._depth)
        self._threshold = inf if at is None else at
        front = min(self._threshold, now)
        self._ahead = line.ahead(front)
        line.freeze(front, (self._settings.poll_max_s + ZONE_S) * rate, now - 3.0)

    def _rate(self) -> float:
        return self._settings.admissions_per_second

    @property
    def _bucket_time(self) -> float:
        return self._clock - self._shift

    def _read(self, now: float) -> float:
        """The wall clock made monotone; a step back of over a second is taken as a new axis."""
        clock = now + self._shift
        if clock < self._clock:
            if self._clock - clock > 1.0:
                self._shift += self._clock - clock
            return self._clock
        self._clock = clock
        return clock

    def _resume(self, saved: Mapping[str, float], now: float) -> None:
        """Go on where a worker stopped; the bucket gains only what the time away is worth."""
        s = self._settings
        away = min(max(now - saved.get("at", now), 0.0), 3600.0)
        level = min(max(saved.get("level", 0.0), 0.0) + away * s.admissions_per_second, s.bucket_depth)
        self._bucket = LeakyBucket(s.admissions_per_second, s.bucket_depth, now, level)
        self._threshold = inf if saved.get("open", 0.0) else min(saved.get("threshold", now), now)
        self._pid = Pid(GAINS, saved.get("integral", 0.0))
