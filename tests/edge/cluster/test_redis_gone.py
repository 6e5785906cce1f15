"""Redis is killed: rooms with `when_redis_down: admit` go on, rooms with `hold` pause until it is back."""

from pathlib import Path

import yaml

from tests.edge.cluster.redis_server import running_redis
from tests.edge.running import running_edge, running_upstream, wait_until
from tests.edge.whole import Edge, Upstream, Visitor, settings

METRIC = 'stanchion_room_missing_dependency{dependency="redis",room="hold"}'


async def test_without_redis_each_room_follows_its_setting(tmp_path: Path) -> None:
    """In the room that holds, visitors keep their place and are admitted afterwards. The edge starts before Redis."""
    upstream = Upstream()
    (tmp_path / "redis").mkdir()
    shared = {"capacity": {"admissions_per_second": 100.0}, "polling": {"min_seconds": 0.2, "max_seconds": 1.0}}
    rooms = [
        {"name": rule, "match": {"paths": [f"/{rule}*"]}, "when_redis_down": rule, **shared}
        for rule in ("hold", "admit")
    ]
    async with running_redis(tmp_path / "redis") as redis, running_upstream(upstream.handle) as address:
        await redis.kill()
        tree = settings(address, room={}, rooms=rooms, cluster={"machines": 1, "redis_url": redis.url})
        async with running_edge(yaml.safe_dump(tree), tmp_path) as running:
            edge = Edge(running, upstream, tree)

            async def wait_missing(missing: list[str]) -> None:
                async def is_shown() -> bool:
                    room = next(room for room in (await running.status())["rooms"] if room["room"] == "hold")
                    metric = (await edge.metrics()).get(METRIC)
                    return room["missing"] == missing and metric == len(missing)

                await wait_until(is_shown, f"status and metrics say that {missing} is missing")

            async def goes_on() -> bool:
                return (await Visitor(edge).ask("/admit"))[0] == "admitted"

            async def holds() -> bool:
                return {(await Visitor(edge).ask("/hold"))[0] for _ in range(6)} == {"waiting"}

            await wait_missing(["redis"])
            first = Visitor(edge)
            state, document = await first.ask("/hold")
            assert state == "waiting"
            await wait_until(goes_on, "the room with `admit` admits visitors")
            await redis.start()
            await wait_missing([])

            async def is_in() -> bool:
                return (await first.ask("/hold"))[0] == "admitted"

            await wait_until(is_in, "Redis is back, and the first visitor is admitted")
            await redis.kill()
            await wait_missing(["redis"])
            assert await holds()
            await wait_until(goes_on, "the room with `admit` admits visitors")
            assert (await first.ask("/hold"))[0] == "admitted", "an active visitor stays"
        assert document["first_seen"]
