r"""The PROXY protocol (HAProxy, proxy-protocol.txt): which visitor a proxy's connection is for, told before all else.

    version 1    PROXY TCP4 192.0.2.7 203.0.113.1 51234 443\r\n         at most 107 bytes; UNKNOWN in place of TCP4
    version 2    12 bytes of signature, version and command, family, length (2 bytes, big-endian), addresses, TLVs

`HeaderReader.read` takes exactly the header from the socket and not a byte more, because a TLS handshake may follow.
What is not such a header ends the connection: whether a header comes is agreed on, and never guessed.
"""

import ipaddress
import re
import socket
from dataclasses import dataclass
from typing import Final

from edge.support.client_address import plain_address
from edge.support.errors import ClientError

__all__ = ["BadProxyHeader", "HeaderReader", "ProxyHeader"]

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
#: The longest header of version 1, and the longest part behind the first 16 bytes of one of version 2 that is accepted.
MAX_LINE: Final = 107
MAX_REST: Final = 4096
_LINE: Final = re.compile(
    rb"PROXY (?:UNKNOWN[ !-~]*|(TCP4|TCP6) ([0-9A-Fa-f.:]+) ([0-9A-Fa-f.:]+) (\d{1,5}) (\d{1,5}))\r\n"
)
#: By address family and transport of version 2 (TCP over IPv4, TCP over IPv6): the bytes of an address.
_ADDRESS_BYTES: Final = {0x11: 4, 0x21: 16}
#: A TLV that tells of TLS between visitor and proxy, and the bit in its first byte that says so.
_TLS_TLV: Final = 0x20
_TLS_BIT: Final = 0x01


class BadProxyHeader(ClientError):
    """A connection does not begin with a PROXY header that can be read."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    source: str | None
    """The visitor's address. None if the proxy speaks for itself, as in a health check."""
    is_secure: bool
    """The visitor's connection to the proxy is encrypted, as the proxy says."""


class HeaderReader:
    """Reads the header of one connection. The socket must not block."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection
        self._got = b""

    def read(self) -> ProxyHeader | None:
        """Read what is there; return the header when it is whole, else None. Raises BadProxyHeader, OSError."""
        while True:
            try:
                is_whole = self._read_some()
            except BlockingIOError:
                return None
            if is_whole:
                return _version_2(self._got) if self._got.startswith(SIGNATURE) else _version_1(self._got)

    def _read_some(self) -> bool:
        """Read a part of the header; return whether it was the last one."""
        got = self._got
        if got.startswith(b"PROXY "):
            self._receive(_rest_of_line(self._connection.recv(MAX_LINE, socket.MSG_PEEK)))
            if len(self._got) > MAX_LINE:
                raise BadProxyHeader("the PROXY header is too long")
            return self._got.endswith(b"\n")
        # Each of these many bytes belongs to the header, of whichever version.
        need = len(SIGNATURE) if len(got) < len(SIGNATURE) else 16
        if len(got) >= 16:
            size = int.from_bytes(got[14:16], "big")
            if size > MAX_REST:
                raise BadProxyHeader("the PROXY header is too long")
            need = 16 + size
        if len(got) < need:
            self._receive(need - len(got))
            got = self._got
        if not SIGNATURE.startswith(got[: len(SIGNATURE)]) and not b"PROXY ".startswith(got[:6]):
            raise BadProxyHeader("the connection does not begin with a PROXY header")
        return len(got) >= 16 and len(got) == 16 + int.from_bytes(got[14:16], "big") and got.startswith(SIGNATURE)

    def _receive(self, count: int) -> None:
        received = self._connection.recv(count)
        if not received:
            raise BadProxyHeader("the connection ended within the PROXY header")
        self._got += received


def _rest_of_line(waiting: bytes) -> int:
    """Return how many of the bytes that wait belong to the line; at least 1, so that an end is noticed."""
    end = waiting.find(b"\n")
    return max(1, len(waiting) if end < 0 else end + 1)


def _version_1(line: bytes) -> ProxyHeader:
    found = _LINE.fullmatch(line)
    if found is None:
        raise BadProxyHeader("the PROXY header is malformed")
    family, source, target, *ports = found.groups()
    if family is None:
        return ProxyHeader(None, False)
    version = 4 if family == b"TCP4" else 6
    for address in (source, target):
        if _parsed(address.decode()).version != version:
            raise BadProxyHeader("the PROXY header holds an address of another family than it says")
    if any(int(port) > 65_535 for port in ports):
        raise BadProxyHeader("the PROXY header holds a port that is none")
    return ProxyHeader(plain_address(source.decode()), False)


def _parsed(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    try:
        return ipaddress.ip_address(text)
    except ValueError:
        raise BadProxyHeader("the PROXY header holds an address that is none") from None


def _version_2(header: bytes) -> ProxyHeader:
    version, command, family, rest = header[12] >> 4, header[12] & 15, header[13], header[16:]
    if version != 2 or command > 1:
        raise BadProxyHeader("the PROXY header has an unknown version or command")
    size = _ADDRESS_BYTES.get(family)
    # LOCAL, a unix socket, or a transport that is not TCP: the connection stands for itself.
    if command == 0 or size is None:
        return ProxyHeader(None, False)
    if len(rest) < 2 * size + 4:
        raise BadProxyHeader("the PROXY header is shorter than its addresses")
    source = str(ipaddress.ip_address(rest[:size]))
    return ProxyHeader(plain_address(source), _is_secure(rest[2 * size + 4 :]))


def _is_secure(values: bytes) -> bool:
    """Look for the TLV of TLS. Each is a type, a length (2 bytes) and a value."""
    is_secure = False
    while values:
        size = int.from_bytes(values[1:3], "big")
        if len(values) < 3 + size:
            raise BadProxyHeader("the PROXY header is shorter than its values")
        if values[0] == _TLS_TLV and size:
            is_secure = bool(values[3] & _TLS_BIT)
        values = values[3 + size :]
    return is_secure
