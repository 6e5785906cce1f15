"""The named scenarios, of which the published table is made."""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from controller.simulation.crowd import COLLECTOR, FAST, GHOST, PLAIN, Crowd, asleep, crowd, impatient, surge
from controller.simulation.scenario import Client, Crash, Cut, Event, Hold, Kill, Scenario, SetCapacity, SetNodes, Stall

__all__ = ["SCENARIOS"]

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
    """5 % of 20,000 people poll ten times a second. 20 more people hold fifty tickets each."""
    collectors = VISITORS // 20 // 50
    arrival = surge(rng, VISITORS)
    kind = np.where(rng.random(VISITORS) < 0.05, FAST, 0).astype(np.int8)
    taken = np.repeat(rng.uniform(0.0, 30.0, collectors), 50) + np.tile(np.arange(50) * 1e-3, collectors)
    kinds = np.concatenate([kind, np.full(len(taken), COLLECTOR, dtype=np.int8)])
    return crowd(np.concatenate([arrival, taken]), kind=kinds)


def million_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(surge(rng, 1_000_000))


_FLASH = Scenario("flash", "20,000 visitors: 90 % arrive within 30 s, the rest over 270 s", flash_crowd)

_BASE = (
    _FLASH,
    replace(
        _FLASH,
        name="churn",
        description="half of the visitors leave; exponential patience, mean 120 s",
        people=churn_crowd,
    ),
    replace(
        _FLASH,
        name="ghosts",
        description="30 % of the visitors never poll again after the first request",
        people=ghost_crowd,
    ),
    replace(
        _FLASH, name="early-ghosts", description="80 % of the first 5,000 visitors are ghosts", people=early_ghost_crowd
    ),
)
_FAR = Client(latency_median_s=0.5)
_FAR_APPS = Client(latency_median_s=0.5, allowance=0.0)
_CUT = Cut(100.0, 5.0)
_SKEW = (0.55, 0.25, 0.15, 0.05)

_BOTS = replace(
    _FLASH,
    name="bots",
    description="5 % of the visitors poll ten times a second; 20 people hold fifty tickets each",
    people=bot_crowd,
)


def thousand_crowd(rng: np.random.Generator) -> Crowd:
    return crowd(rng.uniform(0.0, 10.0, 1000))


def standstill_scenarios() -> Iterator[Scenario]:
    """Make the standstills: each on one node, and on two joined nodes.

    Visitors arrive meanwhile, but not at nodes that are stopped or killed: nobody could note when they came.
    """
    whole = Scenario(
        "", "1,000 visitors within 10 s, 40 admissions/s", thousand_crowd, capacity=40.0, nodes=1, sticky=True
    )
    at = 8.0
    stopped = replace(whole, stops_all=True)
    kinds: tuple[tuple[str, str, Scenario, tuple[Event, ...]], ...] = (
        *((f"pause-{s:g}", f"capacity 0 for {s:g} s", whole, _pause(at, s)) for s in (1.0, 60.0, 600.0)),
        *((f"outage-{s:g}", f"the upstream is down for {s:g} s", whole, (Hold(at, s),)) for s in (5.0, 20.0, 60.0)),
        ("stopped-5", "one node is stopped for 5 s", stopped, (Stall(12.0, 0, 5.0),)),
        ("crash-3", "all nodes are killed, and start after 3 s", whole, (Crash(12.0),)),
    )
    for name, description, scenario, events in kinds:
        said = f"{whole.description}; {description}"
        yield replace(scenario, name=f"{name}-1", description=f"{said}; one node", events=events)
        joined = replace(scenario, nodes=2, joined=True, events=events)
        yield replace(joined, name=f"{name}-joined", description=f"{said}; two joined nodes")
    said = f"{whole.description}; two joined nodes are apart for 8 s, and hold"
    away = (Hold(at, 8.0, spread_s=1.0, is_cut_off=True),)
    yield replace(whole, name="redis-8-joined", description=said, nodes=2, joined=True, events=away)


def _pause(at_s: float, seconds: float) -> tuple[SetCapacity, SetCapacity]:
    return SetCapacity(at_s, 0.0), SetCapacity(at_s + seconds, 40.0)


_MILLION = replace(
    _FLASH,
    name="million-1",
    description="1,000,000 visitors, one node that admits 2,000/s and asks for 10,000 polls/s at most",
    people=million_crowd,
    capacity=2000.0,
    nodes=1,
    poll_budget_per_s=10_000.0,
)

SCENARIOS: Mapping[str, Scenario] = {
    s.name: s
    for s in (
        *_BASE,
        *(replace(s, name=f"{s.name}-1", description=f"{s.description}; one node", nodes=1) for s in _BASE),
        *(
            replace(s, name=f"{s.name}-joined", description=f"{s.description}; joined nodes", joined=True)
            for s in _BASE
        ),
        replace(_FLASH, name="flash-30", description="flash, with a longest interval of 30 s", poll_max_s=30.0),
        replace(
            _FLASH, name="skew", description="uneven traffic: nodes get 55, 25, 15 and 5 % of the polls", weights=_SKEW
        ),
        replace(
            _FLASH,
            name="skew-sticky",
            description="uneven traffic: 55, 25, 15 and 5 % of the visitors, each always at the same node",
            weights=_SKEW,
            sticky=True,
        ),
        replace(_FLASH, name="skew-joined", description="skew; joined nodes", weights=_SKEW, joined=True),
        replace(
            _FLASH,
            name="skew-sticky-joined",
            description="skew-sticky; joined nodes",
            weights=_SKEW,
            sticky=True,
            joined=True,
        ),
        replace(
            _FLASH,
            name="small-1",
            description="1,000 visitors, one node that admits 1/s",
            people=small_crowd,
            capacity=1.0,
            nodes=1,
        ),
        replace(
            _FLASH,
            name="small-strict-1",
            description="small-1 with burst_floor 1",
            people=small_crowd,
            capacity=1.0,
            nodes=1,
            burst_floor=1.0,
        ),
        replace(
            _FLASH,
            name="overfull-1",
            description="flash-1, and the node keeps 8,192 leases",
            nodes=1,
            max_leases=8192,
        ),
        replace(_FLASH, name="overfull", description="flash, and each node keeps 1,024 leases", max_leases=1024),
        replace(
            _FLASH,
            name="overfull-joined",
            description="flash-joined, and each node keeps 2,048 leases",
            joined=True,
            max_leases=2048,
        ),
        replace(
            _FLASH,
            name="small-joined",
            description="1,000 visitors, two joined nodes that admit 0.5/s each",
            people=small_crowd,
            capacity=1.0,
            nodes=2,
            joined=True,
        ),
        replace(_FLASH, name="many", description="50 nodes that admit 1/s each", nodes=50),
        replace(_FLASH, name="many-strict", description="many with burst_floor 1", nodes=50, burst_floor=1.0),
        replace(_FLASH, name="many-joined", description="many; joined nodes", nodes=50, joined=True),
        replace(
            _FLASH,
            name="many-strict-joined",
            description="many with burst_floor 1; joined nodes",
            nodes=50,
            joined=True,
            burst_floor=1.0,
        ),
        replace(
            _FLASH,
            name="scale",
            description="4 nodes, 8 from 60 s on, 3 from 180 s on; one is killed at 260 s",
            events=(SetNodes(60.0, 8), SetNodes(180.0, 3), Kill(260.0, 0)),
        ),
        replace(
            _FLASH,
            name="step",
            description="2 nodes; capacity 50/s, from 60 s on 100/s, from 120 s on 20/s, from 180 s on 50/s",
            nodes=2,
            events=(SetCapacity(60.0, 100.0), SetCapacity(120.0, 20.0), SetCapacity(180.0, 50.0)),
        ),
        replace(_FLASH, name="far", description="half a second of latency each way", client=_FAR),
        replace(_FLASH, name="far-joined", description="far; joined nodes", client=_FAR, joined=True),
        replace(
            _FLASH,
            name="far-apps",
            description="far, with clients that do not subtract the round trip",
            client=_FAR_APPS,
        ),
        replace(
            _FLASH,
            name="plain",
            description="20 % of the visitors have scripts off and poll in whole seconds, rounded up",
            people=plain_crowd,
        ),
        replace(
            _FLASH, name="sleepers", description="20 % of the visitors sleep once for a minute", people=sleeper_crowd
        ),
        replace(
            _FLASH,
            name="clocks",
            description="clocks off by up to 50 ms; one node stalls for 3 s at 100 s",
            clock_off_s=0.05,
            events=(Stall(100.0, 1, 3.0),),
        ),
        replace(
            _FLASH,
            name="stall-1",
            description="one node, which stalls for 3 s at 100 s",
            nodes=1,
            events=(Stall(100.0, 0, 3.0),),
        ),
        replace(
            _FLASH, name="cut-1", description="one node, which nobody reaches for 5 s at 100 s", nodes=1, events=(_CUT,)
        ),
        replace(
            _FLASH,
            name="cut-joined",
            description="joined nodes, which nobody reaches for 5 s at 100 s",
            joined=True,
            events=(_CUT,),
        ),
        replace(
            _FLASH,
            name="waves",
            description="three rushes of 8,000 visitors, ten minutes apart; 2 nodes",
            people=wave_crowd,
            nodes=2,
        ),
        _BOTS,
        replace(_BOTS, name="bots-1", description="bots; one node", nodes=1),
        replace(_BOTS, name="bots-joined", description="bots; joined nodes", joined=True),
        replace(
            _FLASH,
            name="million",
            description="1,000,000 visitors, 100 nodes, 2,000 admissions/s",
            people=million_crowd,
            capacity=2000.0,
            nodes=100,
            kind="stress",
        ),
        *standstill_scenarios(),
        _MILLION,
        replace(
            _MILLION,
            name="million-joined-2",
            description="million-1; two joined nodes that admit 1,000/s each",
            nodes=2,
            joined=True,
        ),
    )
}
