"""The lookups that verify crawlers (`edge/shield/crawlers.py`), by dnspython, as tasks beside the requests of a worker.

dnspython believes an answer only if sender, id and question fit (RFC 5452), and asks again over TCP if it is truncated.
"""

import asyncio
import time
from pathlib import Path
from typing import Final

from dns.asyncresolver import Resolver
from dns.exception import DNSException
from dns.resolver import NXDOMAIN, NoResolverConfiguration

from edge.shield.crawlers import CRAWLERS, Found
from edge.support.client_address import parse_address
from edge.support.tasks import TaskOwner

__all__ = ["CrawlerLookup", "belongs", "resolver_at", "system_resolver"]

#: Names of one address that are looked up.
MOST_NAMES: Final = 3
#: How long the request of an unknown address waits, in seconds.
PATIENCE_S: Final = 2.0
#: For one datagram, and for one question with its repetitions, in seconds.
TIMEOUT_S: Final = 0.7
QUESTION_S: Final = 1.5
RESOLV_CONF: Final = Path("/etc/resolv.conf")


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
        except (DNSException, OSError, TimeoutError):
            pass
        finally:
            found(is_verified, time.time())


async def belongs(resolver: Resolver, crawler: str, address: str) -> bool:
    """Return whether an address is a crawler's. Raises DNSException or OSError if the resolver fails."""
    parsed = parse_address(address)
    if parsed is None:
        return False
    domains = CRAWLERS[crawler][1]
    for name in (await _records(resolver, parsed.reverse_pointer, "PTR"))[:MOST_NAMES]:
        if name.endswith(domains) and str(parsed) in await _records(
            resolver, name, "AAAA" if parsed.version == 6 else "A"
        ):
            return True
    return False


async def _records(resolver: Resolver, name: str, kind: str) -> list[str]:
    """Return the records of a name: addresses, or names in lower case without the last dot. [] if there are none."""
    try:
        answer = await resolver.resolve(name + ".", kind, raise_on_no_answer=False, search=False)
    except NXDOMAIN:
        return []
    return [record.to_text().lower().rstrip(".") for record in answer.rrset or ()]


def resolver_at(text: str) -> Resolver:
    """Return the resolver at an address and port: 127.0.0.1:53 or [::1]:53."""
    address, _, port = text.rpartition(":")
    resolver = Resolver(configure=False)
    resolver.nameservers = [address.strip("[]")]
    resolver.port = int(port)
    return _limited(resolver)


def system_resolver(file: Path = RESOLV_CONF) -> Resolver | None:
    """Return the resolver that the operating system uses; None if it names none."""
    try:
        return _limited(Resolver(str(file)))
    except NoResolverConfiguration:
        return None


def _limited(resolver: Resolver) -> Resolver:
    resolver.timeout, resolver.lifetime = TIMEOUT_S, QUESTION_S
    return resolver
