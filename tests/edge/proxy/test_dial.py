"""A host with several addresses: a silent one does not keep visitors waiting, and a name that moves is followed."""

import asyncio
import os
import shutil
import socket
import threading
from contextlib import ExitStack, contextmanager
from pathlib import Path

import aiohttp
import pytest

from edge.proxy.dial import ATTEMPT_DELAY_S, LOOK_UP_S, Dialer
from tests.edge.running import one_room, running_edge, wait_until
from tests.edge.worker.test_listeners import ask


class NamedLoop(asyncio.SelectorEventLoop):
    """An event loop with a name server of its own. A list that is empty is a name server that does not answer."""

    def __init__(self) -> None:
        super().__init__()
        self.names: dict[str, list[str]] = {}
        self.asked = 0

    async def getaddrinfo(self, host, port, **options):
        if host not in self.names:
            return await super().getaddrinfo(host, port, **options)
        self.asked += 1
        await asyncio.sleep(0)
        if not self.names[host]:
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in self.names[host]]


@pytest.fixture
def loop():
    with asyncio.Runner(loop_factory=NamedLoop) as runner:
        yield runner.get_loop()


class Peer(asyncio.Protocol):
    """What the dialer makes. It knows the address that it is connected to."""

    address = ""

    def connection_made(self, transport):
        self.transport = transport
        self.address = transport.get_extra_info("peername")[0]


class Servers:
    """Servers on one port of several loopback addresses."""

    def __init__(self, stack: ExitStack) -> None:
        self._stack = stack
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]

    def listen(self, *addresses: str) -> None:
        for address in addresses:
            self._stack.enter_context(socket.create_server((address, self.port), backlog=100))

    def be_silent(self, address: str) -> None:
        """Drop connections, as a machine that is gone does: the queue of a listener that never accepts is full."""
        silent = self._stack.enter_context(socket.socket())
        silent.bind((address, self.port))
        silent.listen(0)
        for _ in range(6):
            each = self._stack.enter_context(socket.socket())
            each.setblocking(False)
            each.connect_ex((address, self.port))


@pytest.fixture
def servers():
    with ExitStack() as stack:
        yield Servers(stack)


async def connected(dialer: Dialer) -> tuple[str, float]:
    """Return the address of a new connection, and how many seconds it took."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    async with asyncio.timeout(5):
        peer = await dialer.connect(Peer)
    took = loop.time() - began
    peer.transport.abort()
    await asyncio.sleep(0)
    return peer.address, took


@pytest.mark.parametrize("silent", [["127.0.0.2"], ["127.0.0.2", "127.0.0.4"], ["127.0.0.2", "127.0.0.4", "127.0.0.5"]])
def test_a_silent_address_costs_a_moment_and_only_once(loop, servers, silent):
    for address in silent:
        servers.be_silent(address)
    servers.listen("127.0.0.3")
    loop.names["twin.example"] = [*silent, "127.0.0.3"]
    dialer = Dialer("twin.example", servers.port)
    address, took = loop.run_until_complete(connected(dialer))
    assert address == "127.0.0.3"
    assert took >= ATTEMPT_DELAY_S * len(silent) * 0.9
    # From now on the address that answers comes first.
    address, took = loop.run_until_complete(connected(dialer))
    assert (address, took < ATTEMPT_DELAY_S) == ("127.0.0.3", True)


def test_an_address_that_refuses_costs_nothing(loop, servers):
    servers.listen("127.0.0.3")
    loop.names["twin.example"] = ["127.0.0.2", "127.0.0.4", "127.0.0.3"]
    address, took = loop.run_until_complete(connected(Dialer("twin.example", servers.port)))
    assert (address, took < ATTEMPT_DELAY_S) == ("127.0.0.3", True)


def test_if_all_refuse_the_fault_is_that_of_the_first(loop, servers):
    loop.names["gone.example"] = ["127.0.0.2", "127.0.0.3"]
    with pytest.raises(ConnectionRefusedError, match=r"127\.0\.0\.2"):
        loop.run_until_complete(connected(Dialer("gone.example", servers.port)))


def test_a_server_that_is_slow_but_first_is_taken(loop, servers):
    servers.listen("127.0.0.2", "127.0.0.3")
    loop.names["twin.example"] = ["127.0.0.2", "127.0.0.3"]
    for _ in range(5):
        assert loop.run_until_complete(connected(Dialer("twin.example", servers.port)))[0] == "127.0.0.2"


def test_many_connections_share_one_look_up(loop, servers):
    servers.listen("127.0.0.2")
    loop.names["shop.example"] = ["127.0.0.2"]
    dialer = Dialer("shop.example", servers.port)

    async def many():
        return await asyncio.gather(*(connected(dialer) for _ in range(20)))

    assert {address for address, _ in loop.run_until_complete(many())} == {"127.0.0.2"}
    assert loop.asked == 1


def test_a_name_is_looked_up_again_and_a_dead_name_server_changes_nothing(loop, servers):
    servers.listen("127.0.0.2", "127.0.0.3")
    loop.names["shop.example"] = ["127.0.0.2"]
    dialer = Dialer("shop.example", servers.port)

    async def moves():
        assert (await connected(dialer))[0] == "127.0.0.2"
        loop.names["shop.example"] = []
        await asyncio.sleep(LOOK_UP_S)
        assert (await connected(dialer))[0] == "127.0.0.2"
        loop.names["shop.example"] = ["127.0.0.3"]
        async with asyncio.timeout(10):
            while (await connected(dialer))[0] != "127.0.0.3":
                await asyncio.sleep(0.05)

    loop.run_until_complete(moves())


def test_a_name_that_was_never_known_is_a_fault(loop, servers):
    loop.names["shop.example"] = []
    for _ in range(2):
        with pytest.raises(socket.gaierror):
            loop.run_until_complete(connected(Dialer("shop.example", servers.port)))


def test_a_dialer_that_is_cancelled_leaves_nothing_open(loop, servers):
    servers.be_silent("127.0.0.2")
    servers.be_silent("127.0.0.3")
    loop.names["twin.example"] = ["127.0.0.2", "127.0.0.3"]

    async def gives_up():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.4):
                await Dialer("twin.example", servers.port).connect(Peer)
        return len(asyncio.all_tasks())

    assert loop.run_until_complete(gives_up()) == 1


@pytest.mark.parametrize(("host", "is_name"), [("127.0.0.1", False), ("::1", False), ("fe80::1%eth0", False),
                                               ("localhost", True), ("shop.example", True)])  # fmt: skip
def test_an_address_is_no_name(host, is_name):
    assert Dialer(host, 80).is_name == is_name


def own_hosts(folder: Path, *addresses: str) -> Path:
    """Write a hosts file in which `moving.test` has these addresses."""
    hosts = folder / "hosts"
    hosts.write_text("127.0.0.1 localhost\n" + "".join(f"{address} moving.test\n" for address in addresses))
    return hosts


@contextmanager
def answering(address: str, port: int, body: bytes):
    """A server in a thread that answers every request and keeps its connections."""

    def serve(connection: socket.socket) -> None:
        with connection:
            while connection.recv(65_536):
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))

    def accept() -> None:
        while True:
            try:
                connection, _ = listening.accept()
            except OSError:
                return
            threading.Thread(target=serve, args=(connection,), daemon=True).start()

    with socket.create_server((address, port)) as listening:
        threading.Thread(target=accept, daemon=True).start()
        try:
            yield listening.getsockname()[1]
        finally:
            listening.shutdown(socket.SHUT_RDWR)


@pytest.mark.skipif(os.geteuid() != 0 or shutil.which("unshare") is None, reason="needs a hosts file of its own")
async def test_a_running_edge_follows_a_name_under_load(tmp_path: Path):
    """The old server keeps answering, and visitors keep its connections busy: only their age ends them."""
    with answering("127.0.0.5", 0, b"old") as port, answering("127.0.0.6", port, b"new"):
        hosts = own_hosts(tmp_path, "127.0.0.5")
        prefix = ["unshare", "-m", "sh", "-c", f'mount --bind {hosts} /etc/hosts && exec "$0" "$@"']
        settings = one_room(f"http://moving.test:{port}", capacity={"admissions_per_second": 100.0}).replace(
            "upstream:\n", "upstream:\n  dns_refresh_seconds: 1.0\n"
        )
        async with running_edge(settings, tmp_path, prefix=prefix) as edge:
            assert (await ask(aiohttp.TCPConnector(), edge.url))[1] == "old"
            own_hosts(tmp_path, "127.0.0.6")

            async def is_followed() -> bool:
                return all([(await ask(aiohttp.TCPConnector(), edge.url))[1] == "new" for _ in range(8)])

            await wait_until(is_followed, "visitors reach the new address")
