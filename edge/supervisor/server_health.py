"""Whether one server of the upstream is up: the circuit breaker of a machine, fed by probes and by visitors' requests.

    visitors' requests of all workers --Outcome-->  ServerHealth  <--Probe-- the edge's own requests (`probe.py`)
                                                         |
                                    up | down, and when the next probe is due

No visitor's request is ever used to find out whether a server is back.

A server goes down when

    UNREACHABLE   `unhealthy_after` probes in a row found no HTTP server, or one did and SURE requests in a row, probes
                  and visitors' together, got no connection
    SILENT        as many probes got no answer in time, and no visitor got one meanwhile
    failing       `breaker_failures` requests of visitors failed in a row over all workers (no response, or 502-504)
    unhealthy     `health.path` is set and as many probes of it did not answer 2xx or 3xx

The last server that is up is not taken down by silent probes while visitors are answered: it is overloaded, or this
machine is, and to send everybody away would help nobody.

It comes back after `healthy_after` good probes in a row. What is good depends on whether a path is set:

    health.path set    2xx or 3xx
    not set            any response to `HEAD /` but 502, 503 and 504: nobody said what `/` should answer

Probes and visitors may disagree:

    probes are good, visitors fail       it stays down for `breaker_seconds`, doubled each time until a visitor succeeds
    `/` always answers 503, the rest is  after PATIENCE_S it counts as up, because it is reached; if visitors succeed
    fine (no path is set)                then, the status of `/` tells nothing and is not looked at again

Until the first response to a visitor after its return, FRAGILE failures in a row are enough to take it down again.
(Nygard, Release It!, 2007; the half-open state is replaced by the probe.)
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from edge.messages.upstream import Outcome

__all__ = ["Found", "HealthRules", "Probe", "ServerHealth"]

#: Requests in a row without a connection after which one failed probe is enough.
SURE: Final = 5
FRAGILE: Final = 3
PATIENCE_S: Final = 60.0
#: The longest pause of a server that answers probes and fails visitors, in first pauses.
MOST_DOUBLED: Final = 16
#: While the verdict is open, probes come every interval, but at least this often, and FASTER times as often if the last
#: one was a surprise.
OPEN_S: Final = 0.5
FASTER: Final = 4.0
#: The longest wait for an answer, where nobody said how fast `/` is.
MOST_WAIT_S: Final = 10.0


class Found(Enum):
    """What a probe found. GOOD and BAD are responses, by their status."""

    GOOD = "good"
    BAD = "bad"
    SILENT = "silent"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Probe:
    found: Found
    reason: str = ""


@dataclass(frozen=True, slots=True)
class HealthRules:
    """What the settings say, in seconds and counts."""

    has_path: bool
    interval_s: float
    timeout_s: float
    unhealthy_after: int
    healthy_after: int
    breaker_failures: int | None
    breaker_s: float


class ServerHealth:
    """Of one server, as one machine sees it. Times are monotonic seconds."""

    def __init__(self, rules: HealthRules) -> None:
        self.rules = rules
        self.is_up = True
        self.since = 0.0
        self.reason = ""
        """Why it is down, or why it is suspected."""
        self.is_fragile = False
        """It came back, and no visitor has been answered since."""
        self._bad = 0
        """Probes in a row that count against it."""
        self._good = 0
        self._silent = 0
        self._is_awaited = False
        """Visitors wait for responses, and none came for a while."""
        self._is_answering = False
        """A visitor was answered since the last silent probe."""
        self._unconnected = 0
        self._failures = 0
        self._pause_s = rules.breaker_s
        self._closed_until = 0.0
        self._is_contradicted = False
        """It went down by visitors' failures, and every probe since was good."""
        self._reached_since: float | None = None
        """Since when every probe was answered while it is down."""
        self._status_tells_nothing = False
        self._is_wanted = False
        """A probe is wanted now."""
        self._was_good = False
        """The last probe was good."""

    def __repr__(self) -> str:
        state = "up" if self.is_up else f"down: {self.reason}"
        return f"<ServerHealth {state}, {self._failures} failures, {self._bad} bad and {self._good} good probes>"

    @property
    def is_suspected(self) -> bool:
        """Whether a response to a visitor would be news."""
        return self.is_up and (self.is_fragile or bool(self._failures or self._bad or self._silent))

    @property
    def wait_s(self) -> float:
        """How long the next probe waits for an answer: longer each time if nobody said how fast `/` is."""
        rules = self.rules
        if rules.has_path or self.is_up:
            return rules.timeout_s
        return min(rules.timeout_s * 2.0 ** min(self._silent, 8), max(MOST_WAIT_S, rules.timeout_s))

    def next_probe_s(self) -> float | None:
        """Return the seconds from the last probe to the next one. None while there is nothing to find out."""
        rules = self.rules
        open_s = min(rules.interval_s, OPEN_S)
        if self._is_wanted:
            # Failures of a server that answers probes come by the hundred.
            return open_s if self._was_good else 0.0
        if self.is_up:
            if self._bad or self._silent:
                return open_s / FASTER
            return rules.interval_s if rules.has_path else None
        return open_s / FASTER if self._good else rules.interval_s

    def look(self) -> None:
        """Probe now: another machine has news."""
        self._is_wanted = True

    def met(self, outcome: Outcome, now: float) -> None:
        """Take in what visitors' requests met."""
        if outcome.answered:
            self._visitor_succeeded()
        self._failures += outcome.failures
        self._unconnected += outcome.unconnected
        if not self.is_up:
            return
        self._is_awaited |= outcome.is_silent
        if outcome.failures or outcome.is_silent:
            self.reason = outcome.reason or self.reason
            self._is_wanted = True
        most = self.rules.breaker_failures
        if most is not None and self._failures >= (min(FRAGILE, most) if self.is_fragile else most):
            if self.is_fragile:
                self._pause_s = min(self._pause_s * 2, self.rules.breaker_s * MOST_DOUBLED)
            self._closed_until = now + self._pause_s
            self._is_contradicted = True
            self._go_down(f"{self._failures} requests in a row failed: {self.reason}", now)

    def probed(self, probe: Probe, now: float, *, is_last: bool = False) -> None:
        """Take in the result of a probe. is_last: no other server is up."""
        self._is_wanted = False
        found = probe.found
        if found is Found.BAD and self._status_tells_nothing:
            found = Found.GOOD
        self._was_good = found is Found.GOOD
        if self.is_up and found is Found.SILENT and is_last and self._is_answering:
            self._bad, self._is_answering = 1, False  # it stays suspected, so that workers report the next response
        elif self.is_up:
            self._probed_up(found, probe.reason, now)
        else:
            self._probed_down(found, probe.reason, now)

    def _probed_up(self, found: Found, reason: str, now: float) -> None:
        rules = self.rules
        if found is Found.GOOD or (found is Found.BAD and not rules.has_path):
            self._bad = self._silent = self._unconnected = 0
            return
        self.reason = reason
        if found is Found.SILENT and not rules.has_path:
            # A slow page is not an outage: it counts only while visitors wait in vain.
            self._silent += self._is_awaited
            if self._silent >= rules.unhealthy_after:
                self._go_down(reason, now)
            return
        self._bad += 1
        self._unconnected += found is Found.UNREACHABLE
        if self._bad >= rules.unhealthy_after or self._unconnected >= SURE:
            self._go_down(reason, now)

    def _probed_down(self, found: Found, reason: str, now: float) -> None:
        if found in (Found.UNREACHABLE, Found.SILENT):
            self._reached_since = None
        elif self._reached_since is None:
            self._reached_since = now
        self._silent = self._silent + 1 if found is Found.SILENT else 0
        if found is not Found.GOOD:
            self._good, self._is_contradicted, self.reason = 0, False, reason
            is_reached_long = self._reached_since is not None and now - self._reached_since >= PATIENCE_S
            if found is Found.BAD and not self.rules.has_path and is_reached_long:
                self._come_back(now)
            return
        self._good += 1
        if self._good >= self.rules.healthy_after and not (self._is_contradicted and now < self._closed_until):
            self._come_back(now)

    def _visitor_succeeded(self) -> None:
        self._failures = self._unconnected = 0
        self._is_awaited = False
        self._is_answering = True
        if not self.is_up:
            return  # of a request that was sent before it went down
        if not self.rules.has_path:
            self._bad = self._silent = 0
        if self.is_fragile:
            self.is_fragile = False
            self._status_tells_nothing |= self._reached_since is not None and not self.rules.has_path
            self._pause_s = self.rules.breaker_s
        self._reached_since = None

    def _go_down(self, reason: str, now: float) -> None:
        self.is_up, self.since, self.reason = False, now, reason
        self.is_fragile = self._is_awaited = self._is_answering = False
        self._is_wanted = True
        self._bad = self._good = self._silent = 0
        self._reached_since = None

    def _come_back(self, now: float) -> None:
        was_good = self._good > 0
        self.is_up, self.since, self.is_fragile = True, now, True
        self._bad = self._good = self._silent = self._failures = self._unconnected = 0
        if was_good:
            self._reached_since = None
