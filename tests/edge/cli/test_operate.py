"""`stanchion reload` and `healthcheck`, and what every command that asks a running edge says if it gets no answer."""

import asyncio
import copy
import json
import socket
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import yaml
from aiohttp import web

from edge.cli.main import main
from tests.edge.observed import Shop
from tests.edge.running import RunningEdge, one_room, running_edge, running_upstream, wait_until

ROOM = {"capacity": {"admissions_per_second": 40}}
TOKEN = "a-token-for-tests-only"
COMMANDS = [["status"], ["lists"], ["reload"], ["healthcheck"], ["healthcheck", "--live"]]


async def run(*arguments: str) -> int:
    return await asyncio.to_thread(main, arguments)


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        port: int = taken.getsockname()[1]
    return port


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_nothing_listens(command: list[str], capsys: pytest.CaptureFixture[str]):
    """Exit code 3."""
    assert main([*command, "--admin", f"http://127.0.0.1:{free_port()}"]) == 3
    assert "nothing listens there (Connection refused)" in capsys.readouterr().err


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize(
    ("admin", "words"),
    [
        ("http://no-such-host.invalid:9090", "does not resolve"),
        ("unix:///no/such.sock", "there is no socket at /no/such.sock"),
        ("127.0.0.1:9090", "must look like"),
        ("http://[::1:9090", "must look like"),
        ("http://127.0.0.1:0", "must look like"),
        ("", "must look like"),
    ],
)
def test_an_address_that_cannot_be_right(
    command: list[str], admin: str, words: str, capsys: pytest.CaptureFixture[str]
):
    """Exit code 2, as for wrong usage. An empty address is what an unset variable in a script gives."""
    assert main([*command, f"--admin={admin}"]) == 2
    assert words in capsys.readouterr().err


def html(_: web.BaseRequest) -> web.Response:
    return web.Response(text="<h1>Shop</h1>", content_type="text/html")


def moved(_: web.BaseRequest) -> web.Response:
    return web.Response(status=302, headers={"Location": "https://shop.example/"})


def other_json(_: web.BaseRequest) -> web.Response:
    return web.json_response({"status": "ok"})


def forbidden(_: web.BaseRequest) -> web.Response:
    return web.Response(status=401, headers={"WWW-Authenticate": 'Basic realm="x"'}, text="no\n")


def broken(_: web.BaseRequest) -> web.Response:
    return web.Response(body=b"{", content_type="application/json")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
@pytest.mark.parametrize("answer", [html, moved, other_json, forbidden, broken])
async def test_something_else_listens(
    command: list[str], answer: Callable[[web.BaseRequest], web.Response], capsys: pytest.CaptureFixture[str]
):
    """Exit code 4: the shop, a port of another service, the visitors' port of the edge."""

    async def handle(request: web.BaseRequest) -> web.Response:
        return answer(request)

    async with running_upstream(handle) as server:
        assert await run(*command, "--admin", server) == 4
    assert "not the admin listener of an edge" in capsys.readouterr().err


async def test_a_server_that_does_not_speak_http(capsys: pytest.CaptureFixture[str]):
    async def serve(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-OpenSSH_9\r\n")
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        assert await run("status", "--admin", f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}") == 4


async def edge_with(
    folder: Path, check: Callable[[RunningEdge], Awaitable[None]], token: str | None = None, **settings: object
) -> None:
    async with running_upstream(Shop().handle) as upstream:
        tree = {**yaml.safe_load(one_room(upstream, **ROOM)), **settings}
        if token is not None:
            tree["admin"]["token_env"] = "STANCHION_ADMIN_TOKEN"
        environment = {} if token is None else {"STANCHION_ADMIN_TOKEN": token}
        async with running_edge(yaml.safe_dump(tree), folder, **environment) as edge:
            await check(edge)


async def test_a_token_is_asked_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    """Without it, or with a wrong one: exit code 1, and the way to show it. Probes need none."""

    async def check(edge: RunningEdge) -> None:
        monkeypatch.delenv("STANCHION_ADMIN_TOKEN", raising=False)
        for command in (["status"], ["lists"], ["reload"]):
            assert await run(*command, "--admin", edge.admin) == 1
            assert "the edge asks for its admin token, and none was shown" in capsys.readouterr().err
        assert await run("healthcheck", "--admin", edge.admin) == 0
        monkeypatch.setenv("STANCHION_ADMIN_TOKEN", "another-token-" + "x" * 16)
        assert await run("status", "--admin", edge.admin) == 1
        assert "refuses the one that was shown" in capsys.readouterr().err
        monkeypatch.setenv("OTHER", TOKEN)
        assert await run("status", "--admin", edge.admin, "--token-env", "OTHER") == 0
        monkeypatch.setenv("STANCHION_ADMIN_TOKEN", TOKEN)
        assert await run("reload", "--admin", edge.admin) == 0

    await edge_with(tmp_path, check, TOKEN)


async def test_reload_says_what_the_edge_accepted(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Accepted: 0. Faults: 2, with each of them, and nothing changes. What waits for a restart is named."""

    async def check(edge: RunningEdge) -> None:
        tree = yaml.safe_load(edge.file.read_text())
        changed = copy.deepcopy(tree)
        changed["rooms"][0]["capacity"]["admissions_per_second"] = 7
        edge.file.write_text(yaml.safe_dump(changed))
        assert await run("reload", "--admin", edge.admin) == 0
        assert capsys.readouterr().out == "settings reloaded\n"
        assert (await edge.status())["rooms"][0]["admissions_per_second"] == 7

        changed["rooms"][0]["capacity"]["admissions_per_second"] = -3
        changed["wokers"] = 3
        edge.file.write_text(yaml.safe_dump(changed))
        assert await run("reload", "--admin", edge.admin) == 2
        printed = capsys.readouterr().err
        assert "the edge goes on with the settings that it has" in printed
        assert "rooms[0].capacity.admissions_per_second: must be >= 0, got -3" in printed
        assert "wokers: unknown key (did you mean 'workers'?)" in printed
        assert (await edge.status())["rooms"][0]["admissions_per_second"] == 7

        edge.file.write_text(yaml.safe_dump({**tree, "workers": 3}))
        assert await run("reload", "--admin", edge.admin) == 0
        assert "at the next start only: workers" in capsys.readouterr().out
        audited = await edge.wait_logged("audit", 3)
        assert {line["action"] for line in audited} == {"reload"}
        assert [line["result"].partition(":")[0] for line in audited] == [
            "done", "refused", "done, but for workers, until the next start",
        ]  # fmt: skip

    await edge_with(tmp_path, check)


async def test_reload_by_pid_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """The file stands beside the settings, and is gone when the edge has ended."""
    pid_file = tmp_path / "edge.pid"

    async def check(edge: RunningEdge) -> None:
        assert pid_file.read_text() == f"{edge.process.pid}\n"
        assert await run("reload", "--pid-file", str(pid_file)) == 0
        await edge.wait_logged("settings reloaded")

    await edge_with(tmp_path, check, pid_file="edge.pid")
    assert not pid_file.exists()
    assert await run("reload", "--pid-file", str(pid_file)) == 1
    assert "cannot be read" in capsys.readouterr().err


async def test_the_admin_listener_is_found_by_the_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """`--config` names the address and the variable of the token. Port 0 cannot be found this way."""

    async def check(edge: RunningEdge) -> None:
        tree = yaml.safe_load(edge.file.read_text())
        file = tmp_path / "copy.yaml"
        for host in ("127.0.0.1", "0.0.0.0"):
            admin = {"listen": f"tcp://{host}:{edge.admin.rpartition(':')[2]}", "token_env": "STANCHION_ADMIN_TOKEN"}
            file.write_text(yaml.safe_dump({**tree, "admin": admin}))
            assert await run("healthcheck", "--config", str(file)) == 0
            assert capsys.readouterr().out == "ready\n"
        assert await run("healthcheck", "--config", str(edge.file)) == 2
        assert "takes any free port" in capsys.readouterr().err

    await edge_with(tmp_path, check)


async def test_healthcheck_fails_while_the_edge_stops(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Alive but not ready: exit code 1, and `--live` still succeeds."""

    async def check(edge: RunningEdge) -> None:
        edge.process.terminate()

        async def is_stopping() -> bool:
            return await run("healthcheck", "--admin", edge.admin) == 1

        await wait_until(is_stopping, "the edge is not ready")
        assert "not ready: no worker serves yet, or a stop was asked for" in capsys.readouterr().err
        assert await run("healthcheck", "--live", "--admin", edge.admin) == 0

    await edge_with(tmp_path, check, shutdown={"delay_seconds": 10.0})


async def test_the_log_and_the_metrics_name_the_version_and_the_form(tmp_path: Path):
    async def check(edge: RunningEdge) -> None:
        [ready] = [line for line in edge.log if line["message"] == "ready"]
        assert ready["version"][0].isdigit()
        assert ready["form"] in ("pure", "compiled")
        labels = f'{{form="{ready["form"]}",version="{ready["version"]}"}}'

        async def has_metric() -> bool:
            return await edge.metric(f"stanchion_build_info{labels}") == 1.0

        await wait_until(has_metric, "the metric is there")
        assert json.loads(json.dumps(ready)) == ready

    await edge_with(tmp_path, check)
