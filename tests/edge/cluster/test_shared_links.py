"""An invite for one browser is opened once over two machines that a real Redis joins."""

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path

import yaml

from tests.edge.cluster.machines import wait_joined
from tests.edge.cluster.redis_server import running_redis
from tests.edge.running import running_edge, running_upstream, wait_until
from tests.edge.test_lanes import Visitor
from tests.edge.test_links import Shop, ask, make, open_link
from tests.reliability.lanes import FIELD, LANE, lanes_of


async def test_two_machines_open_an_invite_once_and_know_what_was_revoked(tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("redis", "one", "two")]
    for folder in folders:
        folder.mkdir()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis(folders[0]))
        upstream = await stack.enter_async_context(running_upstream(Shop().handle))
        cluster = {"machines": 2, "redis_url": redis.url}
        text = yaml.safe_dump({**lanes_of(upstream, mode="hold"), "workers": 1, "cluster": cluster})
        one, two = [await stack.enter_async_context(running_edge(text, folder)) for folder in folders[1:]]
        await wait_joined([one, two], joined=True)

        made = await make(one)
        token = made["links"][0]["token"]
        agents = [f"program-{number}/1.0" for number in range(10)]
        visitors = [
            await stack.enter_async_context(Visitor((one, two)[number % 2], **{"User-Agent": agent}))
            for number, agent in enumerate(agents)
        ]
        statuses = await asyncio.gather(*(open_link(visitor, token) for visitor in visitors))
        assert sorted(statuses) == [303] + [410] * 9

        everybody = (await make(one, uses=0))["links"][0]
        assert await open_link(visitors[1], everybody["token"]) == 303
        assert (await ask(one, "DELETE", f"/v1/rooms/checkout/invites/{everybody['id']}"))[0] == 200

        async def is_revoked() -> bool:
            return await open_link(visitors[1], everybody["token"]) == 410

        await wait_until(is_revoked, "the other machine to know of the revocation")

        members = [await stack.enter_async_context(Visitor(edge, **{FIELD: "gold"})) for edge in (one, two)]
        for member in members:
            await member.get("/checkout")
        assert [member.lane for member in members] == [LANE, LANE]

        await redis.kill()
        unverified = (await make(one))["links"][0]["token"]
        assert await open_link(visitors[0], unverified) == 503
        settled = await make(one, uses=0)
        assert await open_link(visitors[0], settled["links"][0]["token"]) == 303
