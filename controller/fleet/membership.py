"""A node's membership in the fleet: what it hears of the other nodes, and what it tells them.

    heartbeat  -> `publish`      this node's summary
    news       -> `receive`      the node's share and the depth of its bucket, until the next heartbeat

With news of others the membership has a `JoinedView` of the line; without it, for `TTL_S`, none. Times are of the
gate's monotone clock unless said otherwise.

A node that is silent for SILENT_S, or says that it stands still, cannot admit its visitors. To go on without them would
let the others' visitors overtake them, so the others wait: for WAIT_MOST_S at most, and only if AWAITED of the room's
polls or more reach such nodes. A silent node is forgotten after `TTL_S`. A node that ends says so; nobody waits for it.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf
from typing import Final

from controller.fleet.far_line import FarLine
from controller.fleet.joined import JoinedView
from controller.fleet.shared_bucket import SharedBucket
from controller.fleet.summary import (
    HEARTBEAT_S,
    MAX_LEASES,
    NEWS_S,
    PROFILE_BEATS,
    SILENT_S,
    TTL_S,
    Share,
    Summary,
    shares,
)
from controller.line.leases import BIN_S
from controller.line.line import Line
from controller.line.stall_guard import LATE_S
from controller.settings import GateSettings

__all__ = ["Membership", "Part"]

KEPT: Final = 3  # summaries of each node: shares are those of one heartbeat, the same for all nodes
WAIT_MOST_S: Final = 6.0
AWAITED: Final = 1 / 16


@dataclass(frozen=True, slots=True)
class Part:
    """What this node may hand out until the next heartbeat.

    share: of the room's capacity. depth: tokens that its bucket may hold. dissent: by how much its law's integral was
        below the fleet's mean, seconds.
    """

    share: Share
    depth: float
    dissent: float


class Membership:
    """Of one gate and its line."""

    __slots__ = (
        "_agreed_at", "_awake_at", "_far", "_heard", "_line", "_node", "_profiles", "_received_at", "_since",
        "_waited_s", "admitted", "heard_at", "shared", "view",
    )  # fmt: skip

    def __init__(self, line: Line) -> None:
        self._line = line
        self._heard: dict[str, deque[tuple[Summary, float]]] = {}  # node -> its last summaries, and when each came
        self._profiles: dict[str, tuple[float, tuple[float, ...]]] = {}  # node -> visitors waiting there, its quantiles
        self._far = FarLine()
        self._since = -inf  # when this node joined
        self._awake_at = inf
        self._agreed_at = -inf
        self._node = ""
        self._received_at = inf  # when it observed the fleet last
        self._waited_s = 0.0  # for nodes that are silent or stand still, since all of them went on
        self.heard_at = -inf  # when it last heard of another node
        self.admitted = 0  # by all nodes, as far as they have told while this node was joined
        self.shared = SharedBucket()
        self.view: JoinedView | None = None  # only while joined

    def __repr__(self) -> str:
        return f"<Membership of {len(self._heard)} nodes, {self.shared!r}>"

    def publish(
        self,
        node: str,
        beat: int,
        clock: float,
        now: float,
        polls_per_s: float,
        level: float,
        rate: float,
        integral: float,
        is_still: bool = False,
    ) -> Summary:
        """Return this node's news since the last call. now: wall clock. level, rate: of its bucket, in admissions."""
        leases, admitted = ((), ()) if self.view is None else self.view.news(clock)
        profile = self._line.profile() if beat % PROFILE_BEATS == 0 else ()
        waiting = self._line.waiting()
        return Summary(
            node, beat, now, polls_per_s, level, rate, waiting, leases, admitted, profile, integral, is_still
        )

    def receive(
        self,
        node: str,
        summaries: Iterable[Summary],
        clock: float,
        now: float,
        s: GateSettings,
        zone: float,
        own: float,
    ) -> Part | None:
        """Learn the fleet's news, and return what this node may hand out, or None if no other node is heard.

        summaries: each once, in any order, this node's own (`node`) among them. now: wall clock. zone: how many
        visitors the shared front should hold. own: tokens in this node's bucket.
        """
        self.wake(clock)
        self._slept(clock - self._received_at - LATE_S)  # the same if it runs and cannot hear
        self._node, self._received_at = node, clock
        news = list(summaries)
        for summary in news:
            self._heard.setdefault(summary.node, deque(maxlen=KEPT)).append((summary, clock))
            if summary.is_last:
                del self._heard[summary.node]
        self._heard = {name: heard for name, heard in self._heard.items() if clock - heard[-1][1] <= TTL_S}
        if node not in self._heard or len(self._heard) < 2:
            return None
        self.heard_at = clock
        beat = self._heard[node][-1][0].beat - 1
        last = {name: _of_beat(heard, beat) for name, heard in self._heard.items()}
        if self.view is None:
            self._since = clock
            self.view = JoinedView(self._line, self.shared, self._far)
            self._tell_own(self.view, zone)
        self._learn(self.view, node, news, last, zone, clock - now)
        room = s.room_rate
        if clock - self._since < TTL_S:  # a node that was not heard yet may be there, with an even share
            room *= min(1.0, len(last) / s.nodes)
        parts = shares(last.values(), room, s.cushion_at)
        latest = {name: heard[-1][0] for name, heard in self._heard.items()}
        depth = self.shared.learn(node, parts, latest, own, s, is_idle=self.view.is_empty)
        return Part(parts[node], depth, self._dissent(last, parts, node, clock) if room > 0.0 else 0.0)

    def _dissent(self, last: Mapping[str, Summary], parts: Mapping[str, Share], node: str, clock: float) -> float:
        """Return how far this node's integral was from the fleet's mean, scaled down after less than a heartbeat."""
        part, self._agreed_at = min(1.0, (clock - self._agreed_at) / HEARTBEAT_S), clock
        total = sum((parts[name].fair * summary.integral for name, summary in last.items()), 0.0)
        room = sum((share.fair for share in parts.values()), 0.0)
        return part * (total / room - last[node].integral)

    def wake(self, clock: float) -> None:
        """Note that this node runs. That it heard nothing while it stood still says nothing about the other nodes."""
        asleep_s = clock - self._awake_at - LATE_S
        self._awake_at = clock
        self._slept(asleep_s)
        if asleep_s > 0.0:
            self._received_at += asleep_s

    def is_silent(self, clock: float) -> bool:
        """Return whether nodes with visitors in the line that counts are silent."""
        return self.view is not None and self._away(clock, is_still=False) >= AWAITED

    def lag_s(self, clock: float) -> float:
        """Return how much later than usual the leases near the front end, because news of other nodes is late.

        A lease that another node gave is over when the news after its end has come and does not renew it.
        """
        lag_s = 0.0
        if self.view is not None:
            for name, heard in self._heard.items():
                if name != self._node:
                    lag_s = max(lag_s, clock - heard[-1][1] - NEWS_S)
        return lag_s

    def is_awaiting(self, clock: float) -> bool:
        """Return whether this node waits for nodes that are silent or stand still."""
        if self.view is None:
            return False
        is_away = self._away(clock, is_still=True) >= AWAITED
        if not is_away:
            self._waited_s = 0.0
        return is_away and self._waited_s < WAIT_MOST_S

    def wait(self, dt: float) -> None:
        """Count a control step of `dt` seconds in which only other nodes are a reason to stand still."""
        self._waited_s += dt

    def _away(self, clock: float, *, is_still: bool) -> float:
        """Return the part of the room's polls that reaches nodes which are silent or, if is_still, stand still."""
        polls = away = 0.0
        for name, heard in self._heard.items():
            summary, at = heard[-1]
            polls += summary.polls_per_s
            if name != self._node and (clock - at > SILENT_S or (is_still and summary.is_still)):
                away += summary.polls_per_s
        return away / polls if polls > 0.0 else 0.0

    def _slept(self, asleep_s: float) -> None:
        """Forget nobody for a time in which nothing could be heard. The others count as just silent until they are."""
        if asleep_s > 0.0:
            self.heard_at += asleep_s
            recent = self._awake_at - SILENT_S
            for name, heard in self._heard.items():
                shifted = ((summary, max(at, min(at + asleep_s, recent))) for summary, at in heard)
                self._heard[name] = deque(shifted, maxlen=KEPT)

    def leave(self) -> bool:
        """Go on without the other nodes. Return whether this node was joined."""
        if self.view is None:
            return False
        self.view = None
        self.shared = SharedBucket()
        self._heard.clear()
        return True

    def _tell_own(self, view: JoinedView, zone: float) -> None:
        """Begin the shared front with this node's own leases, and tell the others of them."""
        book, fresh = self._line.book, self._line.fresh
        for k in range(min(len(book), int(zone), MAX_LEASES)):
            first_seen = book.nth(k)
            if first_seen is None:
                return
            view.tell(first_seen, book.starts_at(book.find(first_seen)) + BIN_S, first_seen in fresh)

    def _learn(
        self,
        view: JoinedView,
        node: str,
        news: list[Summary],
        last: Mapping[str, Summary],
        zone: float,
        ahead_of_wall: float,
    ) -> None:
        """Bring the shared front and the far line up to date."""
        polls = sum(s.polls_per_s for s in last.values())
        sample = last[node].polls_per_s / polls if polls > 0.0 else 1.0 / len(last)
        view.cover(max(sample, 1e-3), zone)
        self._profiles |= {s.node: (s.waiting, s.profile) for s in news if s.profile or not s.waiting}
        if any(s.profile for s in news):
            self._profiles = {name: profile for name, profile in self._profiles.items() if name in last}
            self._far.merge(self._profiles.values())
        for summary in news:
            self.admitted += len(summary.admitted)
            if summary.node != node:
                offset = ahead_of_wall + summary.at
                for first_seen, due_s, is_first in summary.leases:
                    view.front.expect(first_seen, offset + due_s, is_first)
                for first_seen in summary.admitted:
                    view.front.leave(first_seen)


def _of_beat(heard: Iterable[tuple[Summary, float]], beat: int) -> Summary:
    """Return the summary of that heartbeat, or the latest before it, or the earliest there is."""
    found: Summary | None = None
    for summary, _ in heard:
        if found is None or summary.beat <= beat:
            found = summary
    assert found is not None
    return found
