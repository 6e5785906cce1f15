"""How many connections each network (an IPv4 address, an IPv6 /64) has open.

Networks without a connection are not kept, so the table is never larger than the number of connections.
"""

__all__ = ["ConnectionCounter"]


class ConnectionCounter:
    def __init__(self) -> None:
        self._open: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def enter(self, network: str) -> int:
        """One more; returns how many there are now."""
        count = self._open[network] = self._open.get(network, 0) + 1
        return count

    def leave(self, network: str) -> None:
        """One less."""
        count = self._open[network]
        if count > 1:
            self._open[network] = count - 1
        else:
            del self._open[network]
