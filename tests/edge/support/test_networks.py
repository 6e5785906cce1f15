"""Sets of networks, and the files that list them."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edge.support.networks import NetworkSet, networks_in

NETWORKS = st.lists(st.ip_addresses().flatmap(
    lambda address: st.integers(0, address.max_prefixlen).map(
        lambda length: str(ipaddress.ip_network((address, length), strict=False))
    )
), max_size=20)  # fmt: skip


@given(NETWORKS, st.ip_addresses())
def test_an_address_is_in_a_set_when_it_is_in_one_of_its_networks(networks, address):
    assert (str(address) in NetworkSet(networks)) is any(
        unmapped(address) in unmapped_network(ipaddress.ip_network(network)) for network in networks
    )


def unmapped(address):
    return getattr(address, "ipv4_mapped", None) or address


def unmapped_network(network):
    """Return the IPv4 network of a network of mapped addresses. A wider one holds IPv6 addresses, and stays."""
    if network.version == 6 and network.prefixlen >= 96 and network.network_address.ipv4_mapped is not None:
        return ipaddress.ip_network((network.network_address.ipv4_mapped, network.prefixlen - 96))
    return network


@pytest.mark.parametrize("network", ["192.0.2.0/24", "::ffff:192.0.2.0/120"])
@pytest.mark.parametrize(("address", "is_in"), [("::ffff:192.0.2.9", True), ("192.0.2.9", True), ("no address", False)])
def test_a_mapped_address_counts_as_its_ipv4_address(network, address, is_in):
    assert (address in NetworkSet([network])) is is_in


def test_the_network_of_all_mapped_addresses_is_every_ipv4_address():
    assert "0.0.0.0" in NetworkSet(["::ffff:0:0/96"])


def test_a_file_has_one_network_a_line_and_each_fault_its_line():
    text = "# a comment\n192.0.2.0/24  # a comment\n\n2001:db8::/32\n10.0.0.1/8\nnonsense\n"
    found, faults = networks_in(text)
    assert found == ["192.0.2.0/24", "2001:db8::/32"]
    assert [fault.partition(":")[0] for fault in faults] == ["line 5", "line 6"]
