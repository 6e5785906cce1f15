"""Workers on one port: their shares of the capacity, and what a worker's death means for visitors."""

import asyncio
import os
import signal
from pathlib import Path

import aiohttp
import pytest

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge


async def kill_worker(edge: Edge, index: int = 0) -> int:
    """Kill a worker with KILL and wait until the next one serves; return the pid of the killed one."""
    [node] = [node for node in (await edge.running.status())["nodes"] if node["node"] == index]
    os.kill(node["pid"], signal.SIGKILL)

    async def is_replaced() -> bool:
        now = (await edge.running.status())["nodes"][index]
        return now["ready"] and now["pid"] != node["pid"]

    await wait_until(is_replaced, "the killed worker is replaced")
    return int(node["pid"])


async def test_workers_share_a_port_and_the_capacity(tmp_path: Path):
    """Each worker hands out capacity / (machines * workers), and visitors reach all of them at one address."""
    room = {"capacity": {"admissions_per_second": 16.0}}
    async with whole_edge(tmp_path, cluster={"machines": 2}, room=room) as edge:
        for _ in range(24):
            await Visitor(edge).ask()

        async def both_report() -> bool:
            nodes = (await edge.room())["nodes"]
            return len(nodes) == 2 and all(node["polled"] > 0 for node in nodes)

        await wait_until(both_report, "both workers were polled")
        room_now = await edge.room()
        assert [node["admissions_per_second"] for node in room_now["nodes"]] == [4.0, 4.0]
        assert room_now["admissions_per_second"] == 8.0
        pids = await edge.running.worker_pids()
        assert len(set(pids)) == 2


async def test_a_killed_worker_costs_no_visitor_their_place(tmp_path: Path):
    """Over a KILL, visitors in line keep their place and active visitors stay. No visitor sees an error, there is no
    second burst, and the counters go on."""
    room = {"capacity": {"admissions_per_second": 0.02, "burst_seconds": 1.0}}
    async with whole_edge(tmp_path, room=room) as edge:
        inside: list[Visitor] = []
        waiting: list[tuple[Visitor, str]] = []
        for _ in range(12):
            visitor = Visitor(edge)
            state, document = await visitor.ask()
            if state == "admitted":
                inside.append(visitor)
            else:
                waiting.append((visitor, document["first_seen"]))
        assert 1 <= len(inside) <= 2, "a node's bucket holds at least one token"

        async def is_counted() -> bool:
            return (await edge.metrics()).get('stanchion_admissions_total{room="checkout"}') == len(inside)

        await wait_until(is_counted, "the admissions are reported")
        before = await edge.metrics()

        async def go_on(visitor: Visitor) -> None:
            while not replaced.is_set():
                assert (await visitor.ask())[0] == "admitted"

        replaced = asyncio.Event()
        async with asyncio.TaskGroup() as group:
            for visitor in inside:
                group.create_task(go_on(visitor))
            await kill_worker(edge)
            replaced.set()
        for visitor, first_seen in waiting:
            state, document = await visitor.ask()
            assert (state, document["first_seen"]) == ("waiting", first_seen)
        for _ in range(8):
            assert (await Visitor(edge).ask())[0] == "waiting"
        after = await edge.metrics()
        counters = [name for name in before if name.partition("{")[0].endswith(("_total", "_count", "_bucket"))]
        assert counters
        assert all(after[name] >= before[name] for name in counters)
        assert after['stanchion_admissions_total{room="checkout"}'] == len(inside)
        assert (await edge.running.status())["nodes"][0]["restarts"] == 1
        assert [line["level"] for line in edge.said("was killed by signal 9")] == ["error"]


async def test_a_crash_loop_backs_off_and_admits_no_burst(tmp_path: Path):
    """A worker that dies again and again is restarted ever more slowly. Each one starts with an empty bucket, even if
    the one before it died before it could report."""
    room = {"capacity": {"admissions_per_second": 0.02, "burst_seconds": 300.0}}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        for _ in range(3):
            await kill_worker(edge)
            assert (await Visitor(edge).ask())[0] == "waiting"
        pauses = [line["pause_s"] for line in edge.said("starting another")]
        assert pauses == [0.1, 0.3, 0.7]
        files = [
            name for folder in os.listdir(tmp_path) if "metrics" in folder for name in os.listdir(tmp_path / folder)
        ]
        assert files
        assert all(name.endswith("_0.db") for name in files), files


async def test_active_visitors_are_counted_over_all_workers(tmp_path: Path):
    """total_active_users holds at every worker and over a worker's death. A session that the upstream completes makes
    room at once."""
    room = {"capacity": {"admissions_per_second": 100.0, "total_active_users": 3}}
    async with whole_edge(tmp_path, room=room) as edge:
        visitors = [Visitor(edge) for _ in range(12)]
        states = [(await visitor.ask())[0] for visitor in visitors]
        assert states.count("admitted") == 3
        await kill_worker(edge)
        others = [visitor for visitor, state in zip(visitors, states, strict=True) if state == "waiting"]
        assert [(await visitor.ask())[0] for visitor in others] == ["waiting"] * 9
        leaving = visitors[states.index("admitted")]
        assert (await leaving.ask("/checkout/say/complete"))[0] == "admitted"

        async def one_is_admitted() -> bool:
            return "admitted" in [(await visitor.ask())[0] for visitor in others]

        await wait_until(one_is_admitted, "the next visitor is admitted")
        states = [(await visitor.ask())[0] for visitor in visitors if visitor is not leaving]
        assert states.count("admitted") == 3


async def test_a_room_that_is_sold_out_at_one_worker_is_sold_out_at_all(tmp_path: Path):
    """Also at workers that start later."""
    async with whole_edge(tmp_path) as edge:
        assert (await Visitor(edge).ask("/checkout/say/sold-out"))[0] == "admitted"

        async def all_agree() -> bool:
            return {(await Visitor(edge).ask())[0] for _ in range(8)} == {"sold_out"}

        await wait_until(all_agree, "all workers answer that the room is sold out")
        await kill_worker(edge, 0)
        await kill_worker(edge, 1)
        assert {(await Visitor(edge).ask())[0] for _ in range(8)} == {"sold_out"}


async def test_a_killed_worker_breaks_only_connections_that_it_had_accepted(tmp_path: Path):
    """Connections in its backlog are served by the next worker."""
    async with whole_edge(tmp_path, workers=1) as edge:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{edge.running.url}/stream/cut") as answer,
        ):
            await answer.content.readexactly(6)
            [pid] = await edge.running.worker_pids()
            os.kill(pid, signal.SIGKILL)
            with pytest.raises(aiohttp.ClientError):
                await answer.read()
        shown = await asyncio.gather(*(Visitor(edge).ask() for _ in range(5)))
        assert [state for state, _ in shown] == ["admitted"] * 5
