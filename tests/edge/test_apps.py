"""What programs rely on: the status document as docs/status.schema.json describes it, and the loop of docs/apps.md."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import jsonschema_rs
from aiohttp import web

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Upstream, whole_edge
from waiting_room.assets import CLIENT, Assets
from waiting_room.status import State

DOCS = Path(__file__).parents[2] / "docs"
SCHEMA = json.loads((DOCS / "status.schema.json").read_text("utf-8"))
VALIDATOR = jsonschema_rs.validator_for(SCHEMA, validate_formats=True)

Document = dict[str, Any]

#: Admits the first visitor only.
ONE = {"admissions_per_second": 0.001, "burst_seconds": 1.0, "burst_floor": 1.0}


class SoldShop(Upstream):
    """Says at the path of the room how many units are free and held."""

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        free, held = {"/held": ("0", "2"), "/gone": ("0", "0")}.get(request.path, ("7", "1"))
        return web.Response(text="the shop", headers={"Stanchion-Stock": free, "Stanchion-Held": held})


class OrderShop(Upstream):
    """Takes orders."""

    def __init__(self) -> None:
        super().__init__()
        self.received: list[bytes] = []

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.method == "POST":
            self.received.append(await request.read())
        return web.Response(text="ordered")


def stamp(after_s: float) -> str:
    return datetime.fromtimestamp(time.time() + after_s, UTC).isoformat()


def room(name: str, **changes: Any) -> dict[str, Any]:
    return {"name": name, "match": {"paths": [f"/{name}*"]}, "capacity": ONE, **changes}


ROOMS = [
    room("line", stock={"path": "/line", "interval_seconds": 0.2}, page={"message": "Grüße"}),
    room("standing", capacity={"admissions_per_second": 0}),
    room("proof", join={"proof": "all"}),
    room("held", stock={"path": "/held", "interval_seconds": 0.2}),
    room("gone", stock={"path": "/gone", "interval_seconds": 0.2}),
    room("shut", mode="closed"),
]


def sale_rooms() -> list[dict[str, Any]]:
    def sale(prequeue_s: float, opens_s: float, **more: Any) -> list[dict[str, Any]]:
        return [{"name": "drop", "prequeue_at": stamp(prequeue_s), "opens_at": stamp(opens_s), **more}]

    return [
        room("before", sales=sale(3600, 7200)),
        room("prequeue", sales=sale(-60, 7200)),
        room("draw", sales=sale(-60, 7200, order="draw")),
        room("drawn", sales=sale(-7200, -3600, order="draw")),
        room("over", sales=sale(-7200, -3600, closes_at=stamp(-60))),
    ]


@asynccontextmanager
async def edge_of_all_states(folder: Path) -> AsyncIterator[Edge]:
    async with whole_edge(folder, SoldShop(), workers=1, rooms=ROOMS + sale_rooms()) as edge:

        async def stocks_are_known() -> bool:
            rooms = {each["room"]: each for each in (await edge.running.status())["rooms"]}
            return all(rooms[name]["stock"] is not None for name in ("line", "held", "gone"))

        await wait_until(stocks_are_known, "the edge knows every stock")
        yield edge


async def documents(edge: Edge) -> dict[str, Document]:
    """Return the documents of two visitors of every room, at their first poll and at a later one."""
    found = {}
    for name in [each["name"] for each in edge.tree["rooms"]]:
        address = f"{edge.running.url}/_stanchion/status?room={name}"
        for visitor in (1, 2):
            async with aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True)) as session:
                for poll in ("first", "later"):
                    async with session.get(address) as answer:
                        document = await answer.json()
                        assert (answer.status, answer.headers["Stanchion-State"]) == (200, document["state"])
                    found[f"{name} {visitor} {poll}"] = document
    return found


async def test_every_document_follows_the_schema(tmp_path: Path) -> None:
    """Of all states, from a real edge: it is valid, and the schema names each member that it has."""
    async with edge_of_all_states(tmp_path) as edge:
        found = await documents(edge)
    faults = [f"{which}: {error.message} at {error.instance_path}: {document}" for which, document in found.items()
              for error in VALIDATOR.iter_errors(document)]  # fmt: skip
    assert faults == []
    members = {name for document in found.values() for name in document}
    # These come after a long absence alone, and in a room that asks visitors whether they are there (test_turns.py).
    assert members == SCHEMA["properties"].keys() - {"moved_back_seconds", "confirm"}
    assert {document["state"] for document in found.values()} == {state.value for state in State}
    assert set(SCHEMA["properties"]["state"]["enum"]) == {state.value for state in State}
    assert found["line 2 later"]["message"] == "Grüße"
    assert found["standing 2 later"]["paused"] == "capacity"
    assert found["over 1 first"]["paused"] == "over"
    assert found["before 1 first"]["first_seen"] is None
    assert found["draw 2 later"]["draw"]["seed"] is None
    assert len(found["drawn 2 later"]["draw"]["seed"]) == 64
    assert (found["held 2 later"]["held"], found["held 2 later"]["state"]) == (2, "sold_out")
    assert found["gone 2 later"]["poll_after_seconds"] is None


def test_the_schema_refuses_other_documents() -> None:
    """Each of these differs from a valid document in one member."""
    good = {
        "state": "waiting", "room": "checkout", "position": 3, "eta_seconds": {"p50": 1, "p90": 2},
        "poll_after_seconds": 1.5, "first_seen": "2026-11-27T20:00:00.000Z", "message": None, "stock": None,
    }  # fmt: skip
    assert VALIDATOR.is_valid(good)
    assert VALIDATOR.is_valid(good | {"member_of_a_later_version": 1})
    for change in (
        {"state": "queued"}, {"position": 0}, {"position": "3"}, {"eta_seconds": {"p50": 1}}, {"first_seen": 1.0},
        {"first_seen": "2026-13-27T20:00:00.000Z"}, {"poll_after_seconds": None}, {"stock": -1}, {"paused": "capacity"},
        {"state": "admitted"}, {"state": "early"}, {"state": "joining"}, {"ticket": "x"}, {"held": None},
    ):  # fmt: skip
        assert not VALIDATOR.is_valid(good | change), change
    for name in good:
        assert not VALIDATOR.is_valid({key: value for key, value in good.items() if key != name}), name


def test_the_page_about_apps_explains_every_member_and_state() -> None:
    text = (DOCS / "apps.md").read_text("utf-8")
    for name in (*SCHEMA["properties"], *SCHEMA["properties"]["paused"]["examples"], *State):
        assert f"`{name}`" in text or f"`{name}:" in text, name


async def test_the_loop_in_python_waits_and_sends_once(tmp_path: Path) -> None:
    """docs/examples/wait.py, a program of its own: its POST reaches the shop once, after the admission."""
    shop = OrderShop()
    code = (DOCS / "examples" / "wait.py").read_text("utf-8")
    assert len([line for line in code.splitlines() if line and not line.lstrip().startswith('"""')]) <= 40
    script = "import sys, wait; print(wait.ask(sys.argv[1], b'n=2', lambda status: print(status['state'], flush=True)))"
    async with whole_edge(tmp_path, shop, workers=1, room={"capacity": {"admissions_per_second": 0}}) as edge:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", script, f"{edge.running.url}/checkout/order"),
            cwd=DOCS / "examples",
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdout is not None
        async with asyncio.timeout(60):
            assert await process.stdout.readline() == b"waiting\n"
            assert shop.received == []
            edge.tree["rooms"][0]["capacity"]["admissions_per_second"] = 50.0
            edge.rewrite(edge.tree)
            edge.running.send(signal.SIGHUP)
            lines = (await process.stdout.read()).decode().splitlines()
            await process.wait()
    assert lines[-1] == "(200, b'ordered')"
    assert set(lines[:-1]) <= {"waiting"}
    assert shop.received == [b"n=2"]


async def test_the_client_has_a_fixed_name_that_every_origin_may_load(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, workers=1) as edge, aiohttp.ClientSession() as session:
        address = f"{edge.running.url}/_stanchion/static/{CLIENT}"
        async with session.get(address) as answer:
            body, fields = await answer.read(), answer.headers
            assert answer.status == 200
            assert fields["Access-Control-Allow-Origin"] == "*"
            assert fields["Cache-Control"] == "public, max-age=600"
            assert fields["Content-Type"] == "text/javascript; charset=utf-8"
        async with session.get(address, headers={"If-None-Match": fields["ETag"]}) as answer:
            assert answer.status == 304
    assert body == (DOCS.parent / "static" / CLIENT).read_bytes()


def test_the_client_is_small_and_alone() -> None:
    """It is below 3 kB as it is served, and imports nothing."""
    [client] = [asset for asset in Assets.load() if asset.url.rpartition("/")[2].startswith("stanchion-client.")]
    assert len(client.gzipped) < 3000
    assert not re.search(rb"\bimport\b(?! \{ lineFetch)", client.body)
