"""Load from the other core: requests sent, responses received, and the CPU time of the server.

run       wrk: each connection sends its next request as soon as it has a response. Measures capacity.
arrive    arrivals.c: requests come at random moments at a given rate, as from visitors. Measures latency.
"""

import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.servers import Server

SCRIPT = Path(__file__).parent / "heads.lua"
SOURCE = Path(__file__).parent / "arrivals.c"


@dataclass(frozen=True, slots=True)
class Measured:
    """One measurement. failed: responses that were not 2xx, and connections that broke."""

    requests: int
    seconds: float
    cpu_s: float
    failed: int
    p50_ms: float
    p99_ms: float

    @property
    def capacity(self) -> float:
        """Requests for each second of the server's CPU time: steadier than requests a second."""
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
    tls: bool = False,
) -> Measured:
    """Measure the capacity. new: every head is new. tls: over TLS."""
    file = folder / "heads"
    file.write_bytes(b"\0".join(heads))
    command = [
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "10s"),
        *("-s", str(SCRIPT), f"https://127.0.0.1:{server.tls_port}/" if tls else f"http://127.0.0.1:{server.port}/"),
    ]
    return _measured(server, command, core, os.environ | {"HEADS": str(file), "FRESH": "1" if new else "0"})


def arrive(
    server: Server, heads: Sequence[bytes], folder: Path, *, core: int, rate: float, seconds: int = 4
) -> Measured:
    """Measure the latency at `rate` requests a second over 64 connections.

    Each head is sent three times before the measurement begins, as in a line that has lasted for a while. The CPU time
    includes these requests.
    """
    file, program = folder / "heads", folder / "arrivals"
    file.write_bytes(b"\0".join(heads))
    if not program.exists():
        subprocess.run(["cc", "-O2", "-o", str(program), str(SOURCE), "-lm"], check=True)
    warm_s = 3 * len(heads) / rate + 0.5
    command = [str(program), str(server.port), f"{rate:.0f}", f"{warm_s:.2f}", str(seconds), "64", str(file)]
    return _measured(server, command, core, dict(os.environ))


def _measured(server: Server, command: Sequence[str], core: int, environment: dict[str, str]) -> Measured:
    before = server.cpu_s()
    pinned = ["taskset", "-c", str(core), *command]
    output = subprocess.run(pinned, env=environment, capture_output=True, text=True, check=True).stdout
    cpu_s = server.cpu_s() - before
    line = next(line for line in output.splitlines() if line.startswith("RESULT "))
    requests, micros, status, broken, timeouts, p50, p99 = map(int, line.split()[1:])
    return Measured(requests, micros / 1e6, cpu_s, status + broken + timeouts, p50 / 1000, p99 / 1000)
