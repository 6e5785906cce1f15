"""What the page shows: a mean of answers that scatter, no jump, and no lag where people leave."""

import numpy as np
import pytest

from controller.simulation.page import AGREEING, STEPS_S, Page

FLOW = 50.0
EVERY_S = 15.0


def play(places: list[float], noise: float, seed: int) -> tuple[float, float]:
    """Median errors of (what is told, what is shown) when a true place is told with so much noise."""
    rng = np.random.default_rng(seed)
    page = Page()
    told, shown = [], []
    for i, true in enumerate(places):
        said = max(1, round(true * (1.0 + noise * rng.standard_normal())))
        page.answer(i * EVERY_S, said, said / FLOW, said / FLOW * (1.08 + 2.6 * noise))
        assert page.place is not None
        told.append(abs(said - true) / true)
        shown.append(abs(page.place - true) / true)
    return float(np.median(told)), float(np.median(shown))


@pytest.mark.parametrize("noise", [0.03, 0.1])
def test_answers_that_scatter_are_averaged(noise: float) -> None:
    """Every answer comes from another node, which knows the line from a sample of its own."""
    places = [15_000.0 - FLOW * EVERY_S * i for i in range(19)]
    told, shown = np.mean([play(places, noise, seed) for seed in range(40)], axis=0)
    assert shown < 0.75 * told


def test_who_sees_people_leave_is_not_left_behind() -> None:
    """Half of the line leaves within two minutes: places shrink twice as fast as the line is served. A mean with a
    fixed weight of FOLLOWS would be off by a quarter."""
    places = [15_000.0]
    for _ in range(12):
        places.append(places[-1] * np.exp(-EVERY_S / 170.0) - FLOW * EVERY_S)
    _, shown = np.mean([play(places, 0.02, seed) for seed in range(40)], axis=0)
    assert shown < 0.07


def test_exact_answers_are_shown_as_they_are() -> None:
    page = Page()
    for i in range(10):
        place = 8000 - round(FLOW * EVERY_S * i)
        page.answer(i * EVERY_S, place, place / FLOW, place / FLOW * 1.1)
        assert page.place is not None
        assert abs(page.place - place) <= 2


def test_what_is_shown_gets_worse_only_when_several_answers_agree() -> None:
    page = Page()
    page.answer(0.0, 1000, 300.0, 330.0)
    said = []
    for i in range(1, AGREEING + 1):
        said.append(page.answer(float(i), 1200, 900.0, 950.0))
        assert (page.place == 1000) == (i < AGREEING)
    assert not any(said[:2])
    said += [page.answer(float(i), 1200, 900.0, 950.0) for i in range(AGREEING + 1, AGREEING + 10)]
    assert any(said)
    assert page.step is not None
    assert STEPS_S[page.step] >= 600.0


def test_an_answer_that_is_off_by_far_is_a_new_beginning() -> None:
    """A node that learns that nobody else is left, or a sale that was opened wider."""
    page = Page()
    for i in range(5):
        page.answer(15.0 * i, 9000 - 750 * i, 180.0 - 15.0 * i, 200.0)
    page.answer(75.0, 900, 18.0, 22.0)
    assert page.place == 5250, "one answer may be from a node that few come to"
    page.answer(80.0, 650, 13.0, 17.0)
    assert page.place == 650


def test_a_single_answer_that_is_far_too_good_is_passed_over() -> None:
    page = Page()
    for i in range(10):
        place = 9000 - 750 * i
        page.answer(15.0 * i, 300 if i == 6 else place, 180.0 - 15.0 * i, 200.0)
        assert page.place is not None
        assert abs(page.place - place) <= 750
