"""A scenario: a crowd, a fleet of nodes, and events at given moments. Times are seconds from the opening."""

from dataclasses import dataclass, field
from math import inf
from typing import Literal

from controller.settings import GateSettings
from controller.simulation.crowd import Maker
from controller.simulation.ideal import Capacity

__all__ = [
    "Client",
    "Crash",
    "Cut",
    "Event",
    "Hold",
    "Kill",
    "Scenario",
    "SetCapacity",
    "SetNodes",
    "Stall",
    "standstills",
]


@dataclass(frozen=True, slots=True)
class SetCapacity:
    """The capacity of the room changes."""

    at_s: float
    admissions_per_second: float


@dataclass(frozen=True, slots=True)
class SetNodes:
    """Nodes join without any state, or leave. The others get their new share at the same moment."""

    at_s: float
    nodes: int


@dataclass(frozen=True, slots=True)
class Kill:
    """A node dies and comes back `down_s` later. It keeps its checkpoint and loses its leases and tokens."""

    at_s: float
    node: int
    down_s: float = 2.0


@dataclass(frozen=True, slots=True)
class Stall:
    """A node stands still. Its polls are answered when it goes on."""

    at_s: float
    node: int
    seconds: float


@dataclass(frozen=True, slots=True)
class Cut:
    """Nobody reaches any node. Clients retry as the page does, with growing pauses."""

    at_s: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Hold:
    """All nodes hold: their lines stand still, for a reason outside of the gates.

    spread_s: each node learns the beginning and the end up to this much later. is_cut_off: the nodes do not hear each
    other meanwhile. is_scheduled: all know when it ends, because a sale opens then.
    """

    at_s: float
    seconds: float
    spread_s: float = 0.25
    is_cut_off: bool = False
    is_scheduled: bool = False


@dataclass(frozen=True, slots=True)
class Crash:
    """All nodes die, and start again `seconds` later from what the state file had, which is up to 1 s old."""

    at_s: float
    seconds: float = 3.0


Event = SetCapacity | SetNodes | Kill | Stall | Cut | Hold | Crash


@dataclass(frozen=True, slots=True)
class Client:
    """How a client keeps an appointment: as the page does (static/waiting.js).

    latency_median_s, latency_sigma: lognormal latency each way among visitors; wobble_sigma: from one request to the
        next.
    jitter, jitter_max_s: a poll is late by a random time, up to this share of the interval and this many seconds.
    allowance, allowance_max_s: the share of the quickest recent round trip that a client subtracts from the interval.
        0: the client does not allow for the way.
    forgets: the factor by which the quickest round trip grows with each poll, so that a slower network is noticed.
    """

    latency_median_s: float = 0.03
    latency_sigma: float = 0.5
    wobble_sigma: float = 0.25
    jitter: float = 0.03
    jitter_max_s: float = 0.25
    allowance: float = 0.8
    allowance_max_s: float = 2.0
    forgets: float = 1.02


@dataclass(frozen=True, slots=True)
class Scenario:
    """One sale. Rates are of the whole room.

    weights: each node's share of the traffic; None: even. sticky: a visitor always polls the same node.
    clock_off_s: each node's clock is off by up to this, either way.
    """

    name: str
    description: str
    people: Maker
    capacity: float = 50.0
    burst_s: float = 1.0
    nodes: int = 4
    weights: tuple[float, ...] | None = None
    sticky: bool = False
    poll_min_s: float = 1.0
    poll_max_s: float = 15.0
    client: Client = field(default_factory=Client)
    events: tuple[Event, ...] = ()
    clock_off_s: float = 0.0
    joined: bool = False
    heartbeat_s: float = 0.2
    burst_floor: float = 3.0
    max_leases: int = 2_097_152  # of a node
    poll_budget_per_s: float | None = None
    kind: Literal["measured", "stress"] = "measured"
    stops_all: bool = False  # the central line stands still while a node does

    def settings(self, nodes: int | None = None, capacity: float | None = None) -> GateSettings:
        """Return the settings of each node."""
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
            max_leases=self.max_leases,
        )

    def plan(self) -> Capacity:
        """Return the capacity over time, as the central line has it."""
        steps = [(0.0, self.capacity)]
        steps += [(e.at_s, e.admissions_per_second) for e in self.events if isinstance(e, SetCapacity)]
        for event in self.events:
            if isinstance(event, Hold | Crash) or (isinstance(event, Stall) and self.stops_all):
                steps += [(event.at_s, 0.0), (event.at_s + event.seconds, self.capacity)]
        return Capacity(tuple(sorted(steps)), self.burst_s)

    def available(self) -> Capacity:
        """Return the capacity over time without what nobody can hand out while nodes are away.

        That is the share of those nodes, from the moment their buckets would be full. Nodes that share nothing must not
        make up for it, because each of them would, also when no node is away. A deeper bucket would break the room's
        burst. The scenario must not change the capacity during an outage.
        """
        plan = self.plan()
        steps, nodes = list(plan.rates), self.nodes
        for event in sorted(self.events, key=lambda e: e.at_s):
            if isinstance(event, SetNodes):
                nodes = event.nodes
            elif isinstance(event, Kill | Stall | Cut) and not self.stops_all:
                away_s = event.down_s if isinstance(event, Kill) else event.seconds
                rate = plan.at(event.at_s)
                kept_s = self.settings(nodes, rate).depth_at(rate / nodes) / (rate / nodes)
                share = rate if isinstance(event, Cut) else rate / nodes
                if away_s > kept_s:
                    steps += [(event.at_s + kept_s, rate - share), (event.at_s + away_s, rate)]
        return Capacity(tuple(sorted(steps)), self.burst_s)


def standstills(scenario: Scenario) -> tuple[tuple[float, float], ...]:
    """Return from when to when the central line of a scenario admits nobody."""
    rates = scenario.plan().rates
    ends = [*(since for since, _ in rates[1:]), inf]
    return tuple((since, end) for (since, rate), end in zip(rates, ends, strict=True) if rate <= 0.0)
