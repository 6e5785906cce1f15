"""Where a server of the upstream is, and how a connection to it is opened: TCP, TLS over TCP, or a unix socket."""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from edge.proxy.dial import Dialer
from edge.settings.upstream import UpstreamTls
from edge.support.client_tls import client_context

__all__ = ["ServerAddress", "failure_text", "tls_context"]

Made = TypeVar("Made", bound=asyncio.BaseProtocol)


class ServerAddress:
    """url: http://HOST:PORT, https://HOST:PORT or unix:///PATH. tls: for https, made by `tls_context`."""

    __slots__ = ("_dialer", "_path", "_server_name", "_tls", "host_field", "url")

    def __init__(self, url: str, tls_settings: UpstreamTls, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._path: str | None = None
        self._tls: ssl.SSLContext | None = None
        self._server_name: str | None = None
        self._dialer: Dialer | None = None
        self.host_field = "localhost"
        """The `Host` of a request that no visitor sent."""
        if url.startswith("unix://"):
            self._path = url.removeprefix("unix://")
            return
        parts = urlsplit(url)
        host = parts.hostname or ""
        port = parts.port or (443 if parts.scheme == "https" else 80)
        self._dialer = Dialer(host, port)
        self.host_field = parts.netloc
        if parts.scheme == "https":
            self._tls = tls or tls_context(tls_settings)
            self._server_name = tls_settings.server_name or host

    def use_tls(self, tls: ssl.SSLContext) -> None:
        """Open the next connections with this TLS client, if the server has https."""
        if self._tls is not None:
            self._tls = tls

    def __repr__(self) -> str:
        return f"<ServerAddress {self.url}>"

    @property
    def is_name(self) -> bool:
        """Whether the server's address may change, because a name stands for it."""
        return self._dialer is not None and self._dialer.is_name

    async def connect(self, factory: Callable[[], Made]) -> Made:
        """Open a connection; return its protocol. Raises OSError, which ssl.SSLError is too."""
        if self._dialer is not None:
            return await self._dialer.connect(factory, ssl=self._tls, server_hostname=self._server_name)
        _, made = await asyncio.get_running_loop().create_unix_connection(factory, self._path)
        return made


def tls_context(settings: UpstreamTls) -> ssl.SSLContext:
    """Return the TLS client that these settings ask for.

    Raises ConfigurationError if a file cannot be used. `load_settings` has tried them before.
    """
    return client_context(settings.ca_file, settings.client_certificate, settings.client_key)


def failure_text(fault: BaseException) -> str:
    """Return why no connection could be made, as an operator reads it."""
    if isinstance(fault, TimeoutError):
        return "no connection in time"
    if isinstance(fault, ssl.SSLCertVerificationError):
        return f"TLS: {fault.verify_message}"
    if isinstance(fault, ssl.SSLError):
        return f"TLS: {(fault.reason or 'handshake failed').lower().replace('_', ' ')}"
    if isinstance(fault, OSError) and fault.errno is not None and fault.errno > 0:
        return os.strerror(fault.errno).lower()  # asyncio's own text names the address once more
    if isinstance(fault, OSError) and fault.strerror:
        return fault.strerror.lower()
    return str(fault) or type(fault).__name__
