"""Simulated clients, and those that play crowds over real sockets, keep appointments as the waiting page does."""

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.simulation import clients, page
from controller.simulation.scenario import Client
from edge.cli.demo import crowd
from waiting_room.texts import LEAST_WAIT_S, Texts

ROOT = Path(__file__).parents[2]
ENGLISH = Texts.load("en")


def constants(path: str, pattern: str) -> dict[str, float]:
    """Read numbers by name from a source file."""
    return {name: float(value) for name, value in re.findall(pattern, (ROOT / path).read_text(), re.MULTILINE)}


PAGE = constants("static/waiting.js", r"^  const ([A-Z_]+) = ([\d.]+);")


@pytest.mark.parametrize(
    ("simulated", "page"),
    [
        (Client().jitter, PAGE["JITTER"]),
        (Client().jitter_max_s, PAGE["JITTER_MOST_MS"] / 1000),
        (Client().allowance, PAGE["ALLOWANCE"]),
        (Client().allowance_max_s, PAGE["ALLOWANCE_MOST_MS"] / 1000),
        (Client().forgets, PAGE["FORGETS"]),
        (page.AGREEING, PAGE["AGREEING_ANSWERS"]),
        (page.PLACE_GAIN, PAGE["PLACE_GAIN"]),
        (page.BIAS_GAIN, PAGE["BIAS_GAIN"]),
        (page.NOISE, PAGE["NOISE"]),
        (page.EXACT_RATIO, PAGE["EXACT_RATIO"]),
        (page.SURPRISE, PAGE["SURPRISE"]),
        (page.WELL_KNOWN, PAGE["WELL_KNOWN"]),
        (page.WAIT_GAIN, PAGE["WAIT_GAIN"]),
        (page.LEAST_S, PAGE["LEAST_WAIT_S"]),
        (clients.SHORTEST_S, PAGE["SHORTEST_MS"] / 1000),
        (clients.BACK_OFF_S, PAGE["BACK_OFF_FIRST_MS"] / 1000),
        (clients.BACK_OFF_MOST_S, PAGE["BACK_OFF_MOST_MS"] / 1000),
    ],
)
def test_simulated_clients_have_the_constants_of_the_page(simulated: float, page: float) -> None:
    assert simulated == page


def test_simulated_pages_show_waits_in_the_same_steps() -> None:
    assert ENGLISH.steps_s == page.STEPS_S
    assert page.LEAST_S == LEAST_WAIT_S


@given(st.floats(0.0, 40_000.0))
def test_simulated_pages_round_waits_as_the_server_does(seconds: float) -> None:
    assert page.nearest_step(seconds) == ENGLISH.wait_step(seconds)


def test_crowds_over_sockets_are_as_late_as_the_page() -> None:
    # Importing the locustfile would patch all sockets.
    locust = constants("tests/load/locustfile.py", r"^([A-Z_]+) = ([\d.]+)$")
    late = PAGE["JITTER"], PAGE["JITTER_MOST_MS"] / 1000
    assert late == (crowd.JITTER, crowd.JITTER_MOST_S)
    assert (locust["JITTER"], locust["JITTER_MOST_S"]) == late
