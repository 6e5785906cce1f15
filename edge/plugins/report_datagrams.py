"""Reports as datagrams: load balancers write their access log here, so the shop's answers are reported without waiting.

    <134>Nov 30 14:00:00 nginx: {"room": "checkout", "ticket": "3q2-...", "status": "200", "seconds": "0.041", ...}

A datagram is one report as `report.py` describes it. What stands before the first brace (the head of a syslog message,
RFC 3164 and 5424) is skipped. A datagram may be lost: the kernel drops it if a worker does not keep up. Every worker
reads at the same address (SO_REUSEPORT), and the kernel sends all datagrams of one sender to the same worker.
"""

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from edge.settings.model import Settings
from edge.support.client_address import TrustedProxies

__all__ = ["ReportDatagrams"]


class ReportDatagrams(asyncio.DatagramProtocol):
    """One worker's. take(report): take in the bytes of a report."""

    def __init__(self, settings: Settings, take: Callable[[bytes], None]) -> None:
        self._take = take
        self._transport: asyncio.DatagramTransport | None = None
        self.use(settings)

    def use(self, settings: Settings) -> None:
        """Believe these peers from now on."""
        self._peers = TrustedProxies(settings.plugins.peers)

    async def listen(self, url: str) -> None:
        """Read at `udp://HOST:PORT`."""
        parts = urlsplit(url)
        loop = asyncio.get_running_loop()
        await loop.create_datagram_endpoint(
            lambda: self, local_addr=(parts.hostname or "", parts.port or 0), reuse_port=True
        )

    def close(self) -> None:
        """Read no more."""
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        at = data.find(b"{")
        if at >= 0 and self._peers.trusts(addr[0]):
            self._take(data[at:])
