"""Machines that Redis joins: what each of two is told, and when they have found each other."""

import yaml

from tests.edge.observed import CAPACITY
from tests.edge.running import RunningEdge, wait_until, with_rooms


def joined_machine(upstream: str, redis_url: str) -> str:
    """The settings of one of two, with the room `checkout`."""
    room = {"name": "checkout", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": CAPACITY}}
    settings = with_rooms(upstream, room) | {"workers": 1, "cluster": {"nodes": 2, "redis_url": redis_url}}
    return yaml.safe_dump(settings)


async def wait_joined(edges: list[RunningEdge], *, joined: bool) -> None:
    async def all_agree() -> bool:
        return all([(await edge.metric("stanchion_redis_up")) == float(joined) for edge in edges])

    await wait_until(all_agree, f"both machines know that Redis is {'there' if joined else 'gone'}")
