"""Senders that never wait: by network, by a header's value, and crawlers that a real DNS server verifies."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import yaml
from aiohttp import web

from edge.worker.crawler_lookup import CrawlerLookup, resolver_at, system_resolver
from tests.edge.dns_server import DnsServer, running_dns
from tests.edge.running import RunningEdge, running_edge, running_upstream
from tests.edge.test_lanes import Visitor
from tests.reliability.lanes import lanes_of

GOOGLEBOT = "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"
SECRET = "a-secret-of-the-monitor"


@contextlib.asynccontextmanager
async def edge_of(folder: Path, heads: list[dict[str, str]], **bypass_for: Any) -> AsyncIterator[RunningEdge]:
    """Run an edge with a room on hold. Visitors have the address of their `X-Forwarded-For`."""

    async def shop(request: web.BaseRequest) -> web.StreamResponse:
        heads.append(dict(request.headers))
        return web.Response(text="the shop")

    async with running_upstream(shop) as upstream:
        tree = {**lanes_of(upstream, mode="hold"), "bypass_for": bypass_for, "workers": 1}
        async with running_edge(yaml.safe_dump(tree), folder, MONITOR_KEY=SECRET) as edge:
            yield edge


async def passes(edge: RunningEdge, **headers: str) -> bool:
    """Return whether a new visitor gets to the shop."""
    async with Visitor(edge, **headers) as visitor:
        return (await visitor.get("/checkout"))[1] == "the shop"


async def test_networks_and_a_secret_value_pass_and_the_shop_never_sees_the_value(tmp_path: Path) -> None:
    heads: list[dict[str, str]] = []
    wanted = {"networks": ["192.0.2.0/24"], "header": "X-Monitor-Key", "header_value_env": "MONITOR_KEY"}
    async with edge_of(tmp_path, heads, **wanted) as edge:
        assert await passes(edge, **{"X-Forwarded-For": "192.0.2.9"})
        assert not await passes(edge, **{"X-Forwarded-For": "192.0.3.9"})
        assert await passes(edge, **{"X-Monitor-Key": SECRET})
        assert await passes(edge, **{"x-MONITOR-key": SECRET})
        for wrong in ("", SECRET[:-1], SECRET + "x", SECRET.upper()):
            assert not await passes(edge, **{"X-Monitor-Key": wrong})
        assert SECRET not in str(heads)
        assert [head["X-Stanchion-Ticket"] for head in heads] == ["bypass-network", "bypass-header", "bypass-header"]
        room = (await edge.status())["rooms"][0]
        assert (room["active"], room["admitted"]) == (0, 0)


async def test_a_crawler_passes_only_if_its_name_points_back(tmp_path: Path) -> None:
    heads: list[dict[str, str]] = []
    async with running_dns() as dns:
        dns.names = {
            "66.249.66.1": ["crawl-66-249-66-1.googlebot.com"],
            "2001:db8::1": ["crawl.googlebot.com"],
            "203.0.113.5": ["crawl-66-249-66-1.googlebot.com"],  # anybody can say so of an address of theirs
            "203.0.113.6": ["googlebot.com.evil.example"],
            "203.0.113.7": ["evilgooglebot.com"],
            "157.55.39.1": ["msnbot-157-55-39-1.search.msn.com"],
        }
        dns.addresses = {
            "crawl-66-249-66-1.googlebot.com": ["66.249.66.1"],
            "crawl.googlebot.com": ["2001:db8::1"],
            "googlebot.com.evil.example": ["203.0.113.6"],
            "evilgooglebot.com": ["203.0.113.7"],
            "msnbot-157-55-39-1.search.msn.com": ["157.55.39.1"],
        }
        dns.silent = {"203.0.113.9"}
        wanted = {"crawlers": ["google"], "resolver": f"127.0.0.1:{dns.port}"}
        async with edge_of(tmp_path, heads, **wanted) as edge:

            async def crawls(address: str, agent: str = GOOGLEBOT) -> bool:
                return await passes(edge, **{"X-Forwarded-For": address, "User-Agent": agent})

            assert await crawls("66.249.66.1")
            assert await crawls("2001:db8::1")
            for address in ("203.0.113.5", "203.0.113.6", "203.0.113.7", "203.0.113.8"):
                assert not await crawls(address), address
            assert not await crawls("66.249.66.1", "Mozilla/5.0 Firefox/130.0")
            assert not await crawls("157.55.39.1", "Mozilla/5.0 (compatible; bingbot/2.0)")  # not in the settings
            # While the resolver is silent, the loop serves others, and the crawler is answered as everybody.
            asked = len(dns.asked)
            slow = asyncio.ensure_future(crawls("203.0.113.9"))
            assert await crawls("66.249.66.1")
            assert not slow.done()
            assert not await slow
            # Known addresses are not asked about again.
            assert {name for name, _ in dns.asked[asked:]} == {"9.113.0.203.in-addr.arpa"}
            assert heads[0]["X-Stanchion-Ticket"] == "bypass-google"


class Liar(DnsServer):
    """Answers everything with the same packet, but for the id of the question; with None, with another id."""

    def __init__(self, packet: bytes | None) -> None:
        super().__init__()
        self.names = {"66.249.66.1": ["crawl.googlebot.com"]}
        self.addresses = {"crawl.googlebot.com": ["66.249.66.1"]}
        self.packet = packet

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        if self.packet is None:
            super().datagram_received(bytes([data[0] ^ 1]) + data[1:], addr)
        else:
            self.asked.append(("", 0))
            self._transport.sendto(data[:2] + self.packet, addr)


#: Without the id. Cut off, failed, refused, no answer at all, to another question, and a name that points to itself.
PACKETS = (
    b"",
    b"\x81",
    b"\x81\x82\0\1\0\0\0\0\0\0",
    b"\x81\x85\0\1\0\0\0\0\0\0",
    b"\1\0\0\1\0\0\0\0\0\0",
    b"\x81\x80\0\1\0\1\0\0\0\0\1a\0\0\x0c\0\1\xc0",
    b"\x81\x80\0\1\0\1\0\0\0\0\1a\0\0\x0c\0\1\xc0\x13\0\x0c\0\1",
)


async def test_only_a_whole_answer_to_its_question_is_believed() -> None:
    """A resolver that fails, lies or is silent verifies no crawler, and says so as a failure, which is asked again."""
    loop = asyncio.get_running_loop()

    async def found_at(port: int, address: str) -> bool | None:
        found: asyncio.Future[bool | None] = loop.create_future()
        lookup = CrawlerLookup(resolver_at(f"127.0.0.1:{port}"))
        lookup.start("google", address, lambda is_verified, _: found.set_result(is_verified))
        return await found

    async def found_by(packet: bytes | None) -> bool | None:
        transport, liar = await loop.create_datagram_endpoint(lambda: Liar(packet), local_addr=("127.0.0.1", 0))
        with contextlib.closing(transport):
            found = await found_at(liar.port, "66.249.66.1")
        assert liar.asked
        return found

    async with running_dns() as dns:
        dns.names = {"66.249.66.1": ["Crawl.Googlebot.com"], "66.249.66.2": ["a" * 40 + ".googlebot.com"]}
        dns.addresses = {"crawl.googlebot.com": ["192.0.2.9", "66.249.66.1"]}
        assert await found_at(dns.port, "66.249.66.1") is True
        assert await found_at(dns.port, "66.249.66.2") is False
        assert await found_at(dns.port, "66.249.66.3") is False
    results = await asyncio.gather(*map(found_by, (None, *PACKETS)))
    assert results == [None] * (1 + len(PACKETS))


def test_the_resolvers_of_the_system(tmp_path: Path) -> None:
    file = tmp_path / "resolv.conf"
    file.write_text("# none\nsearch example.com\n")
    assert system_resolver(file) is None
    assert system_resolver(tmp_path / "missing") is None
    file.write_text("nameserver 192.0.2.1\nnameserver 2001:db8::1\n")
    resolver = system_resolver(file)
    assert resolver is not None
    assert resolver.nameservers == ["192.0.2.1", "2001:db8::1"]
