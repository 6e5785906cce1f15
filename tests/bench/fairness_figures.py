"""The figures of one simulated sale, as docs/fairness.json keeps them.

Besides the measures and the errors of the estimates, some scenarios have figures of their own:

    calm_*        outages: visitors with a turn in the central line that is not within AFTER_S after an event
    still_*       standstills: what is admitted meanwhile (after STILL_S, in which all nodes learn of it), when the
                  first is admitted after the end, after how long a second has FULL of the capacity, and the most
                  admissions of a second from then on, as a share of capacity and burst
    others_*      sleepers: the visitors that never sleep
    overdue_*     sleepers: visitors that slept when their turn came
    fast_gain_s, collector_gain_s
                  bots: by how much they are admitted earlier than the honest visitors, against the central line
    node<i>_s     uneven traffic: delay against the central line of the visitors that node i admitted (sticky: wait)
"""

from bisect import bisect_left, insort
from dataclasses import asdict
from time import perf_counter
from typing import Any

import numpy as np

from controller.simulation import ideal
from controller.simulation.crowd import COLLECTOR, FAST, HONEST, SLEEPER, Floats
from controller.simulation.estimates import estimate_errors
from controller.simulation.measures import measure
from controller.simulation.policies import POLICIES
from controller.simulation.run import Run
from controller.simulation.scenario import Cut, Kill, SetNodes, Stall, standstills
from controller.simulation.scenarios import SCENARIOS
from controller.simulation.world import play

__all__ = ["Row", "figures"]

AFTER_S = 15.0
STILL_S = 1.0
FULL = 0.8

Row = dict[str, Any]


def figures(job: tuple[str, str, int]) -> tuple[str, str, int, Row]:
    """Play one run (scenario, policy, seed) and measure it."""
    name, policy, seed = job
    scenario = SCENARIOS[name]
    start = perf_counter()
    run = play(scenario, seed, POLICIES[policy])
    plan = ideal.fifo(run.people, scenario.plan())
    best = ideal.polled(run.people, plan, scenario.poll_min_s)
    gap = np.abs(best - plan)
    row = asdict(measure(run, plan))
    row["ideal_p99_s"] = float(np.nanpercentile(gap, 99))
    row["ideal_polls"] = float(np.mean(ideal.polls_needed(run.people, best, scenario.poll_max_s)))
    row |= asdict(estimate_errors(run)) | {"seconds": perf_counter() - start}
    row |= _standstill_figures(run) | _outage_figures(run, plan) | _sleeper_figures(run, plan) | _bot_figures(run, plan)
    return name, policy, seed, row | _traffic_figures(run, plan)


def _standstill_figures(run: Run) -> dict[str, float]:
    spans = standstills(run.scenario)
    if not spans:
        return {}
    times = np.sort(run.admitted_s[~np.isnan(run.admitted_s)])
    capacity = run.scenario.capacity
    meanwhile, first, full, most = 0, 0.0, 0.0, 0
    for since, until in spans:
        meanwhile += int(np.sum((times >= since + STILL_S) & (times < until)))
        after = times[times >= until]
        within = np.searchsorted(after, after + 1.0) - np.arange(len(after))
        first = max(first, float(after[0]) - until)
        full = max(full, float(after[np.argmax(within >= FULL * capacity)]) - until)
        most = max(most, int(np.max(within)))
    return {
        "still_admitted": float(meanwhile),
        "still_first_s": first,
        "still_full_s": full,
        "still_most": most / (capacity * (1.0 + run.scenario.burst_s)),
    }


def _outage_figures(run: Run, plan: Floats) -> dict[str, float]:
    moments = [e.at_s for e in run.scenario.events if isinstance(e, SetNodes | Kill | Stall | Cut)]
    if not moments or standstills(run.scenario):
        return {}
    calm = np.ones(len(plan), dtype=bool)
    for at in moments:
        calm &= ~((plan >= at) & (plan < at + AFTER_S))
    gap = np.abs(run.admitted_s - plan)
    gap_less_outage = np.abs(run.admitted_s - ideal.fifo(run.people, run.scenario.available()))
    return {
        "calm_median_s": float(np.nanmedian(gap[calm])),
        "calm_p99_s": float(np.nanpercentile(gap[calm], 99)),
        "calm_most_passed_by": float(np.max(_passed_by(run)[calm])),
        "calm_less_outage_median_s": float(np.nanmedian(gap_less_outage[calm])),
        "calm_less_outage_p99_s": float(np.nanpercentile(gap_less_outage[calm], 99)),
    }


def _passed_by(run: Run) -> Floats:
    """Count, for each visitor, the younger visitors that were admitted before them."""
    out = np.zeros(len(run.people))
    inside: list[int] = []
    for visitor in np.argsort(run.admitted_s)[: np.count_nonzero(~np.isnan(run.admitted_s))].tolist():
        out[visitor] = len(inside) - bisect_left(inside, visitor)
        insort(inside, visitor)
    return out


def _sleeper_figures(run: Run, plan: Floats) -> dict[str, float]:
    people = run.people
    sleeps = people.kind == SLEEPER
    if not sleeps.any():
        return {}
    gap = np.abs(run.admitted_s - plan)
    gap_awake = np.abs(run.admitted_s - ideal.fifo_awake(people, run.scenario.plan()))
    overdue = sleeps & (people.sleep_from_s < plan) & (plan < people.sleep_to_s)
    polls = [run.polls_after_wake.get(int(v), 0) for v in np.flatnonzero(overdue)]
    return {
        "others_median_s": float(np.nanmedian(gap[~sleeps])),
        "others_p99_s": float(np.nanpercentile(gap[~sleeps], 99)),
        "others_awake_median_s": float(np.nanmedian(gap_awake[~sleeps])),
        "others_awake_p99_s": float(np.nanpercentile(gap_awake[~sleeps], 99)),
        "overdue_polls_p99": float(np.percentile(polls, 99)) if polls else 0.0,
        "overdue_in_two": float(np.mean([p <= 2 for p in polls])) if polls else 1.0,
    }


def _bot_figures(run: Run, plan: Floats) -> dict[str, float]:
    kind, late = run.people.kind, run.admitted_s - plan
    return {
        f"{label}_gain_s": float(np.nanmean(late[kind == HONEST]) - np.nanmean(late[kind == code]))
        for code, label in ((FAST, "fast"), (COLLECTOR, "collector"))
        if (kind == code).any()
    }


def _traffic_figures(run: Run, plan: Floats) -> dict[str, float]:
    scenario = run.scenario
    if scenario.weights is None:
        return {}
    waits = run.admitted_s - (run.people.arrival_s if scenario.sticky else plan)
    return {f"node{i}_s": float(np.nanmean(waits[run.node == i])) for i in range(scenario.nodes)}
