"""Counts the open connections of each network: an IPv4 address, or an IPv6 /64.

Networks without a connection are not kept, so the table is never larger than the number of connections.
"""

__all__ = ["ConnectionCounter"]


class ConnectionCounter:
    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def add(self, network: str) -> int:
        """Count one more connection; return how many the network has now."""
        count = self._open[network] = self._open.get(network, 0) + 1
        return count

    def remove(self, network: str) -> None:
        """Count one connection less."""
        count = self._open[network]
        if count > 1:
            self._open[network] = count - 1
        else:
            del self._open[network]
