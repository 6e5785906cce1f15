"""The state of a gate, and what moves it: the control step, settings, the fleet, standstills. `Gate` adds the verdicts.

    tick         leases end, rates are folded in, the law calls visitors
    reconfigure  other settings
    hold         the line stands still, and later goes on in order (`controller/standstill.py`)
    observe      news of joined nodes; `summary` is this node's own, `leave_fleet` ends it
    checkpoint   what a restarted worker needs

What differs between a node that is alone, joined nodes and nodes that share nothing is in the line view
(`controller/line/view.py`), which is chosen anew at every control step.
"""

from collections.abc import Iterable, Mapping
from dataclasses import replace
from math import inf
from typing import Final

from controller.checkpoint import GONE_S, NEAR_S, Checkpoint, read
from controller.clock import MonotoneClock
from controller.fleet.membership import Membership
from controller.fleet.summary import TTL_S, Summary
from controller.law.bucket import LeakyBucket
from controller.law.sample import OPEN, LawSample
from controller.law.scarcity import Scarcity
from controller.law.threshold import ThresholdLaw
from controller.line.forecast import Forecast
from controller.line.line import YOUNG_S, Line
from controller.line.poll_latency import PollLatency
from controller.line.stall_guard import LATE_S, StallGuard
from controller.line.view import ZONE_S
from controller.meter import RateMeter
from controller.modes import Modes
from controller.polling.budget import PollBudget
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot, snapshot_of
from controller.standstill import STILL, Freeze

__all__ = ["GateControl"]

# In shortest intervals: a node that joins a running sale first listens for so long. Its bucket fills meanwhile, and
# what does not fit is lost to the room.
COLD_INTERVALS: Final = 0.7
QUIET_PER_S: Final = 0.01  # polls a second: some 15 s after a single one


class GateControl:
    """Call `tick` ten times a second. All times are float seconds of the wall clock."""

    __slots__ = (
        "_admitted", "_arrivals", "_born", "_bucket", "_budget", "_calls", "_clock", "_cold_until", "_fleet",
        "_forecast", "_grown_up", "_guard", "_latency", "_law", "_line", "_modes", "_polls", "_refused", "_scarcity",
        "_settings", "_standstill", "_thresholds", "_ticked_at", "_view", "called_per_token",
    )  # fmt: skip

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        """Start empty, or from a checkpoint. `resume={}`: join a running sale: an empty bucket, and listen first."""
        self._settings, self._standstill = settings, Freeze(settings)
        s = self._standstill.plan
        rate = s.admissions_per_second
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, s.idle_depth_at(rate))
        self._line = Line(s.max_leases, now, s.poll_max_s + YOUNG_S, s.nodes)
        self._fleet = Membership(self._line)
        self._modes = Modes(self._line, self._fleet)
        self._view = self._modes.choose()
        self._law = ThresholdLaw()
        self._calls = self._thresholds = OPEN  # of the line when it goes on, and now
        self._clock, self._ticked_at = MonotoneClock(now), now
        self._born = self._cold_until = self._grown_up = -inf  # when it joined, may call, and knows the line
        self._refused = 0  # called visitors not admitted since the law's last step: no token or vacancy, or room closed
        self._latency, self._guard, self._scarcity, self._budget = PollLatency(), StallGuard(), Scarcity(), PollBudget()
        self._polls, self._arrivals, self._admitted = self._budget.polls, self._budget.arrivals, RateMeter(10.0)
        self._forecast = Forecast()
        self.called_per_token = 1.0  # visitors for which a token is enough, because some do not take their turn
        self._renew()
        if resume is not None:
            self._resume(resume, now)
        self._look(now)

    def __repr__(self) -> str:
        return f"<Gate {self._law!r} {self._bucket!r} {self._view!r}>"

    @property
    def settings(self) -> GateSettings:
        return self._settings

    @property
    def is_quiet(self) -> bool:
        """Whether nobody waits and nobody has polled for some time: a control step now and then is enough."""
        return self._view.is_empty and not self._polls.count and self._polls.rate < QUIET_PER_S

    @property
    def is_frozen(self) -> bool:
        """Whether the line stands still: nobody is admitted, and verdicts have no ETA."""
        return self._standstill.is_frozen

    @property
    def is_returning(self) -> bool:
        """Whether visitors next to the front are still to come back after a restart of everything."""
        return self._standstill.is_returning(self._view, self._clock.now)

    @property
    def has_line(self) -> bool:
        """Whether somebody waits, here or, as far as joined nodes have told, elsewhere."""
        return not self._view.is_empty

    @property
    def admitted_total(self) -> int:
        """Admissions of the whole room until now, as far as this node can tell."""
        own = self._admitted.total + self._admitted.count
        return self._fleet.admitted if self._fleet.view is not None else own * self._settings.nodes

    @property
    def bucket(self) -> LeakyBucket:
        """Its tokens. The divider of a room with lanes moves some between them (`controller/lanes.py`)."""
        return self._bucket

    @property
    def threshold(self) -> float:
        """Visitors with a first_seen up to it may try the bucket, unless frozen. Infinite while nobody waits."""
        return self._calls.threshold

    def tick(self, now: float) -> None:
        """Take the control step. Any interval works, also 0 and a negative one."""
        clock = self._clock.read(now)
        dt = clock - self._ticked_at
        if dt <= 0.0:
            return
        self._ticked_at = clock
        self._fleet.wake(clock)
        s, line, view, forecast, guard = self._settings, self._line, self._view, self._forecast, self._guard
        is_stalled = view.watch(guard, dt, self._polls.count, clock, self._fleet.is_silent(clock))
        line.tick(clock, now, view.delayed_s(guard), forecast.late_s, forecast.is_latency_known)
        view.tick(clock, max(guard.behind_s, self._fleet.lag_s(clock)), self._calls.threshold)
        self._budget.tick(s, line.return_rate.share, dt)
        line.lengthen(s.poll_max_s * self._budget.stretch)
        self._latency.tick(clock, forecast.far_s)
        if self._standstill.is_held:  # perhaps because the others cannot be heard
            self._fleet.heard_at = clock
        elif clock - self._fleet.heard_at > TTL_S:
            self.leave_fleet(now)
        if not self._is_still:
            self._fleet.wait(dt)
        self._look(now)
        if self._standstill.is_frozen:
            self._renew()
            self._survey(now)
            return
        self._admitted.tick(dt)
        is_blocked = self._scarcity.tick(dt)
        self._renew()
        if clock >= self._cold_until:
            self._call(now, dt, is_blocked or is_stalled)
        if dt > LATE_S:
            self._law.calm()

    def hold(self, is_held: bool, now: float, until: float | None = None) -> None:
        """Let the line stand still, or go on, for reasons that are not the gate's. until: when all nodes go on."""
        self._standstill.is_held, self._standstill.opens_at = is_held, until
        self._look(now)

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """Use new settings from now on. Nothing jumps: threshold, bucket level and line stay."""
        old, self._settings = self._standstill.plan, settings
        self._standstill.use(settings)
        plan = self._standstill.plan
        rate = plan.admissions_per_second
        if self._fleet.view is not None:
            rate = self._bucket.rate * plan.room_rate / old.room_rate
        self._bucket.reshape(rate, plan.depth_at(rate), now)
        if old.nodes != settings.nodes:
            self._modes.resample(old.nodes, settings.nodes)
        self._renew()
        self._look(now)

    def plan_with(self, room_rate: float, now: float) -> None:
        """Plan with another capacity of the room from now on: that of its lane, and what other lanes do not use."""
        old, bucket, nodes = self._standstill.plan, self._bucket, self._settings.nodes
        self._settings = replace(
            self._settings, admissions_per_second=room_rate / nodes, room_admissions_per_second=room_rate
        )
        self._standstill.use(self._settings)
        plan = self._standstill.plan
        rate, depth = plan.admissions_per_second, plan.depth_at(plan.admissions_per_second)
        if self._fleet.view is not None:  # the fleet decides about share and depth
            rate, depth = bucket.rate * plan.room_rate / old.room_rate, bucket.depth
        bucket.reshape(rate, depth, now)
        self._renew()

    def summary(self, node: str, beat: int, now: float) -> Summary:
        """Return what the other nodes should know since the last summary. node: this node's name in the fleet."""
        clock, bucket, integral = self._clock.read(now), self._bucket, self._law.integral
        level = bucket.level(now)
        if self._standstill.opens_at is not None and self.is_frozen:  # as it will be at the opening
            level = min(level, self._most_tokens)
        # Of a node that goes on at a time that all know, no other waits for the news that it did.
        is_still = self._is_still and (self._standstill.opens_at is None or self._settings.admissions_per_second <= 0.0)
        return self._fleet.publish(node, beat, clock, now, self._polls.rate, level, bucket.rate, integral, is_still)

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """Learn the fleet's news: each summary once, in any order, this node's own among them."""
        s, bucket = self._standstill.plan, self._bucket
        zone = (self._forecast.far_s + ZONE_S) * s.room_rate
        part = self._fleet.receive(node, summaries, self._clock.read(now), now, s, zone, bucket.level(now))
        if part is None:
            self.leave_fleet(now)
            return
        bucket.reshape(part.share.rate, part.depth, now)
        self._law.agree(part.dissent)
        self._renew()
        self._look(now)

    def checkpoint(self, now: float) -> dict[str, float]:
        """Return what a restarted worker needs to go on: a small mapping of finite floats."""
        level, integral = self._bucket.level(now), self._law.integral
        calls, view = self._calls, self._view
        near_from = near = -inf
        if calls.threshold < inf:
            near_from, near = ((view.nth(calls.called + s * view.flow) or now) for s in (GONE_S, NEAR_S))
        count = max(0.0, view.ahead(near) - view.ahead(near_from))
        return Checkpoint(now, level, calls, integral, self._budget.stretch, near_from, near, count).mapping()

    def snapshot(self, now: float) -> GateSnapshot:
        """Return an immutable picture of the gate."""
        threshold, terms = self._calls.threshold, self._law.terms
        is_closed, is_frozen = self._settings.admissions_per_second <= 0.0, self._standstill.is_frozen
        return snapshot_of(
            now, threshold, self._bucket, self._view, self._budget, self._admitted, terms, is_closed, is_frozen
        )

    def leave_fleet(self, now: float) -> None:
        """Go on with the configured share and this node's own sample, if it was joined."""
        if self._fleet.leave():
            plan = self._standstill.plan
            rate = plan.admissions_per_second
            self._bucket.reshape(rate, plan.depth_at(rate), now)
            self._renew()
            self._look(now)

    @property
    def _is_still(self) -> bool:
        """Whether this node has reasons of its own to admit nobody."""
        return self._standstill.is_held or self._settings.admissions_per_second <= 0.0

    def _look(self, now: float) -> None:
        """Freeze or thaw the line as its reasons say now."""
        still, bucket = self._standstill, self._bucket
        clock = self._clock.now
        is_waiting = self._fleet.is_awaiting(clock) and not self._view.is_empty
        if self._is_still or is_waiting or still.is_returning(self._view, clock):
            if not still.is_frozen:
                bucket.stop(now)
                still.is_frozen, self._thresholds = True, STILL
        elif still.is_frozen:
            is_open = self._calls is OPEN  # nobody waited when the line froze
            bucket.go(now, self._most_tokens)
            still.is_frozen, self._thresholds = False, self._calls
            self._law.calm()
            self._renew()
            if is_open:
                self._call(now, 0.0, True)

    @property
    def _most_tokens(self) -> float:
        """How many tokens the bucket may hold when the line goes on."""
        is_joined, is_open = self._fleet.view is not None, self._calls is OPEN
        return self._standstill.most_tokens(self._bucket, is_joined=is_joined, is_open=is_open)

    def _call(self, now: float, dt: float, is_blocked: bool) -> None:
        """Let the law call visitors."""
        view, bucket = self._view, self._bucket
        if view.is_empty:
            view.rest(self._standstill.plan, bucket, now)
            self._law.rest()
            self._calls = self._thresholds = OPEN
            return
        supply = view.supply(bucket, now)
        if supply is None:
            return
        sample, self._refused = LawSample(supply, self._refused, self._forecast.late_s, dt, is_blocked), 0
        self._calls = self._thresholds = view.thresholds(self._law.step(sample, view.tuning))
        self._survey(now)

    def _survey(self, now: float) -> None:
        """Let the view count the far line."""
        age_s = self._clock.now - self._born
        self._view.survey(self._standstill.plan, self._calls.threshold, self._forecast.far_s, now, age_s)

    def _renew(self) -> None:
        """Choose the line view, and derive what `decide` needs, once a control step instead of once a poll."""
        self._view = self._modes.choose()
        s, view, is_frozen = self._standstill.plan, self._view, self._standstill.is_frozen
        longest_s = s.poll_max_s * self._budget.stretch
        vacancies_per_s = self._admitted.rate if self._scarcity.is_lasting and not is_frozen else inf
        self._grown_up = self._born + s.poll_max_s
        view.renew(s, longest_s, self._latency.extra_s, vacancies_per_s)
        if self.called_per_token != 1.0:
            view.flow *= self.called_per_token
        if is_frozen:
            if self._standstill.opens_at is not None:  # the first are admitted at once, because nobody was before them
                view.lead_s = self._standstill.left_s(self._clock.now - self._clock.shift)
            view.sure_until = -inf  # `decide` takes its longer way, which looks whether the line stands still
        self._forecast.renew(s, view, longest_s, self._latency, self._clock.now < self._grown_up)

    def _resume(self, saved: Mapping[str, float], now: float) -> None:
        """Go on where a worker stopped. The bucket gains only what the time away is worth."""
        s, then = self._standstill.plan, read(saved, now)
        rate = s.admissions_per_second
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, then.level_at(now, rate, s.idle_depth_at(rate)))
        self._law = ThresholdLaw(then.integral)
        self._calls = self._thresholds = then.thresholds
        self._budget.stretch = then.stretch
        if then.thresholds is not OPEN:
            self._born = now
            if then.is_returning:
                self._standstill.await_return(then, now)
            self._cold_until = now + COLD_INTERVALS * s.poll_min_s
        self._renew()
