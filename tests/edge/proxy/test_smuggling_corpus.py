"""The corpus against the edge: nothing reaches the upstream, and the sender gets a refusal and a closed connection."""

import asyncio
from collections import Counter

import h11
import pytest

from tests.reliability.corpus import SMUGGLED, payloads
from tests.reliability.judge import judge
from tests.reliability.recording import REFUSALS, Recorder, provoke


def test_the_corpus_is_large_and_deterministic():
    corpus = payloads()
    assert len(corpus) >= 1000
    assert corpus == payloads()
    assert min(Counter(payload.family for payload in corpus).values()) > 100


async def test_no_payload_reaches_the_upstream(edge_in_front_of, upstream):
    taken: list[bytearray] = []
    loop = asyncio.get_running_loop()
    recorder = await loop.create_server(lambda: Recorder(taken), "127.0.0.1", 0)
    upstream.port = recorder.sockets[0].getsockname()[1]
    edge = await edge_in_front_of(upstream)
    wrong = []
    for payload in payloads():
        outcome = await provoke(edge.port, taken, payload)
        if outcome.requests or outcome.faults or outcome.status not in REFUSALS or not outcome.is_closed:
            wrong.append(outcome)
    recorder.close()
    assert not wrong, f"{len(wrong)} of the corpus, such as {wrong[:3]}"


@pytest.mark.parametrize(
    "received",
    [
        SMUGGLED,
        SMUGGLED * 3,
        b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" + SMUGGLED,
        b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n" + SMUGGLED,
    ],
)
def test_the_judge_reads_clean_requests_as_h11_does(received):
    said = judge(received)
    assert not said.faults
    rest, requests = received, 0
    while rest:
        reader = h11.Connection(h11.SERVER)
        reader.receive_data(rest)
        while not isinstance(reader.next_event(), h11.EndOfMessage):
            pass
        requests += 1
        rest, _ = reader.trailing_data
    assert len(said.requests) == requests


def test_the_judge_finds_a_fault_in_every_payload():
    """Forwarded unchanged, a payload has a fault, or gives a number of requests other than two."""
    clean = [
        payload.raw
        for payload in payloads()
        if payload.family in ("transfer coding", "length") and len(judge(payload.raw + SMUGGLED).requests) == 2
        if not judge(payload.raw + SMUGGLED).faults
    ]
    assert not clean, f"{len(clean)}, such as {clean[:5]}"
