"""Workers tell each other how many requests they let through: a limit holds for all of them together."""

import asyncio
from pathlib import Path

import aiohttp

from tests.edge.running import wait_until
from tests.edge.whole import Edge, whole_edge

LIMIT, AT_ONCE = 300, 8


async def allowed(edge: Edge, session: aiohttp.ClientSession) -> bool:
    async with session.get(edge.running.url + "/") as answer:
        return answer.status == 200


async def test_requests_at_one_worker_count_at_the_others(tmp_path: Path):
    """One connection, which one worker serves, uses the limit up. Then the other worker refuses requests too."""
    async with whole_edge(tmp_path, workers=2, abuse={"reads_per_minute": LIMIT}) as edge:
        async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=1)) as greedy:
            passed = 0
            while await allowed(edge, greedy):
                passed += 1
                assert passed < 2 * LIMIT
        assert passed >= LIMIT * 0.9
        late = 0

        async def all_refuse() -> bool:
            """New connections, which the kernel gives to either worker."""
            nonlocal late
            await asyncio.sleep(0.2)  # a slow pace, so that asking uses up little of the limit
            async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as others:
                asked = await asyncio.gather(*(allowed(edge, others) for _ in range(AT_ONCE)))
            late += sum(asked)
            return not any(asked)

        await wait_until(all_refuse, "every worker refuses")
        assert late < LIMIT / 2, "the limit of the other worker was used up as well"
