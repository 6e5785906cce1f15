"""Starts the edge, nginx or HAProxy (as Debian ships them) in front of the upstreams of a measurement."""

import asyncio
import contextlib
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Sequence
from pathlib import Path

from tests.ports import free_port

__all__ = ["PROXIES", "running"]

PROXIES = ("stanchion", "nginx", "HAProxy")
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


@contextlib.asynccontextmanager
async def running(proxy: str, folder: Path, origins: Sequence[int]) -> AsyncIterator[tuple[str, list[int]]]:
    """One of PROXIES, with a port of its own for each upstream's port in `origins`: its version and these ports.

    An edge has one upstream, and two edges are enough for two cores: there are two ports at most for it.
    """
    ports = [(free_port(), origin) for origin in origins][: 2 if proxy == "stanchion" else None]
    environment = os.environ | {"STANCHION_KEYS": "a-key-for-tests-only-" + "x" * 22}
    processes = [_start(command, environment) for command in _commands(proxy, folder, ports)]
    try:
        for port, _ in ports:
            await _wait_listening(port)
        yield _version(proxy), [port for port, _ in ports]
    finally:
        for process in processes:
            process.terminate()
        for process in processes:
            process.wait(10)


def _start(command: list[str], environment: dict[str, str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


def _commands(proxy: str, folder: Path, ports: list[tuple[int, int]]) -> list[list[str]]:
    if proxy == "stanchion":
        files = []
        for port, origin in ports:
            files.append(folder / f"{port}.yaml")
            files[-1].write_text(EDGE.format(port=port, origin=origin))
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
