"""The load test itself is tested: some seconds of it, against a real edge and a real shop."""

import asyncio
import json
import sys
from pathlib import Path

from edge.cli.demo.shop import running_shop
from tests.edge.running import one_room, running_edge, wait_until

LOCUSTFILE = Path(__file__).with_name("locustfile.py")


async def test_a_crowd_of_locusts_waits_gets_in_and_buys(tmp_path: Path):
    """Nobody sees a failure, some wait, about as many get in as the room admits, and orders are made."""
    async with (
        running_shop(stock=10_000, checkouts_per_second=50, seconds_per_checkout=0.05) as shop,
        running_edge(
            one_room(shop, capacity={"admissions_per_second": 8}, polling={"min_seconds": 0.5, "max_seconds": 2}),
            tmp_path,
        ) as edge,
    ):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "locust", "-f", str(LOCUSTFILE), "--headless", "--only-summary", "--json"),
            *("--host", edge.url, "--users", "40", "--spawn-rate", "40", "--run-time", "5s", "--stop-timeout", "2"),
            *("--form-seconds", "0.2", "--impatient", "0.2", "--patience", "3"),
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        async with asyncio.timeout(60):
            out, said = await process.communicate()
        assert process.returncode == 0, said.decode()
        told = {each["name"]: each for each in json.loads(out)}
        got_in = told["line: admitted"]["num_requests"]

        async def counts_the_same() -> bool:
            room = (await edge.status())["rooms"][0]  # as of the workers' last reports
            return bool(abs(room["admitted"] - got_in) <= 2)

        await wait_until(counts_the_same, "the edge counts what the crowd saw")
    assert sum(each["num_failures"] for each in told.values()) == 0, said.decode()
    assert 16 <= got_in <= 8 * (5 + 2 + 2)
    assert told["line: waiting"]["num_requests"] > 20
    assert told["buy"]["num_requests"] > 8
    assert {"browse", "enter"} <= set(told)
