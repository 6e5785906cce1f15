"""The memory of an idle keep-alive connection."""

import socket
import time

from tests.bench.heads import Heads
from tests.bench.servers import Server


def idle_bytes(server: Server, count: int) -> float:
    """Return the resident bytes of each of `count` connections that were used once and stay open."""
    head = Heads().polls(visitors=1)[0]
    with socket.create_connection(("127.0.0.1", server.port)) as warm:
        _ask(warm, head)
    before = server.resident_bytes()
    open_connections = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.port))
            open_connections.append(connection)
            _ask(connection, head)
        time.sleep(1)
        return (server.resident_bytes() - before) / count
    finally:
        for connection in open_connections:
            connection.close()


def _ask(connection: socket.socket, head: bytes) -> None:
    connection.sendall(head)
    answer = connection.recv(65_536)
    if not answer.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"unexpected: {answer[:100]!r}")
