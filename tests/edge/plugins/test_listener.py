"""The plugin listener of a real edge: the peers that may connect, what is there, and what is not there for visitors."""

import asyncio
import io
import json
from pathlib import Path
from typing import Any

import aiohttp
import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase

from edge.plugins.ext_authz_messages import CHECK, SERVICE, CheckRequest, CheckResponse
from tests.edge.running import RunningEdge
from tests.edge.whole import Edge, whole_edge

ON = {"enabled": True}


def asked_at(edge: RunningEdge, scheme: str = "http") -> str:
    """Return the address of the plugin listener, as the edge logged it."""
    [ready] = [line for line in edge.log if line["message"] == "ready"]
    [address] = [each for each in ready["plugins"].split() if each.startswith(scheme)]
    return str(address)


def plugins(**more: Any) -> dict[str, Any]:
    return {"listen": "tcp://127.0.0.1:0", "endpoints": {"forward_auth": ON}, **more}


async def ask(
    url: str, method: str = "GET", data: bytes | io.BytesIO | None = None, **fields: str
) -> tuple[int, dict[str, str], bytes]:
    sent = {name.replace("_", "-"): value for name, value in fields.items()}
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=sent, data=data) as response:
        return response.status, dict(response.headers), await response.read()


async def test_the_endpoints_are_not_where_visitors_connect(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, plugins=plugins()) as edge:
        path = "/api/authz/forward-auth"
        status, headers, _ = await ask(asked_at(edge.running) + path, X_Forwarded_Uri="/checkout")
        assert (status, headers["X-Stanchion-Room"]) == (200, "checkout")
        status, headers, body = await ask(edge.running.url + path, X_Forwarded_Uri="/checkout")
        assert (status, body) == (200, b"the shop")
        assert "X-Stanchion-Room" not in headers
        counted = await wait_counted(edge)
        assert counted['stanchion_requests_total{outcome="admitted",way="ask"}'] == 1
        assert counted['stanchion_requests_total{outcome="forwarded",way="path"}'] == 1
        assert counted['stanchion_asks_total{decision="allow",dialect="forward-auth"}'] == 1


async def wait_counted(edge: Edge) -> dict[str, float]:
    """Return the metrics as soon as the workers have handed over the counts of questions and requests."""
    async with asyncio.timeout(30):
        while True:
            counted = await edge.metrics()
            if sum(value for name, value in counted.items() if name.startswith("stanchion_requests_total")) >= 2:
                return counted
            await asyncio.sleep(0.1)


async def test_only_peers_may_ask(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, plugins=plugins(peers=["10.9.8.0/24"])) as edge:
        status, _, body = await ask(asked_at(edge.running) + "/api/authz/forward-auth", X_Forwarded_Uri="/checkout")
        assert status == 403
        assert b"127.0.0.1 is not one of plugins.peers" in body


async def test_a_reload_adds_and_removes_endpoints(tmp_path: Path) -> None:
    async with whole_edge(tmp_path, plugins=plugins()) as edge:
        url = asked_at(edge.running) + "/api/authz/accel"
        assert (await ask(url, X_Forwarded_Uri="/products"))[0] == 404
        edge.rewrite({**edge.tree, "plugins": plugins(endpoints={"accel": ON})})
        edge.running.process.send_signal(1)
        async with asyncio.timeout(30):
            while (await ask(url, X_Forwarded_Uri="/products"))[0] != 200:
                await asyncio.sleep(0.05)


async def test_reports_need_their_token_and_may_have_many_lines(tmp_path: Path) -> None:
    reports = plugins(report={**ON, "token_env": "REPORT_TOKEN"})
    async with whole_edge(tmp_path, plugins=reports, environment={"REPORT_TOKEN": "t" * 20}) as edge:
        url = asked_at(edge.running) + "/api/report"
        line = json.dumps({"room": "checkout", "status": 200, "stanchion-stock": "7", "stanchion-held": "1"}).encode()
        assert (await ask(url, "POST", line))[0] == 401
        assert (await ask(url, "POST", line, Authorization="Bearer " + "u" * 20))[0] == 401
        given = "Bearer " + "t" * 20
        assert (await ask(url, Authorization=given))[0] == 405
        for lines in (1, 2000):
            status, _, body = await ask(url, "POST", (line + b"\n") * lines, Authorization=given)
            assert (status, json.loads(body)) == (200, {"taken": lines, "refused": 0})
        status, _, _ = await ask(url, "POST", io.BytesIO(b" " * 2_000_000), Authorization=given)
        assert status == 413
        async with asyncio.timeout(30):
            while (await edge.room())["stock"] != 7:
                await asyncio.sleep(0.05)


# gRPC


class Envoy:
    """Asks as Envoy does."""

    def __init__(self, address: str) -> None:
        self.channel = grpc.aio.insecure_channel(address.removeprefix("grpc://"))
        self._check = self.channel.unary_unary(
            f"/{SERVICE}/{CHECK}",
            request_serializer=CheckRequest.SerializeToString,
            response_deserializer=CheckResponse.FromString,
        )

    async def check(self, path: str, **headers: str) -> Any:
        request = CheckRequest()
        http = request.attributes.request.http
        http.method, http.path, http.host, http.scheme = "GET", path, "shop.example", "https"
        for name, value in headers.items():
            http.headers.add(key=name.replace("_", "-"), value=value)
        request.attributes.source.address.socket_address.address = "203.0.113.9"
        return await self._check(request)


def told(fields: Any) -> list[tuple[str, str]]:
    return [(field.header.key, field.header.value) for field in fields]


async def test_envoy_is_told_over_grpc(tmp_path: Path) -> None:
    settings = plugins(endpoints={"ext_authz_grpc": ON}, grpc_listen="tcp://127.0.0.1:0")
    room = {"capacity": {"admissions_per_second": 0.01, "burst_floor": 1}}
    async with whole_edge(tmp_path, plugins=settings, room=room, workers=1) as edge:
        envoy = Envoy(asked_at(edge.running, "grpc"))
        async with envoy.channel:
            outside = await envoy.check("/products")
            assert outside.status.code == 0
            assert sorted(outside.ok_response.headers_to_remove) == [
                *("x-stanchion-admitted-at", "x-stanchion-room", "x-stanchion-ticket"),
            ]
            inside = await envoy.check("/checkout", accept="text/html")
            assert inside.status.code == 0
            assert ("X-Stanchion-Room", "checkout") in told(inside.ok_response.headers)
            added = told(inside.ok_response.response_headers_to_add)
            assert [value[:28] for name, value in added if name == "Set-Cookie"] == ["__Host-stanchion_checkout=p1"]
            waits = await envoy.check("/checkout", accept="text/html", accept_encoding="gzip, br")
            assert waits.status.code == 7
            assert waits.denied_response.status.code == 200
            assert "<!doctype html>" in waits.denied_response.body.lower()
            fields = dict(told(waits.denied_response.headers))
            assert fields["Stanchion-State"] == "waiting"
            assert "Content-Encoding" not in fields
            stub = health_pb2_grpc.HealthStub(envoy.channel)
            state = await stub.Check(health_pb2.HealthCheckRequest(service=SERVICE))
            assert state.status == health_pb2.HealthCheckResponse.SERVING
        with grpc.insecure_channel(envoy_address(edge)) as channel:
            found = await asyncio.to_thread(lambda: ProtoReflectionDescriptorDatabase(channel).get_services())
            assert SERVICE in found


def envoy_address(edge: Edge) -> str:
    return asked_at(edge.running, "grpc").removeprefix("grpc://")


async def test_only_peers_may_ask_over_grpc(tmp_path: Path) -> None:
    settings = plugins(endpoints={"ext_authz_grpc": ON}, grpc_listen="tcp://127.0.0.1:0", peers=["10.9.8.0/24"])
    async with whole_edge(tmp_path, plugins=settings, workers=1) as edge:
        envoy = Envoy(asked_at(edge.running, "grpc"))
        async with envoy.channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await envoy.check("/products")
            assert refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
