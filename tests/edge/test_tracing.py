"""Traces of admissions: a real edge exports them, and a collector decodes what OpenTelemetry's own protocol says."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status
from opentelemetry.sdk.trace.sampling import Decision, TraceIdRatioBased

from edge.cli.inspect import inspect_ticket
from edge.operations.admission_tracer import trace_ids
from tests.edge.running import one_room, running_edge, running_upstream
from tests.ports import free_port

ROOM = {"capacity": {"admissions_per_second": 50}}


class Collector:
    """Takes traces over OTLP/HTTP."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.services: set[str] = set()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        told = ExportTraceServiceRequest.FromString(await request.read())
        for resource in told.resource_spans:
            self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
            for scope in resource.scope_spans:
                self.spans += scope.spans
        return web.Response(content_type="application/x-protobuf")


class Shop:
    """Remembers the fields of what it is asked, and fails at /checkout/broken."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []

    async def handle(self, request: web.BaseRequest) -> web.Response:
        self.asked.append((request.headers["X-Stanchion-Ticket"], request.headers.get("traceparent")))
        return web.Response(status=500 if request.path == "/checkout/broken" else 200, text="the shop")


@contextlib.asynccontextmanager
async def playing(folder: Path, ratio: float) -> AsyncIterator[tuple[str, Collector, Shop, Path]]:
    """Yield the edge's URL. The collector has all spans when the block is over."""
    collector, shop = Collector(), Shop()
    async with running_upstream(collector.handle) as receiver, running_upstream(shop.handle) as upstream:
        tracing = f"tracing: {{otlp_url: '{receiver}/v1/traces', ratio: {ratio}, service_name: gate}}\n"
        async with running_edge(one_room(upstream, **ROOM) + tracing, folder) as edge:
            yield edge.url, collector, shop, edge.file
            edge.process.terminate()
            await edge.process.wait()


async def visit(url: str, path: str) -> None:
    async with aiohttp.ClientSession(headers={"Accept": "text/html", "Sec-Fetch-Mode": "navigate"}) as session:
        await (await session.get(url + path)).read()
        await (await session.get(url + path, headers={"traceparent": f"00-{1:032x}-{1:016x}-01"})).read()


async def test_a_trace_leads_from_the_line_into_the_shop(tmp_path: Path) -> None:
    async with playing(tmp_path, 1.0) as (url, collector, shop, _):
        await visit(url, "/checkout")
        await visit(url, "/checkout/broken")
    first, own, broken, _ = shop.asked
    assert own[1] == f"00-{1:032x}-{1:016x}-01"  # the next request is the visitor's own matter
    assert collector.services == {"gate"}
    for (ticket, traceparent), is_failure in ((first, False), (broken, True)):
        ids = trace_ids(ticket)
        assert traceparent == ids.traceparent(ids.shop)
        spans = {span.name: span for span in collector.spans if int.from_bytes(span.trace_id) == ids.trace}
        line, at_shop = spans.pop("line"), spans.pop("shop")
        assert not spans
        assert not line.parent_span_id
        assert at_shop.parent_span_id == line.span_id
        assert line.start_time_unix_nano <= line.end_time_unix_nano
        assert line.start_time_unix_nano <= at_shop.end_time_unix_nano
        assert (at_shop.status.code == Status.STATUS_CODE_ERROR) == is_failure
        assert [(a.key, a.value.string_value) for a in line.attributes] == [("stanchion.room", "checkout")]


async def test_a_visitor_that_is_not_sampled_leaves_no_trace(tmp_path: Path) -> None:
    async with playing(tmp_path, 0.0) as (url, collector, shop, _):
        await visit(url, "/checkout")
    assert [traceparent for _, traceparent in shop.asked] == [None, f"00-{1:032x}-{1:016x}-01"]
    assert not collector.spans


async def test_an_edge_without_its_collector_serves_and_ends(tmp_path: Path) -> None:
    shop = Shop()
    async with running_upstream(shop.handle) as upstream:
        tracing = f"tracing: {{otlp_url: 'http://127.0.0.1:{free_port()}/v1/traces', ratio: 1.0}}\n"
        async with running_edge(one_room(upstream, **ROOM) + tracing, tmp_path) as edge:
            await visit(edge.url, "/checkout")
            edge.process.terminate()
            async with asyncio.timeout(30.0):
                assert await edge.process.wait() == 0
    assert len(shop.asked) == 2


async def test_inspecting_a_ticket_names_its_trace(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STANCHION_KEYS", "a-key-for-tests-only-" + "x" * 22)
    async with playing(tmp_path, 1.0) as (url, _, shop, file):
        async with aiohttp.ClientSession(headers={"Accept": "text/html"}) as session:
            response = await session.get(url + "/checkout")
            [cookie] = [c.value for c in response.cookies.values() if c.value.startswith("p1.")]
        settings = file.read_bytes()
    named = tmp_path / "inspected.yaml"
    named.write_bytes(settings)
    text, _ = inspect_ticket(cookie, named)
    assert f"trace: {trace_ids(shop.asked[0][0]).trace:032x}" in text.splitlines()


def test_sampling_is_that_of_the_sampler_of_opentelemetry() -> None:
    for ratio in (0.0, 0.01, 0.5, 1.0):
        sampler = TraceIdRatioBased(ratio)
        for number in range(300):
            ids = trace_ids(f"ticket-{number}")
            expected = sampler.should_sample(None, ids.trace, "line").decision is Decision.RECORD_AND_SAMPLE
            assert ids.is_sampled(ratio) == expected
