"""The view of a joined node: it knows the whole line, near the front by name and further back in quantiles.

    up to the seam      the shared front: leases of all nodes, one heartbeat old (`controller/fleet/shared_front.py`)
    up to the end       the far line: every node's list in quantiles (`controller/fleet/far_line.py`)
    beyond the end      this node's own leases, scaled by its sample of the line

        |--- shared front ---|seam --- far line --------|end --- own leases / sample ---|

Counts are of whole visitors of the room. The view also keeps the news for this node's next summary: leases near the
front and admissions.
"""

from math import inf, sqrt
from typing import Final

from controller.fleet.far_line import FarLine
from controller.fleet.shared_bucket import SharedBucket
from controller.fleet.shared_front import SharedFront
from controller.fleet.summary import MAX_LEASES
from controller.law.bucket import LeakyBucket
from controller.law.sample import LawTuning, Supply
from controller.line.alone import OWN
from controller.line.line import Line
from controller.line.stall_guard import StallGuard
from controller.line.view import DOUBT_SHARE, ZONE_S, LineView
from controller.settings import GateSettings

__all__ = ["JoinedView"]

TUNING: Final = LawTuning(
    depth_s=0.3,  # of the visitors before them some are parked here, some are on their way, some poll other nodes
    target_s=0.06,  # half of the tokens that arrive between two control steps; the shared bucket has its own
    reserve=0.5,
    error_limit_s=0.4,  # joined nodes all see the same error at once, and all react to it at once
    patience_s=1.2,  # they wait until called visitors have had the time to poll before they call more
    counts_refusals=False,  # of the room's tokens a refusal here says nothing
)
DOUBT_SD: Final = 2.6  # fitted to the scenarios


class JoinedView(LineView):
    """The whole line, by the leases of all nodes."""

    __slots__ = (
        "_admitted", "_doubt_scale", "_end", "_end_far", "_end_own", "_leases", "_own_sample", "_seam", "_seam_far",
        "_seam_front", "_seam_own", "_zone", "far", "front", "shared",
    )  # fmt: skip

    def __init__(self, line: Line, shared: SharedBucket, far: FarLine) -> None:
        super().__init__(line, TUNING)
        self.shared = shared
        self.far = far
        self.front = SharedFront(line.capacity, line.ticked_at)
        self.spreads_newcomers = True
        self._leases: list[tuple[float, float, bool]] = []  # given since the last summary
        self._admitted: list[float] = []  # admitted since the last summary
        self._doubt_scale = 1.0
        self._own_sample = self._zone = 1.0
        self._seam = inf
        self._seam_front = self._seam_own = self._seam_far = 0.0
        self._end = -inf
        self._end_far = self._end_own = 0.0

    @property
    def is_empty(self) -> bool:
        """Whether no visitor is expected back, here or, as far as other nodes have told, near the front elsewhere."""
        return not self.line.book and not self.front.book

    def cover(self, sample: float, zone: float) -> None:
        """Share the front up to `zone` visitors. sample: the part of the line that polls this node."""
        self._own_sample, self._zone = sample, zone
        self._meet()

    def _meet(self) -> None:
        """Find where the shared front ends and the far line takes over, and where that ends."""
        line, front, far = self.line, self.front, self.far
        share = line.return_rate.share
        at = front.nth(self._zone, share)
        if at is None and far:  # the front holds fewer: the visitors behind them have not polled since they came near
            last = front.book.nth(len(front.book) - 1)
            at = last if last is None or last < far.end else None
        self._seam = inf if at is None else at
        self._seam_front = front.ahead(self._seam, share)
        self._seam_own = line.ahead(self._seam)
        self._end = max(far.end, self._seam)
        self._end_own = line.ahead(self._end)
        self._seam_far = self._end_far = 0.0
        if far:
            self._seam_far = far.ahead(self._seam)
            self._end_far = far.ahead(self._end)

    def measure(self, s: GateSettings) -> float:
        share = self.line.traffic.share
        self.has_own_visitors = share >= OWN
        self._doubt_scale = max(1.0 / s.nodes if self.has_own_visitors else share, 1e-3)
        return s.room_rate

    def zone_eta_s(self, longest_s: float) -> float:
        return 2.0 * longest_s + ZONE_S

    def ahead(self, first_seen: float) -> float:
        if first_seen <= self._seam:
            return self.front.ahead(first_seen, self.line.return_rate.share)
        if first_seen <= self._end:
            return self._seam_front + self.far.ahead(first_seen) - self._seam_far
        own = self.line.ahead(first_seen) - self._end_own
        return self._seam_front + self._end_far - self._seam_far + own / self._own_sample

    def nth(self, count: float) -> float | None:
        if count <= self._seam_front:
            return self.front.nth(count, self.line.return_rate.share)
        if self._seam == inf:
            return None
        return self.line.nth(self._seam_own + (count - self._seam_front) * self._own_sample)

    def doubt(self, first_seen: float, eta_s: float) -> float:
        """As for a node that is alone, and what is known by this node's own sample only."""
        line, flow = self.line, self.flow
        doubt = DOUBT_SHARE * eta_s + self.doubt_s
        if first_seen > line.freshest:
            doubt += line.doubted(first_seen) / (flow * self._doubt_scale)
        if first_seen <= self._end:
            return doubt
        blurred = sqrt(max(0.0, line.ahead(first_seen) - self._end_own)) / self._own_sample
        return doubt + DOUBT_SD * blurred / flow

    def admit(self, first_seen: float) -> None:
        self.leave(first_seen)
        self._admitted.append(first_seen)
        self.shared.took()

    def leave(self, first_seen: float) -> None:
        self.line.leave(first_seen)
        self.front.leave(first_seen)

    def tell(self, first_seen: float, due: float, is_first: bool) -> None:
        self.front.expect(first_seen, due, is_first)
        if len(self._leases) < MAX_LEASES:
            self._leases.append((first_seen, due, is_first))

    def news(self, clock: float) -> tuple[tuple[tuple[float, float, bool], ...], tuple[float, ...]]:
        """Return, and forget, the leases near the front (seconds from `clock` until due) and the admissions."""
        leases = tuple((first_seen, due - clock, is_first) for first_seen, due, is_first in self._leases)
        admitted = tuple(self._admitted)
        self._leases, self._admitted = [], []
        return leases, admitted

    def delayed_s(self, guard: StallGuard) -> float:
        """Keep this node's own leases no longer than is owed: their visitors may poll other nodes, and count there."""
        return min(guard.behind_s, guard.owed_s)

    def tick(self, clock: float, behind_s: float, threshold: float) -> None:
        self.front.tick(clock - behind_s, threshold)
        self._meet()

    def rest(self, s: GateSettings, bucket: LeakyBucket, now: float) -> None:  # noqa: ARG002
        self.shared.rest(self.line.ticked_at)

    def supply(self, bucket: LeakyBucket, now: float) -> Supply | None:
        """Return the room's tokens, or None while the fleet's last news is of a closed room."""
        shared = self.shared
        if shared.room <= 0.0:
            return None
        shared.work(self.line.ticked_at)
        part = shared.part
        level, capacity = shared.level(bucket.level(now)) * part, shared.depth * part
        return Supply(level, capacity, shared.fair, self.flow, shared.target_s, shared.room, shared.depth)
