"""Listening sockets, one for every worker and address, opened and owned by the supervisor.

With SO_REUSEPORT the kernel spreads connections over the workers' sockets. Because the supervisor keeps them open, the
connections that wait in a killed worker's backlog are served by its successor: nobody is refused.
"""

import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["address_of", "open_sockets"]

#: Connections that may wait to be accepted. nginx: 511; the kernel caps it at net.core.somaxconn (4096 since 5.4).
BACKLOG = 4096
#: What the kernel keeps of an answer that is not on its way yet; connections inherit it. Who does not read would
#: else be given some megabytes of the kernel's memory. The window of what is on its way still grows as it likes.
MAX_UNSENT = 131_072


def open_sockets(addresses: Iterable[str], workers: int, path: str = "listen[{}]") -> list[list[socket.socket]]:
    """A list of sockets for each worker. addresses: `tcp://HOST:PORT`; port 0 takes a free one, the same for all.

    Raises ConfigurationError, with every address that cannot be bound. path: its place in the settings, {} its number.
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
    """What to tell a person: `http://HOST:PORT`."""
    host, port = listening.getsockname()[:2]
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _open(address: str, count: int) -> list[socket.socket]:
    parts = urlsplit(address)
    family, kind, protocol, _, where = socket.getaddrinfo(
        parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    opened: list[socket.socket] = []
    try:
        # A socket that does not share its port finds out whether somebody else already serves it: with SO_REUSEPORT
        # alone, a second edge started by mistake would silently take half of the visitors.
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
