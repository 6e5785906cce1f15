"""The named scenarios: the ones that the published table is made of."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from controller.simulation.crowd import COLLECTOR, FAST, GHOST, PLAIN, Crowd, asleep, crowd, impatient, surge
from controller.simulation.scenario import Client, Cut, Kill, Scenario, SetCapacity, SetNodes, Stall

VISITORS = 20_000


def flash_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, VISITORS))


def churn_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, VISITORS), impatient(rng, VISITORS, 0.5, 120.0))


def ghost_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, VISITORS), kind=np.where(rng.random(VISITORS) < 0.3, GHOST, 0).astype(np.int8))


def early_ghost_crowd(rng: np.random.Generator) -> Crowd:
    arrival = np.sort(surge(rng, VISITORS))
    ghost = (np.arange(VISITORS) < 5000) & (rng.random(VISITORS) < 0.8)
    return crowd(arrival, kind=np.where(ghost, GHOST, 0).astype(np.int8))


def sleeper_crowd(rng: np.random.Generator) -> Crowd:
    return asleep(rng, crowd(surge(rng, VISITORS)), share=0.2, sleep_s=60.0, until_s=400.0)


def plain_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, VISITORS), kind=np.where(rng.random(VISITORS) < 0.2, PLAIN, 0).astype(np.int8))


def small_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, 1000))


def wave_crowd(rng: np.random.Generator) -> Crowd:
    each = 8000
    return crowd(np.concatenate([surge(rng, each, 600.0 * i) for i in range(3)]))


def bot_crowd(rng: np.random.Generator) -> Crowd:
    """Of 20,000 people 5 % poll ten times a second; 5 % of a fiftieth's size hold fifty tickets each."""
    collectors = VISITORS // 20 // 50
    arrival = surge(rng, VISITORS)
    kind = np.where(rng.random(VISITORS) < 0.05, FAST, 0).astype(np.int8)
    taken = np.repeat(rng.uniform(0.0, 30.0, collectors), 50) + np.tile(np.arange(50) * 1e-3, collectors)
    kinds = np.concatenate([kind, np.full(len(taken), COLLECTOR, dtype=np.int8)])
    return crowd(np.concatenate([arrival, taken]), kind=kinds)


def million_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, 1_000_000))


_FLASH = Scenario("flash", "20,000 arrive: 90 % in 30 s, the rest over 270 s", flash_crowd)

_BASE = (
    _FLASH,
    replace(_FLASH, name="churn", what="half of them leave, exponential patience of 120 s", people=churn_crowd),
    replace(_FLASH, name="ghosts", what="30 % never poll again after the first request", people=ghost_crowd),
    replace(_FLASH, name="early-ghosts", what="the first 5,000 are ghosts to 80 %", people=early_ghost_crowd),
)
_FAR = Client(latency_median_s=0.5)
_FAR_APPS = Client(latency_median_s=0.5, allowance=0.0)
_CUT = Cut(100.0, 5.0)
_SKEW = (0.55, 0.25, 0.15, 0.05)

_BOTS = replace(
    _FLASH,
    name="bots",
    what="5 % poll ten times a second, 5 % of the tickets are held by fifties",
    people=bot_crowd,
)

SCENARIOS: Mapping[str, Scenario] = {
    s.name: s
    for s in (
        *_BASE,
        *(replace(s, name=f"{s.name}-1", what=f"{s.what}; one node", nodes=1) for s in _BASE),
        *(replace(s, name=f"{s.name}-joined", what=f"{s.what}; joined", joined=True) for s in _BASE),
        replace(_FLASH, name="flash-30", what="flash with polls up to 30 s apart", poll_max_s=30.0),
        replace(_FLASH, name="skew", what="traffic 55/25/15/5 %, each poll to a random node", weights=_SKEW),
        replace(_FLASH, name="skew-sticky", what="traffic 55/25/15/5 %, sticky", weights=_SKEW, sticky=True),
        replace(_FLASH, name="skew-joined", what="skew, joined", weights=_SKEW, joined=True),
        replace(
            _FLASH,
            name="skew-sticky-joined",
            what="sticky skew, joined",
            weights=_SKEW,
            sticky=True,
            joined=True,
        ),
        replace(
            _FLASH, name="small-1", what="one node of 1/s, 1,000 visitors", people=small_crowd, capacity=1.0, nodes=1
        ),
        replace(
            _FLASH,
            name="small-strict-1",
            what="one node of 1/s, 1,000 visitors, burst_floor 1",
            people=small_crowd,
            capacity=1.0,
            nodes=1,
            burst_floor=1.0,
        ),
        replace(
            _FLASH,
            name="small-joined",
            what="two nodes of 0.5/s, 1,000 visitors, joined",
            people=small_crowd,
            capacity=1.0,
            nodes=2,
            joined=True,
        ),
        replace(_FLASH, name="many", what="50 nodes of 1/s each", nodes=50),
        replace(_FLASH, name="many-strict", what="50 nodes, burst_floor 1", nodes=50, burst_floor=1.0),
        replace(_FLASH, name="many-joined", what="50 nodes, joined", nodes=50, joined=True),
        replace(
            _FLASH,
            name="many-strict-joined",
            what="50 nodes, burst_floor 1, joined",
            nodes=50,
            joined=True,
            burst_floor=1.0,
        ),
        replace(
            _FLASH,
            name="scale",
            what="4 nodes, 8 from 60 s, 3 from 180 s, one killed at 260 s",
            events=(SetNodes(60.0, 8), SetNodes(180.0, 3), Kill(260.0, 0)),
        ),
        replace(
            _FLASH,
            name="step",
            what="capacity 50, 100 from 60 s, 20 from 120 s, 50 from 180 s; 2 nodes",
            nodes=2,
            events=(SetCapacity(60.0, 100.0), SetCapacity(120.0, 20.0), SetCapacity(180.0, 50.0)),
        ),
        replace(_FLASH, name="far", what="half a second each way between visitors and nodes", client=_FAR),
        replace(_FLASH, name="far-joined", what="half a second each way, joined", client=_FAR, joined=True),
        replace(_FLASH, name="far-apps", what="the same with clients that do not allow for the way", client=_FAR_APPS),
        replace(_FLASH, name="plain", what="20 % have scripts off: whole seconds, rounded up", people=plain_crowd),
        replace(_FLASH, name="sleepers", what="20 % sleep for a minute at random", people=sleeper_crowd),
        replace(
            _FLASH,
            name="clocks",
            what="clocks off by up to 50 ms; one node stalls 3 s at 100 s",
            clock_off_s=0.05,
            events=(Stall(100.0, 1, 3.0),),
        ),
        replace(_FLASH, name="stall-1", what="one node, stalls 3 s at 100 s", nodes=1, events=(Stall(100.0, 0, 3.0),)),
        replace(_FLASH, name="cut-1", what="one node, nobody reaches it for 5 s at 100 s", nodes=1, events=(_CUT,)),
        replace(_FLASH, name="cut-joined", what="nobody reaches any node for 5 s, joined", joined=True, events=(_CUT,)),
        replace(_FLASH, name="waves", what="three bursts ten minutes apart; 2 nodes", people=wave_crowd, nodes=2),
        _BOTS,
        replace(_BOTS, name="bots-1", what="bots, one node", nodes=1),
        replace(_BOTS, name="bots-joined", what="bots, joined", joined=True),
        replace(
            _FLASH,
            name="million",
            what="1,000,000 visitors, 100 nodes, 2,000/s",
            people=million_crowd,
            capacity=2000.0,
            nodes=100,
            kind="stress",
        ),
    )
}
