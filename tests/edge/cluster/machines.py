"""Two machines that Redis joins: their settings, and waiting until they hear each other."""

import yaml

from tests.edge.observed import CAPACITY
from tests.edge.running import RunningEdge, wait_until, with_rooms


def joined_machine(upstream: str, redis_url: str) -> str:
    """Return the settings of one of two machines, with the room `checkout`."""
    room = {"name": "checkout", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": CAPACITY}}
    settings = with_rooms(upstream, room) | {"workers": 1, "cluster": {"machines": 2, "redis_url": redis_url}}
    return yaml.safe_dump(settings)


async def wait_joined(edges: list[RunningEdge], *, joined: bool) -> None:
    async def all_agree() -> bool:
        return all([(await edge.metric("stanchion_redis_up")) == float(joined) for edge in edges])

    await wait_until(all_agree, f"both machines know that Redis is {'there' if joined else 'gone'}")
