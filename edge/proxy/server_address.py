"""Where a server of the upstream is, and how a connection to it is opened: TCP, TLS over TCP, or a unix socket."""

import asyncio
import os
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

from edge.settings.upstream import UpstreamTls
from edge.support.client_tls import client_context

__all__ = ["ServerAddress", "failure_text", "tls_context"]

Made = TypeVar("Made", bound=asyncio.BaseProtocol)


class ServerAddress:
    """url: http://HOST:PORT, https://HOST:PORT or unix:///PATH. tls: for https, made by `tls_context`."""

    __slots__ = ("_host", "_path", "_port", "_server_name", "_tls", "host_field", "url")

    def __init__(self, url: str, tls_settings: UpstreamTls, tls: ssl.SSLContext | None = None) -> None:
        self.url = url
        self._path: str | None = None
        self._tls: ssl.SSLContext | None = None
        self._server_name: str | None = None
        self._host = ""
        self._port = 0
        self.host_field = "localhost"
        """The `Host` of a request that no visitor sent."""
        if url.startswith("unix://"):
            self._path = url.removeprefix("unix://")
            return
        parts = urlsplit(url)
        self._host = parts.hostname or ""
        self._port = parts.port or (443 if parts.scheme == "https" else 80)
        self.host_field = parts.netloc
        if parts.scheme == "https":
            self._tls = tls or tls_context(tls_settings)
            self._server_name = tls_settings.server_name or self._host

    def use_tls(self, tls: ssl.SSLContext) -> None:
        """Open the next connections with this TLS client, if the server has https."""
        if self._tls is not None:
            self._tls = tls

    def __repr__(self) -> str:
        return f"<ServerAddress {self.url}>"

    async def connect(self, factory: Callable[[], Made]) -> Made:
        """Open a connection; return its protocol. Raises OSError, which ssl.SSLError is too."""
        loop = asyncio.get_running_loop()
        if self._path is not None:
            _, made = await loop.create_unix_connection(factory, self._path)
        else:
            _, made = await loop.create_connection(
                factory, self._host, self._port, ssl=self._tls, server_hostname=self._server_name
            )
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
