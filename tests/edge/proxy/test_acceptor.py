"""A closed acceptor stays closed, whatever is under way meanwhile, on both event loops."""

import asyncio
import socket

import pytest
import uvloop

from edge.proxy.acceptor import Acceptor
from edge.supervisor.sockets import open_sockets


@pytest.fixture(params=[asyncio.SelectorEventLoop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def run(request):
    """Return a function that runs a coroutine on a loop of its own."""
    with asyncio.Runner(loop_factory=request.param) as runner:
        yield runner.run


async def turns(count: int) -> None:
    for _ in range(count):
        await asyncio.sleep(0)


async def listening_acceptor() -> tuple[Acceptor, list[int]]:
    """Return an acceptor that listens on two sockets, and their ports."""
    address = "tcp://127.0.0.1:0"
    [sockets] = open_sockets([address, address], 1)
    ports = [each.getsockname()[1] for each in sockets]
    acceptor = Acceptor(asyncio.Protocol)
    await acceptor.listen(sockets)
    return acceptor, ports


def accepts(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
    except ConnectionRefusedError:
        return False
    return True


@pytest.mark.parametrize("after", range(8))
def test_resuming_while_it_closes_opens_nothing(run, after):
    """The sweep resumes accepting if there is room again. It may do so while the acceptor closes."""

    async def race() -> None:
        acceptor, ports = await listening_acceptor()
        assert all(accepts(port) for port in ports)
        closing = asyncio.ensure_future(acceptor.close())
        await turns(after)
        acceptor.resume()
        await closing
        await turns(10)
        assert not any(accepts(port) for port in ports)

    run(race())


@pytest.mark.parametrize("after", range(8))
def test_closing_while_it_resumes_leaves_nothing_open(run, after):
    async def race() -> None:
        acceptor, ports = await listening_acceptor()
        acceptor.pause()
        acceptor.resume()
        await turns(after)
        await acceptor.close()
        await turns(10)
        assert not any(accepts(port) for port in ports)

    run(race())
