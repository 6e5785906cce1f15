"""Polls under a budget, over real connections: however many visitors wait, the node gets about as many polls as set."""

import asyncio
import json
import time
from pathlib import Path

import pytest
import yaml

from tests.edge.running import running_edge, with_rooms

pytestmark = pytest.mark.serial

VISITORS, BUDGET, SETTLED_S, COUNTED_S = 2000, 250.0, 12.0, 8.0


async def test_2000_connections_keep_the_budget(tmp_path: Path) -> None:
    """2,000 visitors at one poll in 2 s would be 1,000 polls a second; the budget is 250."""
    room = {
        "name": "checkout",
        "match": {"paths": ["/checkout*"]},
        "capacity": {"admissions_per_second": 0.5},
        "polling": {"min_seconds": 1, "max_seconds": 2, "budget_per_second": BUDGET},
    }
    settings = yaml.safe_dump(with_rooms("http://127.0.0.1:9", room) | {"workers": 1})
    async with running_edge(settings, tmp_path) as edge:
        port = int(edge.url.rpartition(":")[2])
        polls: list[float] = []
        began = time.monotonic()

        async def visit(number: int) -> None:
            await asyncio.sleep(number / VISITORS * 4.0)
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            try:
                await poll(reader, writer)
            finally:
                writer.close()

        async def poll(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            cookie, state = "", "waiting"
            while state == "waiting":
                writer.write(f"GET /_stanchion/status?room=checkout HTTP/1.1\r\nHost: a\r\n{cookie}\r\n".encode())
                polls.append(time.monotonic() - began)
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                fields = dict(line.split(": ", 1) for line in head.split("\r\n")[1:-2])
                document = json.loads(await reader.readexactly(int(fields["Content-Length"])))
                if "Set-Cookie" in fields:
                    cookie = "Cookie: " + fields["Set-Cookie"].partition(";")[0] + "\r\n"
                state = document["state"]
                await asyncio.sleep(document["poll_after_seconds"] or 0)

        async with asyncio.TaskGroup() as crowd:
            visitors = [crowd.create_task(visit(number)) for number in range(VISITORS)]
            await asyncio.sleep(SETTLED_S + COUNTED_S)
            for visitor in visitors:
                visitor.cancel()
    rate = sum(at >= SETTLED_S for at in polls) / COUNTED_S
    print(f"{rate:.0f} polls a second of {VISITORS} visitors; the budget is {BUDGET:.0f}")
    assert 0.75 * BUDGET < rate < 1.1 * BUDGET
