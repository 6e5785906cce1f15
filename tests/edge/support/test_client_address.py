"""The visitor's address, scheme and host as trusted proxies report them."""

import pytest

from edge.support.client_address import Origin, TrustedProxies

PROXIES = ("10.0.0.0/8", "fd00::/8")


@pytest.mark.parametrize(
    ("networks", "peer", "forwarded_for", "visitor", "sent_on"),
    [
        # without trusted proxies the header is ignored
        ((), "203.0.113.9", "1.2.3.4", "203.0.113.9", "203.0.113.9"),
        # the peer is not a trusted proxy
        (PROXIES, "203.0.113.9", "1.2.3.4", "203.0.113.9", "203.0.113.9"),
        # one trusted proxy
        (PROXIES, "10.0.0.1", "203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (PROXIES, "10.0.0.1", "", "10.0.0.1", "10.0.0.1"),
        # a chain is read from the right; the part to the left, which a visitor can write, is ignored
        (PROXIES, "10.0.0.1", "6.6.6.6, 203.0.113.9, 10.0.0.2", "203.0.113.9", "203.0.113.9, 10.0.0.2, 10.0.0.1"),
        (PROXIES, "10.0.0.1", "10.9.9.9, 10.0.0.2", "10.9.9.9", "10.9.9.9, 10.0.0.2, 10.0.0.1"),
        # an entry that is not an address ends the chain
        (PROXIES, "10.0.0.1", "203.0.113.9, unknown", "10.0.0.1", "10.0.0.1"),
        (PROXIES, "10.0.0.1", "203.0.113.9, <script>", "10.0.0.1", "10.0.0.1"),
        # ports, brackets, mapped addresses
        (PROXIES, "10.0.0.1", "203.0.113.9:4711", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (PROXIES, "fd00::1", "[2001:db8::7]:4711", "2001:db8::7", "2001:db8::7, fd00::1"),
        (PROXIES, "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", "203.0.113.9, ::ffff:10.0.0.1"),
    ],
)
def test_the_visitor_is_the_first_untrusted_address_from_the_right(
    networks: tuple[str, ...], peer: str, forwarded_for: str, visitor: str, sent_on: str
) -> None:
    """Only entries that trusted proxies wrote count."""
    origin = TrustedProxies(networks).origin(peer, "http", forwarded_for, "https", "shop.example")
    assert (origin.ip, origin.forwarded_for) == (visitor, sent_on)


def test_only_trusted_proxies_set_scheme_and_host() -> None:
    """The last proxy's value counts. A scheme other than http and https is ignored."""
    trusted = TrustedProxies(PROXIES)
    assert trusted.origin("203.0.113.9", "http", "", "https", "a") == Origin("203.0.113.9", "http", "203.0.113.9", None)
    believed = trusted.origin("10.0.0.1", "http", "203.0.113.9", "http, https", "a, shop.example")
    assert (believed.scheme, believed.host) == ("https", "shop.example")
    assert trusted.origin("10.0.0.1", "http", "", "gopher", "").scheme == "http"
