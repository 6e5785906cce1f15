"""What `stanchion check` asks of the network: does the upstream resolve and answer, does Redis answer? Bounded in time.

The shop gets one HEAD request for `/`. Any HTTP response is an answer, also an error: the check says whether the edge
can reach the shop, not whether the shop is well.
"""

import asyncio
import contextlib
import os
import socket
import ssl
from collections.abc import Awaitable, Mapping

import redis.asyncio
from redis.exceptions import RedisError

from edge.proxy.server_address import ServerAddress, failure_text
from edge.settings.model import Settings
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["network_warnings"]

#: The longest time that the whole check of the network takes, seconds.
PATIENCE_S = 3.0
#: How a response begins.
HTTP = b"HTTP/1."


async def network_warnings(settings: Settings, environment: Mapping[str, str] = os.environ) -> list[SettingFault]:
    """Return a warning for each server that cannot be reached. Takes PATIENCE_S at most."""
    try:
        addresses = [ServerAddress(url, settings.upstream.tls) for url in settings.upstream.addresses]
    except ConfigurationError as error:
        return error.faults
    several = len(addresses) > 1
    asked = [
        _warn(f"upstream.servers[{at}]" if several else "upstream.url", each.url, _ask_upstream(each))
        for at, each in enumerate(addresses)
    ]
    cluster = settings.cluster
    if cluster.redis_url is not None:
        password = environment.get(cluster.redis_password_env) if cluster.redis_password_env else None
        asked.append(_warn("cluster.redis_url", cluster.redis_url, _ask_redis(cluster.redis_url, password)))
    return [warning for warning in await asyncio.gather(*asked) if warning is not None]


async def _warn(path: str, url: str, asking: Awaitable[str | None]) -> SettingFault | None:
    """Return the warning about one server; None if it answers. asking: returns what is wrong, or None."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            problem = await asking
    except TimeoutError:
        problem = f"does not answer within {PATIENCE_S:g} s"
    return None if problem is None else SettingFault(path, f"{url} {problem}")


class _Question(asyncio.Protocol):
    """Sends a request and waits for the first line of the response."""

    def __init__(self, host: str) -> None:
        self._request = f"HEAD / HTTP/1.1\r\nHost: {host}\r\nUser-Agent: stanchion-check\r\nConnection: close\r\n\r\n"
        self._received = b""
        self._transport: asyncio.Transport | None = None
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        """The first bytes of the response; fewer if the connection ended before."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(self._request.encode())

    def data_received(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= len(HTTP):
            self._settle()

    def connection_lost(self, _: Exception | None) -> None:
        self._settle()

    def end(self) -> None:
        if self._transport is not None:
            self._transport.abort()

    def _settle(self) -> None:
        if not self.answer.done():
            self.answer.set_result(self._received)


async def _ask_upstream(address: ServerAddress) -> str | None:
    try:
        question = await address.connect(lambda: _Question(address.host_field))
    except ssl.SSLCertVerificationError as error:
        return f"is reached, but its certificate is not accepted: {error.verify_message}"
    except ssl.SSLError as error:
        return f"is reached, but TLS with it fails: {failure_text(error)}"
    except socket.gaierror as error:
        return f"does not resolve: {error.strerror}"
    except OSError as error:
        reason = os.strerror(error.errno).lower() if error.errno else failure_text(error)
        return f"does not accept a connection: {reason}"
    try:
        answer = await question.answer
    finally:
        question.end()
    return None if answer.startswith(HTTP) else "accepts a connection, but does not answer in HTTP/1.1"


async def _ask_redis(url: str, password: str | None) -> str | None:
    client = redis.asyncio.Redis.from_url(url, password=password)
    try:
        await client.ping()
    except RedisError as error:
        return f"does not answer: {error}"
    except OSError as error:
        return f"does not accept a connection: {error}"
    finally:
        with contextlib.suppress(RedisError, OSError):
            await client.aclose()
    return None
