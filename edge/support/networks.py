"""A set of networks that is asked for single addresses. One look-up for each prefix length, however many networks.

    {8: {0xC00002, ...}, 0: {...}}    bits to drop -> the bits that remain: 192.0.2.7 is in 192.0.2.0/24 (0xC00002)

An IPv4-mapped IPv6 address counts as its IPv4 address. A text that is not an address is in no network.
"""

import ipaddress
from collections.abc import Iterable

from edge.support.client_address import parse_address, parse_network

__all__ = ["NetworkSet", "networks_in"]


class NetworkSet:
    """networks: addresses and CIDR ranges such as `10.0.0.0/8`. Raises ValueError for any other text."""

    def __init__(self, networks: Iterable[str]) -> None:
        self._by_version: dict[int, dict[int, set[int]]] = {4: {}, 6: {}}
        for text in networks:
            network = parse_network(text)
            shift = network.max_prefixlen - network.prefixlen
            prefixes = self._by_version[network.version].setdefault(shift, set())
            prefixes.add(int(network.network_address) >> shift)

    def __len__(self) -> int:
        return sum(len(each) for lengths in self._by_version.values() for each in lengths.values())

    def __contains__(self, address: str) -> bool:
        parsed = parse_address(address)
        if parsed is None:
            return False
        bits = int(parsed)
        return any(bits >> shift in prefixes for shift, prefixes in self._by_version[parsed.version].items())


def networks_in(text: str) -> tuple[list[str], list[str]]:
    """Return the networks of a list file and its faults. The file has one network a line; '#' begins a comment."""
    found, faults = [], []
    for number, line in enumerate(text.splitlines(), 1):
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            ipaddress.ip_network(entry)
        except ValueError as error:
            faults.append(f"line {number}: {error}")
        else:
            found.append(entry)
    return found, faults
