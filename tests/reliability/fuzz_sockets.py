"""Mutations over sockets: like `fuzz.py`, but against a whole edge and its connections.

    requests   heads and bodies, one to three of them at once, cut into packets anywhere -> edge -> clean responses
    answers    clean requests, some with bodies or upgrades -> edge -> mutated responses, cut into packets anywhere

What must hold: no 500 and, while the upstream is clean, no other 5xx but 501 and 505; no worker ends or logs an
exception; a strict reader reads the bytes at the upstream in one way; no connection of a visitor that left stays; a
good visitor, each time on a new connection, is served throughout.
"""

import asyncio
import random
import re
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import aiohttp
import yaml

from tests.edge.running import RunningEdge, running_edge, wait_until, with_rooms
from tests.reliability.conformance.messages import read_messages
from tests.reliability.fuzz import mutations, seeds
from tests.reliability.judge import judge

__all__ = ["FuzzedSockets", "fuzz_sockets"]

#: Connections at the same time.
AT_ONCE = 8
#: An answer, or the end of the connection, is waited for so long.
PATIENCE_S = 30.0
GOOD = b"GET /good HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
CLEAN = (
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"GET / HTTP/1.0\r\nHost: a\r\n\r\n",
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\nGET /next HTTP/1.1\r\nHost: a\r\n\r\n",
)
_STATUS = re.compile(rb"HTTP/1\.1 (\d\d\d) ")


@dataclass
class FuzzedSockets:
    sent: int = 0
    """Connections with a mutation."""
    forwarded: int = 0
    """Requests that reached the upstream, without the good visitor's."""
    kept: int = 0
    """Mutations with a new result."""
    served: int = 0
    """How often the good visitor was served."""
    faults: list[str] = field(default_factory=list)
    """Rules that were broken."""


async def fuzz_sockets(count: int, seed: int) -> dict[str, FuzzedSockets]:
    """Try `count` connections of each kind, both kinds at the same time."""
    requests, answers = await asyncio.gather(
        _requests(count, random.Random(f"{seed} requests")), _answers(count, random.Random(f"{seed} answers"))
    )
    return {"requests": requests, "answers": answers}


async def _requests(count: int, chance: random.Random) -> FuzzedSockets:
    """Mutated requests to a clean upstream."""
    found, pool, seen = FuzzedSockets(), [*seeds("head"), *_posts()], set[object]()

    def answered(raw: bytes, statuses: tuple[int, ...]) -> None:
        bad = [status for status in statuses if status >= 500 and status not in (501, 505)]
        if bad:
            found.faults.append(f"{bad} to {raw!r}")
        if statuses not in seen and len(seen) < 500:
            seen.add(statuses)
            pool.append(raw)
            found.kept += 1

    async with _edge_before(lambda: _Origin(found)) as edge:
        await _run(found, edge, _several(mutations(count, chance, pool), chance), answered, chance)
    return found


async def _answers(count: int, chance: random.Random) -> FuzzedSockets:
    """Clean requests to an upstream with mutated responses."""
    found, pool = FuzzedSockets(), seeds("answer")
    requests = iter([chance.choice(CLEAN) for _ in range(count)])
    answers = mutations(count * 3, chance, pool)

    def answered(raw: bytes, statuses: tuple[int, ...]) -> None:
        if 500 in statuses:
            found.faults.append(f"500 to {raw!r}")

    async with _edge_before(lambda: _Origin(found, answers, chance)) as edge:
        await _run(found, edge, requests, answered, random.Random(chance.random()))
    return found


def _posts() -> list[bytes]:
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    return [head + body for body in seeds("chunks")]


def _several(raws: Iterator[bytes], chance: random.Random) -> Iterator[bytes]:
    """One or more requests at once on one connection."""
    for raw in raws:
        extra = [next(raws, b"") for _ in range(chance.choice((0, 0, 0, 1, 2)))]
        yield b"".join((raw, *extra))


async def _run(
    found: FuzzedSockets,
    edge: RunningEdge,
    raws: Iterator[bytes],
    answered: Callable[[bytes, tuple[int, ...]], None],
    chance: random.Random,
) -> None:
    """Send some at the same time, then the next ones, so that the seed alone decides what is sent."""
    port = int(edge.url.rpartition(":")[2])
    over = asyncio.Event()

    async def all_of_them() -> None:
        while batch := [(raw, list(_pieces(raw, chance))) for raw in islice(raws, AT_ONCE)]:
            found.sent += len(batch)
            statuses = await asyncio.gather(*(_talk(port, pieces) for _, pieces in batch))
            for (raw, _), answers in zip(batch, statuses, strict=True):
                answered(raw, answers)

    async def good_visitor() -> None:
        while not over.is_set():
            statuses = await _talk(port, [GOOD])
            if statuses == (200,):
                found.served += 1
            else:
                found.faults.append(f"the good visitor was answered {statuses}")
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), 0.02)

    async with asyncio.TaskGroup() as group:
        visitor = group.create_task(good_visitor())
        await all_of_them()
        over.set()
        await visitor
    await wait_until(lambda: _has_no_connections(edge), "all connections of visitors that left are closed")
    restarts = sum(node["restarts"] for node in (await edge.status())["nodes"])
    if restarts:
        found.faults.append(f"{restarts} workers ended")
    found.faults += [str(line) for line in edge.log if "traceback" in line or line["level"] == "error"]
    if b"Traceback" in edge.output:
        found.faults.append("a traceback outside of the log")


async def _has_no_connections(edge: RunningEdge) -> bool:
    async with aiohttp.ClientSession() as session, session.get(f"{edge.admin}/metrics") as answer:
        lines = (await answer.text()).splitlines()
    return all(line.endswith(" 0.0") for line in lines if line.startswith("stanchion_connections"))


async def _talk(port: int, pieces: list[bytes]) -> tuple[int, ...]:
    """Send the pieces, half-close, read all responses, and return their status codes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answered = b""
    try:
        async with asyncio.timeout(PATIENCE_S):
            for piece in pieces:
                writer.write(piece)
                await asyncio.sleep(0)  # its own packet: asyncio sets TCP_NODELAY
            writer.write_eof()
            answered = await reader.read()
    except OSError:  # the edge may cut off a client that sends on behind the end
        pass
    finally:
        writer.transport.abort()
    return tuple(int(status) for status in _STATUS.findall(answered))


def _pieces(raw: bytes, chance: random.Random) -> Iterator[bytes]:
    if chance.random() < 0.3:
        yield raw
        return
    cuts = sorted(chance.randrange(len(raw) + 1) for _ in range(chance.choice((1, 2, 5))))
    for start, end in zip((0, *cuts), (*cuts, len(raw)), strict=True):
        if end > start:
            yield raw[start:end]


class _Origin(asyncio.Protocol):
    """Answers whole requests with 'ok', or with the next mutated response and the end of the connection."""

    def __init__(
        self, found: FuzzedSockets, answers: Iterator[bytes] | None = None, chance: random.Random | None = None
    ) -> None:
        self._found, self._answers, self._chance = found, answers, chance
        self._bytes = b""

    def connection_made(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._bytes += data
        requests, rest = read_messages(self._bytes)
        if not requests or not requests[-1].is_whole or rest:
            return
        said = judge(self._bytes)
        if said.faults or len(said.requests) != len(requests):
            self._found.faults.append(f"forwarded: {said.faults} {self._bytes!r}")
        self._bytes = b""
        self._found.forwarded += sum(b" /good " not in request.line for request in requests)
        for request in requests:
            self._answer(request.line)

    def _answer(self, line: bytes) -> None:
        if self._answers is None or b" /good " in line:
            body = b"" if line.startswith(b"HEAD ") else b"ok"
            self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + body)
        else:
            for piece in _pieces(next(self._answers, b""), self._chance):
                self._transport.write(piece)
            self._transport.close()


@asynccontextmanager
async def _edge_before(origin: Callable[[], asyncio.Protocol]) -> AsyncIterator[RunningEdge]:
    """Run an edge of two workers in front of such an upstream."""
    server = await asyncio.get_running_loop().create_server(origin, "127.0.0.1", 0)
    room = {"name": "sale", "match": {"paths": ["/sale*"]}, "capacity": {"admissions_per_second": 1}}
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    settings = yaml.safe_dump(with_rooms(url, room) | {"upstream": {"url": url, "breaker_failures": None}})
    with tempfile.TemporaryDirectory() as folder:
        async with running_edge(settings, Path(folder)) as edge:
            yield edge
    server.close()
