"""The lookups that verify crawlers (`edge/shield/crawlers.py`), as tasks beside the requests of a worker."""

import asyncio
import time
from typing import Final

from edge.shield.crawlers import CRAWLERS, Found
from edge.support.client_address import parse_address
from edge.support.dns_query import DnsFault, Resolver
from edge.support.tasks import TaskOwner

__all__ = ["CrawlerLookup", "belongs"]

#: Names of one address that are looked up.
MOST_NAMES: Final = 3
#: How long the request of an unknown address waits, in seconds.
PATIENCE_S: Final = 2.0


class CrawlerLookup:
    """One worker's. resolver: None if the system names none; then no crawler is verified."""

    def __init__(self, resolver: Resolver | None) -> None:
        self._resolver = resolver
        self._tasks = TaskOwner()

    def __repr__(self) -> str:
        return f"<CrawlerLookup by {self._resolver!r}, {len(self._tasks)} open>"

    def start(self, crawler: str, address: str, found: Found) -> None:
        """Look an address up; found(is_verified, now) is called once, later."""
        self._tasks.start(self._run(crawler, address, found), f"lookup of {address}")

    async def _run(self, crawler: str, address: str, found: Found) -> None:
        is_verified: bool | None = None
        try:
            if self._resolver is not None:
                async with asyncio.timeout(PATIENCE_S):
                    is_verified = await belongs(self._resolver, crawler, address)
        except (DnsFault, TimeoutError):
            pass
        finally:
            found(is_verified, time.time())


async def belongs(resolver: Resolver, crawler: str, address: str) -> bool:
    """Return whether an address is a crawler's. Raises DnsFault."""
    parsed = parse_address(address)
    if parsed is None:
        return False
    domains = CRAWLERS[crawler][1]
    for name in (await resolver.names(str(parsed)))[:MOST_NAMES]:
        if name.endswith(domains) and str(parsed) in await resolver.addresses(name, ipv6=parsed.version == 6):
            return True
    return False
