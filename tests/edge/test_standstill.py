"""Standstills over real sockets, in short: `make reliability ARGS=standstill` plays them all, with larger crowds."""

import pytest

from tests.edge.observed import BURST_S, CAPACITY
from tests.reliability.standstill import play

pytestmark = pytest.mark.serial


@pytest.mark.parametrize(("name", "reason"), [("pause-1", "capacity"), ("outage-5", "upstream"), ("crash", "")])
async def test_the_line_freezes_and_goes_on_in_order(name: str, reason: str) -> None:
    """All are admitted, nobody meanwhile, never more than capacity and burst, and hardly a pair in the wrong order."""
    seen = await play(name, machines=1, visitors=240, at_s=3.0)
    print(seen)
    assert seen.admitted == 240
    assert seen.meanwhile == 0
    assert seen.most <= CAPACITY * (1.0 + BURST_S) + 1
    assert seen.kendall < 0.05
    assert not reason or reason in seen.paused
