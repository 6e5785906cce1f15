"""An entrance that is closed stays closed, whatever is under way meanwhile: on either of the loops it may run on."""

import asyncio
import socket

import pytest
import uvloop

from edge.proxy.acceptor import Acceptor
from edge.supervisor.sockets import open_sockets


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """run(coroutine), on a loop of its own."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


def entrance_of_two() -> tuple[Acceptor, list[int]]:
    """An entrance with two sockets, and their ports."""
    address = "tcp://127.0.0.1:0"
    [sockets] = open_sockets([address, address], 1)
    return Acceptor(sockets, asyncio.Protocol), [each.getsockname()[1] for each in sockets]


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("after", range(8))
def test_reopening_while_it_closes_opens_nothing(run, after):
    """The plane looks every quarter of a second whether there is room again: one look may fall into the closing."""

    async def race() -> None:
        entrance, ports = entrance_of_two()
        await entrance.open()
        assert all(accepts(port) for port in ports)
        closing = asyncio.ensure_future(entrance.close())
        await turns(after)
        entrance.reopen()
        await closing
        await turns(10)
        assert not any(accepts(port) for port in ports)

    run(race())


@pytest.mark.parametrize("after", range(8))
def test_closing_while_it_reopens_leaves_nothing_open(run, after):
    async def race() -> None:
        entrance, ports = entrance_of_two()
        await entrance.open()
        entrance.shut()
        entrance.reopen()
        await turns(after)
        await entrance.close()
        await turns(10)
        assert not any(accepts(port) for port in ports)

    run(race())
