"""The wall clock is set while visitors wait: no burst, no standstill, and no visitor loses their place.

Running workers carry places over, and so do workers that start later.
"""

import asyncio
import os
import signal
import time
from datetime import datetime
from pathlib import Path

import pytest

from tests.edge.running import DEADLINE_S
from tests.edge.whole import Tree, Visitor, whole_edge

RATE = 2.0
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


def arrived(document: Tree) -> float | None:
    """Return the Unix time of a visitor's arrival, None if they are admitted."""
    return datetime.fromisoformat(document["first_seen"]).timestamp() if document else None


@pytest.mark.parametrize(("step_s", "kill"), [(3600, False), (-3600, False), (-3600, True)])
async def test_a_clock_that_is_set_by_an_hour(tmp_path: Path, step_s: int, kill: bool):
    clock = tmp_path / "clock"
    clock.write_text("+0")
    faked = {"LD_PRELOAD": str(LIBRARY), "FAKETIME_TIMESTAMP_FILE": str(clock), "FAKETIME_NO_CACHE": "1",
             "FAKETIME_DONT_FAKE_MONOTONIC": "1"}  # fmt: skip
    room = {
        "capacity": {"admissions_per_second": RATE, "burst_floor": 1.0},
        "polling": {"min_seconds": 0.2, "max_seconds": 0.5},
    }
    async with whole_edge(tmp_path, environment=faked, room=room) as edge:
        visitors = [Visitor(edge) for _ in range(16)]
        waiting = [visitor for visitor in visitors if (await visitor.ask())[0] == "waiting"]
        places = {visitor: arrived((await visitor.ask())[1]) for visitor in waiting}
        stepped = tmp_path / "stepped"
        stepped.write_text(f"{step_s:+d}")
        stepped.replace(clock)  # in one step, so that no process reads a file that is only half written
        if kill:
            for pid in await edge.running.worker_pids():
                os.kill(pid, signal.SIGKILL)
            await edge.wait_restarted()
        carried_s = min(step_s, 0)
        began, admitted_s, in_line = time.monotonic(), [], set(waiting)
        while waiting and time.monotonic() - began < DEADLINE_S:
            for visitor in list(waiting):
                state, document = await visitor.ask()
                if state == "admitted":
                    waiting.remove(visitor)
                    admitted_s.append(time.monotonic() - began)
                elif places[visitor]:
                    assert arrived(document) == pytest.approx(places[visitor] + carried_s, abs=0.5)
            await asyncio.sleep(0.1)
        assert not waiting, "the line stands still"
        for at, when_s in enumerate(admitted_s):
            assert at + 1 <= RATE * (when_s + 1.0) + 4, f"a burst: {admitted_s}"
        assert [node["restarts"] for node in (await edge.running.status())["nodes"]] == [int(kill)] * 2
        for visitor in set(visitors) - in_line:  # their passes still count
            assert (await visitor.ask())[0] == "admitted"
