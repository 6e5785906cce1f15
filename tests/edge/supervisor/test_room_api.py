"""Rooms run over the API of real edges: every mode as visitors meet it, roles, versions, and what programs are told."""

import asyncio
import json
import signal
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge

Answer = tuple[int, Any, str]


async def call(edge: Edge, method: str, path: str, body: Any = None, token: str = "", **headers: str) -> Answer:
    """Return status, document and ETag."""
    sent = {"Authorization": f"Bearer {token}"} if token else {}
    data = None if body is None else body if isinstance(body, str) else json.dumps(body)
    kind = {} if body is None else {"Content-Type": "application/merge-patch+json"}
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, edge.running.admin + path, data=data, headers={**sent, **kind, **headers}) as answer,
    ):
        return answer.status, await answer.json(content_type=None), answer.headers.get("ETag", "")


async def change(edge: Edge, **changes: Any) -> Any:
    status, document, _ = await call(edge, "PATCH", "/v1/rooms/checkout", changes)
    assert status == 200, document
    return document


async def asked(edge: Edge, visitor: Visitor, expected: str) -> dict[str, Any]:
    """Poll until the state is as expected; return the last document."""
    document: dict[str, Any] = {}

    async def is_so() -> bool:
        nonlocal document
        state, document = await visitor.ask()
        return state == expected

    await wait_until(is_so, f"the visitor is told: {expected}")
    return document


async def test_every_mode_as_visitors_meet_it(tmp_path: Path):
    room = {"capacity": {"admissions_per_second": 50.0}, "session": {"duration_seconds": 60.0}}
    async with whole_edge(tmp_path, room=room) as edge:
        inside = Visitor(edge)
        assert (await inside.ask())[0] == "admitted"

        await change(edge, mode="hold", reason="bank is down")
        waiting = Visitor(edge)
        for _ in range(6):  # of both workers
            assert (await waiting.ask())[0] == "waiting", "nobody is admitted while the room holds"
        assert (await inside.ask())[0] == "admitted", "passes go on"
        shown = await edge.room()
        assert shown["mode"] == "hold"

        await change(edge, mode="drain")
        await asked(edge, waiting, "admitted")
        for _ in range(4):
            state, document = await Visitor(edge).ask()
            assert (state, document["poll_after_seconds"]) == ("closed", None), "no more places"

        await change(edge, mode="hold")
        second = Visitor(edge)
        await asked(edge, second, "waiting")
        await change(edge, mode="closed", message="Back tomorrow.")
        document = await asked(edge, second, "closed")
        assert document["poll_after_seconds"] is not None, "those in line keep their place and ask again"
        assert document["message"] == "Back tomorrow."
        first = Visitor(edge)
        assert (await first.ask())[0] == "closed"
        assert first.cookies == {}, "a first visitor gets no place in a closed room"
        assert (await inside.ask())[0] == "admitted", "a pass lasts until it ends"

        await change(edge, mode="open", message=None)
        await asked(edge, second, "admitted")

        status, document, _ = await call(edge, "DELETE", "/v1/rooms/checkout/overrides")
        assert (status, document["mode"], document["changed"]) == (200, "open", [])
        changes = [line for line in edge.said("audit") if line["action"] == "change room checkout"]
        assert [line["after"]["mode"] for line in changes] == ["hold", "drain", "hold", "closed", "open", "open"]


async def test_shadow_lets_everybody_pass_and_counts_visitors_that_would_have_waited(tmp_path: Path):
    room = {"capacity": {"admissions_per_second": 0.5, "burst_floor": 1.0}, "mode": "shadow"}
    async with whole_edge(tmp_path, workers=1, room=room) as edge:
        visitors = [Visitor(edge) for _ in range(12)]
        for visitor in visitors:
            assert (await visitor.ask())[0] == "admitted"
        for visitor in visitors:
            assert (await visitor.ask())[0] == "admitted"

        async def counted() -> bool:
            shadow = (await edge.room())["shadow"]
            return shadow is not None and shadow["visitors"] == 12 and shadow["queued"] >= 9

        await wait_until(counted, "a visitor counts once, and most would have waited")
        assert (await edge.room())["shadow"]["longest_s"] > 10
        counts = await edge.metrics()
        assert counts['stanchion_shadow_wait_seconds_count{room="checkout"}'] == 12
        assert counts['stanchion_room_mode{mode="shadow",room="checkout"}'] == 1


async def test_capacity_is_in_force_at_once_and_a_change_ends_by_itself(tmp_path: Path):
    room = {"capacity": {"admissions_per_second": 20.0}}
    async with whole_edge(tmp_path, room=room) as edge:
        shown = await change(edge, admissions_per_second=80.0)
        assert (shown["admissions_per_second"], shown["changed"]) == (80.0, ["admissions_per_second"])
        assert (await edge.room())["admissions_per_second"] == 80.0

        async def nodes_follow() -> bool:
            nodes = (await edge.room())["nodes"]
            return sum(node["admissions_per_second"] for node in nodes) == pytest.approx(80.0)

        await wait_until(nodes_follow, "all workers use the new capacity")
        soon = datetime.now(UTC) + timedelta(seconds=1)
        await change(edge, until=soon.isoformat())

        async def is_over() -> bool:
            return bool((await edge.room())["admissions_per_second"] == 20.0)

        await wait_until(is_over, "the file decides again")
        assert time.time() >= soon.timestamp()

        async def is_audited() -> bool:
            return any("its time is over" in line["result"] for line in edge.said("audit"))

        await wait_until(is_audited, "the end is in the audit trail")


async def test_a_held_room_stays_held_when_everything_is_killed(tmp_path: Path):
    state = {"state_folder": str(tmp_path / "state")}
    async with whole_edge(tmp_path, **state) as edge:
        await change(edge, mode="hold", reason="fire alarm")
        pids = await edge.running.worker_pids()
        edge.running.send(signal.SIGKILL)
        await edge.running.wait_ended()
        assert pids
    async with whole_edge(tmp_path, **state) as edge:
        _, document, _ = await call(edge, "GET", "/v1/rooms/checkout")
        assert (document["mode"], document["reason"]) == ("hold", "fire alarm")
        assert (await Visitor(edge).ask())[0] == "waiting"


async def test_what_is_wrong_with_a_change_is_said_and_nothing_happens(tmp_path: Path):
    async with whole_edge(tmp_path, workers=1) as edge:
        _, before, etag = await call(edge, "GET", "/v1/rooms/checkout")
        for wrong, words in (
            ("{", "JSON"),
            ({"mode": "shut"}, "mode"),
            ({"mod": "hold"}, "mod"),
            ({"admissions_per_second": -1}, "admissions_per_second"),
            ({"admissions_per_second": "20"}, "admissions_per_second"),
            ({"total_active_users": 0}, "total_active_users"),
            ({"message": "x" * 501}, "message"),
            ({"until": "tomorrow"}, "until"),
            ({"until": "2030-01-01T00:00:00"}, "offset"),
            ({"until": "2020-01-01T00:00:00Z"}, "in the future"),
            ([], "object"),
        ):
            status, document, _ = await call(edge, "PATCH", "/v1/rooms/checkout", wrong)
            assert (status, document["status"]) == (400, 400), wrong
            assert words in document["detail"], document
        status, document, _ = await call(edge, "PATCH", "/v1/rooms/nothing", {"mode": "hold"})
        assert (status, "the rooms are checkout" in document["detail"]) == (404, True)
        status, document, _ = await call(edge, "PATCH", "/v1/rooms/checkout", {}, **{"If-Match": "W/1"})
        assert (status, "If-Match" in document["detail"]) == (400, True)
        text = {"Content-Type": "text/plain"}
        assert (await call(edge, "PATCH", "/v1/rooms/checkout", {"mode": "hold"}, **text))[0] == 415
        host = {"Host": "evil.example"}
        assert (await call(edge, "PATCH", "/v1/rooms/checkout", {"mode": "hold"}, **host))[0] == 421
        status, after, same = await call(edge, "GET", "/v1/rooms/checkout")
        assert (same, after["changed"]) == (etag, before["changed"])
        assert len([line for line in edge.said("audit") if line["result"].startswith("refused")]) == 15

        status, _, _ = await call(edge, "PATCH", "/v1/rooms/checkout", {"mode": "hold"}, **{"If-Match": etag})
        assert status == 200
        status, document, _ = await call(edge, "PATCH", "/v1/rooms/checkout", {"mode": "open"}, **{"If-Match": etag})
        assert (status, "read it again" in document["detail"]) == (412, True)
        assert (await edge.room())["mode"] == "hold"


async def test_roles_bound_what_a_token_may_do(tmp_path: Path):
    view, operate = "view-token-for-tests", "operate-token-for-tests"
    (tmp_path / "tokens").write_text(f"view board {view}\noperate ann {operate}\n")
    admin = {"listen": "tcp://127.0.0.1:0", "tokens_file": "tokens"}
    async with whole_edge(tmp_path, workers=1, admin=admin) as edge:
        for path in ("/v1/rooms", "/v1/rooms/checkout", "/v1/openapi.json"):
            assert [(await call(edge, "GET", path, token=token))[0] for token in ("", view, operate)] == [401, 200, 200]
        hold = {"mode": "hold"}
        results = [(await call(edge, "PATCH", "/v1/rooms/checkout", hold, token))[0] for token in ("", view, operate)]
        assert results == [401, 403, 200]
        [done] = [line for line in edge.said("audit") if line["result"] == "done"]
        assert done["actor"] == "127.0.0.1, ann"

        (tmp_path / "tokens").write_text(f"view board {view}\n")
        edge.running.send(signal.SIGHUP)

        async def is_revoked() -> bool:
            return (await call(edge, "GET", "/v1/rooms", token=operate))[0] == 401

        await wait_until(is_revoked, "a token that was removed counts no more after a HUP")
        (tmp_path / "tokens").write_text("boss ann x\n")
        edge.running.send(signal.SIGHUP)
        await wait_until(lambda: asyncio.sleep(0, bool(edge.said("reload refused"))), "a faulty file is refused")
        assert (await call(edge, "GET", "/v1/rooms", token=view))[0] == 200, "and the tokens stay"
        assert operate not in edge.running.output.decode()


async def test_the_stream_shows_a_change_and_ends_with_the_edge(tmp_path: Path):
    async with whole_edge(tmp_path, workers=1) as edge:
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{edge.running.admin}/v1/rooms/checkout/stream") as answer,
        ):
            assert answer.headers["Content-Type"] == "text/event-stream"
            first = json.loads((await answer.content.readline()).removeprefix(b"data: "))
            assert first["mode"] == "open"
            await change(edge, mode="hold")
            async with asyncio.timeout(20):
                async for line in answer.content:
                    if line.startswith(b"data: ") and json.loads(line[6:])["mode"] == "hold":
                        break
            edge.running.send(signal.SIGTERM)
            async with asyncio.timeout(20):
                await answer.content.read()
        assert await edge.running.wait_ended() == 0
