"""One listening socket of a worker: what a connection to it begins with.

tcp://, unix://              HTTP
proxy_protocol: true         a PROXY header, if the peer is a trusted proxy
a certificate                TLS, behind the PROXY header if there is one
"""

import logging
import socket

from edge.proxy.server_tls import ServerTls
from edge.settings.listener import ListenerSettings
from edge.support.tasks import TaskOwner

__all__ = ["Listener"]

log = logging.getLogger("edge.proxy")


class Listener:
    """`where` is the setting that it stands in, such as `listen[0]`."""

    def __init__(self, listening: socket.socket, settings: ListenerSettings, where: str) -> None:
        self.socket = listening
        self.url = settings.url
        self.tls = ServerTls(settings.certificates, where) if settings.certificates else None
        self.reads_proxy_header = settings.proxy_protocol
        self.greetings = TaskOwner()
        """The connections that have not come to HTTP yet."""
        self.faults = 0
        """How many connections failed before they came to HTTP."""

    def __repr__(self) -> str:
        begins = [*(["PROXY"] if self.reads_proxy_header else []), *(["TLS"] if self.tls else []), "HTTP"]
        return f"<Listener {self.url}: {', '.join(begins)}, {len(self.greetings)} greetings>"

    @property
    def is_plain(self) -> bool:
        """Whether connections begin with HTTP."""
        return self.tls is None and not self.reads_proxy_header

    def use(self, settings: ListenerSettings) -> None:
        """Take the certificates of other settings. Nothing else of a listener changes while it is open."""
        if self.tls is not None and settings.certificates:
            self.tls.use(settings.certificates)

    def look(self) -> None:
        """Read certificates again if their files have changed."""
        if self.tls is not None:
            self.tls.look()

    def note_fault(self, peer: str, fault: Exception) -> None:
        """A connection did not come to HTTP. Anybody can cause this, so only the first of many is a warning."""
        self.faults += 1
        level = logging.WARNING if self.faults.bit_count() == 1 else logging.DEBUG
        log.log(level, "a connection to %s from %s failed (%d so far): %s", self.url, peer, self.faults, fault)
