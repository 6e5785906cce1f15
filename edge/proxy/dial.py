"""Connect to a host that may have several addresses: the next one is tried before the first has failed.

    look up --> address 1 ----------------------------> silent
                  '- after ATTEMPT_DELAY_S, or at a failure --> address 2 --> connected: it is tried first from now on

(Happy Eyeballs, RFC 8305, 5; RFC 1123, 2.3: all addresses must be tried.) A name is looked up for each connection, but
at most once in LOOK_UP_S: connections that wait for one look-up share it. If it fails, the addresses from before are
used: a name server that is down for a while does not stop the shop.
"""

import asyncio
import ipaddress
import socket
from collections.abc import Callable
from time import monotonic
from typing import Any, Final, TypeVar

from edge.support.tasks import start_awaited

__all__ = ["Dialer"]

Made = TypeVar("Made", bound=asyncio.BaseProtocol)
#: From one attempt to the next (RFC 8305, 8: 250 ms recommended).
ATTEMPT_DELAY_S: Final = 0.25
LOOK_UP_S: Final = 1.0


class Dialer:
    """One host and port. A host that is an address is never looked up."""

    def __init__(self, host: str, port: int) -> None:
        self._host = host
        self._port = port
        self.is_name = not _is_address(host)
        self._addresses: list[str] = [] if self.is_name else [host]
        """The one that answered last stands first."""
        self._looked_up_at = -LOOK_UP_S
        self._look_up: asyncio.Task[list[str]] | None = None

    def __repr__(self) -> str:
        return f"<Dialer {self._host}:{self._port}, {self._addresses}>"

    async def connect(self, factory: Callable[[], Made], **options: Any) -> Made:
        """Open a connection; return its protocol. options: as for `create_connection`. Raises OSError."""
        addresses = await self._current()
        if len(addresses) == 1:
            return await self._attempt(factory, addresses[0], options)
        return await self._race(factory, addresses, options)

    async def _current(self) -> list[str]:
        if not self.is_name or monotonic() - self._looked_up_at < LOOK_UP_S:
            return list(self._addresses)
        if self._look_up is None:
            self._look_up = start_awaited(self._resolve(), "look up")
            self._look_up.add_done_callback(self._looked_up)
        # Shielded: if a visitor leaves, the look-up goes on for the others.
        return list(await asyncio.shield(self._look_up))

    async def _resolve(self) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except OSError:
            if not self._addresses:
                raise
            # Not asked again at once, because each connection would wait for the same failure.
            self._looked_up_at = monotonic()
            return self._addresses
        addresses = list(dict.fromkeys(str(where[0]) for *_, where in found))
        if self._addresses and self._addresses[0] in addresses:
            addresses.remove(self._addresses[0])
            addresses.insert(0, self._addresses[0])
        self._addresses, self._looked_up_at = addresses, monotonic()
        return addresses

    def _looked_up(self, look_up: "asyncio.Task[list[str]]") -> None:
        self._look_up = None
        if not look_up.cancelled():
            # Taken, so that no failure is logged as one that nobody looked at.
            look_up.exception()

    async def _attempt(self, factory: Callable[[], Made], address: str, options: dict[str, Any]) -> Made:
        _, made = await asyncio.get_running_loop().create_connection(factory, address, self._port, **options)
        return made

    async def _race(self, factory: Callable[[], Made], addresses: list[str], options: dict[str, Any]) -> Made:
        waiting = list(addresses)
        running: dict[asyncio.Task[Made], str] = {}
        fault: OSError | None = None
        try:
            while waiting or running:
                if waiting:
                    address = waiting.pop(0)
                    attempt = start_awaited(self._attempt(factory, address, options), "connect")
                    running[attempt] = address
                delay_s = ATTEMPT_DELAY_S if waiting else None
                done, _ = await asyncio.wait(running, timeout=delay_s, return_when=asyncio.FIRST_COMPLETED)
                for attempt in done:
                    address = running.pop(attempt)
                    failure = attempt.exception()
                    if failure is None:
                        self._prefer(address)
                        return attempt.result()
                    if not isinstance(failure, OSError):
                        raise failure
                    # The first fault is that of the address that usually works.
                    fault = fault or failure
        finally:
            await _end(running)
        raise fault or OSError(f"{self._host} has no address")

    def _prefer(self, address: str) -> None:
        if address in self._addresses:
            self._addresses = [address, *(each for each in self._addresses if each != address)]


async def _end(running: "dict[asyncio.Task[Made], str]") -> None:
    """Cancel the attempts that are no longer needed, and close what they have opened meanwhile."""
    for attempt in running:
        attempt.cancel()
    for made in await asyncio.gather(*running, return_exceptions=True):
        transport = getattr(made, "transport", None)
        if transport is not None:
            transport.abort()


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.partition("%")[0])
    except ValueError:
        return False
    return True
