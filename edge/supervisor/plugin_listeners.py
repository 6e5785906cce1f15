"""The sockets of the plugin listeners, which the supervisor owns like those of visitors.

gRPC opens its own sockets in each worker, all on one address. So that address is taken here, by a socket that does not
listen: port 0 becomes a number before the workers start, and another program on the port is found out.
"""

import os
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

from edge.settings.listener import ListenerSettings
from edge.settings.loading import MIN_KEY_BYTES
from edge.settings.model import Settings
from edge.supervisor.sockets import address_of, open_sockets, socket_files
from edge.supervisor.worker_handle import WorkerHandle
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["PluginListeners"]


class PluginListeners:
    """Those of one machine. Raises ConfigurationError if an address cannot be taken."""

    def __init__(self, settings: Settings) -> None:
        plugins = settings.plugins
        _check_token(plugins.report.token_env)
        self.listeners = () if plugins.listen is None else (ListenerSettings(url=plugins.listen),)
        self.per_worker = open_sockets(self.listeners, settings.workers, "plugins.listen")
        self._grpc = None if plugins.grpc_listen is None else _take(plugins.grpc_listen)

    def __repr__(self) -> str:
        return f"<PluginListeners {' '.join(self.addresses) or 'none'}>"

    @property
    def addresses(self) -> list[str]:
        """Where load balancers ask, for people."""
        found = [address_of(listening) for listening in self.per_worker[0]]
        if self._grpc is not None:
            found.append(address_of(self._grpc).replace("http://", "grpc://"))
        return found

    def files(self, others: Iterable[ListenerSettings]) -> dict[str, int]:
        """Return the socket files of these listeners and of the plugin listener (`sockets.socket_files`)."""
        return socket_files((*others, *self.listeners))

    def handles(self, sockets: list[list[socket.socket]]) -> list[WorkerHandle]:
        """Return a handle for each worker. sockets: of visitors, for each worker."""
        pairs = zip(sockets, self.per_worker, strict=True)
        return [WorkerHandle(index, *pair) for index, pair in enumerate(pairs)]

    def resolved(self, settings: Settings) -> Settings:
        """Return the settings with the port of gRPC as a number."""
        if self._grpc is None:
            return settings
        address = address_of(self._grpc).replace("http://", "tcp://")
        return settings.model_copy(update={"plugins": settings.plugins.model_copy(update={"grpc_listen": address})})


def _check_token(name: str | None) -> None:
    if name is not None and len(os.environ.get(name, "").strip()) < MIN_KEY_BYTES:
        fault = f"the environment variable {name} must hold a token of {MIN_KEY_BYTES} characters or more"
        raise ConfigurationError("settings", [SettingFault("plugins.report.token_env", fault)])


def _take(url: str) -> socket.socket:
    parts = urlsplit(url)
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            parts.hostname, parts.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        taken = socket.socket(family, kind, protocol)
        try:
            taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            taken.bind(where)
        except OSError:
            taken.close()
            raise
    except OSError as fault:
        why = f"cannot listen on {url}: {fault.strerror or fault}"
        raise ConfigurationError("listening", [SettingFault("plugins.grpc_listen", why)]) from None
    return taken
