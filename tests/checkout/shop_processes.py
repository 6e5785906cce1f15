"""Processes of the shop that a test can kill and start again."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

SALE = "launch"


class Process:
    """A `checkout COMMAND --config FILE`."""

    def __init__(self, command: str, file: Path, secrets: dict[str, str] | None = None) -> None:
        """secrets: environment variables of the process, beside those of this one."""
        self._environment = {**os.environ, **(secrets or {})}
        self._command = [sys.executable, "-m", "checkout", command, "--config", str(file)]
        self._log = file.with_name(f"{file.stem}-{command}.log")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start the process unless it runs."""
        if self._process is None or self._process.poll() is not None:
            with self._log.open("ab") as log:
                self._process = subprocess.Popen(self._command, stdout=log, stderr=log, env=self._environment)

    def kill(self, number: int = signal.SIGKILL) -> None:
        if self._process is not None:
            self._process.send_signal(number)
            self._process.wait()

    def pause(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGCONT)

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()


class ShopProcess(Process):
    """A `checkout serve` that always uses the same port."""

    def __init__(
        self,
        folder: Path,
        port: int,
        engine: dict[str, Any],
        bank_url: str,
        *,
        stock: int,
        hold_s: float,
        is_alone: bool = False,
        sections: dict[str, Any] | None = None,
        secrets: dict[str, str] | None = None,
    ) -> None:
        """is_alone: forwarder and sweeper run inside this shop. sections: further sections of the settings."""
        self.url = f"http://127.0.0.1:{port}"
        self.port = port
        self.file = folder / f"shop-{port}.yaml"
        settings = {
            "listen": f"127.0.0.1:{port}",
            "sale": SALE,
            "engine": engine,
            "without": ["forwarder", "sweeper"] if engine["kind"] == "redis" and not is_alone else [],
            "product": {"stock": stock, "hold_seconds": hold_s},
            "capacity": {"checkouts_per_second": 1e6, "seconds_per_checkout": 0.01},
            "payment": {"url": bank_url, "timeout_seconds": 2.0},
            **(sections or {}),
        }
        self.file.write_text(yaml.safe_dump(settings))
        super().__init__("serve", self.file, secrets)

    def is_listening(self) -> bool:
        """Return whether the shop listens. A standby does not listen until it leads."""
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


def end_all(processes: Sequence[Process]) -> None:
    """Terminate all processes at the same time and wait for each."""
    for process in processes:
        process.terminate()
    for process in processes:
        process.kill(signal.SIGTERM)


@asynccontextmanager
async def serving_app(app: web.Application) -> AsyncIterator[str]:
    """Serve an application on a free port until the block ends, and yield its URL."""
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()
