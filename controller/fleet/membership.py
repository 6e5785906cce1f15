"""One node's membership in the fleet: what it will tell the others, what it has heard of them, the pool it draws on.

    decide     -> `leased`, `admitted`       noted for the next summary
    heartbeat  -> `tell`                      this node's summary
    news       -> `hear`                      the share of the room and the depth of the bucket until the next heartbeat

It belongs to a gate and moves that gate's line: with news of others the line counts whole visitors near the front
(`Line.join`), without it only its own sample (`Line.part`). Times are of the gate's monotone clock unless said else.
"""

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import inf

from controller.fleet.shared_bucket import SharedBucket
from controller.fleet.summary import HEARTBEAT_S, MAX_LEASES, PROFILE_BEATS, TTL_S, Share, Summary, shares
from controller.line.line import Line
from controller.line.stall_guard import LATE_S
from controller.settings import GateSettings

__all__ = ["Membership", "Part"]

KEPT = 3  # summaries of each node: shares are those of one heartbeat, the same for all nodes


@dataclass(frozen=True, slots=True)
class Part:
    """What a heartbeat's news leaves to this node until the next one."""

    share: Share
    depth: float
    """Tokens that its bucket may hold."""
    dissent: float
    """By how much its law's integral was below the fleet's mean, seconds."""


class Membership:
    """Of one gate, whose line it is told to keep up to date."""

    __slots__ = (
        "_agreed_at",
        "_awake_at",
        "_gone",
        "_heard",
        "_leases",
        "_line",
        "_profiles",
        "_since",
        "heard_at",
        "pool",
    )

    def __init__(self, line: Line) -> None:
        self._line = line
        self._leases: list[tuple[float, float, bool]] = []  # given since the last summary
        self._gone: list[float] = []  # admitted since the last summary
        self._heard: dict[str, deque[tuple[Summary, float]]] = {}
        self._profiles: dict[str, tuple[float, tuple[float, ...]]] = {}
        self._since = -inf
        self._awake_at = inf
        self._agreed_at = -inf
        self.heard_at = -inf
        self.pool = SharedBucket()

    def __repr__(self) -> str:
        return f"<Membership of {len(self._heard)} nodes, {self.pool!r}>"

    def leased(self, first_seen: float, due: float, is_first: bool) -> None:
        """Somebody near the front was told to come back by `due`."""
        if self._line.front is not None:
            self._line.front.expect(first_seen, due, is_first)
            if len(self._leases) < MAX_LEASES:
                self._leases.append((first_seen, due, is_first))

    def admitted(self, first_seen: float) -> None:
        if self._line.front is not None:
            self._gone.append(first_seen)
            self.pool.took()

    def tell(
        self,
        node: str,
        beat: int,
        clock: float,
        now: float,
        polls_per_s: float,
        level: float,
        rate: float,
        integral: float,
    ) -> Summary:
        """The news since the last call; `now`: wall clock, `level` and `rate`: of the bucket, in admissions."""
        leases = tuple((first_seen, due - clock, is_first) for first_seen, due, is_first in self._leases)
        gone = tuple(self._gone)
        self._leases, self._gone = [], []
        profile = self._line.profile() if beat % PROFILE_BEATS == 0 else ()
        waiting = self._line.waiting()
        return Summary(node, beat, now, polls_per_s, level, rate, waiting, leases, gone, profile, integral)

    def hear(
        self,
        node: str,
        summaries: Iterable[Summary],
        clock: float,
        now: float,
        s: GateSettings,
        zone: float,
        own: float,
    ) -> Part | None:
        """Each summary once, in any order, this node's own (`node`) among them; None when it is alone.

        now: wall clock. zone: how many visitors the shared front should hold. own: tokens in this node's bucket.
        """
        self.wake(clock)
        news = list(summaries)
        for summary in news:
            self._heard.setdefault(summary.node, deque(maxlen=KEPT)).append((summary, clock))
        self._heard = {name: heard for name, heard in self._heard.items() if clock - heard[-1][1] <= TTL_S}
        if node not in self._heard or len(self._heard) < 2:
            return None
        if self._line.front is None:
            self._since = clock
        self.heard_at = clock
        beat = self._heard[node][-1][0].beat - 1
        last = {name: _of_beat(heard, beat) for name, heard in self._heard.items()}
        self._learn(node, news, last, zone, clock - now)
        room = s.room_rate
        if clock - self._since < TTL_S:  # who has not been heard yet may be there, with an even share
            room *= min(1.0, len(last) / s.nodes)
        parts = shares(last.values(), room, s.cushion_at)
        latest = {name: heard[-1][0] for name, heard in self._heard.items()}
        depth = self.pool.learn(node, parts, latest, own, s, is_idle=self._line.is_empty)
        return Part(parts[node], depth, self._dissent(last, parts, node, clock) if room > 0.0 else 0.0)

    def _dissent(self, last: Mapping[str, Summary], parts: Mapping[str, Share], node: str, clock: float) -> float:
        """How far this node's integral was from the fleet's mean, and of that no more than the time since warrants."""
        part, self._agreed_at = min(1.0, (clock - self._agreed_at) / HEARTBEAT_S), clock
        total = sum((parts[name].fair * summary.integral for name, summary in last.items()), 0.0)
        room = sum((share.fair for share in parts.values()), 0.0)
        return part * (total / room - last[node].integral)

    def wake(self, clock: float) -> None:
        """This node runs. That it heard nothing of the others while it stood still says nothing about them."""
        asleep_s = clock - self._awake_at - LATE_S
        self._awake_at = clock
        if asleep_s > 0.0:
            self.heard_at += asleep_s
            for name, heard in self._heard.items():
                self._heard[name] = deque(((summary, at + asleep_s) for summary, at in heard), maxlen=KEPT)

    def part(self) -> bool:
        """Nothing was heard of the others: the line is this node's own sample again. False: it was already."""
        if self._line.front is None:
            return False
        self._line.part()
        self._leases, self._gone = [], []
        self.pool = SharedBucket()
        return True

    def _learn(
        self, node: str, news: list[Summary], last: Mapping[str, Summary], zone: float, ahead_of_wall: float
    ) -> None:
        """Bring the shared front up to date."""
        polls = sum(s.polls_per_s for s in last.values())
        sample = last[node].polls_per_s / polls if polls > 0.0 else 1.0 / len(last)
        front = self._line.join(max(sample, 1e-3), zone)
        self._profiles |= {s.node: (s.waiting, s.profile) for s in news if s.profile or not s.waiting}
        if any(s.profile for s in news):
            self._profiles = {name: told for name, told in self._profiles.items() if name in last}
            self._line.far.merge(self._profiles.values())
        for summary in news:
            if summary.node != node:
                offset = ahead_of_wall + summary.at
                for first_seen, due_s, is_first in summary.leases:
                    front.expect(first_seen, offset + due_s, is_first)
                for first_seen in summary.gone:
                    front.leave(first_seen)


def _of_beat(heard: Iterable[tuple[Summary, float]], beat: int) -> Summary:
    """The summary of that heartbeat, or the latest before it, or whatever there is."""
    found: Summary | None = None
    for summary, _ in heard:
        if found is None or summary.beat <= beat:
            found = summary
    assert found is not None
    return found
