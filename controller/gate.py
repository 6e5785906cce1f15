"""The gate of one room on one node: which visitors are admitted now, and when the others poll again.

    decide   called = first_seen <= threshold (or nobody waits);  called and a token -> Admit, else Wait
    park     the response to a visitor near the front (`may_park`) may wait: it is the verdict of `settle`, as soon as
             `would_admit` says so, or when the time is over (`controller/polling/parked_polls.py`)
    tick     leases end, rates are folded in, the law calls visitors; `hold` lets the line stand still
             (`controller/control.py`)

Of two visitors that poll in the same state of the gate, the older never waits while the younger is admitted: both rules
are monotone in first_seen. The bucket bounds admissions in every window (`controller/law/bucket.py`).
Memory is bounded by `max_leases`: a lease book keeps that many leases of 28 to 44 bytes, or twice as many of a longer
line. With the default (2,097,152) that is 92 MB at most, or 185 MB. A second book keeps the leases of newcomers once
more: as much again if no visitor has polled twice, otherwise much less.
"""

from typing import Final

from controller.control import GateControl
from controller.line.leases import NO_LEASE
from controller.line.view import DOUBT_SHARE
from controller.polling.appointments import first_appointment
from controller.standstill import STILL
from controller.verdicts import Admit, Verdict, Wait

AT_ONCE_S: Final = 0.01  # the shortest interval after a poll was parked in vain; many clients would take 0 for never


class Gate(GateControl):
    """`decide` for every poll, `tick` ten times a second. All times are float seconds of the wall clock."""

    __slots__ = ()

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
            if (vacancies is None or vacancies > 0) and self._bucket.take(now, reserve, self._fleet.shared.borrowed):
                return self._admit(first_seen)
            self._refused += 1
        return self._wait(first_seen, clock, u, lease, is_first, forecast.min_s)

    def may_park(self, first_seen: float, verdict: Wait, is_page: bool = False) -> bool:
        """Return whether this poll may be parked: the visitor is near the front, and polls no faster than asked.

        A visitor that polls faster is at all nodes at once, and would be admitted by the first node to call them.
        is_page: the poll loads a page, and the visitor sees nothing until it is answered.
        """
        forecast = self._forecast
        below_s = forecast.page_below_s if is_page else forecast.poll_below_s
        eta_s = verdict.eta_p50_s
        if eta_s is None:  # frozen: nobody can say when a page load would be answered, but for an opening
            if is_page and self._standstill.opens_at is None:
                return False
            eta_s = self._view.estimate(first_seen, self._calls)[1]
        if eta_s > below_s:
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
        """Stop expecting a visitor that hung up while their poll was parked. They may poll again."""
        self._view.leave(first_seen)

    def would_admit(self, first_seen: float, now: float) -> bool:
        """Return whether this visitor would be admitted now, if there is a vacancy. Change nothing."""
        calls, bucket = self._thresholds, self._bucket
        if first_seen > calls.threshold:
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

    def _admit(self, first_seen: float) -> Admit:
        self._view.admit(first_seen)
        self._admitted.count += 1
        return Admit()

    def _wait(self, first_seen: float, clock: float, u: float, lease: int, is_first: bool, min_s: float) -> Wait:
        """Return the appointment. lease: what `find` says. min_s: the shortest interval from now on."""
        line, view, forecast = self._line, self._view, self._forecast
        # While frozen, all is that of a line that goes on now, so that every visitor is back by their turn.
        # As for nearly all polls of a node that is alone: `estimate` and, below, `doubt`, without calls in between.
        is_sure = first_seen <= view.sure_until
        if is_sure:
            older = line.book.rank(first_seen)
            position = older * self._settings.nodes + 1
            eta = view.lead_s + (older + 1.0 - self._calls.called) / view.flow
        else:
            position, eta = view.estimate(first_seen, self._calls)
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
        if self._thresholds is STILL:
            return Wait(after, position, None, None)
        return Wait(after, position, eta, eta + view.doubt(first_seen, eta))
