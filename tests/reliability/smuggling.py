"""The corpus through the edge, and through nginx and HAProxy as Debian ships them, in one run.

Each proxy has LANES ports with an upstream of its own each, so that what reaches the upstream belongs to one payload.
"""

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import free_port
from tests.reliability.corpus import payloads
from tests.reliability.recording import Outcome, Recorder, provoke

__all__ = ["Tally", "compare"]

LANES = 8
EDGE = """
listen: ["tcp://127.0.0.1:{port}"]
admin: {{listen: "tcp://127.0.0.1:0"}}
secret_keys_env: STANCHION_KEYS
upstream: {{url: "http://127.0.0.1:{origin}"}}
log: {{level: warning, access: none}}
rooms: [{{name: sale, match: {{paths: ["/sale*"]}}, capacity: {{admissions_per_second: 1}}}}]
"""
NGINX = """
daemon off; master_process off; pid {folder}/nginx.pid; error_log {folder}/nginx.err crit;
events {{ worker_connections 512; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
{servers} }}
"""
NGINX_LANE = """server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://127.0.0.1:{origin};
proxy_http_version 1.1; proxy_set_header Host $http_host; proxy_set_header Connection ""; }} }}
"""
HAPROXY = """
global
  maxconn 1000
defaults
  mode http
  timeout connect 5s
  timeout client 10s
  timeout server 10s
{lanes}
"""
HAPROXY_LANE = """listen lane{port}
  bind 127.0.0.1:{port}
  server shop 127.0.0.1:{origin}
"""


@dataclass(frozen=True, slots=True)
class Tally:
    proxy: str
    version: str
    refused: int
    forwarded: int
    """Read in one way, and passed on clean."""
    ambiguous: tuple[Outcome, ...]
    left_open: int
    """Refused, and the connection kept for more."""

    def families(self) -> dict[str, int]:
        return dict(Counter(outcome.payload.family for outcome in self.ambiguous))


async def compare() -> list[Tally]:
    """The edge first, then the controls."""
    found = []
    for proxy in ("stanchion", "nginx", "HAProxy"):
        with tempfile.TemporaryDirectory() as folder:
            async with _running(proxy, Path(folder)) as (version, lanes):
                outcomes = await _through(lanes)
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


@contextlib.asynccontextmanager
async def _running(proxy: str, folder: Path) -> AsyncIterator[tuple[str, list[tuple[int, list[bytearray]]]]]:
    loop = asyncio.get_running_loop()
    lanes, origins, ports = [], [], []
    for _ in range(LANES):
        taken: list[bytearray] = []
        origin = await loop.create_server(lambda taken=taken: Recorder(taken), "127.0.0.1", 0)
        origins.append(origin)
        ports.append((free_port(), origin.sockets[0].getsockname()[1]))
        lanes.append((ports[-1][0], taken))
    commands = _commands(proxy, folder, ports)
    environment = os.environ | {"STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22}
    processes = [_start(command, environment) for command in commands]
    try:
        for port, _ in ports:
            await _wait_listening(port)
        yield _version(proxy), lanes[: len(ports)]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)
        for origin in origins:
            origin.close()


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _commands(proxy: str, folder: Path, ports: list[tuple[int, int]]) -> list[list[str]]:
    if proxy == "stanchion":
        files = []
        for port, origin in ports[:2]:  # an edge has one upstream; two of them are enough for two cores
            files.append(folder / f"{port}.yaml")
            files[-1].write_text(EDGE.format(port=port, origin=origin))
        del ports[2:]
        return [[sys.executable, "-m", "edge.cli", "run", str(file)] for file in files]
    lane, whole, name = (NGINX_LANE, NGINX, "servers") if proxy == "nginx" else (HAPROXY_LANE, HAPROXY, "lanes")
    lanes = "".join(lane.format(port=port, origin=origin) for port, origin in ports)
    file = folder / f"{proxy}.conf"
    file.write_text(whole.format(folder=folder, **{name: lanes}))
    if proxy == "nginx":
        return [["nginx", "-e", str(folder / "start.err"), "-c", str(file)]]
    return [["haproxy", "-db", "-f", str(file)]]


def _version(proxy: str) -> str:
    if proxy == "stanchion":
        return "this tree"
    said = subprocess.run([proxy.lower(), "-v"], capture_output=True, text=True, check=True)
    first = (said.stdout + said.stderr).splitlines()[0]
    return first.split("nginx/")[-1] if proxy == "nginx" else first.split()[2].split("-")[0]


async def _wait_listening(port: int) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except OSError:
            if time.monotonic() > deadline:
                raise
            await asyncio.sleep(0.1)
        else:
            writer.close()
            return
