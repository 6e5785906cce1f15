"""A stub resolver (RFC 1034, 5.3.1; RFC 1035): it asks one recursive resolver over UDP, and caches nothing.

    +---------------------+
    | id, flags, counts   |  12 bytes; the id is random and a new socket is opened for each question, so an answer is
    | question            |  believed only if id, question and sender fit (RFC 5452)
    | answers             |  of the wanted type; the resolver follows aliases (CNAME)
    +---------------------+

A truncated answer is a failure: names and addresses of crawlers fit into one datagram. Used for crawlers only; the
upstream's name is resolved by the operating system.
"""

import asyncio
import ipaddress
import secrets
import struct
from pathlib import Path
from typing import Final

from edge.support.errors import UpstreamError

__all__ = ["DnsFault", "Resolver", "answers_in", "question_of", "resolver_at", "system_resolver"]

A, PTR, AAAA = 1, 12, 28
TIMEOUT_S: Final = 0.7
TRIES: Final = 2
#: Of one answer; more are not read.
MOST_RECORDS: Final = 64
MOST_LABELS: Final = 128
RESOLV_CONF: Final = Path("/etc/resolv.conf")


class DnsFault(UpstreamError):
    """The resolver did not answer, or said that it failed. A name that does not exist is no fault."""


class Resolver:
    """address, port: of the recursive resolver."""

    def __init__(self, address: str, port: int = 53) -> None:
        self._address = address, port

    def __repr__(self) -> str:
        return f"<Resolver {self._address[0]}:{self._address[1]}>"

    async def names(self, address: str) -> list[str]:
        """Return the names of an address, in lower case, without the last dot. Raises DnsFault."""
        return await self._ask(ipaddress.ip_address(address).reverse_pointer, PTR)

    async def addresses(self, name: str, *, ipv6: bool) -> list[str]:
        """Return the addresses of a name. Raises DnsFault."""
        return await self._ask(name, AAAA if ipv6 else A)

    async def _ask(self, name: str, kind: int) -> list[str]:
        fault: Exception = DnsFault("no answer")
        for _ in range(TRIES):
            try:
                return await self._ask_once(name, kind)
            except (OSError, TimeoutError, DnsFault) as reason:
                fault = reason
        raise DnsFault(f"{self._address[0]}: {str(fault) or 'no answer in time'}")

    async def _ask_once(self, name: str, kind: int) -> list[str]:
        question = question_of(secrets.randbits(16), name, kind)
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[bytes] = loop.create_future()
        transport, _ = await loop.create_datagram_endpoint(
            lambda: _Exchange(question, answer), remote_addr=self._address
        )
        try:
            async with asyncio.timeout(TIMEOUT_S):
                return answers_in(await answer, question, kind)
        finally:
            transport.close()


class _Exchange(asyncio.DatagramProtocol):
    def __init__(self, question: bytes, answer: "asyncio.Future[bytes]") -> None:
        self._question = question
        self._answer = answer

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        transport.sendto(self._question)  # type: ignore[attr-defined]

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002
        sent = self._question
        is_ours = data[:2] == sent[:2] and data[12 : len(sent)].lower() == sent[12:].lower()
        if is_ours and not self._answer.done():
            self._answer.set_result(data)

    def error_received(self, exc: Exception) -> None:
        if not self._answer.done():
            self._answer.set_exception(exc)


def question_of(ident: int, name: str, kind: int) -> bytes:
    """Return the datagram that asks for records of this kind. Raises DnsFault if the name is none."""
    head = struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 0)
    labels = name.rstrip(".").split(".")
    try:
        encoded = [label.encode("ascii") for label in labels]
    except UnicodeEncodeError:
        raise DnsFault(f"{name!r} is not a name of a host") from None
    if len(name) > 253 or not all(0 < len(label) <= 63 for label in encoded):
        raise DnsFault(f"{name[:80]!r} is not a name of a host")
    text = b"".join(bytes([len(label)]) + label for label in encoded)
    return head + text + b"\0" + struct.pack("!HH", kind, 1)


def answers_in(packet: bytes, question: bytes, kind: int) -> list[str]:
    """Return the records of this kind in an answer to a question; [] if the name does not exist. Raises DnsFault."""
    try:
        _, flags, _, count, _, _ = struct.unpack_from("!HHHHHH", packet)
        code = flags & 0xF
        if not flags & 0x8000 or flags & 0x0200 or code not in (0, 3):
            raise DnsFault(f"the resolver answered with flags {flags:#06x}")
        found, at = [], len(question)
        for _ in range(min(count, MOST_RECORDS)):
            _, at = _name_at(packet, at)
            of, _, _, length = struct.unpack_from("!HHIH", packet, at)
            at += 10
            if of == kind == PTR:
                found.append(_name_at(packet, at)[0])
            elif of == kind and length == (4 if kind == A else 16):
                found.append(str(ipaddress.ip_address(packet[at : at + length])))
            at += length
    except (struct.error, IndexError, ValueError) as fault:
        raise DnsFault(f"the answer is malformed: {fault}") from None
    return found


def _name_at(packet: bytes, at: int) -> tuple[str, int]:
    """Return a name, and where it ends. Pointers lead back, and there are few (RFC 1035, 4.1.4)."""
    labels: list[str] = []
    end = 0
    for _ in range(MOST_LABELS):
        length = packet[at]
        if length >= 0xC0:
            end = end or at + 2
            at = (length & 0x3F) << 8 | packet[at + 1]
        elif length:
            labels.append(packet[at + 1 : at + 1 + length].decode("ascii").lower())
            at += 1 + length
        else:
            return ".".join(labels), end or at + 1
    raise ValueError("a name has no end")


def resolver_at(text: str) -> Resolver:
    """Return the resolver at an address and port: 127.0.0.1:53 or [::1]:53."""
    address, _, port = text.rpartition(":")
    return Resolver(address.strip("[]"), int(port))


def system_resolver(file: Path = RESOLV_CONF) -> Resolver | None:
    """Return the resolver that the operating system uses; None if it names none."""
    try:
        lines = file.read_text("utf-8", "replace").splitlines()
    except OSError:
        return None
    for line in lines:
        words = line.split()
        if len(words) >= 2 and words[0] == "nameserver":
            return Resolver(words[1])
    return None
