"""The page shows a mean of responses that scatter, does not jump, and does not lag when visitors leave."""

import numpy as np
import pytest

from controller.simulation.page import AGREEING, STEPS_S, Page

FLOW = 50.0
EVERY_S = 15.0


def play(positions: list[float], noise: float, seed: int) -> tuple[float, float]:
    """Return the median errors of (responses, page) if the responses give true positions with this noise."""
    rng = np.random.default_rng(seed)
    page = Page()
    given, shown = [], []
    for i, true in enumerate(positions):
        position = max(1, round(true * (1.0 + noise * rng.standard_normal())))
        page.receive(i * EVERY_S, position, position / FLOW, position / FLOW * (1.08 + 2.6 * noise))
        assert page.position is not None
        given.append(abs(position - true) / true)
        shown.append(abs(page.position - true) / true)
    return float(np.median(given)), float(np.median(shown))


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_responses_that_scatter_are_averaged(noise: float) -> None:
    """Each response comes from another node, which sees its own sample of the line."""
    positions = [15_000.0 - FLOW * EVERY_S * i for i in range(19)]
    given, shown = np.mean([play(positions, noise, seed) for seed in range(40)], axis=0)
    assert shown < 0.75 * given


def test_the_page_follows_at_once_when_visitors_leave() -> None:
    """Half of the line leaves within two minutes, so positions shrink twice as fast as the line is served.

    A mean with a fixed weight of PLACE_GAIN would be off by a quarter.
    """
    positions = [15_000.0]
    for _ in range(12):
        positions.append(positions[-1] * np.exp(-EVERY_S / 170.0) - FLOW * EVERY_S)
    _, shown = np.mean([play(positions, 0.02, seed) for seed in range(40)], axis=0)
    assert shown < 0.07


def test_exact_responses_are_shown_unchanged() -> None:
    page = Page()
    for i in range(10):
        position = 8000 - round(FLOW * EVERY_S * i)
        page.receive(i * EVERY_S, position, position / FLOW, position / FLOW * 1.1)
        assert page.position is not None
        assert abs(page.position - position) <= 2


def test_the_page_gets_worse_only_if_several_responses_agree() -> None:
    page = Page()
    page.receive(0.0, 1000, 300.0, 330.0)
    slower = []
    for i in range(1, AGREEING + 1):
        slower.append(page.receive(float(i), 1200, 900.0, 950.0))
        assert (page.position == 1000) == (i < AGREEING)
    assert not any(slower[:2])
    slower += [page.receive(float(i), 1200, 900.0, 950.0) for i in range(AGREEING + 1, AGREEING + 10)]
    assert any(slower)
    assert page.step is not None
    assert STEPS_S[page.step] >= 600.0


def test_a_response_that_is_far_off_starts_the_mean_anew() -> None:
    """For example if a node learns that nobody else is left, or if an operator raises the capacity."""
    page = Page()
    for i in range(5):
        page.receive(15.0 * i, 9000 - 750 * i, 180.0 - 15.0 * i, 200.0)
    page.receive(75.0, 900, 18.0, 22.0)
    assert page.position == 5250, "one response may come from a node that few visitors poll"
    page.receive(80.0, 650, 13.0, 17.0)
    assert page.position == 650


def test_a_single_response_that_is_far_too_good_is_ignored() -> None:
    page = Page()
    for i in range(10):
        position = 9000 - 750 * i
        page.receive(15.0 * i, 300 if i == 6 else position, 180.0 - 15.0 * i, 200.0)
        assert page.position is not None
        assert abs(page.position - position) <= 750
