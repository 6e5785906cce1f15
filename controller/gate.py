"""The gate of one room on one node: who passes now, and when everybody else comes back.

    decide   called = first_seen <= threshold (or nobody waits);  called and a token -> Admit, else Wait
    tick     leases run out, rates are folded, the law moves the threshold
    hold     the answer to whoever is nearly in (`holds`) may wait (`controller/polling/parked_polls.py`): it is the verdict of
             `settle`, as soon as `is_in` says so, or when the time is over

Of two visitors who poll in the same state of the gate the older never waits while the younger passes: both
rules are monotone in first_seen. The bucket (see there) bounds admissions in every window. Memory is bounded
by `max_leases`: about 250 bytes each, 32 MB with the default, plus a few kB.

ETA of a visitor x: the called are in within depth_s of the law, the others after those before them:

    eta = depth_s + reserve_s + (visitors between the threshold and x) / flow
"""

from collections.abc import Iterable, Mapping
from math import inf, isfinite, sqrt
from typing import Final

from controller.fleet.membership import Membership
from controller.fleet.summary import TTL_S, Summary
from controller.law.bucket import LeakyBucket
from controller.law.threshold import ThresholdLaw
from controller.line.estimator import ZONE_S
from controller.line.forecast import DOUBT_SHARE, Forecast
from controller.line.leases import ExpiryBin
from controller.line.line import SETTLE_S, YOUNG_S, Line
from controller.line.meter import RateMeter
from controller.line.poll_latency import PollLatency
from controller.line.stall_guard import StallGuard
from controller.polling.appointments import appointment, calm, first_appointment, newcomers_seats, stretched
from controller.settings import GateSettings
from controller.snapshot import GateSnapshot
from controller.verdicts import Admit, Verdict, Wait

# A node that joins a running sale first listens for this many shortest intervals. Its bucket fills meanwhile, so what
# it listens beyond the burst is lost to everybody.
COLD_S: Final = 0.7
AT_ONCE_S: Final = 0.01  # for who was held in vain; many a client would take 0 for never
BLOCKED_S: Final = 5.0  # memory of places having been scarce,
SCARCE: Final = 0.2  # of which they are taken to be still
QUIET_PER_S: Final = 0.01  # polls a second: some 15 s after a single one
BACKWARD_S: Final = 1.0  # a clock that steps back by more has been set


class Gate:
    """`decide` for every poll, `tick` a few times a second; all times are float seconds of the wall clock."""

    __slots__ = (
        "_admitted", "_arrivals", "_blocked", "_born", "_bucket", "_clock", "_cold_until", "_fleet", "_foresight",
        "_grown_up", "_is_full", "_lateness", "_law", "_line", "_polls", "_settings", "_shift", "_standstill",
        "_stretch", "_ticked_at",
    )  # fmt: skip

    def __init__(self, settings: GateSettings, now: float, resume: Mapping[str, float] | None = None) -> None:
        """`resume`: a checkpoint, or {} for a node that joins a sale (empty bucket, it listens first)."""
        s = self._settings = settings
        rate = s.admissions_per_second
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, s.idle_depth_at(rate))
        self._line = Line(s.max_leases, now, s.poll_max_s + YOUNG_S, s.nodes)
        self._law = ThresholdLaw()
        self._clock = self._ticked_at = now  # never goes back
        self._shift = 0.0  # clock = wall + shift
        self._born = self._cold_until = -inf
        self._stretch = 1.0
        self._is_full = False  # no free place was seen since the last tick
        self._fleet = Membership(self._line)
        self._lateness = PollLatency()
        self._standstill = StallGuard()
        self._blocked = 0.0  # share of the recent time without a free place
        self._polls, self._arrivals, self._admitted = RateMeter(3.0), RateMeter(3.0), RateMeter(10.0)
        self._foresight = Forecast()
        self._retune()
        if resume is not None:
            self._resume(resume, now)

    def __repr__(self) -> str:
        return f"<Gate {self._law!r} {self._bucket!r} {self._line!r}>"

    @property
    def settings(self) -> GateSettings:
        return self._settings

    @property
    def is_quiet(self) -> bool:
        """Nobody is in line and nobody has asked for some time: a step now and then is enough until somebody does."""
        return self._line.is_empty and not self._polls.count and self._polls.rate < QUIET_PER_S

    @property
    def threshold(self) -> float:
        """Who came first by then may try the bucket; inf: everybody."""
        return self._law.threshold

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict:
        """One poll. `u` is uniform in [0, 1); `vacancies`: free places for active visitors, None: no limit."""
        clock = now + self._shift
        if clock >= self._clock:
            self._clock = clock
        else:
            clock = self._read(now)
        line, law = self._line, self._law
        age_s = now - first_seen
        self._polls.count += 1
        if vacancies is not None and vacancies <= 0:
            self._is_full = True
        lease = line.book.due.get(first_seen)  # once: it lies anywhere in memory
        if lease is None and age_s < self._foresight.new_s:
            is_first = True
            self._arrivals.count += 1
        else:
            is_first = False
            line.visit(first_seen, age_s, lease)
            if first_seen in self._lateness.watched:
                self._lateness.came(first_seen, clock, self._foresight.far_s)
        if first_seen <= law.threshold:
            reserve = 0.0 if first_seen <= law.overdue else law.hold
            if (
                (vacancies is None or vacancies > 0)
                and self._bucket.rate > 0.0
                and self._bucket.take(now, reserve, self._fleet.pool.borrowed)
            ):
                return self._admit(first_seen)
            law.refuse()
        return self._wait(first_seen, clock, u, lease, is_first, self._foresight.min_s)

    def may_park(self, first_seen: float, verdict: Wait, is_page: bool = False) -> bool:
        """Whether the answer to this visitor's poll may be held: it is nearly their turn, and they come when asked to.

        Who polls faster than that is at all nodes at once, and would come in at the first of them to call. is_page:
        they see nothing until they are answered.
        """
        known = self._foresight
        below_s = known.held_below_s if is_page else known.polls_held_below_s
        if verdict.eta_p50_s is None or verdict.eta_p50_s > below_s:
            return False
        return known.is_own or first_seen not in self._line.hasty

    def park(self, first_seen: float, now: float) -> float:
        """The answer to this visitor's poll is held: they are here until the returned moment, at most."""
        hold_s = self._foresight.hold_s
        due = self._read(now) + hold_s + self._foresight.grace_s
        self._line.expect(first_seen, due, False)
        self._fleet.leased(first_seen, due, False)
        return now + hold_s

    def abandon(self, first_seen: float) -> None:
        """Who was held has hung up: they are expected no longer, and hold up nobody. If they come again, they may."""
        self._line.leave(first_seen)

    def would_admit(self, first_seen: float, now: float) -> bool:
        """Whether this visitor would be let in now, if a place is free. Changes nothing."""
        law, bucket = self._law, self._bucket
        if first_seen > law.threshold or bucket.rate <= 0.0:
            return False
        return bucket.has(now, 0.0 if first_seen <= law.overdue else law.hold, self._fleet.pool.borrowed)

    def settle(self, first_seen: float, now: float, u: float, held_s: float, vacancies: int | None = None) -> Verdict:
        """The verdict for a poll whose answer was held for `held_s`; the poll itself was counted when it came."""
        if (vacancies is None or vacancies > 0) and self.would_admit(first_seen, now):
            self._bucket.take(now)
            return self._admit(first_seen)
        lease, min_s = self._line.book.due.get(first_seen), max(self._foresight.min_s - held_s, AT_ONCE_S)
        return self._wait(first_seen, self._read(now), u, lease, False, min_s)

    def tick(self, now: float) -> None:
        """The control step: any dt works, also none and a negative one."""
        clock = self._read(now)
        dt = clock - self._ticked_at
        if dt <= 0.0:
            return
        self._ticked_at = clock
        self._fleet.wake(clock)
        s = self._settings
        is_still = False
        if self._foresight.is_exact:
            is_still = self._standstill.step(dt, self._polls.count, self._line.book, clock)
        else:
            self._standstill.clear()
        still = self._standstill
        self._line.tick(clock, now, self._law.threshold, still.behind_s, still.owed_s)
        newcomers = self._arrivals
        seats = newcomers_seats(newcomers.count, newcomers.rate, self._line.showup.share, s.poll_budget_per_s)
        self._stretch = stretched(self._stretch, seats + self._polls.count, s, dt)
        self._polls.tick(dt)
        self._line.young_s = s.poll_max_s * self._stretch + YOUNG_S
        self._arrivals.tick(dt)
        self._lateness.tick(clock, self._foresight.far_s)
        self._admitted.tick(dt)
        self._blocked += (float(self._is_full) - self._blocked) * min(1.0, dt / BLOCKED_S)
        is_blocked = self._is_full or self._blocked > SCARCE
        self._is_full = False
        if clock - self._fleet.heard_at > TTL_S:
            self._part(now)
        self._retune()
        if clock >= self._cold_until:
            self._move(now, dt, is_blocked or is_still)

    def reconfigure(self, settings: GateSettings, now: float) -> None:
        """New settings from now on; nothing jumps: threshold, bucket level and line stay."""
        old, self._settings = self._settings, settings
        rate = settings.admissions_per_second
        if self._line.front is not None and old.room_rate > 0.0:
            rate = self._bucket.rate * settings.room_rate / old.room_rate
        self._bucket.reshape(rate, settings.depth_at(rate), now)
        if old.nodes != settings.nodes:
            self._line.resample(old.nodes / settings.nodes, settings.nodes)
        self._retune()

    def summary(self, node: str, beat: int, now: float) -> Summary:
        """What the other nodes should know since the last one; `node` is this node's name in the fleet."""
        clock, bucket = self._read(now), self._bucket
        integral = self._law.integral
        return self._fleet.tell(node, beat, clock, now, self._polls.rate, bucket.level(now), bucket.rate, integral)

    def observe(self, node: str, summaries: Iterable[Summary], now: float) -> None:
        """News of the fleet, this node's own summary among it; each summary once, in any order."""
        s, bucket = self._settings, self._bucket
        zone = (s.poll_max_s * self._stretch + ZONE_S) * s.room_rate
        part = self._fleet.hear(node, summaries, self._read(now), now, s, zone, bucket.level(now))
        if part is None:
            self._part(now)
            return
        bucket.reshape(part.share.rate, part.depth, now)
        self._law.agree(part.dissent)
        self._retune()

    def checkpoint(self, now: float) -> dict[str, float]:
        """What a restarted worker needs to go on: a small mapping of finite floats."""
        threshold = self._law.threshold
        return {
            "at": now,
            "level": self._bucket.level(now),
            "threshold": threshold if isfinite(threshold) else 0.0,
            "open": float(threshold == inf),
            "integral": self._law.integral,
            "stretch": self._stretch,
            "show_up": self._line.showup.share,
            "polls_per_s": self._polls.rate,
            "arrivals_per_s": self._arrivals.rate,
            "admitted_per_s": self._admitted.rate,
        }

    def snapshot(self, now: float) -> GateSnapshot:
        """An immutable picture of now."""
        s = self._settings
        waiting = self._line.waiting()
        flow, sample = self._foresight.flow, self._foresight.sample
        threshold = min(self._law.threshold, now)
        return GateSnapshot(
            now=now,
            lag_s=max(0.0, now - threshold),
            threshold=threshold,
            bucket_level=self._bucket.level(now),
            bucket_depth=self._bucket.depth,
            admissions_per_second=self._bucket.rate,
            waiting=round(waiting),
            waiting_room=round(waiting / sample),
            eta_last_s=waiting / flow if flow > 0.0 else None,
            polls_per_s=self._polls.rate,
            arrivals_per_s=self._arrivals.rate,
            admitted_per_s=self._admitted.rate,
            show_up=self._line.showup.share,
            traffic_share=self._line.returns.share,
            budget_stretch=self._stretch,
            pi=self._law.terms,
            admitted=self._admitted.total + self._admitted.count,
            polled=self._polls.total + self._polls.count,
            wasted=self._bucket.overflowed,
            held=s.admissions_per_second <= 0.0,
        )

    def _admit(self, first_seen: float) -> Admit:
        self._line.leave(first_seen)
        self._fleet.admitted(first_seen)
        self._admitted.count += 1
        return Admit()

    def _wait(
        self, first_seen: float, clock: float, u: float, lease: ExpiryBin | None, is_first: bool, min_s: float
    ) -> Wait:
        """lease: what the book has of them; min_s: the shortest interval, of who was held what is left of it."""
        line, law, known = self._line, self._law, self._foresight
        flow = known.flow
        if flow <= 0.0:
            after = calm(self._settings, self._stretch, u)
            line.expect(first_seen, clock + after + known.grace_s, is_first)
            return Wait(after, int(line.ahead(first_seen) / known.sample) + 1, None, None)
        is_sure = first_seen <= known.sure_until
        if is_sure:  # as nearly all are: `ahead` and, below, `doubt`, without calls in between
            older = line.book.rank(first_seen)
            position = older * self._settings.nodes + 1
            before = older + 1.0 - law.ahead
        else:
            if known.is_exact or first_seen <= law.threshold:
                ahead = line.ahead(first_seen)
                before = ahead + 1.0 - law.ahead
            else:
                before = line.place(first_seen, law.threshold)
                ahead = before + law.ahead
            position = max(1, int(ahead / known.sample) + 1)
        eta = known.lead_s + before / flow
        if eta >= known.far_eta_s and not is_first:
            after = known.far_s
            if eta >= known.watched_eta_s and self._lateness.has_room:
                self._lateness.asked(first_seen, clock + after)
        else:
            eta = max(0.0, eta)
            after = appointment(eta - known.early_s, flow, min_s, known.far_s, known.is_exact)
            if is_first:
                after = first_appointment(self._settings, eta, after, line.is_probed, u, line.front is not None)
            if clock < self._grown_up:  # a young node knows little: no appointment is longer than its life
                after = min(after, known.min_s + clock - self._born)
        due = clock + after + known.grace_s
        if is_first or line.hasty:
            line.expect(first_seen, due, is_first)
        else:  # the same for nearly all, without a call in between
            line.book.renew(first_seen, due, lease)
        if is_sure:
            return Wait(after, position, eta, eta + (DOUBT_SHARE * eta + known.doubt_s))
        if line.front is not None and eta < 2.0 * known.far_s + ZONE_S:
            self._fleet.leased(first_seen, due, is_first)
        return Wait(after, position, eta, eta + known.doubt(line, first_seen, eta))

    def _part(self, now: float) -> None:
        """Nothing was heard of the others: on with the configured share and this node's own sample."""
        if self._fleet.part():
            rate = self._settings.admissions_per_second
            self._bucket.reshape(rate, self._settings.depth_at(rate), now)
            self._retune()

    def _move(self, now: float, dt: float, is_blocked: bool) -> None:
        s, line, law, bucket, known = self._settings, self._line, self._law, self._bucket, self._foresight
        pool, is_joined = self._fleet.pool, line.front is not None
        if line.is_empty:
            if is_joined:
                pool.rest(self._clock)
            else:
                bucket.fill_to(s.idle_depth_at(bucket.rate), now)
            law.open()
        elif bucket.rate > 0.0 and (pool.room > 0.0 or not is_joined):  # 0: held a moment ago, news is on its way
            if is_joined:
                pool.work(self._clock)
                part = pool.part
                level, capacity = pool.level(bucket.level(now)) * part, pool.depth * part
                law.step(line, level, capacity, pool.fair, known.flow, dt, is_blocked, pool.reserve_s)
                law.keep(pool.room, pool.depth)
            else:
                bucket.fill_to(bucket.depth, now)
                law.step(line, bucket.level(now), bucket.depth, bucket.rate, self._calling, dt, is_blocked)
                law.keep(bucket.rate, bucket.depth)
            if not known.is_exact and known.flow > 0.0 and self._clock - self._born > known.far_s + SETTLE_S:
                part = s.admissions_per_second / s.room_rate
                line.survey(min(law.threshold, now), known.flow, known.far_s, now, part)

    @property
    def _calling(self) -> float:
        """Visitors of this node's list to a second of the law's depth. Where fewer come than its share of the capacity
        could take, it must reach further back: by its own rate it would let in whoever comes, by their flow hardly
        anybody in time. The mean of the two, in ratios, its own counted three times, is measured."""
        flow, rate = self._foresight.flow, self._bucket.rate
        return max(flow, sqrt(rate * sqrt(flow * rate)))

    def _retune(self) -> None:
        """What `decide` needs of the settings and the traffic, once a tick instead of once a call."""
        line, law, known, extra_s = self._line, self._law, self._foresight, self._lateness.extra_s
        places_per_s = self._admitted.rate if self._blocked > SCARCE else inf
        known.renew(self._settings, line, self._stretch, extra_s, places_per_s)
        self._grown_up = self._born + self._settings.poll_max_s
        if self._clock < self._grown_up:
            known.far_eta_s = inf  # nobody is asked back after the longest interval
        law.late_s = line.late_s = extra_s
        law.is_exact, law.is_sampled = known.is_own and line.front is None, not known.is_exact
        known.lead_s = law.depth_s + law.reserve_s
        line.knows_lateness = self._lateness.is_known

    def _read(self, now: float) -> float:
        """The wall clock made monotone; a step back of over BACKWARD_S is taken as a new axis."""
        clock = now + self._shift
        if clock < self._clock:
            if self._clock - clock > BACKWARD_S:
                self._shift += self._clock - clock
            return self._clock
        self._clock = clock
        return clock

    def _resume(self, saved: Mapping[str, float], now: float) -> None:
        """Go on where a worker stopped; the bucket gains only what the time away is worth."""
        s = self._settings
        away = min(max(now - saved.get("at", now), 0.0), 3600.0)
        rate = s.admissions_per_second
        level = min(max(saved.get("level", 0.0), 0.0) + away * rate, s.idle_depth_at(rate))
        self._bucket = LeakyBucket(rate, s.depth_at(rate), now, level)
        self._law = ThresholdLaw(saved.get("threshold", -inf), saved.get("integral", 0.0))
        self._stretch = max(1.0, saved.get("stretch", 1.0))
        if saved.get("open", 0.0) > 0.0:
            self._law.open()
        else:
            self._born = now
            self._cold_until = now + COLD_S * s.poll_min_s
        self._retune()
