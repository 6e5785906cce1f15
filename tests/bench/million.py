"""Send a crowd of visitors to an edge over real sockets, and compare the order with the ideal line.

    python -m tests.bench.million [--visitors N] [--rate R] [--within S] [--budget P] [--workers W] [--leaving SHARE]
                                  [--compiled] [--entering] [--seed N]

`make million` sends 1,000,000 visitors to one worker of the compiled form. 90 % arrive within --within seconds, the
others until the last is admitted. A program in C (`million.c`) plays them; it runs on one core, the edge on the other.
With more workers than one, both share all cores.

kendall, displacement, use: as in docs/fairness.md (`controller/simulation/measures.py`), against a central line before
one bucket. An arrival is the `first_seen` of the visitor's cookie, an admission the moment at which they had the pass.
over: the most admissions above capacity and burst in any second, by the times that the edge wrote into the passes.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from controller.simulation.crowd import Crowd, crowd, impatient
from controller.simulation.ideal import Capacity, busy_until, fifo
from controller.simulation.measures import kendall
from controller.simulation.world import WARM_S
from edge.cli.admin_client import AdminClient
from tests.bench.servers import COMPILED, ROOT, Server
from tests.ports import free_port

__all__ = ["Options", "Outcome", "run"]

SOURCE = Path(__file__).parent / "million.c"
EDGE = """
listen: ["tcp://127.0.0.1:{port}"]
admin: {{listen: "tcp://127.0.0.1:{admin}"}}
workers: {workers}
secret_keys_env: STANCHION_KEYS
upstream: {{url: "http://127.0.0.1:{shop}", max_connections: 64}}
limits: {{descriptors_share: 0.9, keepalive_seconds: 7200, requests_per_connection: 1000000000}}
log: {{level: warning, access: none}}
rooms:
  - name: checkout
    match: {{paths: ["/checkout*"]}}
    capacity: {{admissions_per_second: {rate}, burst_seconds: 1.0}}
    session: {{duration_seconds: 36000, renew: false}}
    polling: {{budget_per_second: {budget}}}
"""
#: As `struct result` in million.c.
RESULT = np.dtype(
    [("first_seen_ms", "u8"), ("admitted_ms", "u8"), ("received_s", "f8"), ("requests", "u4"), ("state", "u4")]
)
#: Connections of the crowd. The edge takes 0.9 of its descriptors, of which a process often has 20,000.
MOST_CONNECTIONS = 16_000


@dataclass(frozen=True, slots=True)
class Options:
    """rate: admissions a second. within_s: in which 90 % of the visitors arrive. budget: polls a second of the room.

    leaving: the share of visitors that give up, after an exponential time with a mean of a third of the sale.
    entering: each admitted visitor loads the page of the shop.
    """

    visitors: int = 1_000_000
    rate: float = 2000.0
    within_s: float = 120.0
    budget: float = 10_000.0
    workers: int = 1
    leaving: float = 0.0
    compiled: bool = False
    entering: bool = False
    seed: int = 0


@dataclass(frozen=True, slots=True)
class Outcome:
    """Shares are 0..1, times are seconds, sizes are bytes of each worker. `said`: the figures of million.c by name."""

    admitted: int
    left: int
    errors: int
    kendall: float
    median_s: float
    p99_s: float
    use: float
    over: float
    peak_bytes: list[int]
    cpu_s: float
    said: dict[str, float]

    def lines(self) -> list[str]:
        said = self.said
        return [
            f"admitted {self.admitted:,}, left {self.left:,}, errors {self.errors} in {said['seconds']:.0f} s",
            f"requests {said['requests']:,.0f}, over {said['connections']:,.0f} connections at most",
            f"Kendall {100 * self.kendall:.4f} %",
            f"displacement: median {self.median_s:.3f} s, P99 {self.p99_s:.3f} s",
            f"use {100 * self.use:.3f} %, most admissions above capacity and burst in a second {self.over:.0f}",
            f"memory of each worker at most {', '.join(f'{each / 1e6:.0f} MB' for each in self.peak_bytes)}",
            f"CPU of the edge {self.cpu_s:.0f} s ({100 * self.cpu_s / said['seconds']:.0f} % of a core),"
            f" of the crowd {said['load_cpu_s']:.0f} s",
            f"requests of the crowd were sent late by {said['late_p50_ms']:.0f} ms (median), "
            f"{said['late_p99_ms']:.0f} ms (P99), {said['late_p999_ms']:.0f} ms (P99.9)",
        ]


def crowd_of(options: Options) -> Crowd:
    """Draw the arrivals: 90 % uniformly within `within_s`, the others until the line would be empty."""
    rng = np.random.default_rng([options.seed, 20170205])
    early = int(options.visitors * 0.9)
    end = max(2.0 * options.within_s, 0.8 * options.visitors / options.rate)
    arrival = np.concatenate(
        [rng.uniform(0.0, options.within_s, early), rng.uniform(options.within_s, end, options.visitors - early)]
    )
    patience = impatient(rng, options.visitors, options.leaving, options.visitors / options.rate / 3.0)
    return crowd(arrival, patience)


def run(options: Options, folder: Path) -> Outcome:
    """Start an edge, send the crowd, and measure."""
    people = crowd_of(options)
    np.column_stack([people.arrival_s, people.leave_s]).tofile(folder / "crowd")
    program = folder / "million"
    subprocess.run(["cc", "-O2", "-o", str(program), str(SOURCE), "-lm"], check=True)
    port, admin, shop = free_port(), free_port(), free_port()
    file = folder / "edge.yaml"
    file.write_text(
        EDGE.format(
            port=port, admin=admin, shop=shop, workers=options.workers, rate=options.rate, budget=options.budget
        )
    )
    edge_core, crowd_core = cores(options.workers)
    root = COMPILED if options.compiled else ROOT
    command = [sys.executable, "-m", "edge.cli", "run", str(file)]
    server = Server("edge", command, port, edge_core, folder, options.workers, root)
    try:
        wait_serving(admin)
        before = server.cpu_s()
        arguments = [str(port), str(shop), str(folder / "crowd"), str(folder / "result"), str(MOST_CONNECTIONS)]
        load = ["taskset", "-c", crowd_core, str(program), *arguments, str(int(options.entering))]
        output = subprocess.run(load, stdout=subprocess.PIPE, text=True, check=True).stdout
        said = {name: float(value) for name, value in (line.split() for line in output.splitlines())}
        cpu_s, peak = server.cpu_s() - before, server.peak_bytes()
    finally:
        server.stop()
    return measured(options, people, np.fromfile(folder / "result", RESULT), said, cpu_s, peak)


def wait_serving(admin: int) -> None:
    """Wait until every worker serves, and has done so for a while, as in the simulator.

    A crowd that comes earlier waits in the backlogs of workers that still start, and meets nodes that have not joined.
    """
    client = AdminClient(f"http://127.0.0.1:{admin}")
    while not all(node["ready"] for node in client.get("/status")["nodes"]):
        time.sleep(0.1)
    time.sleep(WARM_S)


def cores(workers: int) -> tuple[str, str]:
    """Return the cores of the edge and of the crowd, as taskset has them: apart if there are two for one worker."""
    usable = sorted(os.sched_getaffinity(0))
    if workers == 1 and len(usable) > 1:
        return str(usable[1]), str(usable[0])
    every = ",".join(map(str, usable))
    return every, every


def measured(
    options: Options, people: Crowd, result: np.ndarray, said: dict[str, float], cpu_s: float, peak: list[int]
) -> Outcome:
    """Compare the admissions with the central line of the same arrivals."""
    is_in = result["admitted_ms"] > 0
    arrived = np.where(is_in, result["first_seen_ms"] / 1000.0 - said["began_s"], people.arrival_s)
    order = np.argsort(arrived, kind="stable")
    never = np.full(len(order), np.inf)
    real = Crowd(arrived[order], people.leave_s[order], people.kind[order], never, never)
    ours = np.where(is_in, result["received_s"], np.nan)[order]
    ideal = fifo(real, Capacity(((0.0, options.rate),), 1.0))
    end = busy_until(real, ideal)
    gap = np.abs(ours - ideal)[~np.isnan(ours) & ~np.isnan(ideal)]
    given = np.sort(result["admitted_ms"][is_in])
    within = np.arange(1, len(given) + 1) - np.searchsorted(given, given - 999)
    return Outcome(
        admitted=int(is_in.sum()),
        left=int(said["left"]),
        errors=int(said["errors"]),
        kendall=kendall(real.arrival_s, ours),
        median_s=float(np.median(gap)),
        p99_s=float(np.percentile(gap, 99)),
        use=int(np.sum(ours <= end)) / max(1, int(np.sum(ideal <= end))),
        over=max(0.0, float(within.max() - 2.0 * options.rate)),
        peak_bytes=peak,
        cpu_s=cpu_s,
        said=said,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    least = Options()
    parser.add_argument("--visitors", type=int, default=least.visitors)
    parser.add_argument("--rate", type=float, default=least.rate, help="admissions a second")
    parser.add_argument("--within", type=float, default=least.within_s, help="seconds in which 90 %% arrive")
    parser.add_argument("--budget", type=float, default=least.budget, help="polls a second that the room asks for")
    parser.add_argument("--workers", type=int, default=least.workers, help="joined, if more than one")
    parser.add_argument("--leaving", type=float, default=least.leaving, help="the share of visitors that give up")
    parser.add_argument("--seed", type=int, default=least.seed)
    parser.add_argument("--compiled", action="store_true", help="the form in build/compiled (`make compiled`)")
    parser.add_argument("--entering", action="store_true", help="each admitted visitor then loads a page of the shop")
    given = parser.parse_args()
    options = Options(
        given.visitors, given.rate, given.within, given.budget, given.workers, given.leaving, given.compiled,
        given.entering, given.seed,
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        outcome = run(options, Path(folder))
    print(*outcome.lines(), sep="\n")
    print(json.dumps({"said": outcome.said, "options": str(options)}), file=sys.stderr)


if __name__ == "__main__":
    main()
