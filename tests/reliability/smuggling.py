"""The corpus through the edge, nginx and HAProxy (as Debian ships them), in one run.

Each proxy has LANES ports, and each port an upstream of its own, so that all bytes at an upstream belong to one
payload.
"""

import asyncio
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from tests.reliability.corpus import payloads
from tests.reliability.proxies import PROXIES, running
from tests.reliability.recording import Outcome, Recorder, provoke

__all__ = ["Tally", "compare"]

LANES = 8


@dataclass(frozen=True, slots=True)
class Tally:
    proxy: str
    version: str
    refused: int
    forwarded: int
    """Requests with one reading that were passed on without a fault."""
    ambiguous: tuple[Outcome, ...]
    left_open: int
    """Refused requests after which the connection stayed open."""

    def families(self) -> dict[str, int]:
        return dict(Counter(outcome.payload.family for outcome in self.ambiguous))


async def compare() -> list[Tally]:
    """Measure the edge first, then the others."""
    found = []
    loop = asyncio.get_running_loop()
    for proxy in PROXIES:
        taken: list[list[bytearray]] = [[] for _ in range(LANES)]
        origins = [await loop.create_server(lambda lane=lane: Recorder(lane), "127.0.0.1", 0) for lane in taken]
        with tempfile.TemporaryDirectory() as folder:
            at = [origin.sockets[0].getsockname()[1] for origin in origins]
            async with running(proxy, Path(folder), at) as (version, ports):
                outcomes = await _through(list(zip(ports, taken, strict=False)))
        for origin in origins:
            origin.close()
        refused = [outcome for outcome in outcomes if outcome.is_refused]
        ambiguous = tuple(outcome for outcome in outcomes if outcome.is_ambiguous)
        left_open = sum(not outcome.is_closed for outcome in refused)
        forwarded = len(outcomes) - len(refused) - len(ambiguous)
        found.append(Tally(proxy, version, len(refused), forwarded, ambiguous, left_open))
    return found


async def _through(lanes: list[tuple[int, list[bytearray]]]) -> list[Outcome]:
    todo = list(enumerate(payloads()))[::-1]
    done: list[tuple[int, Outcome]] = []

    async def lane(port: int, taken: list[bytearray]) -> None:
        while todo:
            at, payload = todo.pop()
            done.append((at, await provoke(port, taken, payload)))

    async with asyncio.TaskGroup() as group:
        for port, taken in lanes:
            group.create_task(lane(port, taken))
    return [outcome for _, outcome in sorted(done, key=lambda each: each[0])]
