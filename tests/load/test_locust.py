"""The load test works: it runs for some seconds against a real edge and a real shop."""

import asyncio
import json
import sys
from pathlib import Path

from edge.cli.demo.shop import running_shop
from tests.edge.running import one_room, running_edge, wait_until

LOCUSTFILE = Path(__file__).with_name("locustfile.py")
CATALOGUE = Path(__file__).parents[2] / "configs" / "catalogue.yaml"


async def test_a_locust_crowd_waits_enters_and_buys(tmp_path: Path):
    """No visitor sees a failure, some wait, the room admits at its rate, and the shop gets orders."""
    async with (
        running_shop(10_000, 50, 0.05, CATALOGUE) as shop,
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
            out, errors = await process.communicate()
        assert process.returncode == 0, errors.decode()
        by_name = {each["name"]: each for each in json.loads(out)}
        admitted = by_name["line: admitted"]["num_requests"]

        async def has_the_same_count() -> bool:
            # The status is as old as the workers' last reports.
            room = (await edge.status())["rooms"][0]
            return bool(abs(room["admitted"] - admitted) <= 2)

        await wait_until(has_the_same_count, "the edge and the crowd count the same admissions")
    assert sum(each["num_failures"] for each in by_name.values()) == 0, errors.decode()
    assert 16 <= admitted <= 8 * (5 + 2 + 2)
    assert by_name["line: waiting"]["num_requests"] > 20
    assert by_name["buy"]["num_requests"] > 8
    assert {"browse", "enter"} <= set(by_name)
