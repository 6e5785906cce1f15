"""Load from wrk, pinned to the other core: what it sent, what came back, and what it cost the server."""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import Server

SCRIPT = Path(__file__).parent / "heads.lua"


@dataclass(frozen=True, slots=True)
class Measured:
    requests: int
    seconds: float
    cpu_s: float
    failed: int
    """Answers that were not 2xx, and connections that broke."""
    p50_ms: float
    p99_ms: float

    @property
    def capacity(self) -> float:
        """Requests for every second of the server's CPU time: steadier than requests a second."""
        return self.requests / self.cpu_s if self.cpu_s else 0.0

    @property
    def rate(self) -> float:
        return self.requests / self.seconds


def run(
    server: Server,
    heads: Sequence[bytes],
    folder: Path,
    *,
    core: int,
    seconds: int = 4,
    connections: int = 64,
    new: bool = False,
    delay_ms: float = 0,
) -> Measured:
    """new: every head is new. delay_ms: the mean pause of a connection between two requests."""
    file = folder / "heads"
    file.write_bytes(b"\0".join(heads))
    environment = os.environ | {"HEADS": str(file), "FRESH": "1" if new else "0", "DELAY": str(delay_ms)}
    before = server.cpu_s()
    said = subprocess.run(
        ["taskset", "-c", str(core), "wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s",
         "-s", str(SCRIPT), f"http://127.0.0.1:{server.port}/"],
        env=environment, capture_output=True, text=True, check=True,
    ).stdout  # fmt: skip
    cpu_s = server.cpu_s() - before
    line = next(line for line in said.splitlines() if line.startswith("RESULT "))
    requests, micros, status, broken, timeouts, p50, p99 = map(int, line.split()[1:])
    return Measured(requests, micros / 1e6, cpu_s, status + broken + timeouts, p50 / 1000, p99 / 1000)
