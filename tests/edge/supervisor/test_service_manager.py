"""What the edge tells systemd, received on a socket like systemd's."""

import asyncio
import os
import signal
import socket
from pathlib import Path

import pytest

from edge.supervisor.service_manager import ServiceManager
from tests.edge.observed import Shop
from tests.edge.running import DEADLINE_S, one_room, running_edge, running_upstream


def listening(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.bind(address)
    receiver.settimeout(DEADLINE_S)
    return receiver


@pytest.mark.parametrize("is_abstract", [False, True])
def test_messages_reach_a_path_and_an_abstract_name(tmp_path: Path, is_abstract: bool):
    name = f"@stanchion-test-{os.getpid()}" if is_abstract else str(tmp_path / "notify")
    with listening("\0" + name[1:] if is_abstract else name) as receiver:
        ServiceManager({"NOTIFY_SOCKET": name}).ready("serving")
        assert receiver.recv(999).decode().split("\n") == ["READY=1", "STATUS=serving", f"MAINPID={os.getpid()}"]


def test_without_a_manager_nothing_is_sent_and_nothing_fails(tmp_path: Path):
    ServiceManager({}).ready("serving")
    ServiceManager({"NOTIFY_SOCKET": str(tmp_path / "gone")}).stopping()


@pytest.mark.parametrize(
    "environment",
    [{}, {"WATCHDOG_USEC": "0"}, {"WATCHDOG_USEC": "x"}, {"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}],
)
async def test_no_watchdog_unless_it_is_asked_for(environment: dict[str, str]):
    async with asyncio.timeout(DEADLINE_S):
        await ServiceManager(environment).keep_alive()


async def test_a_running_edge_says_that_it_is_ready_alive_and_stopping(tmp_path: Path):
    """In this order: a watchdog message may come first, READY only when every worker serves, STOPPING at TERM."""
    name = str(tmp_path / "notify")
    receiver = listening(name)

    async def next_message() -> str:
        return (await asyncio.to_thread(receiver.recv, 999)).decode()

    with receiver:
        async with running_upstream(Shop().handle) as upstream:
            settings = one_room(upstream, capacity={"admissions_per_second": 40})
            notified = {"NOTIFY_SOCKET": name, "WATCHDOG_USEC": "1000000"}
            async with running_edge(settings, tmp_path, **notified) as edge:
                seen = [await next_message()]
                while not seen[-1].startswith("READY=1"):
                    seen.append(await next_message())
                assert set(seen[:-1]) <= {"WATCHDOG=1"}
                assert f"MAINPID={edge.process.pid}" in seen[-1]
                assert edge.url in seen[-1]
                for _ in range(3):
                    assert await next_message() == "WATCHDOG=1"
                edge.send(signal.SIGTERM)
                while (message := await next_message()) == "WATCHDOG=1":
                    pass
                assert message.startswith("STOPPING=1")
                assert await edge.wait_ended() == 0
