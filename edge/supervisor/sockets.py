"""Listening sockets, one for each worker and address, opened and owned by the supervisor.

With SO_REUSEPORT the kernel spreads connections over the workers' sockets. Because the supervisor keeps them open, the
connections that wait in a killed worker's backlog are served by its successor, and no visitor is refused.
"""

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["address_of", "open_sockets"]

#: Connections that may wait to be accepted. nginx: 511; the kernel caps it at net.core.somaxconn (4096 since 5.4).
BACKLOG = 4096
#: Bytes of a response that the kernel keeps before they are sent; connections inherit it. Without it a client that does
#: not read would occupy some megabytes of kernel memory. The window of sent bytes is not limited by it.
MAX_UNSENT = 131_072


def open_sockets(addresses: Iterable[str], workers: int, path: str = "listen[{}]") -> list[list[socket.socket]]:
    """Return a list of sockets for each worker.

    addresses: `tcp://HOST:PORT`; port 0 takes a free port, the same for all workers. path: where an address stands in
    the settings, {} for its number. Raises ConfigurationError, which names every address that cannot be bound.
    """
    per_worker: list[list[socket.socket]] = [[] for _ in range(workers)]
    faults: list[SettingFault] = []
    for at, address in enumerate(addresses):
        try:
            for sockets, opened in zip(per_worker, _open(address, workers), strict=True):
                sockets.append(opened)
        except OSError as fault:
            faults.append(SettingFault(path.format(at), f"cannot listen on {address}: {fault.strerror or fault}"))
    if faults:
        for opened in (opened for sockets in per_worker for opened in sockets):
            opened.close()
        raise ConfigurationError("listening", faults)
    return per_worker


def address_of(listening: socket.socket) -> str:
    """Return the address for people: `http://HOST:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open(address: str, count: int) -> list[socket.socket]:
    parts = urlsplit(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened: list[socket.socket] = []
    try:
        # A socket that does not share its port finds out whether another program already serves it. With SO_REUSEPORT
        # alone, a second edge that was started by mistake would silently take half of the visitors.
        if where[1] != 0:
            with socket.socket(family, kind, protocol) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(where)
        for _ in range(count):
            listening = socket.socket(family, kind, protocol)
            opened.append(listening)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            if hasattr(socket, "TCP_NOTSENT_LOWAT"):
                listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, MAX_UNSENT)
            listening.setblocking(False)
            listening.bind(where)
            listening.listen(BACKLOG)
            where = listening.getsockname()
    except OSError:
        for listening in opened:
            listening.close()
        raise
    return opened
