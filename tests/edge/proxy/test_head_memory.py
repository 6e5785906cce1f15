"""A cached head skips its parse and its signature check, and nothing else: the answers are the same without a cache."""

import itertools
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edge.messages.context import RequestContext
from edge.messages.decider import Decider
from edge.messages.head import RequestHead
from edge.messages.verdict import Answer, Forward, Headers
from edge.proxy.client import Client
from edge.proxy.head_memory import HeadMemory
from edge.proxy.server import ProxyServer
from edge.settings.loading import parse_settings
from tests.edge.conftest import SETTINGS, Recorder

HEAD = b"GET /_stanchion/status?room=a HTTP/1.1\r\nHost: a\r\nAccept: x\r\nCookie: t=%b\r\n\r\n"


class ScriptedDecider(Decider):
    """Verifies cookies that begin with 'good'. Each answer repeats the head and the time of its request."""

    def __init__(self) -> None:
        self.classified = 0
        self.decided: list[tuple[str, float]] = []

    def classify(self, head: RequestHead, is_last_hop: bool = False) -> RequestContext:
        self.classified += 1
        return RequestContext(head, is_verified=head.cookie.startswith("t=good"))

    def classify_like(self, like: RequestContext, head: RequestHead) -> RequestContext:
        return self.classify(head)

    def decide(self, context: RequestContext, now: float, u: float) -> Answer:
        self.decided.append((context.head.cookie, now))
        return Answer(200, (("X", context.head.client_ip),), repr((context.head, now)).encode(), "waiting")

    def failed(self, head: RequestHead, code: int, retry_after_s: int | None = None, *, is_sent: bool = True) -> Answer:
        raise NotImplementedError

    def observe(
        self, context: RequestContext, forward: Forward, headers: Iterable[tuple[str, str]], now: float
    ) -> Headers:
        raise NotImplementedError

    def set_upstream_down(self, is_down: bool, now: float) -> None:
        raise NotImplementedError

    def refused(self, code: int, detail: str, *, wants_page: bool = False) -> Answer:
        return Answer(code, (), detail.encode(), "refused")


class FakeTransport:
    def __init__(self, peer: str) -> None:
        self.peer, self.written, self.is_closed = peer, b"", False

    def get_extra_info(self, name: str) -> tuple[str, int]:
        return (self.peer, 1)

    def write(self, data: bytes) -> None:
        self.written += data

    def is_closing(self) -> bool:
        return self.is_closed

    def can_write_eof(self) -> bool:
        return False

    def close(self) -> None:
        self.is_closed = True

    def pause_reading(self) -> None: ...

    def resume_reading(self) -> None: ...


class Bench:
    """A proxy on fakes. `most`: heads in one generation of its cache."""

    def __init__(self, most: int) -> None:
        self.decider = ScriptedDecider()
        clock = itertools.count(1000.0)
        self.settings = settings = parse_settings(SETTINGS % ('url: "http://127.0.0.1:1"', "", 1))
        self.proxy = ProxyServer(settings, self.decider, Recorder(), lambda: next(clock), lambda: 0.5)
        self.proxy.state.head_cache.heads = HeadMemory(most, longest=4096 if most else 0)

    def connect(self, peer: str = "10.0.0.1") -> tuple[Client, FakeTransport]:
        client, transport = Client(self.proxy.state), FakeTransport(peer)
        client.connection_made(transport)
        return client, transport


def test_a_repeated_head_is_classified_twice_and_decided_every_time() -> None:
    """The first time its hash is noted, the second time it is kept."""
    bench = Bench(10)
    client, transport = bench.connect()
    for _ in range(5):
        client.data_received(HEAD % b"good")
    assert bench.decider.classified == 2
    assert [now for _, now in bench.decider.decided] == [1000.0, 1001.0, 1002.0, 1003.0, 1004.0]
    assert transport.written.count(b"200 OK") == 5


def test_a_head_is_found_for_another_connection_of_the_same_peer_only() -> None:
    bench = Bench(10)
    for peer, classified in (("10.0.0.1", 1), ("10.0.0.1", 2), ("10.0.0.1", 2), ("10.0.0.2", 3), ("10.0.0.2", 3)):
        client, transport = bench.connect(peer)
        client.data_received(HEAD % b"good")
        assert bench.decider.classified == classified
        assert f"client_ip='{peer}'".encode() in transport.written


def test_unverified_heads_are_not_kept() -> None:
    bench = Bench(10)
    client, _ = bench.connect()
    for _ in range(5):
        client.data_received(HEAD % b"forged")
    assert bench.decider.classified == 5
    assert len(bench.proxy.state.head_cache.heads) == 0


def test_a_reload_forgets_everything() -> None:
    bench = Bench(10)
    client, _ = bench.connect()
    for _ in range(3):
        client.data_received(HEAD % b"good")
    after = ScriptedDecider()
    bench.proxy.use(bench.settings, after)
    client.data_received(HEAD % b"good")
    assert (bench.decider.classified, after.classified) == (2, 1)


def test_heads_of_a_line_longer_than_the_cache_are_not_kept_in_vain() -> None:
    bench = Bench(10)
    client, _ = bench.connect()
    for visitor in range(40):
        client.data_received(HEAD % b"good%d" % visitor)
    assert len(bench.proxy.state.head_cache.heads) == 0
    for visitor in range(3):
        client.data_received(HEAD % b"good%d" % visitor)
    assert len(bench.proxy.state.head_cache.heads) == 3


@given(st.lists(st.integers(0, 40), max_size=200))
def test_the_memory_is_bounded_and_keeps_recent_heads(asked: list[int]) -> None:
    memory: HeadMemory[int] = HeadMemory(8)
    for at, each in enumerate(asked):
        raw = b"%d" % each
        found = memory.get(raw)
        if each in asked[max(0, at - 8) : at]:
            assert found == each
        if found is None:
            memory.keep(raw, each)
        assert len(memory) <= 16


COOKIES = st.sampled_from([b"good1", b"good2", b"forged", b"good1\r\nX: 1", b"good1\r\nContent-Length: 3"])
CHANGES = st.one_of(st.none(), st.tuples(st.integers(0, 90), st.integers(0, 255)))


@settings(max_examples=400, deadline=None)
@given(
    st.lists(st.tuples(COOKIES, CHANGES, st.sampled_from([b"", b"", b"abc", b"\r\n"])), min_size=1, max_size=8),
    st.lists(st.integers(0, 900), max_size=12),
)
def test_with_and_without_a_cache_the_answers_are_the_same(
    requests: list[tuple[bytes, tuple[int, int] | None, bytes]], cuts: list[int]
) -> None:
    """Heads with one byte changed, pipelined, cut into packets anywhere."""
    data = b""
    for cookie, change, behind in requests:
        raw = HEAD % cookie
        if change is not None:
            at = min(change[0], len(raw) - 1)
            raw = raw[:at] + bytes([change[1]]) + raw[at + 1 :]
        data += raw + behind
    at = [0, *sorted(min(each, len(data)) for each in cuts), len(data)]
    answers = []
    for most in (0, 2, 100):
        bench = Bench(most)
        bench.proxy.state.clock = lambda: 1000.0
        # The third connection of a peer finds its heads in the cache.
        for peer in ("10.0.0.1",) * 3 + ("10.0.0.2",) * 3:
            client, transport = bench.connect(peer)
            for low, high in itertools.pairwise(at):
                if low < high and not transport.is_closed:
                    client.data_received(data[low:high])
            answers.append((most, peer, transport.written, transport.is_closed))
    of = {(most, peer): (written, closed) for most, peer, written, closed in answers}
    assert len({of[most, "10.0.0.1"] for most in (0, 2, 100)}) == 1
    assert len({of[most, "10.0.0.2"] for most in (0, 2, 100)}) == 1
    for peer in ("10.0.0.1", "10.0.0.2"):
        assert len({answer[2:] for answer in answers if answer[1] == peer}) == 1


@pytest.mark.parametrize("at", range(0, len(HEAD % b"good"), 7))
def test_a_cached_head_in_two_packets_is_the_same_head(at: int) -> None:
    bench = Bench(10)
    client, transport = bench.connect()
    raw = HEAD % b"good"
    for _ in range(2):
        client.data_received(raw)
    client.data_received(raw[:at])
    client.data_received(raw[at:])
    assert bench.decider.classified == 2
    assert transport.written.count(b"200 OK") == 3
