"""A network on the deny list of one machine is denied by all, over a real Redis, also by machines that start later."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web

from edge.cli.main import main
from tests.edge.cluster.machines import joined_machine, wait_joined
from tests.edge.cluster.redis_server import running_redis
from tests.edge.running import RunningEdge, running_edge, running_upstream, wait_until
from tests.edge.whole import Edge, whole_edge


async def shop(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="the shop")


async def wait_status(edge: RunningEdge, expected: int, what: str) -> None:
    async def is_so() -> bool:
        async with aiohttp.ClientSession() as session, session.get(edge.url + "/") as answer:
            return answer.status == expected

    await wait_until(is_so, what)


async def lists(edge: RunningEdge, *arguments: str) -> int:
    """`stanchion lists` at this machine."""
    return await asyncio.to_thread(main, ["lists", *arguments, "--admin", edge.admin])


async def test_a_network_that_is_denied_at_one_machine_is_denied_by_all(tmp_path: Path, capsys):
    """Also by a machine that joins later and by one that could not be reached meanwhile. Entries end by themselves."""
    folders = [tmp_path / name for name in ("redis", "one", "two", "three")]
    for folder in folders:
        folder.mkdir()
    async with AsyncExitStack() as stack:
        redis = await stack.enter_async_context(running_redis(folders[0]))
        upstream = await stack.enter_async_context(running_upstream(shop))
        text = joined_machine(upstream, redis.url)
        one, two = [await stack.enter_async_context(running_edge(text, folder)) for folder in folders[1:3]]
        await wait_joined([one, two], joined=True)

        assert await lists(one, "deny", "127.0.0.0/8", "--seconds", "600") == 0
        assert "127.0.0.0/8" in capsys.readouterr().out
        await wait_status(one, 403, "the first machine denies it")
        await wait_status(two, 403, "the second machine denies it")
        three = await stack.enter_async_context(running_edge(text, folders[3]))
        await wait_status(three, 403, "a machine that joined later denies it")

        assert await lists(two, "none", "127.0.0.0/8") == 0
        for edge in (one, two, three):
            await wait_status(edge, 200, "it is no longer denied")

        await redis.kill()
        await wait_joined([one, two], joined=False)
        assert await lists(one, "deny", "127.0.0.1", "--seconds", "600") == 0
        await wait_status(one, 403, "without Redis a machine denies it by itself")
        await wait_status(two, 200, "the other machine does not know of it")
        await redis.start()
        await wait_status(two, 403, "it gets the lists when Redis is back, empty")
        assert await lists(two, "allow", "127.0.0.0/8", "--seconds", "1") == 0
        await wait_status(one, 200, "the allow list wins over the deny list")
        await wait_status(one, 403, "the entry ends by itself")


async def ask(edge: Edge, body: Any, **headers: str) -> tuple[int, str]:
    sent = {"Content-Type": "application/json", **headers}
    data = body if isinstance(body, str) else json.dumps(body)
    async with (
        aiohttp.ClientSession() as session,
        session.post(edge.running.admin + "/lists", data=data, headers=sent) as answer,
    ):
        return answer.status, await answer.text()


async def test_changes_are_audited_and_a_page_in_a_browser_cannot_make_any(tmp_path: Path, capsys):
    deny = {"list": "deny", "networks": ["192.0.2.0/24"], "seconds": 60}
    async with whole_edge(tmp_path, workers=1) as edge:
        port = edge.running.admin.rpartition(":")[2]
        assert (await ask(edge, deny, **{"Content-Type": "text/plain"}))[0] == 415
        assert (await ask(edge, deny, Host=f"evil.example:{port}"))[0] == 421
        for wrong in (
            "{",
            {},
            deny | {"networks": []},
            deny | {"networks": ["192.0.2.1/24"]},
            deny | {"networks": ["192.0.2.0/24", "x"]},
            deny | {"list": "other"},
            deny | {"seconds": 0},
            deny | {"seconds": 1e9},
            deny | {"unknown": 1},
        ):
            status, text = await ask(edge, wrong)
            assert status == 400, wrong
            assert text.strip()
        assert await lists(edge.running) == 0
        assert "no network is on a list" in capsys.readouterr().out

        assert (await ask(edge, deny, Host=f"localhost:{port}"))[0] == 200
        assert (await ask(edge, deny | {"list": "none"}))[0] == 200
        done = [line for line in edge.said("audit") if line["result"] == "done"]
        changes = [(line["before"]["192.0.2.0/24"], line["after"]["192.0.2.0/24"]["list"]) for line in done]
        assert changes == [("none", "deny"), ("deny", "none")]
        refused = [line for line in edge.said("audit") if line["result"].startswith("refused: ")]
        assert len(refused) == 11, "one for each refused change"
        assert done[0]["actor"] == "127.0.0.1, no token"


async def test_a_list_without_networks_is_bad_usage(capsys):
    assert main(["lists", "deny"]) == 2
    assert "name a list" in capsys.readouterr().err
