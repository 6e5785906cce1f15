"""The bench works: every server does every kind of work without a failed request. No time is judged here."""

from pathlib import Path

import pytest

from tests.bench.__main__ import WORKS, measure
from tests.bench.idle import idle_bytes
from tests.bench.load import Measured
from tests.bench.report import write_report
from tests.bench.servers import Servers, missing


@pytest.mark.skipif(bool(missing()), reason=f"needs {missing()}")
def test_every_server_does_all_the_work(tmp_path: Path) -> None:
    core = 0
    with Servers(tmp_path, core, core) as start:
        servers = {"stanchion": start.edge(), "nginx+lua": start.nginx_lua()}
        servers |= {"haproxy": start.haproxy(), "aiohttp": start.aiohttp()}
        results = measure(servers, tmp_path, rounds=1, seconds=1, connections=16)
        idle = {"stanchion": idle_bytes(servers["stanchion"], 50)}
    for work, by_server in results.items():
        for name, (one,) in by_server.items():
            assert one.requests > 0, (work, name)
            assert one.failed == 0, (work, name)
    assert len(results) == len(WORKS)
    calm = Measured(1, 1.0, 1.0, 0, 1.0, 1.0)
    report = write_report({"command": "test"}, results, {"stanchion": calm}, idle, {"x": 1.0})
    assert all(work in report for work in results)
