"""The bench works: every server does every kind of work without a failed request. No times are compared."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.bench.__main__ import FLOORS, LOAD_CORE, MIXED, WORKS, Work, every, half_load, measure
from tests.bench.heads import Heads
from tests.bench.idle import idle_bytes
from tests.bench.in_process import WORKS as IN_PROCESS
from tests.bench.in_process import Node, run
from tests.bench.load import Measured
from tests.bench.load import run as run_load
from tests.bench.report import write_report
from tests.bench.servers import Server, Servers, missing


def measure_at_once(servers: dict[str, Server], folder: Path) -> dict[str, dict[str, list[Measured]]]:
    """Measure as `measure` does, but two works at the same time, because no times are compared."""
    heads = Heads()

    def one(work: Work, server: str) -> Measured:
        own = folder / f"{WORKS.index(work)}-{server.replace('/', '-')}"
        own.mkdir()
        sent = heads.plain() if server == FLOORS[0] else work[1](heads)
        return run_load(servers[server], sent, own, core=LOAD_CORE, seconds=1, **{**work[2], "connections": 16})

    pairs = [(work, server) for work in WORKS for server in work[3] if server in servers]
    results: dict[str, dict[str, list[Measured]]] = {name: {} for name, *_ in WORKS}
    with ThreadPoolExecutor(2) as pool:
        for (work, server), measured in zip(pairs, pool.map(one, *zip(*pairs, strict=True)), strict=True):
            results[work[0]][server] = [measured]
    return results


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
def test_every_server_does_all_the_work(tmp_path: Path) -> None:
    core = 0
    with Servers(tmp_path, core, core) as start:
        servers = every(start)
        results = measure_at_once(servers, tmp_path)
        results[MIXED] = measure(servers, tmp_path, rounds=1, seconds=1, connections=16, only=MIXED)[MIXED]
        calm = half_load(servers, results, tmp_path, rounds=1, seconds=1)
        idle = {"stanchion": idle_bytes(servers["stanchion"], 50)}
    for work, by_server in results.items():
        for name, (one,) in by_server.items():
            assert one.requests > 0, (work, name)
            assert one.failed == 0, (work, name)
    assert {one.failed for one in calm.values()} == {0}
    assert len(results) == len(WORKS)
    report = write_report({"command": "test"}, results, calm, idle, {"x": 1.0})
    assert all(work in report for work in results)


def test_all_the_work_is_done_without_sockets() -> None:
    node = Node()
    for work in IN_PROCESS:
        assert run(work, 1000, node) > 0.0, work
        assert {sink.last[:15] for sink in node.sinks} == {b"HTTP/1.1 200 OK"}, work
