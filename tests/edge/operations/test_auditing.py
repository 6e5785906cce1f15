"""Every change by an operator is one log line: actor, action, before, after and result."""

import copy
import io
import json
import logging
import signal
from pathlib import Path

import pytest

from edge.operations.audit import audit, changes, digest
from edge.operations.logs import configure_logging
from edge.settings.loading import parse_settings
from edge.settings.model import LogSettings
from tests.edge.whole import whole_edge

MINIMAL = """
secret_keys_env: KEYS
upstream: {{url: "http://127.0.0.1:9"}}
abuse: {{deny: {deny}}}
rooms:
  - {{name: {name}, match: {{paths: ["/{name}"]}}, capacity: {{admissions_per_second: {rate}}}}}
"""


def test_changes_name_paths_and_rooms_and_digest_keys():
    before = parse_settings(MINIMAL.format(name="a", rate=5, deny="[]"))
    after = parse_settings(MINIMAL.format(name="a", rate=6, deny=[f"10.0.0.{at}" for at in range(20)]))
    was, now = changes(before, after, [b"old" * 8], [b"new" * 8, b"old" * 8])
    path = "rooms.a.capacity.admissions_per_second"
    assert (was[path], now[path]) == (5.0, 6.0)
    assert (was["abuse.deny"], now["abuse.deny"]) == ([], "20 entries")
    assert now["keys"] == [digest(b"new" * 8), *was["keys"]]
    assert len(was) == len(now) == 3
    assert changes(before, before) == ({}, {})


def test_added_and_removed_rooms_are_changes():
    before = parse_settings(MINIMAL.format(name="a", rate=5, deny="[]"))
    after = parse_settings(MINIMAL.format(name="b", rate=5, deny="[]"))
    was, now = changes(before, after)
    assert was["rooms.a.name"] == "a"
    assert now["rooms.a.name"] is None
    assert now["rooms.b.name"] == "b"


@pytest.fixture
def root_logger():
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    root.handlers[:] = handlers
    root.setLevel(level)


@pytest.mark.usefixtures("root_logger")
def test_an_audit_line_is_written_at_every_level():
    written = io.StringIO()
    configure_logging(LogSettings(level="error", format="json"), "test", written)
    logging.getLogger("edge.supervisor").info("below the level")
    audit("somebody", "something", "done", {"a": 1}, {"a": 2})
    [line] = [json.loads(line) for line in written.getvalue().splitlines()]
    assert (line["actor"], line["action"], line["result"]) == ("somebody", "something", "done")
    assert (line["before"], line["after"]) == ({"a": 1}, {"a": 2})


async def test_signals_leave_an_audit_line(tmp_path: Path):
    async with whole_edge(tmp_path, workers=1) as edge:
        tree = copy.deepcopy(edge.tree)
        tree["rooms"][0]["capacity"]["admissions_per_second"] = 50.0
        edge.rewrite(tree)
        edge.running.send(signal.SIGHUP)
        reloaded = (await edge.running.wait_logged("audit", 1))[-1]
        assert (reloaded["actor"], reloaded["action"], reloaded["result"]) == ("signal HUP", "reload", "done")
        path = "rooms.checkout.capacity.admissions_per_second"
        assert (reloaded["before"], reloaded["after"]) == ({path: 100.0}, {path: 50.0})

        edge.rewrite(tree | {"workers": 2})
        edge.running.send(signal.SIGHUP)
        assert "but for workers" in (await edge.running.wait_logged("audit", 2))[-1]["result"]

        edge.rewrite(tree | {"workers": "many"})
        edge.running.send(signal.SIGHUP)
        refused = (await edge.running.wait_logged("audit", 3))[-1]
        assert refused["result"].startswith("refused: ")
        assert "workers" in refused["result"]
        assert refused["after"] is None

        before = await edge.running.worker_pids()
        edge.running.send(signal.SIGUSR2)
        replaced = (await edge.running.wait_logged("audit", 4))[-1]
        assert (replaced["actor"], replaced["before"]) == ("signal USR2", before)
        assert replaced["after"] == await edge.running.worker_pids() != before

        edge.running.send(signal.SIGTERM)
        await edge.running.wait_ended()
        stopped = (await edge.running.wait_logged("audit", 5))[-1]
        assert (stopped["actor"], stopped["action"]) == ("signal TERM", "stop")
