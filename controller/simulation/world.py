"""Play a sale on a virtual clock: every request of every visitor, in order, against real gates.

    client --latency--> door.poll --latency--> client --sleeps poll_after + jitter - allowance--> ...
                        '-- parked until the visitor is admitted or the time is over --'

Requests lie in a timing wheel with steps of STEP_S. No interval is shorter than a step, and each step is sorted
when its time comes, so the order is exact, and cheaper than a heap. Every random number comes from one seeded
generator, so a run can be repeated to the last bit.
"""

from collections.abc import Callable
from math import inf
from typing import Final

import numpy as np

from controller.door import Door
from controller.simulation.clients import BACK_OFF_S, STEP_S, Clients, retry_at
from controller.simulation.crowd import FAST, Crowd
from controller.simulation.heartbeats import Heartbeats
from controller.simulation.nodes import door_of, real_gate
from controller.simulation.outages import Holds, StateFile
from controller.simulation.policy import Policy, PolicyMaker
from controller.simulation.run import NodeState, Run, Sample
from controller.simulation.scenario import Crash, Cut, Event, Kill, Scenario, SetCapacity, SetNodes, Stall
from controller.verdicts import Admit, Park, Wait

__all__ = ["World", "play", "real_gate"]

#: Random numbers are drawn in blocks of this size.
DRAWS: Final = 1 << 16
#: The nodes run for this long before the first visitor arrives, as they would.
WARM_S: Final = 2.0
#: Nodes that may join during a sale, beyond those at its beginning. Part of the drawn sequence: another number gives
#: another sale for the same seed.
SPARE_NODES: Final = 64
SHOWN_NODES: Final = 8


def play(
    scenario: Scenario,
    seed: int,
    policy: PolicyMaker = real_gate,
    progress: Callable[[float], None] | None = None,
) -> Run:
    """Play one sale, from the first arrival until every visitor is admitted or has left.

    progress: called once a virtual second, with that second.
    """
    rng = np.random.default_rng([seed, 20170205])
    people = scenario.people(rng)
    return World(scenario, people, rng, policy).run(progress)


class World:
    """The state of one sale. Lists over nodes are in the order of the nodes, lists over visitors in that of the crowd.

    admitted_s, admitted_by: when and by which node a visitor was admitted. polled_s: a visitor's latest poll.
    wobble, uniform, gate_u, drawn_nodes: random numbers, of which poll k uses the k-th; `_refill` draws the next block.
    """

    def __init__(self, scenario: Scenario, people: Crowd, rng: np.random.Generator, policy: PolicyMaker) -> None:
        self.scenario = scenario
        self.people = people
        self.rng = rng
        self.policy = policy
        self.capacity = scenario.capacity
        self.doors = [door_of(policy(scenario.settings(), -WARM_S)) for _ in range(scenario.nodes)]
        most_nodes = scenario.nodes + SPARE_NODES
        self.clock_off_s = [float(x) for x in rng.uniform(-1, 1, most_nodes) * scenario.clock_off_s]
        self.next_tick = [float(x) for x in rng.random(most_nodes) * 0.1 - WARM_S]
        first_beats = [float(x) for x in rng.random(most_nodes) * scenario.heartbeat_s - WARM_S]
        self.heartbeats = Heartbeats(scenario.heartbeat_s, first_beats, -WARM_S)
        self.stalled_until: dict[int, float] = {}
        self.down_until: dict[int, float] = {}
        self.cut_until = -WARM_S
        self.holds = Holds(scenario, len(self.doors), rng)
        self.saved = StateFile(scenario)
        n = len(people)
        self.admitted_s = [float("nan")] * n
        self.admitted_by = [-1] * n
        self.polls = [0] * n
        self.polled_s = [-inf] * n
        self.own_node = self._choose_nodes(n)
        self.clients = Clients(scenario.client, people, rng)
        self.wheel: dict[int, list[tuple[float, int]]] = {}
        self.events = sorted(scenario.events, key=lambda e: e.at_s)
        self.by_second: dict[int, int] = {}
        self.samples: list[Sample] = []
        self.states: list[NodeState] = []
        self.first_seen = [0.0] * n
        self.after_wake: dict[int, int] = {}
        self.sample_every = max(1, n // 4000)
        self.arrival: list[float] = people.arrival_s.tolist()
        self.upcoming = 0
        self.step, self.second = -round(WARM_S / STEP_S), -1
        self._refill()

    def _choose_nodes(self, n: int) -> list[int]:
        weights = self.scenario.weights
        if weights is None:
            return [int(x) for x in self.rng.integers(0, len(self.doors), n)]
        return [int(x) for x in self.rng.choice(len(weights), n, p=np.array(weights) / sum(weights))]

    def _refill(self) -> None:
        self.wobble = np.exp(self.scenario.client.wobble_sigma * self.rng.standard_normal(DRAWS)).tolist()
        self.uniform = self.rng.random(DRAWS).tolist()
        self.gate_u = self.rng.random(DRAWS).tolist()
        self.drawn_nodes = self._choose_nodes(DRAWS)
        self.drawn = 0

    def run(self, progress: Callable[[float], None] | None) -> Run:
        while not self.is_over:
            self.advance(progress)
        return self.result()

    @property
    def is_over(self) -> bool:
        """Whether every visitor is admitted or has left."""
        return not (self.upcoming < len(self.arrival) or self.wheel or any(door.parked_count for door in self.doors))

    def advance(self, progress: Callable[[float], None] | None = None) -> float:
        """Play one step. Return the moment at which it began."""
        arrival, step, now = self.arrival, self.step, self.step * STEP_S
        self.step += 1
        if int(now) > self.second:
            self.second = int(now)
            self._record_states(now)
            if progress is not None:
                progress(now)
        self._tick(now)
        if step < 0:
            return now
        due = self.wheel.pop(step, [])
        end, n = now + STEP_S, len(arrival)
        while self.upcoming < n and arrival[self.upcoming] < end:
            due.append((arrival[self.upcoming], self.upcoming))
            self.upcoming += 1
        if due:
            due.sort()
            for t, visitor in due:
                self._poll(t, visitor)
            self.by_second[self.second] = self.by_second.get(self.second, 0) + len(due)
        return now

    def _tick(self, now: float) -> None:
        while self.events and self.events[0].at_s <= now:
            self._apply(self.events.pop(0), now)
        next_tick = self.next_tick
        self.holds.apply(self.doors, now, self.clock_off_s)
        self.saved.keep(self.doors, now, self.clock_off_s)
        if now < self.saved.down_until:
            return
        if self.scenario.joined:
            for i, door in enumerate(self.doors):
                if self.stalled_until.get(i, -WARM_S) <= now and not self.holds.is_cut_off(i, now):
                    self.heartbeats.beat(i, door.gate, now, self.clock_off_s[i])
            self.heartbeats.forget(now, len(self.doors))
        for i, door in enumerate(self.doors):
            if next_tick[i] <= now and self.stalled_until.get(i, -WARM_S) <= now:
                door.tick(now + self.clock_off_s[i])
                next_tick[i] += 0.1
                if next_tick[i] < now:
                    next_tick[i] = now + 0.1

    def _apply(self, event: Event, now: float) -> None:
        if isinstance(event, SetCapacity):
            self.capacity = event.admissions_per_second
        elif isinstance(event, SetNodes):
            for i in range(len(self.doors), event.nodes):
                self.doors.append(door_of(self._join(i, event.nodes, now)))
                self.next_tick[i] = now
            for i in range(event.nodes, len(self.doors)):
                self.doors[i].answer_all(now + self.clock_off_s[i])
            del self.doors[event.nodes :]
            self._refill()
        elif isinstance(event, Stall):
            self.stalled_until[event.node] = event.at_s + event.seconds
        elif isinstance(event, Cut):
            self.cut_until = event.at_s + event.seconds
        elif isinstance(event, Crash):
            self._crash(event, now)
        elif isinstance(event, Kill):
            self._kill(event, now)
        if not isinstance(event, SetCapacity | SetNodes):
            return
        for i, door in enumerate(self.doors):
            door.gate.reconfigure(self.scenario.settings(len(self.doors), self.capacity), now + self.clock_off_s[i])

    def _join(self, i: int, nodes: int, now: float) -> Policy:
        return self.policy(self.scenario.settings(nodes, self.capacity), now + self.clock_off_s[i], resume={})

    def _kill(self, event: Kill, now: float) -> None:
        settings = self.scenario.settings(len(self.doors), self.capacity)
        at = now + self.clock_off_s[event.node]
        killed = self.doors[event.node]
        saved = killed.gate.checkpoint(at)
        self.doors[event.node] = door_of(self.policy(settings, at, resume=saved | {"level": 0.0}))
        self.down_until[event.node] = event.at_s + event.down_s
        killed.answer_all(at)

    def _crash(self, event: Crash, now: float) -> None:
        """Let all nodes die. They start again when `down_until` has passed."""
        back = event.at_s + event.seconds
        self.cut_until = self.saved.down_until = back
        settings = self.scenario.settings(len(self.doors), self.capacity)
        before, off, of = self.doors, self.clock_off_s, self.saved.of
        self.doors = [door_of(self.policy(settings, back + off[i], resume=of(i))) for i in range(len(before))]
        for i, door in enumerate(before):
            door.answer_all(now + off[i])

    def _poll(self, t: float, visitor: int) -> None:
        """Let one request arrive: at a node, or at nobody while the network is cut or the node stands still."""
        people = self.people
        if self.admitted_by[visitor] >= 0 or (self.polls[visitor] and t > people.leave_s[visitor]):
            return
        if self.drawn >= DRAWS - 4:
            self._refill()
        k = self.drawn = self.drawn + 1
        if t < self.cut_until:
            self._enqueue(retry_at(t, self.cut_until, self.uniform[k]), visitor)
            return
        node = self.own_node[visitor] if self.scenario.sticky else self.drawn_nodes[k]
        node = self._reachable(node, t)
        wait_until = self.stalled_until.get(node, 0.0)
        if t < wait_until:
            self._enqueue(wait_until + 0.001 * self.gate_u[k], visitor)
            return
        off = self.clock_off_s[node]
        if not self.polls[visitor]:
            self.first_seen[visitor] = t + off
        self.polls[visitor] += 1
        asleep_until = people.sleep_to_s[visitor]
        if asleep_until <= t:
            self.after_wake[visitor] = self.after_wake.get(visitor, 0) + 1
        door, place = self.doors[node], self.first_seen[visitor]
        is_first, self.polled_s[visitor] = self.polled_s[visitor] == -inf, t
        door.answer_older(place, t + off)
        verdict = door.poll(place, t + off, self.gate_u[k], may_park=not is_first)
        if isinstance(verdict, Admit):
            self._admit(t, visitor, node)
        elif isinstance(verdict, Wait):
            self._schedule_poll(t, visitor, verdict, k)
        elif isinstance(door, Door):
            self._park(t, visitor, door, verdict, node, k)
            if people.kind[visitor] == FAST:
                self._schedule_poll(t, visitor, verdict.wait, k)

    def _admit(self, t: float, visitor: int, node: int) -> None:
        self.admitted_s[visitor] = t
        self.admitted_by[visitor] = node

    def _park(self, t: float, visitor: int, door: Door, park: Park, node: int, k: int) -> None:
        """Park the poll. Visitors that poll all the time have other polls under way and ignore its `Wait`."""
        place, off = self.first_seen[visitor], self.clock_off_s[node]
        is_fast = self.people.kind[visitor] == FAST

        def answer(at: float) -> None:
            now = at - off
            if self.admitted_by[visitor] >= 0 or now > self.people.leave_s[visitor]:
                return
            if self.doors[node] is not door:  # the node was killed, and the connection with it
                if not is_fast:
                    self._enqueue(now + BACK_OFF_S * (0.5 + 0.5 * self.uniform[k]), visitor)
                return
            verdict = door.settle(place, at, self.gate_u[k], now - t)
            if isinstance(verdict, Admit):
                self._admit(now, visitor, node)
            elif not is_fast:
                self._schedule_poll(now, visitor, verdict, k)

        door.park(place, park, answer)

    def _reachable(self, node: int, t: float) -> int:
        """Return the node, or the next one if it has left or is down."""
        if node >= len(self.doors):
            node %= len(self.doors)
        if self.down_until.get(node, 0.0) > t:
            node = (node + 1) % len(self.doors)
        return node

    def _schedule_poll(self, t: float, visitor: int, verdict: Wait, k: int) -> None:
        people = self.people
        if people.leave_s[visitor] <= t:
            return
        if visitor % self.sample_every == 0:
            self.samples.append(Sample(visitor, t, verdict.position, verdict.eta_p50_s, verdict.eta_p90_s))
        parked_s = t - self.polled_s[visitor]
        next_s = t + self.clients.interval(visitor, verdict.poll_after_s, parked_s, self.wobble[k], self.uniform[k])
        if people.sleep_from_s[visitor] < next_s < people.sleep_to_s[visitor]:
            next_s = people.sleep_to_s[visitor]
        self._enqueue(next_s, visitor)

    def _enqueue(self, t: float, visitor: int) -> None:
        self.wheel.setdefault(int(t / STEP_S), []).append((t, visitor))

    def _record_states(self, now: float) -> None:
        for i, door in enumerate(self.doors[:SHOWN_NODES]):
            if self.stalled_until.get(i, -WARM_S) > now:
                continue
            s = door.gate.snapshot(now + self.clock_off_s[i])
            if s is not None:
                self.states.append(NodeState(now, i, s.lag_s, s.threshold, s.bucket_level, s.waiting))

    def result(self) -> Run:
        seconds = max(self.by_second, default=0) + 1
        by_second = np.zeros(seconds, dtype=np.int64)
        for s, count in self.by_second.items():
            by_second[s] = count
        return Run(
            scenario=self.scenario,
            people=self.people,
            admitted_s=np.array(self.admitted_s),
            node=np.array(self.admitted_by, dtype=np.int16),
            polls=np.array(self.polls, dtype=np.int32),
            polls_by_second=by_second,
            samples=self.samples,
            states=self.states,
            polls_after_wake=self.after_wake,
        )
