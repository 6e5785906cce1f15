"""What an operator sees: the admin listener, the metrics, the log, and how a start that cannot work fails."""

import asyncio
import json
import os
import re
import socket
import sys
from pathlib import Path

import aiohttp
import pytest
import yaml
from yarl import URL

from tests.edge.running import wait_until
from tests.edge.whole import Edge, Visitor, settings, whole_edge

#: All labels that samples may have. None of them takes a value that a visitor chooses.
LABELS = {
    "outcome",
    "room",
    "reason",
    "kind",
    "command",
    "version",
    "form",
    "le",
    "dependency",
    "mode",
    "server",
    "way",
    "phase",
    "result",
}
PLACES = Path(__file__).parents[3] / "docs" / "operating.md"


async def raw(url: str, head: bytes) -> bytes:
    """Send bytes as they are; return everything until the edge closes the connection."""
    host, port = url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port))
    writer.write(head)
    async with asyncio.timeout(10):
        response = await reader.read()
    writer.close()
    return response


async def odd_visitors(edge: Edge, numbers: range) -> None:
    """Send visitors with paths, hosts, cookies and methods of their own, and wait until all of them are counted.

    numbers: those of the visitors, from the first one that the edge ever saw."""
    for at in numbers:
        await Visitor(edge).ask(f"/checkout/{at}", Host=f"host{at}.example", Cookie=f"stanchion_checkout={at}")
        odd = b"M%d /checkout?%d HTTP/1.1\r\nHost: x%d\r\nConnection: close\r\n\r\n" % (at, at, at)
        assert b" 501 " in await raw(edge.running.url, odd)

    async def all_counted() -> bool:
        counted = await edge.metrics()
        requests = sum(value for name, value in counted.items() if name.startswith("stanchion_requests_total"))
        polls = counted.get('stanchion_polls_total{room="checkout"}')
        seen = numbers.stop
        return (polls, requests, (await edge.room())["polled"]) == (seen, 2 * seen, seen)

    await wait_until(all_counted, "all requests and polls of both workers are counted")


async def test_the_admin_listener(tmp_path: Path):
    """Probes answer. Metrics are sums over the workers, documented, with bounded labels whatever visitors send.

    The status shows every room and node. Other paths do not exist, and visitors reach none of them."""
    room = {"capacity": {"admissions_per_second": 0.02}}
    async with whole_edge(tmp_path, room=room) as edge:
        assert await edge.ask_admin("/livez") == (200, "alive\n")
        assert await edge.ask_admin("/readyz") == (200, "ready\n")
        assert (await edge.ask_admin("/nothing"))[0] == 404

        async def both_have_reported() -> bool:
            return len((await edge.room())["nodes"]) == 2

        await wait_until(both_have_reported, "the gauges of the room are there")
        before = await edge.metrics()
        await odd_visitors(edge, range(20))
        assert len([node for node in (await edge.room())["nodes"] if node["polled"] > 0]) == 2
        after = await edge.metrics()
        assert after['stanchion_ticket_rejections_total{reason="malformed",room="checkout"}'] == 20
        assert {label for name in after for label in re.findall(r'(\w+)="', name)} <= LABELS
        assert len(after) - len(before) < 40, "visitors cannot make new time series"
        await odd_visitors(edge, range(20, 40))
        assert (await edge.metrics()).keys() == after.keys(), "other odd visitors make the same time series"

        names = {re.sub(r"_(total|created|bucket|count|sum)$", "", name.partition("{")[0]) for name in after}
        documented = set(re.findall(r"^\| `(stanchion_\w+)`", PLACES.read_text("utf-8"), re.M))
        documented = {re.sub(r"_total$", "", name) for name in documented}
        assert names - documented == set(), "docs/operating.md lists every metric"

        for path in ("/livez", "/metrics", "/status"):
            answer = await raw(edge.running.url, b"GET %s HTTP/1.0\r\nHost: x\r\n\r\n" % path.encode())
            assert b"the shop" in answer, "on the public listener these are the shop's paths"


async def test_no_secret_gets_into_the_log(tmp_path: Path):
    """No log line contains a cookie, a key, a query or another header, whatever was wrong with the request. Every line
    is a JSON object with time, level, node and message."""
    secret = "S3CR3T" * 8
    key = "a-key-for-tests-only-"
    log = {"format": "json", "level": "debug", "access": "all"}
    async with whole_edge(tmp_path, workers=1, log=log) as edge:
        visitor = Visitor(edge)
        await visitor.ask(f"/checkout?card={secret}", Authorization=secret, Referer=f"http://x/{secret}")
        await visitor.ask(f"/checkout?card={secret}")
        pass_cookie = visitor.cookies["stanchion_checkout"]
        await Visitor(edge).ask(Cookie=f"stanchion_checkout={secret}; other={secret}")
        text = secret.encode()
        for head in (
            b"GET /checkout HTTP/1.1\r\nHost: x\r\nCookie: stanchion_checkout=" + text + b"\x00\r\n\r\n",
            b"GET /checkout HTTP/1.1\r\nHost: x\r\nCookie " + text + b"\r\n\r\n",
            b"GET /checkout HTTP/1.1\r\nHost: x\r\nCookie: " + text * 1000 + b"\r\n\r\n",
            b"GET /checkout HTTP/1.1\r\nHost: " + text + b"@x\r\n\r\n",
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nContent-Length: z" + text + b"\r\n\r\n",
            b"POST /checkout HTTP/1.1\r\nHost: x\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n"
            + b"Cookie: stanchion_checkout="
            + pass_cookie.encode()
            + b"\r\n\r\n"
            + text
            + b"\r\n",
        ):
            await raw(edge.running.url, head)

        async def is_logged() -> bool:
            return len(edge.said("request")) >= 3

        await wait_until(is_logged, "the requests are logged")
    output = edge.running.output.decode()
    assert secret not in output
    assert pass_cookie.rpartition(".")[2] not in output
    assert key not in output
    for line in output.splitlines():
        assert {"time", "level", "node", "logger", "message"} <= set(json.loads(line))
    request = edge.said("request")[0]
    assert (request["method"], request["path"], request["status"]) == ("GET", "/checkout", 200)
    assert not [line for line in edge.running.log if line["level"] == "error"]


async def start_and_fail(tmp_path: Path, tree: dict[str, object]) -> tuple[int | None, str]:
    file = tmp_path / "edge.yaml"
    file.write_text(yaml.safe_dump(tree))
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "edge.cli", "run", str(file)),
        stderr=asyncio.subprocess.PIPE,
        env={**os.environ, "STANCHION_KEYS": "k" * 43},
    )
    async with asyncio.timeout(20):
        _, output = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("which", ["listen", "admin"])
async def test_a_taken_port_is_a_configuration_error(tmp_path: Path, which: str):
    """Another program uses the port: exit code 2, one report, and no half-started edge."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"tcp://127.0.0.1:{taken.getsockname()[1]}"
        changes = {"listen": [address]} if which == "listen" else {"admin": {"listen": address}}
        code, output = await start_and_fail(tmp_path, settings("http://127.0.0.1:9", **changes))
    path = "listen[0]" if which == "listen" else "admin.listen"
    assert code == 2
    assert output == f"listening: 1 fault\n  {path}: cannot listen on {address}: Address already in use\n"


async def test_a_second_edge_on_the_same_port_is_refused(tmp_path: Path):
    """Workers share their port with each other, never with another edge that was started by mistake."""
    async with whole_edge(tmp_path) as edge:
        address = edge.running.url.replace("http://", "tcp://")
        code, output = await start_and_fail(tmp_path, settings("http://127.0.0.1:9", listen=[address]))
    assert code == 2
    assert "Address already in use" in output


async def test_only_probes_need_no_token(tmp_path: Path):
    admin = {"listen": "tcp://127.0.0.1:0", "token_env": "ADMIN_TOKEN"}
    token = "a-token-for-tests-only"
    async with whole_edge(tmp_path, environment={"ADMIN_TOKEN": token}, admin=admin, workers=1) as edge:
        assert [(await edge.ask_admin(path))[0] for path in ("/livez", "/readyz")] == [200, 200]
        for path in ("/status", "/metrics", "/lists", "//status", "/nothing", "/livez/../status"):
            for sent in (
                "",
                token,
                f"Basic {token}",
                f"Bearer {token}x",
                f"Bearer {token[:-1]}",
                "Bearer",
                "Bearer \xff",
            ):
                headers = {"Authorization": sent} if sent else {}
                async with aiohttp.ClientSession() as session:
                    url = URL(edge.running.admin + path, encoded=True)
                    async with session.get(url, headers=headers) as answer:
                        assert answer.status == 401, f"{path} with {sent!r}"
        async with aiohttp.ClientSession() as session:
            for path in ("/status", "/metrics"):
                headers = {"Authorization": f"Bearer {token}"}
                async with session.get(edge.running.admin + path, headers=headers) as answer:
                    assert answer.status == 200
            change = {"list": "deny", "networks": ["192.0.2.0/24"]}
            async with session.post(edge.running.admin + "/lists", json=change) as answer:
                assert answer.status == 401
            async with session.post(edge.running.admin + "/lists", json=change, headers=headers) as answer:
                assert answer.status == 200
        [line] = edge.said("audit")
        assert line["actor"].startswith("127.0.0.1, token ")
        assert token not in edge.running.output.decode(), "a secret in the log"
        assert edge.said("without the admin token was refused")


async def test_without_a_token_only_the_listeners_own_names_are_answered(tmp_path: Path):
    """If a page's own name resolves to this machine (DNS rebinding), the page reads nothing and learns the reason."""
    admin = {"listen": "tcp://127.0.0.1:0", "hosts": ["edge.internal", "192.0.2.7"]}
    async with whole_edge(tmp_path, workers=1, admin=admin) as edge:
        port = edge.running.admin.rpartition(":")[2]

        async def status_of(request_line: str, *hosts: str) -> int:
            fields = "".join(f"Host: {host}\r\n" for host in hosts)
            answer = await raw(edge.running.admin, f"{request_line}\r\n{fields}Connection: close\r\n\r\n".encode())
            return int(answer.split()[1])

        own = ("localhost", "LOCALHOST.", "127.0.0.1", "127.1.2.3", "[::1]", "Edge.Internal", "192.0.2.7")
        foreign = ("evil.example", "localhost.evil.example", "127.0.0.1.evil.example", "192.0.2.8", "0.0.0.0", "[::2]")
        for path in ("/status", "/metrics", "/lists", "/livez", "/nothing"):
            for host in own:
                for name in (host, f"{host}:{port}"):
                    assert await status_of(f"GET {path} HTTP/1.1", name) in (200, 404), name
            for host in foreign:
                for name in (host, f"{host}:{port}", f"{host}:80"):
                    assert await status_of(f"GET {path} HTTP/1.1", name) == 421, name
        assert await status_of("HEAD /status HTTP/1.1", "evil.example") == 421
        assert await status_of("GET /livez HTTP/1.0") == 200, "simple probes send no Host, and browsers always do"
        refused = await raw(edge.running.admin, b"GET /status HTTP/1.0\r\nHost: evil.example\r\n\r\n")
        assert b"add its name to admin.hosts" in refused
        assert b"waiting" not in refused
