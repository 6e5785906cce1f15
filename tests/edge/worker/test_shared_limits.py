"""Workers tell each other what they let through: a limit holds for all of them together."""

import asyncio
from pathlib import Path

import aiohttp

from tests.edge.running import wait_until
from tests.edge.whole import Edge, whole_edge

LIMIT, AT_ONCE = 300, 8


async def allowed(edge: Edge, session: aiohttp.ClientSession) -> bool:
    async with session.get(edge.running.url + "/") as answer:
        return answer.status == 200


async def test_what_one_worker_has_let_through_counts_at_the_others(tmp_path: Path):
    """One connection, which is one worker's, uses the limit up; then those at other workers get nothing more."""
    async with whole_edge(tmp_path, workers=2, abuse={"reads_per_minute": LIMIT}) as edge:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as greedy:
            passed = 0
            while await allowed(edge, greedy):
                passed += 1
                assert passed < 2 * LIMIT
        assert passed >= LIMIT * 0.9
        late = 0

        async def all_refuse() -> bool:
            """New connections, which fall to either worker by chance."""
            nonlocal late
            await asyncio.sleep(0.2)
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as others:
                asked = await asyncio.gather(*(allowed(edge, others) for _ in range(AT_ONCE)))
            late += sum(asked)
            return not any(asked)

        await wait_until(all_refuse, "every worker has heard of it")
        assert late < LIMIT / 2, "the other worker had its own limit used up"
