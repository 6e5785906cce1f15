"""The cost of a request without sockets: `python -m tests.bench.in_process`, microseconds of CPU.

The heads of the bench go to the protocol of a connection, and its output is thrown away. Everything between is as in a
worker: pipeline, gate, shield, metrics, access counters, control steps, collector thresholds. The difference to the
figures of the bench is the part of the kernel and of the event loop.

`--only WORK --requests N` does one kind of work once and nothing else: for `perf record`, or to count instructions,
which do not depend on the load: `valgrind --tool=callgrind python -m tests.bench.in_process --only ...`.
"""

import argparse
import itertools
import os
import random
import socket
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

from edge.decision.pipeline import Pipeline
from edge.decision.responses import Responses
from edge.operations.access_log import AccessLog
from edge.operations.metrics import Metrics
from edge.proxy.client import Client
from edge.proxy.server import ProxyServer
from edge.proxy.upstream import Upstream
from edge.rooms.table import build_rooms
from edge.settings.loading import parse_settings
from edge.shield.shield import Shield
from edge.support.entropy import Entropy
from edge.support.event_loop import calm_collector
from tests.bench.heads import COUNTER, KEY, Heads
from tests.bench.servers import EDGE, ROOM
from waiting_room.assets import Assets
from waiting_room.ticket import Keyring

#: Connections over which the heads are sent in turn, as wrk does.
CONNECTIONS = 64
ANSWER = (
    b"HTTP/1.1 200 OK\r\nServer: nginx\r\nDate: Sat, 21 Nov 2026 10:00:00 GMT\r\nContent-Type: text/plain\r\n"
    b"Content-Length: 1024\r\nConnection: keep-alive\r\nKeep-Alive: timeout=60\r\n\r\n" + b"x" * 1024
)


#: Open as long as the process: nothing is ever sent.
SILENT = socket.socketpair()


class Sink:
    """A transport that drops what is written. last: the latest write."""

    last = b""

    def write(self, data: bytes) -> None:
        self.last = data

    def get_extra_info(self, name: str) -> Any:
        return "127.0.0.1", 40_000

    def is_closing(self) -> bool:
        return False

    def get_write_buffer_size(self) -> int:
        return 0


class Shop(Sink):
    """The transport of a connection to an upstream that answers at once."""

    upstream: Upstream

    def get_extra_info(self, name: str) -> Any:
        """Return an open socket in which nothing waits: the pool looks before it sends a POST."""
        return SILENT[0] if name == "socket" else super().get_extra_info(name)

    def write(self, data: bytes) -> None:
        self.upstream.data_received(ANSWER)


class Node:
    """The parts of a worker, and its connections."""

    def __init__(self) -> None:
        room = ROOM.format(name="checkout", path="/checkout*", rate=0.01)
        # The listeners are never opened, so the one with TLS needs no real files.
        files = 'certificate: "none", key: "none"'
        settings = parse_settings(EDGE.format(port=1, tls_port=3, certificate=files, workers=1, origin=2, rooms=room))
        self.metrics = metrics = Metrics()
        assets = Assets.load()
        self.rooms = build_rooms(settings, assets, lambda _: (), 0, time.time(), time.time())
        pipeline = Pipeline(
            self.rooms, Keyring([KEY.encode()]), Responses(assets), metrics, settings.cookies, Entropy(os.urandom),
            lambda _: None, Shield(settings.abuse),
        )  # fmt: skip
        self.proxy = ProxyServer(
            settings, pipeline, AccessLog(metrics, settings.log), time.time, random.Random().random
        )
        self.proxy.state.date = b"Date: Sat, 21 Nov 2026 10:00:00 GMT\r\n"
        self._connect_shop()
        self._ticked = self._flushed = 0.0

    def clients(self) -> list[Client]:
        """Open new connections, because each serves a limited number of requests."""
        made = [Client(self.proxy.state) for _ in range(CONNECTIONS)]
        self.sinks = [Sink() for _ in made]
        for client, sink in zip(made, self.sinks, strict=True):
            client.connection_made(sink)  # type: ignore[arg-type]
        return made

    def _connect_shop(self) -> None:
        """Put one idle connection into the pool. The shop answers at once, so no second one is needed."""
        pool, transport = self.proxy.state.upstreams.servers[0].pool, Shop()
        transport.upstream = upstream = Upstream(pool)
        upstream.connection_made(transport)  # type: ignore[arg-type]
        upstream.kept_s = 60.0  # as its answers say; else each POST would open a connection
        pool._open.add(upstream)
        pool._idle.append(upstream)

    def tick(self) -> None:
        """Do a worker's periodic work: control steps and the flush of counters."""
        now = time.time()
        if now - self._ticked > 0.1:
            self._ticked = now
            for room in self.rooms.rooms:
                room.tick(now)
        if now - self._flushed > 0.5:
            self._flushed = now
            self.metrics.flush()


def sent(heads: list[bytes]) -> Iterator[bytes]:
    """Yield the heads in turn. Heads with the mark of the counter are new each time."""
    mark = COUNTER.encode()
    for count, head in enumerate(itertools.cycle(heads)):
        # A read from a socket returns new bytes, without a computed hash.
        yield head.replace(mark, b"%010d" % count, 1) if mark in head else bytes(bytearray(head))


Work = Callable[[Heads], list[bytes]]
WORKS: dict[str, Work] = {
    "poll, one visitor a connection": lambda h: h.polls(visitors=64),
    "poll, 2,000 visitors mixed": lambda h: h.polls(),
    "poll, every head new": lambda h: h.polls(new=True),
    "page, first visits": lambda h: h.pages(),
    "GET 1 kB, proxied": lambda h: h.passes("/checkout/1k"),
    "POST 10 kB, proxied": lambda h: h.passes("/checkout/post", method="POST", body=10_240),
}


def run(work: str, requests: int, node: Node | None = None) -> float:
    """Return the microseconds of CPU of one request."""
    node = node or Node()
    source = sent(WORKS[work](Heads()))
    clients = itertools.cycle(node.clients())
    spent = 0.0
    for _ in range(0, requests, 1000):
        batch = list(itertools.islice(source, 1000))
        began = time.process_time()
        for data in batch:
            next(clients).data_received(data)
        node.tick()
        spent += time.process_time() - began
    return spent / requests * 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--only", choices=WORKS, help="do this work once and nothing else")
    options = parser.parse_args()
    node = Node()
    calm_collector()
    if options.only:
        print(f"{options.only:36} {run(options.only, options.requests, node):6.2f} us")
        return
    found: dict[str, Any] = {work: [] for work in WORKS}
    for _ in range(options.rounds):
        for work in WORKS:
            found[work].append(run(work, options.requests, node))
    for work, several in found.items():
        print(f"{work:36} {statistics.median(several):6.2f} us  (least {min(several):.2f})")


if __name__ == "__main__":
    main()
