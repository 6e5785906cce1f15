"""Play a sale in a room with lanes: one world a lane, step by step beside each other, and a divider on each node.

    lane A  world: its own crowd, gates and fleet --.
    lane B  world                                ---+-- node i: LaneDivider over the gates i of all lanes, every STEP_S

A lane is a scenario of its own. Its capacity is the lane's share of the room's.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from controller.gate import Gate
from controller.lanes import LaneDivider
from controller.simulation.crowd import Maker
from controller.simulation.run import Run
from controller.simulation.scenario import Scenario
from controller.simulation.world import World, real_gate

__all__ = ["play_lanes"]

STEP_S: Final = 0.1


def play_lanes(room: Scenario, lanes: Sequence[tuple[float, Maker]], seed: int) -> list[Run]:
    """Play one sale until every visitor of every lane is admitted or has left. Return a run for each lane.

    room: capacity and nodes, without a crowd that counts. lanes: of each its share, and its crowd. The shares add up
    to 1. Events are not played, and all clocks are right.
    """
    worlds = []
    for at, (share, people) in enumerate(lanes):
        rng = np.random.default_rng([seed, at, 20170205])
        scenario = replace(room, people=people, capacity=room.capacity * share, events=(), clock_off_s=0.0)
        worlds.append(World(scenario, scenario.people(rng), rng, real_gate))
    shares = [share for share, _ in lanes]
    dividers = [LaneDivider(shares, room.capacity) for _ in range(room.nodes)]
    divided_at = [-1.0] * room.nodes
    while not all(world.is_over for world in worlds):
        now = 0.0
        for world in worlds:
            now = world.advance()
        for node, divider in enumerate(dividers):
            if now - divided_at[node] >= STEP_S:
                gates = [gate for world in worlds if isinstance(gate := world.doors[node].gate, Gate)]
                divider.divide(gates, [now] * len(gates), now - divided_at[node])
                divided_at[node] = now
    return [world.result() for world in worlds]
