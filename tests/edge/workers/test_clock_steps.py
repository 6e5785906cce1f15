"""The wall clock is set while visitors wait: no burst, no standstill, nobody shut out for good.

Forward, places stay, and passes that are over by the new clock end. Back, tickets lie in the future and are not taken:
who waited begins anew, which is what `skew_allowance_seconds` is there to bound.
"""

import asyncio
import time
from pathlib import Path

import pytest

from tests.edge.running import DEADLINE_S
from tests.edge.workers.whole import Visitor, whole_edge

RATE = 2.0
LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)


@pytest.mark.parametrize(("step", "keeps_places"), [("+3600", True), ("-3600", False)])
async def test_a_clock_that_is_set_by_an_hour(tmp_path: Path, step: str, keeps_places: bool):
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
        places = {visitor: (await visitor.ask())[1].get("first_seen") for visitor in waiting}
        stepped = tmp_path / "stepped"
        stepped.write_text(step)
        stepped.replace(clock)  # a clock is never half set: nobody may read a file that is just being written
        began, admitted_s = time.monotonic(), []
        while waiting and time.monotonic() - began < DEADLINE_S:
            for visitor in list(waiting):
                state, told = await visitor.ask()
                if state == "admitted":
                    waiting.remove(visitor)
                    admitted_s.append(time.monotonic() - began)
                elif keeps_places and places[visitor]:
                    assert told["first_seen"] == places[visitor]
            await asyncio.sleep(0.1)
        assert not waiting, "the line stands still"
        for at, when_s in enumerate(admitted_s):
            assert at + 1 <= RATE * (when_s + 1.0) + 4, f"a burst: {admitted_s}"
        assert [node["restarts"] for node in (await edge.running.status())["nodes"]] == [0, 0]
