"""The gate of one room on one node: which visitors are admitted now, and when the others poll again.

    decide   called = first_seen <= threshold (or nobody waits);  called and a token -> Admit, else Wait
    park     the response to a visitor near the front (`may_park`) may wait: it is the verdict of `settle`, as soon as
             `would_admit` says so, or when the time is over (`controller/polling/parked_polls.py`)
    tick     leases end, rates are folded in, the law calls visitors

Of two visitors who poll in the same state of the gate, the older never waits while the younger is admitted: both rules
are monotone in first_seen. The bucket bounds admissions in every window (`controller/law/bucket.py`).
Memory is bounded by `max_leases`: a lease book keeps that many leases of 28 to 44 bytes, or twice as many of a longer
line. With the default (2,097,152) that is 92 MB at most, or 185 MB. A second book keeps the leases of newcomers once
more: as much again if no visitor has polled twice, otherwise much less.

What differs between a node that is alone, joined nodes and nodes that share nothing is in the line view
(`controller/line/view.py`), which is chosen anew at every control step.
"""

from collections.abc import Iterable, Mapping
from math import inf
from typing import Final

from controller.checkpoint import Checkpoint, read
from controller.clock import MonotoneClock
from controller.fleet.membership import Membership
from controller.fleet.summary import TTL_S, Summary
from controller.law.bucket import LeakyBucket
from controller.law.sample import OPEN, LawSample
from controller.law.scarcity import Scarcity
from controller.law.threshold import ThresholdLaw
from controller.line.forecast import Forecast
from controller.line.leases import NO_LEASE
from controller.line.line import YOUNG_S, Line
from controller.line.poll_latency import PollLatency
from controller.line.stall_guard import StallGuard
from controller.line.view import DOUBT_SHARE, ZONE_S
from controller.meter import RateMeter
from controller.modes import Modes
from controller.polling.appointments import calm, first_appointment
from controller.polling.budget import PollBudget
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot, snapshot_of
from controller.verdicts import Admit, Verdict, Wait

# In shortest intervals: a node that joins a running sale first listens for so long. Its bucket fills meanwhile, and
# what does not fit is lost to the room.
COLD_INTERVALS: Final = 0.7
AT_ONCE_S: Final = 0.01  # the shortest interval after a poll was parked in vain; many clients would take 0 for never
QUIET_PER_S: Final = 0.01  # polls a second: some 15 s after a single one


class Gate:
    """`decide` for every poll, `tick` ten times a second. All times are float seconds of the wall clock."""

    __slots__ = (
        "_admitted", "_arrivals", "_born", "_bucket", "_budget", "_clock", "_cold_until", "_fleet", "_forecast",
        "_grown_up", "_guard", "_latency", "_law", "_line", "_modes", "_polls", "_refused", "_scarcity", "_settings",
        "_thresholds", "_ticked_at", "_view",
    )  # fmt: skip

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        """Start empty, or from a checkpoint. `resume={}`: join a running sale: an empty bucket, and listen first."""
        s = self._settings = settings
        rate = s.admissions_per_second
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, s.idle_depth_at(rate))
        self._line = Line(s.max_leases, now, s.poll_max_s + YOUNG_S, s.nodes)
        self._fleet = Membership(self._line)
        self._modes = Modes(self._line, self._fleet)
        self._view = self._modes.choose()
        self._law, self._thresholds = ThresholdLaw(), OPEN
        self._clock, self._ticked_at = MonotoneClock(now), now
        self._born = self._cold_until = self._grown_up = -inf  # when it joined, may call, and knows the line
        self._refused = 0  # called visitors not admitted since the law's last step: no token or vacancy, or room closed
        self._latency, self._guard, self._scarcity, self._budget = PollLatency(), StallGuard(), Scarcity(), PollBudget()
        self._polls, self._arrivals, self._admitted = self._budget.polls, self._budget.arrivals, RateMeter(10.0)
        self._forecast = Forecast()
        self._renew()
        if resume is not None:
            self._resume(resume, now)

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
    def threshold(self) -> float:
        """Visitors with a first_seen up to it may try the bucket. Infinite while nobody waits."""
        return self._thresholds.threshold

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict:
        """Return the verdict on one poll. u: uniform in [0, 1). vacancies: None if active visitors are not limited."""
        monotone = self._clock
        clock = now + monotone.shift
        if clock >= monotone.now:
            monotone.now = clock
        else:
            clock = monotone.read(now)
        line, calls, forecast = self._line, self._thresholds, self._forecast
        age_s = now - first_seen
        self._polls.count += 1
        if vacancies is not None and vacancies <= 0:
            self._scarcity.is_full = True
        lease = line.book.find(first_seen)  # once: the book remembers where it is, for its rank and its renewal
        if lease == NO_LEASE and age_s < forecast.new_s:
            is_first = True
            self._arrivals.count += 1
        else:
            is_first = False
            line.visit(first_seen, age_s, lease)
            if first_seen in self._latency.watched:
                self._latency.came(first_seen, clock, forecast.far_s)
        if first_seen <= calls.threshold:
            reserve = 0.0 if first_seen <= calls.overdue else calls.reserve
            if (
                (vacancies is None or vacancies > 0)
                and self._bucket.rate > 0.0
                and self._bucket.take(now, reserve, self._fleet.shared.borrowed)
            ):
                return self._admit(first_seen)
            self._refused += 1
        return self._wait(first_seen, clock, u, lease, is_first, forecast.min_s)

    def may_park(self, first_seen: float, verdict: Wait, is_page: bool = False) -> bool:
        """Return whether this poll may be parked: the visitor is near the front, and polls no faster than asked.

        A visitor who polls faster is at all nodes at once, and would be admitted by the first node to call them.
        is_page: the poll loads a page, and the visitor sees nothing until it is answered.
        """
        forecast = self._forecast
        below_s = forecast.page_below_s if is_page else forecast.poll_below_s
        if verdict.eta_p50_s is None or verdict.eta_p50_s > below_s:
            return False
        return self._view.has_own_visitors or first_seen not in self._line.hasty

    def park(self, first_seen: float, now: float) -> float:
        """Park this visitor's poll, and return the time by which it must be answered."""
        forecast = self._forecast
        due = self._clock.read(now) + forecast.parked_s + forecast.grace_s
        self._line.expect(first_seen, due, False)
        self._view.tell(first_seen, due, False)
        return now + forecast.parked_s

    def abandon(self, first_seen: float) -> None:
        """Stop expecting a visitor who hung up while their poll was parked. They may poll again."""
        self._view.leave(first_seen)

    def would_admit(self, first_seen: float, now: float) -> bool:
        """Return whether this visitor would be admitted now, if there is a vacancy. Change nothing."""
        calls, bucket = self._thresholds, self._bucket
        if first_seen > calls.threshold or bucket.rate <= 0.0:
            return False
        return bucket.has(now, 0.0 if first_seen <= calls.overdue else calls.reserve, self._fleet.shared.borrowed)

    def settle(
        self, first_seen: float, now: float, u: float, parked_s: float, vacancies: int | None = None
    ) -> Admit | Wait:
        """Return the verdict on a poll that was parked for `parked_s`. It was counted when it came."""
        if (vacancies is None or vacancies > 0) and self.would_admit(first_seen, now):
            self._bucket.take(now)
            return self._admit(first_seen)
        lease, min_s = self._line.book.find(first_seen), max(self._forecast.min_s - parked_s, AT_ONCE_S)
        return self._wait(first_seen, self._clock.read(now), u, lease, False, min_s)

    def tick(self, now: float) -> None:
        """Take the control step. Any interval works, also 0 and a negative one."""
        clock = self._clock.read(now)
        dt = clock - self._ticked_at
        if dt <= 0.0:
            return
        self._ticked_at = clock
        self._fleet.wake(clock)
        s, line, view, forecast, guard = self._settings, self._line, self._view, self._forecast, self._guard
        is_stalled = view.watch(guard, dt, self._polls.count, clock)
        line.tick(clock, now, view.delayed_s(guard), forecast.late_s, forecast.is_latency_known)
        view.tick(clock, guard.behind_s, self._thresholds.threshold)
        self._budget.tick(s, line.return_rate.share, dt)
        line.lengthen(s.poll_max_s * self._budget.stretch)
        self._latency.tick(clock, forecast.far_s)
        self._admitted.tick(dt)
        is_blocked = self._scarcity.tick(dt)
        if clock - self._fleet.heard_at > TTL_S:
            self._leave_fleet(now)
        self._renew()
        if clock >= self._cold_until:
            self._call(now, dt, is_blocked or is_stalled)

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """Use new settings from now on. Nothing jumps: threshold, bucket level and line stay."""
        old, self._settings = self._settings, settings
        rate = settings.admissions_per_second
        if self._fleet.view is not None and old.room_rate > 0.0:
            rate = self._bucket.rate * settings.room_rate / old.room_rate
        self._bucket.reshape(rate, settings.depth_at(rate), now)
        if old.nodes != settings.nodes:
            self._modes.resample(old.nodes, settings.nodes)
        self._renew()

    def summary(self, node: str, beat: int, now: float) -> Summary:
        """Return what the other nodes should know since the last summary. node: this node's name in the fleet."""
        clock, bucket = self._clock.read(now), self._bucket
        integral = self._law.integral
        return self._fleet.publish(node, beat, clock, now, self._polls.rate, bucket.level(now), bucket.rate, integral)

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """Learn the fleet's news: each summary once, in any order, this node's own among them."""
        s, bucket = self._settings, self._bucket
        zone = (self._forecast.far_s + ZONE_S) * s.room_rate
        part = self._fleet.receive(node, summaries, self._clock.read(now), now, s, zone, bucket.level(now))
        if part is None:
            self._leave_fleet(now)
            return
        bucket.reshape(part.share.rate, part.depth, now)
        self._law.agree(part.dissent)
        self._renew()

    def checkpoint(self, now: float) -> dict[str, float]:
        """Return what a restarted worker needs to go on: a small mapping of finite floats."""
        level, integral = self._bucket.level(now), self._law.integral
        return Checkpoint(now, level, self._thresholds, integral, self._budget.stretch).mapping()

    def snapshot(self, now: float) -> GateSnapshot:
        """Return an immutable picture of the gate."""
        threshold, terms = self._thresholds.threshold, self._law.terms
        is_closed = self._settings.admissions_per_second <= 0.0
        return snapshot_of(now, threshold, self._bucket, self._view, self._budget, self._admitted, terms, is_closed)

    def _admit(self, first_seen: float) -> Admit:
        self._view.admit(first_seen)
        self._admitted.count += 1
        return Admit()

    def _wait(self, first_seen: float, clock: float, u: float, lease: int, is_first: bool, min_s: float) -> Wait:
        """Return the appointment. lease: what `find` says. min_s: the shortest interval from now on."""
        line, view, forecast = self._line, self._view, self._forecast
        flow = view.flow
        if flow <= 0.0:
            after = calm(self._settings, self._budget.stretch, u)
            line.expect(first_seen, clock + after + forecast.grace_s, is_first)
            return Wait(after, view.position(first_seen), None, None)
        # As for nearly all polls of a node that is alone: `estimate` and, below, `doubt`, without calls in between.
        is_sure = first_seen <= view.sure_until
        if is_sure:
            older = line.book.rank(first_seen)
            position = older * self._settings.nodes + 1
            eta = view.lead_s + (older + 1.0 - self._thresholds.called) / flow
        else:
            position, eta = view.estimate(first_seen, self._thresholds)
        if eta >= forecast.far_eta_s and not is_first:
            after = forecast.far_s
            if eta >= forecast.watched_eta_s and self._latency.has_space:
                self._latency.asked(first_seen, clock + after)
        else:
            eta = max(0.0, eta)
            after = view.appointment(eta - forecast.early_s, min_s, forecast.far_s)
            if is_first:
                after = first_appointment(self._settings, eta, after, line.is_probed, u, view.spreads_newcomers)
            if clock < self._grown_up:  # a young gate knows little: no appointment is longer than its life
                after = min(after, forecast.min_s + clock - self._born)
        due = clock + after + forecast.grace_s
        if is_first or line.hasty:
            line.expect(first_seen, due, is_first)
        else:  # the same for nearly all polls, without a call in between
            line.book.renew(first_seen, due, lease)
        if is_sure:
            return Wait(after, position, eta, eta + (DOUBT_SHARE * eta + view.doubt_s))
        if eta < view.shared_eta_s:
            view.tell(first_seen, due, is_first)
        return Wait(after, position, eta, eta + view.doubt(first_seen, eta))

    def _leave_fleet(self, now: float) -> None:
        """Go on with the configured share and this node's own sample, if it was joined."""
        if self._fleet.leave():
            rate = self._settings.admissions_per_second
            self._bucket.reshape(rate, self._settings.depth_at(rate), now)
            self._renew()

    def _call(self, now: float, dt: float, is_blocked: bool) -> None:
        """Let the law call visitors."""
        s, view, bucket, forecast = self._settings, self._view, self._bucket, self._forecast
        if view.is_empty:
            view.rest(s, bucket, now)
            self._law.rest()
            self._thresholds = OPEN
            return
        supply = view.supply(bucket, now) if bucket.rate > 0.0 else None
        if supply is None:
            return
        sample, self._refused = LawSample(supply, self._refused, forecast.late_s, dt, is_blocked), 0
        self._thresholds = view.thresholds(self._law.step(sample, view.tuning))
        view.survey(s, self._thresholds.threshold, forecast.far_s, now, self._clock.now - self._born)

    def _renew(self) -> None:
        """Choose the line view, and derive what `decide` needs, once a control step instead of once a poll."""
        self._view = self._modes.choose()
        s, view = self._settings, self._view
        longest_s = s.poll_max_s * self._budget.stretch
        vacancies_per_s = self._admitted.rate if self._scarcity.is_lasting else inf
        self._grown_up = self._born + s.poll_max_s
        view.renew(s, longest_s, self._latency.extra_s, vacancies_per_s)
        self._forecast.renew(s, view, longest_s, self._latency, self._clock.now < self._grown_up)

    def _resume(self, saved: Mapping[str, float], now: float) -> None:
        """Go on where a worker stopped. The bucket gains only what the time away is worth."""
        s, then = self._settings, read(saved, now)
        rate = s.admissions_per_second
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, then.level_at(now, rate, s.idle_depth_at(rate)))
        self._law = ThresholdLaw(then.integral)
        self._thresholds = then.thresholds
        self._budget.stretch = then.stretch
        if then.thresholds is not OPEN:
            self._born = now
            self._cold_until = now + COLD_INTERVALS * s.poll_min_s
        self._renew()
