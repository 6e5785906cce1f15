"""The virtual clock: every request of every visitor, one after the other, against real gates.

    client --latency--> node.decide --latency--> client --sleeps poll_after + jitter - allowance--> ...
                        '-- held until the node calls, or the time is over --'

Requests lie in a wheel of 10 ms vacancies (no interval is shorter than that), each slot is sorted when its time
comes: cheaper than a heap and exact. Everything is drawn from one seeded generator, so a run can be repeated
to the last bit.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from math import ceil, floor, inf
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from controller.fleet.summary import Summary
from controller.gate import Gate
from controller.polling.parked_polls import ParkedPolls
from controller.settings import GateSettings
from controller.simulation.crowd import COLLECTOR, FAST, PLAIN, Crowd, Floats
from controller.simulation.scenario import Cut, Event, Kill, Scenario, SetCapacity, SetNodes, Stall
from controller.verdicts import Admit, Verdict, Wait

WHEEL_S = 0.01
HEARTBEAT_DELAY_S = 0.05
FAST_POLL_S = 0.1
SHORTEST_S = 0.5  # between two requests of a page, whatever it is told
BACK_OFF_S, BACK_OFF_MOST_S = 2.0, 60.0  # of clients that reach nobody, and half of it is chance
DRAWS = 1 << 16
WARM_S = 2.0  # the nodes run before the first visitor comes, as they would


class Policy(Protocol):
    """What a node runs: the gate, or something to compare it with."""

    def decide(self, first_seen: float, now: float, u: float, vacancies: int | None = None) -> Verdict: ...
    def tick(self, now: float) -> None: ...
    def reconfigure(self, settings: GateSettings, now: float) -> None: ...


PolicyMaker = Callable[[GateSettings, float], Policy]


@dataclass(frozen=True, slots=True)
class Sample:
    """What one waiting visitor was told."""

    visitor: int
    at_s: float
    position: int | None
    eta_p50_s: float | None
    eta_p90_s: float | None


@dataclass(frozen=True, slots=True)
class NodeState:
    """One node at one second."""

    at_s: float
    node: int
    lag_s: float
    threshold: float
    level: float
    waiting: int


@dataclass(slots=True)
class Run:
    """What happened."""

    scenario: Scenario
    people: Crowd
    admitted_s: Floats
    node: NDArray[np.int16]
    polls: NDArray[np.int32]
    polls_by_second: NDArray[np.int64]
    samples: list[Sample] = field(default_factory=list)
    states: list[NodeState] = field(default_factory=list)
    polls_after_wake: dict[int, int] = field(default_factory=dict)
    wasted: float = 0.0


def real_gate(settings: GateSettings, now: float) -> Policy:
    """The policy of the product: the class that the edge imports."""
    return Gate(settings, now)


def play(
    scenario: Scenario,
    seed: int,
    policy: PolicyMaker = real_gate,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """One sale from the first arrival to the last admission or departure."""
    rng = np.random.default_rng([seed, 20170205])
    people = scenario.people(rng)
    return _World(scenario, people, rng, policy).run(progress)


class _World:
    def __init__(self, scenario: Scenario, people: Crowd, rng: np.random.Generator, policy: PolicyMaker) -> None:
        self.scenario = scenario
        self.people = people
        self.rng = rng
        self.policy = policy
        self.capacity = scenario.capacity
        self.nodes: list[Policy] = [policy(scenario.settings(), -WARM_S) for _ in range(scenario.nodes)]
        self.offset = [float(x) for x in rng.uniform(-1, 1, 64 + scenario.nodes) * scenario.clock_off_s]
        self.next_tick = [float(x) for x in rng.random(64 + scenario.nodes) * 0.1 - WARM_S]
        self.next_beat = [float(x) for x in rng.random(64 + scenario.nodes) * scenario.heartbeat_s - WARM_S]
        self.read_until = [-WARM_S] * (64 + scenario.nodes)
        self.board: deque[tuple[float, Summary]] = deque()
        self.held = [ParkedPolls() for _ in range(64 + scenario.nodes)]
        self.stalled_until: dict[int, float] = {}
        self.down_until: dict[int, float] = {}
        self.cut_until = -WARM_S
        n = len(people)
        self.admitted = [float("nan")] * n
        self.by = [-1] * n
        self.polls = [0] * n
        self.asked = [-inf] * n  # when each polled last
        self.home = self._choose_nodes(n)
        c = scenario.client
        self.way = (2.0 * c.latency_median_s * np.exp(c.latency_sigma * rng.standard_normal(n))).tolist()
        self.quickest = [inf] * n  # there and back, as each client has seen it
        self.wheel: dict[int, list[tuple[float, int]]] = {}
        self.events = sorted(scenario.events, key=lambda e: e.at_s)
        self.by_second: dict[int, int] = {}
        self.samples: list[Sample] = []
        self.states: list[NodeState] = []
        self.first_seen = [0.0] * n
        self.after_wake: dict[int, int] = {}
        self.sample_every = max(1, n // 4000)
        self._refill()

    def _choose_nodes(self, n: int) -> list[int]:
        weights = self.scenario.weights
        if weights is None:
            return [int(x) for x in self.rng.integers(0, len(self.nodes), n)]
        return [int(x) for x in self.rng.choice(len(weights), n, p=np.array(weights) / sum(weights))]

    def _refill(self) -> None:
        self.wobble = np.exp(self.scenario.client.wobble_sigma * self.rng.standard_normal(DRAWS)).tolist()
        self.uniform = self.rng.random(DRAWS).tolist()
        self.chance = self.rng.random(DRAWS).tolist()
        self.pick = self._choose_nodes(DRAWS)
        self.drawn = 0

    def run(self, progress: Callable[[float], None] | None) -> Run:
        arrival = self.people.arrival_s.tolist()
        n = len(arrival)
        wheel = self.wheel
        upcoming = 0
        slot = -round(WARM_S / WHEEL_S)
        second = -1
        while upcoming < n or wheel or any(self.held):
            now = slot * WHEEL_S
            if int(now) > second:
                second = int(now)
                self._look(now)
                if progress is not None:
                    progress(now)
            self._tick(now)
            if slot < 0:
                slot += 1
                continue
            due = wheel.pop(slot, [])
            end = now + WHEEL_S
            while upcoming < n and arrival[upcoming] < end:
                due.append((arrival[upcoming], upcoming))
                upcoming += 1
            if due:
                due.sort()
                for t, visitor in due:
                    self._request(t, visitor)
                self.by_second[second] = self.by_second.get(second, 0) + len(due)
            slot += 1
        return self._result()

    def _tick(self, now: float) -> None:
        while self.events and self.events[0].at_s <= now:
            self._happen(self.events.pop(0), now)
        next_tick = self.next_tick
        if self.scenario.joined:
            self._heartbeats(now)
        for i, node in enumerate(self.nodes):
            if next_tick[i] <= now and self.stalled_until.get(i, -WARM_S) <= now:
                node.tick(now + self.offset[i])
                if isinstance(node, Gate):
                    self.held[i].call(now + self.offset[i], node.threshold, node.would_admit)
                next_tick[i] += 0.1
                if next_tick[i] < now:
                    next_tick[i] = now + 0.1

    def _heartbeats(self, now: float) -> None:
        """Every node publishes and reads once a heartbeat; news takes HEARTBEAT_DELAY_S to be readable."""
        every = self.scenario.heartbeat_s
        for i, node in enumerate(self.nodes):
            if not isinstance(node, Gate) or self.next_beat[i] > now or self.stalled_until.get(i, -WARM_S) > now:
                continue
            self.next_beat[i] += every * (1 + floor((now - self.next_beat[i]) / every))  # those of a pause are left out
            at = now + self.offset[i]
            name = str(i)
            fresh = [s for since, s in self.board if self.read_until[i] < since <= now]
            self.read_until[i] = now
            own = node.summary(name, int(at / every), at)
            node.observe(name, [*(s for s in fresh if s.node != name), own], at)
            self.board.append((now + HEARTBEAT_DELAY_S, own))
        while self.board and self.board[0][0] < now - 3.0 * every:
            self.board.popleft()

    def _happen(self, event: Event, now: float) -> None:
        if isinstance(event, SetCapacity):
            self.capacity = event.admissions_per_second
        elif isinstance(event, SetNodes):
            for i in range(len(self.nodes), event.nodes):
                self.nodes.append(self._join(i, event.nodes, now))
                self.next_tick[i] = now
            for i in range(event.nodes, len(self.nodes)):
                self.held[i].release(now + self.offset[i])
            del self.nodes[event.nodes :]
            self._refill()
        elif isinstance(event, Stall):
            self.stalled_until[event.node] = event.at_s + event.seconds
            return
        elif isinstance(event, Cut):
            self.cut_until = event.at_s + event.seconds
            return
        else:
            self._kill(event, now)
            return
        for i, node in enumerate(self.nodes):
            node.reconfigure(self.scenario.settings(len(self.nodes), self.capacity), now + self.offset[i])

    def _join(self, i: int, nodes: int, now: float) -> Policy:
        settings = self.scenario.settings(nodes, self.capacity)
        at = now + self.offset[i]
        return Gate(settings, at, resume={}) if self.policy is real_gate else self.policy(settings, at)

    def _kill(self, event: Kill, now: float) -> None:
        old = self.nodes[event.node]
        settings = self.scenario.settings(len(self.nodes), self.capacity)
        at = now + self.offset[event.node]
        if isinstance(old, Gate):
            saved = old.checkpoint(at)
            self.nodes[event.node] = Gate(settings, at, resume=saved | {"level": 0.0})
        else:
            self.nodes[event.node] = self.policy(settings, at)
        self.down_until[event.node] = event.at_s + event.down_s
        self.held[event.node].release(at)

    def _request(self, t: float, visitor: int) -> None:
        people = self.people
        if self.by[visitor] >= 0 or (self.polls[visitor] and t > people.leave_s[visitor]):
            return
        if self.drawn >= DRAWS - 4:
            self._refill()
        k = self.drawn = self.drawn + 1
        if t < self.cut_until:
            self._put(self._try_again(t, k), visitor)
            return
        node = self.home[visitor] if self.scenario.sticky else self.pick[k]
        node = self._alive(node, t)
        wait_until = self.stalled_until.get(node, 0.0)
        if t < wait_until:
            self._put(wait_until + 0.001 * self.chance[k], visitor)
            return
        off = self.offset[node]
        if not self.polls[visitor]:
            self.first_seen[visitor] = t + off
        self.polls[visitor] += 1
        asleep_until = people.sleep_to_s[visitor]
        if asleep_until <= t:
            self.after_wake[visitor] = self.after_wake.get(visitor, 0) + 1
        gate, held, place = self.nodes[node], self.held[node], self.first_seen[visitor]
        if held.is_pressing and isinstance(gate, Gate):
            held.call(t + off, gate.threshold, gate.would_admit, place)
        verdict = gate.decide(place, t + off, self.chance[k])
        is_first, self.asked[visitor] = self.asked[visitor] == -inf, t
        if isinstance(verdict, Admit):
            self._let_in(t, visitor, node)
        elif isinstance(verdict, Wait):
            if isinstance(gate, Gate) and not is_first and gate.may_park(place, verdict) and not held.is_full:
                self._hold(t, visitor, gate, node, k)
                if people.kind[visitor] != FAST:
                    return
            self._come_back(t, visitor, verdict, k)

    def _let_in(self, t: float, visitor: int, node: int) -> None:
        self.admitted[visitor] = t
        self.by[visitor] = node

    def _hold(self, t: float, visitor: int, gate: Gate, node: int, k: int) -> None:
        """Keep the request at the node. Who asks all the time has others under way meanwhile, and forgets none."""
        place, off = self.first_seen[visitor], self.offset[node]
        is_fast = self.people.kind[visitor] == FAST

        def answer(at: float) -> None:
            now = at - off
            if self.by[visitor] >= 0 or now > self.people.leave_s[visitor]:
                return
            if self.nodes[node] is not gate:  # the connection has died with it
                if not is_fast:
                    self._put(now + BACK_OFF_S * (0.5 + 0.5 * self.uniform[k]), visitor)
                return
            verdict = gate.settle(place, at, self.chance[k], now - t)
            if isinstance(verdict, Admit):
                self._let_in(now, visitor, node)
            elif not is_fast:
                self._come_back(now, visitor, verdict, k)

        self.held[node].hold(place, t + off, gate.park(place, t + off), answer)

    def _try_again(self, t: float, k: int) -> float:
        back_off_s = BACK_OFF_S
        while t < self.cut_until:
            t += back_off_s * (0.5 + 0.5 * self.uniform[k])
            back_off_s = min(2.0 * back_off_s, BACK_OFF_MOST_S)
        return t

    def _alive(self, node: int, t: float) -> int:
        if node >= len(self.nodes):
            node %= len(self.nodes)
        if self.down_until.get(node, 0.0) > t:
            node = (node + 1) % len(self.nodes)
        return node

    def _come_back(self, t: float, visitor: int, verdict: Wait, k: int) -> None:
        people = self.people
        if people.leave_s[visitor] <= t:
            return
        if visitor % self.sample_every == 0:
            self.samples.append(Sample(visitor, t, verdict.position, verdict.eta_p50_s, verdict.eta_p90_s))
        back = t + self._interval(visitor, verdict.poll_after_s, t - self.asked[visitor], k)
        if people.sleep_from_s[visitor] < back < people.sleep_to_s[visitor]:
            back = people.sleep_to_s[visitor]
        self._put(back, visitor)

    def _interval(self, visitor: int, after: float, held_s: float, k: int) -> float:
        """Seconds from an answer to the arrival of the next request at a node; held_s: the answer came so much later
        than its request."""
        c, kind = self.scenario.client, self.people.kind[visitor]
        trip: float = self.way[visitor] * self.wobble[k]
        if kind == PLAIN:
            return trip + max(1, ceil(after))
        if kind == FAST:
            after = FAST_POLL_S
        quickest = self.quickest[visitor]
        allowed = min(c.allowance * quickest, 0.5 * after, c.allowance_max_s) if quickest < inf else 0.0
        self.quickest[visitor] = min(trip + held_s, c.forgets * quickest)
        late: float = self.uniform[k] * min(c.jitter * after, c.jitter_max_s)
        pause = after + late - allowed
        if kind != FAST:
            pause = max(pause, SHORTEST_S - trip - held_s)
        return max(trip + pause, WHEEL_S)

    def _put(self, t: float, visitor: int) -> None:
        slot = int(t / WHEEL_S)
        waiting = self.wheel.get(slot)
        if waiting is None:
            self.wheel[slot] = [(t, visitor)]
        else:
            waiting.append((t, visitor))

    def _look(self, now: float) -> None:
        for i, node in enumerate(self.nodes[:8]):
            if isinstance(node, Gate):
                s = node.snapshot(now + self.offset[i])
                self.states.append(NodeState(now, i, s.lag_s, s.threshold, s.bucket_level, s.waiting))

    def _result(self) -> Run:
        seconds = max(self.by_second, default=0) + 1
        by_second = np.zeros(seconds, dtype=np.int64)
        for s, count in self.by_second.items():
            by_second[s] = count
        return Run(
            scenario=self.scenario,
            people=self.people,
            admitted_s=np.array(self.admitted),
            node=np.array(self.by, dtype=np.int16),
            polls=np.array(self.polls, dtype=np.int32),
            polls_by_second=by_second,
            samples=self.samples,
            states=self.states,
            polls_after_wake=self.after_wake,
            wasted=sum(n.snapshot(n._clock).wasted for n in self.nodes if isinstance(n, Gate)),
        )


__all__ = ["COLLECTOR", "FAST", "NodeState", "Policy", "PolicyMaker", "Run", "Sample", "play", "real_gate"]
