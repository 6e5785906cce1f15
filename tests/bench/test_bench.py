"""The bench works: every server does every kind of work without a failed request. No times are compared."""

from pathlib import Path

import pytest

from tests.bench.__main__ import WORKS, every, half_load, measure
from tests.bench.idle import idle_bytes
from tests.bench.in_process import WORKS as IN_PROCESS
from tests.bench.in_process import Node, run
from tests.bench.report import write_report
from tests.bench.servers import Servers, missing


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
def test_every_server_does_all_the_work(tmp_path: Path) -> None:
    core = 0
    with Servers(tmp_path, core, core) as start:
        servers = every(start)
        results = measure(servers, tmp_path, rounds=1, seconds=1, connections=16)
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
