"""TLS of one listener: certificates by name (SNI), read again when their files change.

    handshake --> outer context --> SNI callback: exact name, else wildcard, else the first certificate

Connections keep the context that they began with. Session tickets belong to the outer context, which stays: a visitor
resumes a session over a reload of the certificates.
"""

import logging
import os
import ssl
from collections.abc import Sequence

from edge.settings.listener import CertificateFiles
from edge.support.certificates import CertificateFacts, load_pair, matches
from edge.support.errors import ConfigurationError

__all__ = ["ServerTls"]

log = logging.getLogger("edge.proxy")

#: Inode, size and time of change of each file; None for one that is missing.
Stamp = tuple[tuple[int, int, int] | None, ...]


class ServerTls:
    """`where` is the setting that the files are named in, such as `listen[0]`. Raises ConfigurationError."""

    def __init__(self, pairs: Sequence[CertificateFiles], where: str) -> None:
        self._where = where
        self._pairs = tuple(pairs)
        self._loaded_stamp = self._seen_stamp = _stamp(self._pairs)
        self._loaded = _load(self._pairs, where)
        self.context = self._outer()
        """For all handshakes, over all reloads."""

    def __repr__(self) -> str:
        return f"<ServerTls {self._where}: {[facts.names for _, facts in self._loaded]}>"

    @property
    def ends_at(self) -> float:
        """When the first of the certificates expires, in seconds since 1970."""
        return min(facts.ends_at for _, facts in self._loaded)

    def use(self, pairs: Sequence[CertificateFiles]) -> None:
        """Read these files now. If they cannot be used, log it and keep what was read before."""
        self._pairs = tuple(pairs)
        self._seen_stamp = self._loaded_stamp = _stamp(self._pairs)
        self._reload()

    def look(self) -> None:
        """Read the files again if they have changed since. To be called about once a second.

        A program that writes a certificate and its key changes two files, so a change is acted on when it has stood
        still from one look to the next.
        """
        stamp = _stamp(self._pairs)
        has_settled, self._seen_stamp = stamp == self._seen_stamp, stamp
        if has_settled and stamp != self._loaded_stamp:
            self._loaded_stamp = stamp
            self._reload()

    def _reload(self) -> None:
        try:
            self._loaded = _load(self._pairs, self._where)
        except ConfigurationError as fault:
            log.error("the certificates stay as they were: %s", fault)
        else:
            log.info("certificates of %s read", self._where)

    def _outer(self) -> ssl.SSLContext:
        pair = self._pairs[0]
        outer, _ = load_pair(pair.certificate, pair.key, self._where)
        outer.sni_callback = self._choose
        return outer

    def _choose(self, connection: ssl.SSLObject, name: str | None, _outer: ssl.SSLContext) -> None:
        """Let the connection go on with the certificate for this name."""
        connection.context = self._context_for((name or "").lower())

    def _context_for(self, name: str) -> ssl.SSLContext:
        for context, facts in self._loaded:
            if name in facts.names:
                return context
        for context, facts in self._loaded:
            if any(matches(name, pattern) for pattern in facts.names):
                return context
        return self._loaded[0][0]


def _load(pairs: Sequence[CertificateFiles], where: str) -> list[tuple[ssl.SSLContext, CertificateFacts]]:
    named = [where, *(f"{where}.more_certificates[{at}]" for at in range(len(pairs) - 1))]
    return [load_pair(pair.certificate, pair.key, name) for pair, name in zip(pairs, named, strict=True)]


def _stamp(pairs: Sequence[CertificateFiles]) -> Stamp:
    return tuple(_stamp_of(file) for pair in pairs for file in (pair.certificate, pair.key))


def _stamp_of(file: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(file)
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns
