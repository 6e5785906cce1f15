"""`stanchion demo` starts all parts, forms a line, and ends all parts at Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import sys

from tests.edge.running import DEADLINE_S


def children_of(pid: int) -> set[int]:
    """Return the ids of the child processes of `pid`."""
    found = set()
    for entry in os.listdir("/proc"):
        if entry.isdecimal():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/stat") as stat:
                if int(stat.read().rpartition(")")[2].split()[1]) == pid:
                    found.add(int(entry))
    return found


async def test_the_demo_forms_a_line_and_ends_cleanly() -> None:
    """Visitors wait and buy. After Ctrl-C: exit code 0, no traceback, no process left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "demo", "--port", "0", "--seed", "3"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    waiting = sold = 0
    lines = []
    async with asyncio.timeout(2 * DEADLINE_S):
        while waiting < 20 or sold < 3:
            line = (await process.stdout.readline()).decode()
            assert line, (await process.stderr.read()).decode()
            lines.append(line)
            if line.startswith("waiting"):
                waiting = max(waiting, int(line.split()[1]))
                sold = int(line.partition("sold ")[2].split()[0])
        children = children_of(process.pid)
        assert len(children) == 3, "the shop and two workers"
        process.send_signal(signal.SIGINT)
        out, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert errors == b""
    assert b"No process is left running" in out
    assert not children & {int(entry) for entry in os.listdir("/proc") if entry.isdecimal()}
    assert any(line.startswith("Line ") and "/checkout" in line for line in lines)
    assert any(line.startswith("Goods ") and "/products" in line for line in lines)
    assert all("refused 0" in line for line in lines if line.startswith("waiting"))


async def test_the_demo_runs_behind_a_real_load_balancer() -> None:
    """A line forms over HTTPS with HTTP/2. After Ctrl-C no process is left."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "demo", "--port", "0", "--seed", "3", "--behind", "nginx"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    waiting, url = 0, ""
    async with asyncio.timeout(2 * DEADLINE_S):
        while waiting < 20:
            line = (await process.stdout.readline()).decode()
            assert line, (await process.stderr.read()).decode()
            if line.startswith("Line "):
                url = line.split()[1]
            if line.startswith("waiting"):
                waiting = max(waiting, int(line.split()[1]))
        asked = await asyncio.create_subprocess_exec(
            *("curl", "-sk", "-o", "/dev/null", "-w", "%{http_version}", url), stdout=asyncio.subprocess.PIPE
        )
        assert (await asked.communicate())[0] == b"2"
        children = children_of(process.pid)
        assert len(children) == 4, "the shop, two workers and nginx"
        process.send_signal(signal.SIGINT)
        _, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    assert not children & {int(entry) for entry in os.listdir("/proc") if entry.isdecimal()}
