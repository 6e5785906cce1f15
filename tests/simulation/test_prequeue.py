"""The opening of a sale on a virtual clock: thousands wait for it, nobody is early, and nobody comes all at once."""

import numpy as np
import pytest

from controller.simulation.crowd import Crowd, crowd
from controller.simulation.scenario import Hold, Scenario
from controller.simulation.world import play

VISITORS, CAPACITY, LEAD_S = 4000, 100.0, 40.0


def prequeue(rng: np.random.Generator) -> Crowd:
    """40 % come in the last tenth of the pre-queue."""
    early = int(VISITORS * 0.6)
    last = rng.uniform(0.9 * LEAD_S, LEAD_S, VISITORS - early)
    return crowd(np.concatenate([rng.uniform(0.0, 0.9 * LEAD_S, early), last]))


@pytest.mark.parametrize("nodes", [1, 3])
def test_a_sale_opens_at_its_time_in_order_and_without_a_stampede(nodes: int) -> None:
    opening = Hold(0.0, LEAD_S, 0.0, is_scheduled=True)
    sale = Scenario("prequeue", "", prequeue, CAPACITY, nodes=nodes, joined=nodes > 1, events=(opening,))
    run = play(sale, 1)
    after_s = np.sort(run.admitted_s - LEAD_S)
    assert after_s[0] >= 0.0
    assert after_s[0] < 0.2
    assert 0.9 * CAPACITY <= (after_s < 1.0).sum() <= 1.2 * CAPACITY
    assert 4.9 * CAPACITY <= (after_s < 5.0).sum() <= 5.2 * CAPACITY
    order = np.argsort(run.admitted_s, kind="stable")
    assert np.abs(order - np.arange(VISITORS)).max() <= 0.5 * CAPACITY, "nobody is off by more than half a second"

    polls = run.polls_by_second
    usual = VISITORS / sale.poll_max_s
    arrivals = 0.4 * VISITORS / (0.1 * LEAD_S)
    opened = int(LEAD_S)
    assert polls[opened : opened + 20].max() < 2.5 * usual + CAPACITY / sale.poll_min_s
    assert polls[opened - 8 : opened].max() < arrivals + 2.5 * usual + CAPACITY / sale.poll_min_s


def test_nodes_that_learn_of_the_opening_late_are_slower() -> None:
    """A hold that nobody knows the end of opens as late as the news: the test can fail."""
    hold = Hold(0.0, LEAD_S, 0.25)
    sale = Scenario("hold", "", prequeue, CAPACITY, nodes=3, joined=True, events=(hold,))
    after_s = np.sort(play(sale, 1).admitted_s - LEAD_S)
    assert after_s[int(CAPACITY / 5)] > 0.25
