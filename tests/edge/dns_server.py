"""A DNS server on loopback that answers what a test says, in datagrams of its own making."""

import asyncio
import contextlib
import ipaddress
import struct
from collections.abc import AsyncIterator
from typing import Any

PTR, A, AAAA = 12, 1, 28


class DnsServer(asyncio.DatagramProtocol):
    """names: by address, for PTR. addresses: by name. silent: addresses that get no answer. asked: every question."""

    def __init__(self) -> None:
        self.names: dict[str, list[str]] = {}
        self.addresses: dict[str, list[str]] = {}
        self.silent: set[str] = set()
        self.asked: list[tuple[str, int]] = []
        self.port = 0
        self._transport: Any = None

    def connection_made(self, transport: Any) -> None:
        self._transport = transport
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, at = [], 12
        while data[at]:
            labels.append(data[at + 1 : at + 1 + data[at]].decode())
            at += 1 + data[at]
        name, (kind, _) = ".".join(labels).lower(), struct.unpack_from("!HH", data, at + 1)
        self.asked.append((name, kind))
        if kind == PTR:
            known = [*self.names, *self.silent]
            by_pointer = {ipaddress.ip_address(address).reverse_pointer: address for address in known}
            address = by_pointer.get(name)
            if address in self.silent:
                return
            values = [_name(each) for each in self.names.get(address or "", [])]
        else:
            found = [ipaddress.ip_address(each) for each in self.addresses.get(name, [])]
            values = [each.packed for each in found if each.version == (4 if kind == A else 6)]
        code = 0 if values else 3
        head = data[:2] + struct.pack("!HHHHH", 0x8180 | code, 1, len(values), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack("!HHIH", kind, 1, 60, len(value)) + value for value in values)
        self._transport.sendto(head + data[12 : at + 5] + records, addr)


def _name(text: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in text.split(".")) + b"\0"


@contextlib.asynccontextmanager
async def running_dns() -> AsyncIterator[DnsServer]:
    """Run the server on a free port of 127.0.0.1."""
    transport, server = await asyncio.get_running_loop().create_datagram_endpoint(
        DnsServer, local_addr=("127.0.0.1", 0)
    )
    try:
        yield server
    finally:
        transport.close()
