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
        (PROXIES, "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (PROXIES, "10.0.0.1", "::ffff:203.0.113.9, ::ffff:10.0.0.2", "203.0.113.9", "203.0.113.9, 10.0.0.2, 10.0.0.1"),
        (PROXIES, "10.0.0.1", "[::ffff:203.0.113.9]:4711", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (("::ffff:10.0.0.0/104",), "10.0.0.1", "203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
        (("::ffff:10.0.0.1",), "::ffff:10.0.0.1", "203.0.113.9", "203.0.113.9", "203.0.113.9, 10.0.0.1"),
    ],
)
def test_the_visitor_is_the_first_untrusted_address_from_the_right(
    networks: tuple[str, ...], peer: str, forwarded_for: str, visitor: str, sent_on: str
) -> None:
    """Only entries that trusted proxies wrote count."""
    origin = origin_of(networks, peer, {"x-forwarded-for": forwarded_for})
    assert (origin.ip, origin.forwarded_for) == (visitor, sent_on)


def origin_of(networks: tuple[str, ...], peer: str, fields: dict[str, str]) -> Origin:
    given = {name.encode(): value.encode("latin-1") for name, value in fields.items() if value}
    return TrustedProxies(networks).origin(peer, "http", given)


@pytest.mark.parametrize(
    ("addresses", "protos", "scheme"),
    [
        # one proxy: what it has added, or all that it says
        ("203.0.113.9", "https", "https"),
        ("203.0.113.9", "http, https", "https"),
        ("203.0.113.9", "https, http", "http"),
        ("", "http,https", "https"),
        # two proxies: the one that saw the visitor counts
        ("203.0.113.9, 10.0.0.2", "https,http", "https"),
        ("203.0.113.9, 10.0.0.2", "http, https", "http"),
        ("203.0.113.9, 10.0.0.2", "https", "https"),
        # what a visitor wrote in front counts for nothing
        ("6.6.6.6, 203.0.113.9, 10.0.0.2", "https, http, https", "http"),
        ("6.6.6.6, 203.0.113.9", "https, https, http", "http"),
        ("10.0.0.9, 10.0.0.8, 10.0.0.7", "https, http, http", "https"),
        # the schemes of WebSockets, other spellings, and what is no scheme
        ("203.0.113.9", "wss", "https"),
        ("203.0.113.9", "ws", "http"),
        ("203.0.113.9, 10.0.0.2", "WSS , http", "https"),
        ("203.0.113.9", "HTTPS", "https"),
        ("203.0.113.9", "gopher", "http"),
        ("203.0.113.9", ",,", "http"),
        # an entry that is not an address was still written by a trusted proxy
        ("203.0.113.9, unknown", "http, https", "https"),
    ],
)
def test_the_scheme_is_what_the_proxy_that_saw_the_visitor_said(addresses: str, protos: str, scheme: str) -> None:
    found = origin_of(PROXIES, "10.0.0.1", {"x-forwarded-for": addresses, "x-forwarded-proto": protos})
    assert found.scheme == scheme


@pytest.mark.parametrize(
    ("addresses", "hosts", "ports", "host", "port"),
    [
        ("203.0.113.9", "www.shop.test", "8443", "www.shop.test", "8443"),
        ("203.0.113.9", "evil.test, www.shop.test", "1, 443", "www.shop.test", "443"),
        ("203.0.113.9, 10.0.0.2", "evil.test, www.shop.test, inner", "1, 443, 80", "www.shop.test", "443"),
        ("203.0.113.9", "[2001:db8::1]:8443", "", "[2001:db8::1]:8443", None),
        ("203.0.113.9", "www.shop.test:", "", "www.shop.test:", None),
        ("203.0.113.9", "a b", "65536", None, None),
        ("203.0.113.9", "user@www.shop.test", "0", None, None),
        ("203.0.113.9", "www.shop.test/x", "-1", None, None),
        ("203.0.113.9", "", "https", None, None),
    ],
)
def test_host_and_port_follow_the_same_rule(
    addresses: str, hosts: str, ports: str, host: str | None, port: str | None
) -> None:
    fields = {"x-forwarded-for": addresses, "x-forwarded-host": hosts, "x-forwarded-port": ports}
    found = origin_of(PROXIES, "10.0.0.1", fields)
    assert (found.host, found.port) == (host, port)
    stranger = origin_of(PROXIES, "203.0.113.1", fields)
    assert (stranger.ip, stranger.host, stranger.port) == ("203.0.113.1", None, None)


@pytest.mark.parametrize(
    ("forwarded", "ip", "scheme", "host"),
    [
        ("for=203.0.113.9;proto=https;host=www.shop.test", "203.0.113.9", "https", "www.shop.test"),
        ('For="[2001:db8::7]:4711";Proto=https', "2001:db8::7", "https", None),
        ('for="[2001:db8::7]" ; by=10.0.0.1 ; host="www.shop.test:8443"', "2001:db8::7", "http", "www.shop.test:8443"),
        ('for="[::ffff:203.0.113.9]";proto=wss', "203.0.113.9", "https", None),
        ("for=203.0.113.9:80, for=10.0.0.2;proto=http", "203.0.113.9", "http", None),
        ("for=203.0.113.9;proto=https, for=10.0.0.2;proto=http", "203.0.113.9", "https", None),
        ("for=6.6.6.6;proto=https;host=evil, for=203.0.113.9;host=a.test", "203.0.113.9", "http", "a.test"),
        # an element without an address ends the walk, and its proxy is believed still
        ("for=203.0.113.9, for=unknown;proto=https", "10.0.0.1", "https", None),
        ("for=203.0.113.9, for=_hidden", "10.0.0.1", "http", None),
        ("proto=https", "10.0.0.1", "https", None),
        # the left end is anybody's: no comma, quote or escape there changes what a proxy has added
        ('for="evil, for=203.0.113.9', "203.0.113.9", "http", None),
        ('for="a\\", for=203.0.113.9;proto=https', "203.0.113.9", "https", None),
        ('for="6.6.6.6, 7.7.7.7", for="[2001:db8::7]"', "2001:db8::7", "http", None),
        # malformed where it counts: nothing is believed
        ("for=203.0.113.9;;proto", "10.0.0.1", "http", None),
        ("for==", "10.0.0.1", "http", None),
        ("garbage", "10.0.0.1", "http", None),
    ],
)
def test_forwarded_is_read_by_the_same_rule(forwarded: str, ip: str, scheme: str, host: str | None) -> None:
    found = origin_of(PROXIES, "10.0.0.1", {"forwarded": forwarded})
    assert (found.ip, found.scheme, found.host) == (ip, scheme, host)
    assert found.forwarded_for.split(", ")[0] == ip


def test_forwarded_counts_only_where_no_other_list_stands() -> None:
    """A proxy that writes the one list passes the other on as the visitor sent it."""
    fields = {"x-forwarded-for": "203.0.113.9", "forwarded": "for=6.6.6.6;proto=https;host=evil.test"}
    found = origin_of(PROXIES, "10.0.0.1", fields)
    assert (found.ip, found.scheme, found.host) == ("203.0.113.9", "http", None)


def test_without_trusted_proxies_no_field_counts() -> None:
    fields = {"x-forwarded-for": "6.6.6.6", "x-forwarded-proto": "https", "forwarded": "for=6.6.6.6"}
    for networks in ((), PROXIES):
        found = origin_of(networks, "203.0.113.9", fields)
        assert found == Origin("203.0.113.9", "http", "203.0.113.9")
