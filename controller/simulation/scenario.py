"""What happens: a crowd, a fleet of nodes, and things that go wrong at given moments."""

from dataclasses import dataclass, field
from typing import Literal

from controller.settings import GateSettings
from controller.simulation.crowd import Maker
from controller.simulation.ideal import Capacity


@dataclass(frozen=True, slots=True)
class SetCapacity:
    at_s: float
    admissions_per_second: float


@dataclass(frozen=True, slots=True)
class SetNodes:
    """Nodes join cold or leave; the others get their new share at the same moment."""

    at_s: float
    nodes: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A node dies with all it knows and comes back `down_s` later from its checkpoint of a second before."""

    at_s: float
    node: int
    down_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A node stands still: its polls are answered when it goes on."""

    at_s: float
    node: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Nobody reaches any node: clients try again as the page does, later and later."""

    at_s: float
    seconds: float


Event = SetCapacity | SetNodes | Kill | Stall | Cut


@dataclass(frozen=True, slots=True)
class Client:
    """How a client keeps an appointment: as the page does (static/waiting.js)."""

    latency_median_s: float = 0.03  # each way
    latency_sigma: float = 0.5  # lognormal, among visitors
    wobble_sigma: float = 0.25  # and from one request to the next
    jitter: float = 0.03  # late by up to this share of the interval,
    jitter_max_s: float = 0.25  # and never by more than this
    allowance: float = 0.8  # of the quickest way there and back of late, which is not waited for twice; 0: it is
    allowance_max_s: float = 2.0
    forgets: float = 1.02  # by so much a poll the quickest way is longer: one that has become slower is believed


@dataclass(frozen=True, slots=True)
class Scenario:
    """One sale. Rates are of the whole room."""

    name: str
    what: str
    people: Maker
    capacity: float = 50.0
    burst_s: float = 1.0
    nodes: int = 4
    weights: tuple[float, ...] | None = None  # share of the traffic of each node; None = even
    sticky: bool = False
    poll_min_s: float = 1.0
    poll_max_s: float = 15.0
    client: Client = field(default_factory=Client)
    events: tuple[Event, ...] = ()
    clock_off_s: float = 0.0  # node clocks are off by up to this, either way
    joined: bool = False
    heartbeat_s: float = 0.2
    burst_floor: float = 3.0
    poll_budget_per_s: float | None = None
    kind: Literal["measured", "stress"] = "measured"

    def settings(self, nodes: int | None = None, capacity: float | None = None) -> GateSettings:
        """What each node is told."""
        n = self.nodes if nodes is None else nodes
        rate = self.capacity if capacity is None else capacity
        return GateSettings(
            admissions_per_second=rate / n,
            burst_seconds=self.burst_s,
            poll_min_s=self.poll_min_s,
            poll_max_s=self.poll_max_s,
            poll_budget_per_s=None if self.poll_budget_per_s is None else self.poll_budget_per_s / n,
            nodes=n,
            room_admissions_per_second=rate,
            burst_floor=self.burst_floor,
        )

    def plan(self) -> Capacity:
        """The capacity over time, as the ideal line sees it."""
        steps = [(0.0, self.capacity)]
        steps += [(e.at_s, e.admissions_per_second) for e in self.events if isinstance(e, SetCapacity)]
        return Capacity(tuple(steps), self.burst_s)

    def available(self) -> Capacity:
        """The same less what nobody can hand out: the share of nodes that are away, beyond what their buckets keep.

        Nodes that share nothing must not make up for it (each would, also when none is away), and a bucket deeper than
        its part of the burst would break the room's promise. The capacity must not change during an outage.
        """
        plan = self.plan()
        steps, nodes = list(plan.rates), self.nodes
        for event in sorted(self.events, key=lambda e: e.at_s):
            if isinstance(event, SetNodes):
                nodes = event.nodes
            elif isinstance(event, Kill | Stall | Cut):
                away_s = event.down_s if isinstance(event, Kill) else event.seconds
                rate = plan.at(event.at_s)
                kept_s = self.settings(nodes, rate).depth_at(rate / nodes) / (rate / nodes)
                share = rate if isinstance(event, Cut) else rate / nodes
                if away_s > kept_s:
                    steps += [(event.at_s + kept_s, rate - share), (event.at_s + away_s, rate)]
        return Capacity(tuple(sorted(steps)), self.burst_s)
