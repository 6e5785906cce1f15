"""The checker of copies finds every difference that is seeded, and nothing in copies that agree."""

from dataclasses import replace

import pytest

from checkout.audit_stores import RedisAndOrders, compare_journal, compare_redis
from checkout.evidence import Evidence
from tests.checkout.test_audit import NOW, clean


def shortened(evidence: Evidence, count: int) -> Evidence:
    return replace(evidence, events=evidence.events[:count])


async def both() -> RedisAndOrders:
    evidence = await clean()
    last = evidence.events[-1].seq
    return RedisAndOrders(evidence, evidence, "1 a", "1 a", last, last, "")


async def found(change: dict[str, object]) -> set[str]:
    pair = replace(await both(), **change)  # type: ignore[arg-type]
    return {finding.rule for finding in compare_redis(pair, NOW + 60_000)}


async def test_copies_that_agree_are_clean() -> None:
    assert await found({}) == set()


async def test_a_forwarder_that_is_a_moment_behind_is_no_fault() -> None:
    """The last event is young; an older one that PostgreSQL lacks is a fault."""
    evidence = await clean()
    pair = replace(await both(), orders=shortened(evidence, len(evidence.events) - 1))
    assert list(compare_redis(pair, NOW)) == []
    assert [finding.rule for finding in compare_redis(pair, NOW + 60_000)] == ["not-forwarded"]


@pytest.mark.parametrize("lost", [1, 3, 8])
async def test_a_redis_that_has_lost_its_end_is_found(lost: int) -> None:
    evidence = await clean()
    assert await found({"redis": shortened(evidence, len(evidence.events) - lost)}) == {"rolled-back"}


async def test_every_other_difference_is_found() -> None:
    """Lost sales, other epochs, orders that are older than Redis knows, other events, a stopped sale."""
    evidence = await clean()
    other = replace(evidence, events=[*evidence.events[:-1], evidence.events[-1]._replace(hold="other")])
    assert await found({"redis": None}) == {"rolled-back"}
    assert await found({"redis": other}) == {"histories-differ"}
    assert await found({"epoch": "1 b"}) == {"epoch"}
    assert await found({"epoch": ""}) == {"epoch"}
    assert await found({"forwarded": 10**6}) == {"orders-rolled-back"}
    assert await found({"stopped": "the server has restarted"}) == {"stopped"}
    assert await found({"redis": None, "orders": None}) == set()
    assert await found({"orders": None}) == {"not-forwarded"}


async def test_a_store_that_lacks_what_its_journal_has_is_found() -> None:
    events = (await clean()).events
    assert list(compare_journal("sqlite", events, events)) == []
    assert list(compare_journal("sqlite", events, events[:-2])) == []
    assert [finding.rule for finding in compare_journal("sqlite", events[:-1], events)] == ["rolled-back"]
    changed = [*events[:-1], events[-1]._replace(user="mallory")]
    assert [finding.rule for finding in compare_journal("sqlite", changed, events)] == ["histories-differ"]
