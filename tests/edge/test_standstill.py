"""Standstills over real sockets, in short: `make reliability ARGS=standstill` plays them all, with larger crowds."""

import asyncio

import pytest

from tests.edge.observed import BURST_S, CAPACITY
from tests.reliability.standstill import Observed, play

pytestmark = pytest.mark.serial

#: Fault -> why visitors are told that the line is paused.
SHORT = {"pause-1": "capacity", "outage-5": "upstream", "crash": ""}


async def test_the_line_freezes_and_goes_on_in_order() -> None:
    """All are admitted, nobody meanwhile, never more than capacity and burst, and hardly a pair in the wrong order.

    The three sales are played at the same time, because each of them mostly waits.
    """
    seen = await asyncio.gather(*(play(name, machines=1, visitors=240, at_s=3.0) for name in SHORT))
    assert [faults(each, SHORT[name]) for name, each in zip(SHORT, seen, strict=True)] == [[], [], []]


def faults(seen: Observed, reason: str) -> list[str]:
    """Say what is wrong with a sale."""
    checks = {
        "not all were admitted": seen.admitted == 240,
        "visitors were admitted meanwhile": seen.meanwhile == 0,
        "more than capacity and burst": seen.most <= CAPACITY * (1.0 + BURST_S) + 1,
        "out of order": seen.kendall < 0.05,
        "visitors were not told why": not reason or reason in seen.paused,
    }
    return [f"{what}: {seen}" for what, is_right in checks.items() if not is_right]
