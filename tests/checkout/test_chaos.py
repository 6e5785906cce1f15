"""A sale under kill -9 stays right: a short one here, the long ones by `make soak-shop`."""

import pytest

from tests.checkout.chaos import Plan, run

pytestmark = pytest.mark.serial


@pytest.mark.parametrize("engine", ["sqlite", "redis", "postgres"])
async def test_sale_under_kill_9(engine: str) -> None:
    """Whatever is killed: nothing oversold, lost, charged twice or forgotten, and every unit is sold in the
    end.
    """
    plan = Plan(engine, stock=80, rounds=3, seed=5, kill_every_s=(0.1, 0.6), hold_s=0.5)
    result = await run(plan)
    assert result.findings == []
    assert result.sold == plan.stock
    assert result.kills.total() > 0
    assert len({told.user for told in result.told if told.kind == "sold"}) <= plan.stock
