"""Scheduled sales over the API and the command line of a real edge, as operators and visitors meet them."""

import asyncio
import json
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from edge.cli.main import main
from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, whole_edge

SALES = "/v1/rooms/checkout/sales"


def stamp(after_s: float) -> str:
    return datetime.fromtimestamp(time.time() + after_s, UTC).isoformat()


async def call(edge: Edge, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any, str]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, edge.running.admin + path, json=body, headers=headers) as answer,
    ):
        return answer.status, await answer.json(content_type=None), answer.headers.get("ETag", "")


async def put(edge: Edge, **sale: Any) -> Any:
    status, document, _ = await call(edge, "POST", SALES, {"name": "drop", **sale})
    assert status == 200, document
    return document


async def test_the_phases_as_visitors_meet_them(tmp_path: Path) -> None:
    room = {"polling": {"min_seconds": 0.2, "max_seconds": 0.5}, "session": {"duration_seconds": 5.0}}
    async with whole_edge(tmp_path, room=room) as edge:
        inside = Visitor(edge)
        assert (await inside.ask())[0] == "admitted"

        shown = await put(edge, prequeue_at=stamp(60), opens_at=stamp(120))
        assert (shown["phase"], shown["sale"]) == ("before", "drop")
        visitor = Visitor(edge)
        for _ in range(4):  # of both workers
            state, document = await visitor.ask()
            assert (state, document["opens_at"]) == ("early", shown["sales"][0]["opens_at"])
            assert 0 < document["poll_after_seconds"] <= 60.5
        assert visitor.cookies == {}, "nobody gets a place before the pre-queue"
        assert (await inside.ask())[0] == "admitted", "a pass counts until it ends"

        shown = await put(edge, prequeue_at=stamp(-1), opens_at=stamp(120), order="draw")
        for _ in range(4):
            state, document = await visitor.ask()
            assert (state, document["position"], document["paused"]) == ("early", None, "sale")
        assert document["draw"] == shown["sales"][0]["draw"]
        assert document["draw"]["seed"] is None

        async def is_counted() -> bool:
            return (await edge.metrics()).get('stanchion_sale_phase{phase="prequeue",room="checkout"}') == 1

        await wait_until(is_counted, "the phase is a metric")
        assert document["ticket"] in visitor.cookies.popitem()[1]

        shown = await put(edge, prequeue_at=stamp(-1), opens_at=stamp(120), suspended=True)
        visitor = Visitor(edge)
        state, document = await visitor.ask()
        assert (state, document["paused"], document.get("opens_at")) == ("waiting", "operator", None)

        await put(edge, prequeue_at=stamp(-1), opens_at=stamp(1.0), closes_at=stamp(5.0))

        async def reaches(expected: str) -> bool:
            nonlocal state, document
            state, document = await visitor.ask()
            return state == expected

        await wait_until(lambda: reaches("admitted"), "the sale opens")

        async def is_over() -> bool:
            state, document = await Visitor(edge).ask()
            return (state, document.get("paused"), document.get("poll_after_seconds")) == ("closed", "over", None)

        await wait_until(is_over, "the sale closes")
        status, document, _ = await call(edge, "DELETE", SALES + "/drop")
        assert (status, document["phase"], document["sales"]) == (200, "outside", [])
        visitor = Visitor(edge)
        await wait_until(lambda: reaches("admitted"), "the room is open as without sales")
        actions = [line["action"] for line in edge.said("audit") if "sale" in line["action"]]
        assert actions == [
            "add sale drop to checkout",
            *["change sale drop of checkout"] * 3,
            "remove sale drop of checkout",
        ]


async def test_a_page_without_scripts_counts_down(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, workers=1) as edge:
        await put(edge, prequeue_at=stamp(-1), opens_at=stamp(3700), order="draw")
        headers = {"Accept": "text/html", "Accept-Encoding": "identity"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(edge.running.url + "/checkout", headers=headers) as got,
        ):
            page = await got.text()
        assert "The sale is not open yet" in page
        assert "in 1:01:" in page
        assert "Fingerprint of the secret number" in page


async def test_what_is_wrong_is_said_and_a_sale_outlives_a_crash(tmp_path: Path) -> None:
    state = {"state_folder": str(tmp_path / "state")}
    async with whole_edge(tmp_path, **state) as edge:
        _, _, etag = await call(edge, "GET", SALES)
        for body, words in (
            ({"name": "drop"}, "opens_at"),
            ({"name": "drop", "opens_at": "2030-01-01T00:00:00"}, "offset"),
            ({"name": "drop", "opens_at": stamp(9), "closes_at": stamp(3)}, "closes_at must be after"),
            ({"name": "A b", "opens_at": stamp(9)}, "name"),
            ({"name": "drop", "opens_at": stamp(9), "colour": 1}, "colour"),
            ([], "object"),
        ):
            status, document, _ = await call(edge, "POST", SALES, body)
            assert (status, words in document["detail"]) == (400, True), document
        assert (await call(edge, "POST", "/v1/rooms/nothing/sales", {"name": "a", "opens_at": stamp(9)}))[0] == 404
        assert (await call(edge, "DELETE", SALES + "/nothing"))[0] == 404
        await put(edge, prequeue_at=stamp(-1), opens_at=stamp(600), order="draw")
        status, document, _ = await call(edge, "DELETE", SALES + "/drop", **{"If-Match": etag})
        assert (status, "not 0" in document["detail"]) == (412, True)
        _, before, etag = await call(edge, "GET", SALES)
        edge.running.send(signal.SIGKILL)
        await edge.running.wait_ended()
    environment = {"STANCHION_KEYS": "a-new-key-for-tests-only-" + "y" * 22 + ",a-key-for-tests-only-" + "x" * 22}
    async with whole_edge(tmp_path, environment=environment, **state) as edge:
        _, after, again = await call(edge, "GET", SALES)
        assert (after["sales"], again) == (before["sales"], etag), "also the commitment, after a rotation of the keys"
        assert (await Visitor(edge).ask())[0] == "early"


def test_an_operator_schedules_and_anybody_verifies(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The commands, one after the other, with the edge in a loop of their own."""

    async def run(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(main, arguments)
        out, err = capsys.readouterr()
        return code, out + err

    async def play() -> None:
        async with whole_edge(tmp_path) as edge:
            admin = ("--admin", edge.running.admin)
            code, text = await run("sale", "list", *admin)
            assert (code, text) == (0, "no sale is scheduled\n")
            code, text = await run(
                "sale", "add", "checkout", "drop", "--opens", "3s", "--prequeue", "10s", "--draw", *admin
            )
            assert (code, "prequeue" in text, "operator" in text) == (0, True, True)
            visitor = Visitor(edge)
            ticket = (await visitor.ask())[1]["ticket"]
            verify = ("draw", "verify", ticket, "--room", "checkout", *admin)
            code, text = await run(*verify)
            assert (code, "secret" in text) == (1, True)
            code, text = await run("sale", "suspend", "checkout", "drop", *admin)
            assert (code, "suspended" in text) == (0, True)
            code, text = await run("sale", "resume", "checkout", "drop", *admin)
            assert (code, "suspended" in text) == (0, False)

            async def is_open() -> bool:
                nonlocal text
                code, text = await run(*verify, "--json")
                return code == 0

            await wait_until(is_open, "the seed is published")
            found = json.loads(text)
            assert found["fits"] is True
            code, text = await run("draw", "verify", visitor.set_cookie.partition(";")[0], "--seed", found["seed"])
            assert (code, f"{found['u']:.12f}" in text) == (0, True)
            code, text = await run("draw", "verify", ticket, "--seed", found["seed"], "--commitment", "00" * 32)
            assert (code, "IS NOT" in text) == (1, True)
            code, text = await run("sale", "remove", "checkout", "drop", *admin)
            assert (code, text) == (0, "no sale is scheduled\n")

    asyncio.run(play())
