"""Twenty thousand connections within two seconds, each with a request: `python -m tests.reliability.burst`.

Two processes ask, because one may have too few descriptors; the edge has two workers. The command prints the statuses
and the times. The two processes are slow on a machine that they keep busy themselves, so they get a minute.
"""

import asyncio
import json
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import uvloop

from tests.edge.whole import whole_edge

EACH, WITHIN_S, PATIENCE_S = 9_900, 2.0, 60.0
ASK = b"GET /_stanchion/status?room=checkout HTTP/1.1\r\nHost: a\r\n\r\n"


async def _ask(port: int, delay_s: float) -> tuple[float, str, object]:
    """Return seconds, status or error, and the connection, which stays open while the caller keeps this value."""
    await asyncio.sleep(delay_s)
    began, kept = time.monotonic(), None
    try:
        async with asyncio.timeout(PATIENCE_S):
            reader, kept = await asyncio.open_connection("127.0.0.1", port)
            kept.write(ASK)
            head = await reader.readuntil(b"\r\n\r\n")
            said = head[9:12].decode()
    except (OSError, TimeoutError, asyncio.IncompleteReadError) as fault:
        said = type(fault).__name__
    return time.monotonic() - began, said, kept


async def _crowd(port: int) -> None:
    asked = await asyncio.gather(*(_ask(port, WITHIN_S * at / EACH) for at in range(EACH)))
    print(json.dumps([(took_s, said) for took_s, said, _ in asked]))


async def _measure(folder: Path) -> None:
    async with whole_edge(folder, limits={"descriptors_share": 0.9, "head_seconds": 60.0}) as edge:
        port = edge.running.url.rpartition(":")[2]
        command = (sys.executable, "-m", "tests.reliability.burst", port)
        crowds = [await asyncio.create_subprocess_exec(*command, stdout=-1, limit=2**26) for _ in range(2)]
        answers = [answer for crowd in crowds for answer in json.loads((await crowd.communicate())[0])]
        restarts = [node["restarts"] for node in (await edge.running.status())["nodes"]]
    took = sorted(took_s for took_s, _ in answers)
    print(dict(Counter(said for _, said in answers)), f"median {took[len(took) // 2]:.1f} s, last {took[-1]:.1f} s")
    print(f"workers restarted: {sum(restarts)}")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        uvloop.run(_crowd(int(sys.argv[1])))
    else:
        with tempfile.TemporaryDirectory() as made:
            asyncio.run(_measure(Path(made)))
