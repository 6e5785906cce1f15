"""A sale stays correct under kill -9. This one is short; `make soak-shop` plays long ones."""

import asyncio

import pytest

from tests.checkout.chaos import Plan, run

pytestmark = pytest.mark.serial

ENGINES = ("sqlite", "redis", "postgres")


async def test_a_sale_survives_kill_9() -> None:
    """No kill causes an oversale, a lost unit or a second charge, and every unit is sold in the end.

    The three sales are played at the same time, because each of them mostly waits.
    """
    # With this seed a shop, a bus and each kind of store are killed.
    # A hold must be longer than a payment on a busy machine, or the buyers leave before every unit is sold.
    plans = [Plan(engine, stock=80, rounds=3, seed=26, kill_every_s=(0.1, 0.6), hold_s=3.0) for engine in ENGINES]
    for plan, result in zip(plans, await asyncio.gather(*map(run, plans)), strict=True):
        assert result.findings == [], plan.engine
        assert result.sold == plan.stock, plan.engine
        assert result.kills.total() > 0, plan.engine
        sold = {record.user for record in result.client_records if record.kind == "sold"}
        assert len(sold) <= plan.stock, plan.engine
