"""A crowd of slow connections and its effect on others: latencies of good visitors, memory of the edge.

A connection that is cut off is replaced at once, so the crowd keeps its size. Eleven in twelve are of five kinds in
nearly equal parts: nothing sent, a trickled head, a trickled second head, a stalled body, trickled chunks. One in
twelve asks for a large response and does not read it. Each of those holds a connection to the upstream. If they are
more than `upstream.max_connections`, good visitors wait until the edge cuts them after two seconds.
"""

import asyncio
import contextlib
import os
import re
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.ports import free_port

__all__ = ["Crowded", "Tool", "crowd", "slowhttptest"]

SETTINGS = """
listen: ["tcp://127.0.0.1:{port}"]
admin: {{listen: "tcp://127.0.0.1:0"}}
secret_keys_env: STANCHION_KEYS
upstream: {{url: "http://127.0.0.1:{origin}"}}
log: {{level: warning, access: none}}
rooms: [{{name: sale, match: {{paths: ["/sale*"]}}, capacity: {{admissions_per_second: 1000}}}}]
"""
BIG = bytes(2_000_000)
GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
#: Of each kind: the bytes that are sent at once, and the byte that is sent each second.
KINDS = (
    (b"", b""),
    (GET[:12], b"a"),
    (GET + GET[:12], b"a"),
    (POST + b"Content-Length: 1000\r\n\r\nab", b""),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (b"", b""),
    (GET[:12], b"a"),
    (GET + GET[:12], b"a"),
    (POST + b"Content-Length: 1000\r\n\r\nab", b""),
    (POST + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
    (GET[:12], b"a"),
    (b"GET /big HTTP/1.1\r\nHost: a\r\n\r\n", b""),
)


@dataclass(frozen=True, slots=True)
class Crowded:
    connections: int
    seconds: float
    probes: int
    failed: int
    p50_ms: float
    p99_ms: float
    kib_each: float
    """Growth of the worker's memory a connection."""
    cut: int
    """Connections of the crowd that the edge ended."""


@dataclass(frozen=True, slots=True)
class Tool:
    """One mode of slowhttptest."""

    mode: str
    is_available: bool
    """It reported 'service available: YES' throughout."""
    seconds: float


@contextlib.asynccontextmanager
async def _edge(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Run an edge in front of an upstream in this process; yield its port and its worker's process id."""
    origin = await asyncio.start_server(_serve, "127.0.0.1", 0)
    port, file = free_port(), folder / "edge.yaml"
    file.write_text(SETTINGS.format(port=port, origin=origin.sockets[0].getsockname()[1]))
    environment = os.environ | {"STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22}
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "edge.cli", "run", str(file), env=environment)
    try:
        while True:
            with contextlib.suppress(OSError):
                await _get(port)
                break
            await asyncio.sleep(0.2)
        yield port, _only_child(process.pid)
    finally:
        process.terminate()
        await process.wait()
        origin.close()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(asyncio.IncompleteReadError, ConnectionError):
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            body = BIG if b"/big" in head else b"ok"
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body))
            writer.write(body)
            await writer.drain()
    writer.close()


async def _get(port: int, target: str = "/") -> float:
    """Send a request on a new connection; return the seconds until the whole response."""
    began = time.monotonic()
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(f"GET {target} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".encode())
        answer = await reader.read()
    finally:
        writer.close()
    if not answer.startswith(b"HTTP/1.1 200"):
        raise ConnectionError(f"answered {answer[:40]!r}")
    return time.monotonic() - began


async def crowd(connections: int, seconds: float) -> Crowded:
    """Keep this number of slow connections for `seconds`, and send twenty good requests a second meanwhile."""
    with tempfile.TemporaryDirectory() as folder:
        async with _edge(Path(folder)) as (port, worker):
            for _ in range(200):
                await _get(port)
            before = _resident(worker)
            cut = [0]
            slow = [asyncio.ensure_future(_slow(port, KINDS[at % len(KINDS)], cut)) for at in range(connections)]
            try:
                # Let all of them arrive.
                await asyncio.sleep(connections / 1000)
                took, failed, most = await _probe(port, seconds, worker)
            finally:
                for task in slow:
                    task.cancel()
                await asyncio.gather(*slow, return_exceptions=True)
    cuts = statistics.quantiles(took, n=100)
    each = (most - before) / 1024 / connections
    return Crowded(connections, seconds, len(took) + failed, failed, cuts[49] * 1000, cuts[98] * 1000, each, cut[0])


async def _probe(port: int, seconds: float, worker: int) -> tuple[list[float], int, int]:
    took, failed, most, end = [], 0, 0, time.monotonic() + seconds
    while time.monotonic() < end:
        try:
            async with asyncio.timeout(10):
                took.append(await _get(port))
        except (OSError, TimeoutError):
            failed += 1
        most = max(most, _resident(worker))
        await asyncio.sleep(0.05)
    return took, failed, most


async def _slow(port: int, kind: tuple[bytes, bytes], cut: list[int]) -> None:
    loop = asyncio.get_running_loop()
    first, drip = kind
    while True:
        with socket.socket() as raw:
            raw.setblocking(False)
            raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with contextlib.suppress(ConnectionError):
                await loop.sock_connect(raw, ("127.0.0.1", port))
                await loop.sock_sendall(raw, first)
                reads = kind is not KINDS[-1]
                for _ in range(120):
                    await asyncio.sleep(1.0)
                    if drip:
                        await loop.sock_sendall(raw, drip)
                    if reads and _has_ended(raw):
                        break
        cut[0] += 1


def _has_ended(raw: socket.socket) -> bool:
    try:
        while data := raw.recv(4096):
            del data
    except BlockingIOError:
        return False
    return True


def _only_child(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)


def _resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


MODES = {
    "slow heads (-H)": "-H -i 2 -l 20 -t GET -x 24 -p 3",
    "slow bodies (-B)": "-B -i 2 -l 20 -s 8192 -t POST -x 10 -p 3",
    "range headers (-R)": "-R -t HEAD -a 10 -b 3000 -l 20 -p 3",
    "slow reading (-X)": "-X -l 20 -w 16 -y 32 -n 5 -z 16 -k 3 -p 3",
}


async def slowhttptest(connections: int) -> list[Tool]:
    """Run its four modes, 20 seconds each. Raises FileNotFoundError if it is not installed."""
    if shutil.which("slowhttptest") is None:
        raise FileNotFoundError("slowhttptest (apt-get install slowhttptest)")
    found = []
    with tempfile.TemporaryDirectory() as folder:
        async with _edge(Path(folder)) as (port, _):
            for mode, options in MODES.items():
                began = time.monotonic()
                target = "/big" if "-X" in options else "/"
                process = await asyncio.create_subprocess_exec(
                    *("slowhttptest", *options.split(), "-c", str(connections), "-r", "500"),
                    *("-u", f"http://127.0.0.1:{port}{target}"),
                    stdout=subprocess.PIPE,
                    stderr=subprocess.STDOUT,
                )
                said, _ = await process.communicate()
                plain = re.sub(rb"\x1b\[[0-9;]*[A-Za-z]", b"", said)
                states = re.findall(rb"service available:\s*(YES|NO)", plain)
                is_available = bool(states) and b"NO" not in states
                found.append(Tool(mode, is_available, time.monotonic() - began))
    return found
