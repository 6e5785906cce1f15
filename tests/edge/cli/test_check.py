"""`stanchion check` warns about what surrounds the file: secrets, files, servers, rooms over a whole site."""

import asyncio
import json
import os
import socket
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from edge.cli.check import check
from edge.cli.check_network import PATIENCE_S
from edge.cli.main import main
from tests.certificates import certificate
from tests.edge.observed import Shop
from tests.edge.running import running_upstream

KEY = "k" * 43


def write(folder: Path, **changed: Any) -> Path:
    """Write settings without a fault and without a warning, but for what is changed."""
    tree: dict[str, Any] = {
        "secret_keys_env": "STANCHION_KEYS",
        "upstream": {"url": "http://127.0.0.1:9"},
        "rooms": [{"name": "checkout", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": 1}}],
        **changed,
    }
    file = folder / "shop.yaml"
    file.write_text(yaml.safe_dump({key: value for key, value in tree.items() if value is not None}))
    return file


def warned(file: Path, *, asks_network: bool = False, **environment: str) -> dict[str, str]:
    """Return the warnings of a file without faults: the message by path."""
    report = check(file, asks_network=asks_network, environment=environment)
    assert report.faults == ()
    return {each.path: each.message for each in report.warnings}


def test_a_sound_file_has_no_warning(tmp_path: Path):
    assert warned(write(tmp_path), STANCHION_KEYS=KEY) == {}


@pytest.mark.parametrize("value", [None, "", "short", "short1,short2"])
def test_a_secret_that_is_unset_or_unusable_is_warned_about(tmp_path: Path, value: str | None):
    environment = {} if value is None else {"STANCHION_KEYS": value}
    assert list(warned(write(tmp_path), **environment)) == ["secret_keys_env"]


def test_the_admin_token_and_the_password_of_redis_are_secrets_too(tmp_path: Path):
    file = write(
        tmp_path,
        admin={"listen": "tcp://0.0.0.0:9090", "token_env": "ADMIN_TOKEN"},
        cluster={"redis_url": "redis://127.0.0.1:1/0", "redis_password_env": "REDIS_PASSWORD"},
    )
    assert list(warned(file, STANCHION_KEYS=KEY)) == ["admin.token_env", "cluster.redis_password_env"]
    assert warned(file, STANCHION_KEYS=KEY, ADMIN_TOKEN="t" * 16, REDIS_PASSWORD="secret") == {}


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        (0o600, None),
        (0o640, None),
        (0o644, "can read"),
        (0o604, "can read"),
        (0o620, "can write"),
        (0o666, "and write"),
    ],
)
def test_a_key_file_that_others_can_use_is_warned_about(tmp_path: Path, mode: int, words: str | None):
    keys = tmp_path / "keys"
    keys.write_text(KEY)
    keys.chmod(mode)
    found = warned(write(tmp_path, secret_keys_env=None, secret_keys_file="keys"))
    if words is None:
        assert found == {}
    else:
        assert list(found) == ["secret_keys_file"]
        assert words in found["secret_keys_file"]
        assert f"chmod 600 {keys}" in found["secret_keys_file"]


def test_a_key_file_is_looked_for_beside_the_settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """From any working directory. A missing one is named with its whole path."""
    folder = tmp_path / "etc"
    folder.mkdir()
    file = write(folder, secret_keys_env=None, secret_keys_file="keys")
    monkeypatch.chdir(tmp_path)
    message = warned(file)["secret_keys_file"]
    assert message == f"{folder}/keys cannot be read: No such file or directory"
    (folder / "keys").write_text(KEY)
    (folder / "keys").chmod(0o600)
    assert warned(file) == {}
    assert warned(file.relative_to(tmp_path)) == {}
    (folder / "keys").unlink()
    (folder / "keys").mkdir()
    assert "Is a directory" in warned(file)["secret_keys_file"]


@pytest.mark.parametrize(
    ("match", "covers_all"),
    [
        ({"paths": ["/*"]}, True),
        ({"paths": ["*"]}, True),
        ({"paths": ["/checkout*", "/*"]}, True),
        ({"paths": ["/*"], "host": "shop.example"}, True),
        ({"paths": ["/*"], "bypass": ["/"]}, False),
        ({"paths": ["/checkout*"]}, False),
        ({"paths": ["/"]}, False),
        ({"paths": ["/shop/*"]}, False),
        ({"paths": ["/*.html"]}, False),
    ],
)
def test_a_room_over_a_whole_site_is_warned_about(tmp_path: Path, match: dict[str, Any], covers_all: bool):
    room = {"name": "all", "match": match, "capacity": {"admissions_per_second": 1}}
    found = warned(write(tmp_path, rooms=[room]), STANCHION_KEYS=KEY)
    assert list(found) == (["rooms[0].match.paths"] if covers_all else [])


async def test_an_upstream_that_answers_is_fine_whatever_it_says(tmp_path: Path):
    async with running_upstream(Shop().handle) as upstream:
        file = write(tmp_path, upstream={"url": upstream})
        found = await asyncio.to_thread(warned, file, asks_network=True, STANCHION_KEYS=KEY)
    assert found == {}


def test_an_upstream_that_refuses_or_does_not_resolve_is_warned_about(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, but nothing listens
        file = write(tmp_path, upstream={"url": f"http://127.0.0.1:{taken.getsockname()[1]}"})
        found = warned(file, asks_network=True, STANCHION_KEYS=KEY)
    assert "does not accept a connection" in found["upstream.url"]
    file = write(tmp_path, upstream={"url": "http://no-such-host.invalid:80"})
    assert "does not resolve" in warned(file, asks_network=True, STANCHION_KEYS=KEY)["upstream.url"]


def test_an_upstream_that_hangs_costs_bounded_time(tmp_path: Path):
    """The kernel accepts the connection, and nothing answers. Redis is asked at the same time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        file = write(
            tmp_path,
            upstream={"url": f"http://127.0.0.1:{port}"},
            cluster={"redis_url": f"redis://127.0.0.1:{port}/0"},
        )
        began = time.monotonic()
        found = warned(file, asks_network=True, STANCHION_KEYS=KEY)
        assert time.monotonic() - began < 2 * PATIENCE_S
    assert list(found) == ["upstream.url", "cluster.redis_url"]
    assert all("does not answer within" in message for message in found.values())


@pytest.mark.parametrize(
    "answer", [b"SSH-2.0-OpenSSH_9\r\n", b"", b"\x15\x03\x03\x00\x02\x02\x16", b"HTTP/2 200\r\n\r\n"]
)
async def test_a_server_that_does_not_speak_http_is_warned_about(tmp_path: Path, answer: bytes):
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readline()
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        file = write(tmp_path, upstream={"url": f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"})
        found = await asyncio.to_thread(warned, file, asks_network=True, STANCHION_KEYS=KEY)
    assert "does not answer in HTTP" in found["upstream.url"]


async def test_an_https_upstream_that_speaks_plain_http_is_warned_about(tmp_path: Path):
    async with running_upstream(Shop().handle) as upstream:
        file = write(tmp_path, upstream={"url": upstream.replace("http:", "https:")})
        found = await asyncio.to_thread(warned, file, asks_network=True, STANCHION_KEYS=KEY)
    assert "TLS with it fails" in found["upstream.url"]


def test_warnings_go_to_standard_error_and_do_not_fail_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    """`--strict` makes them fail. As JSON they stand beside the faults."""
    monkeypatch.delenv("STANCHION_KEYS", raising=False)
    file = str(write(tmp_path))
    assert main(["check", "--offline", file]) == 0
    printed = capsys.readouterr()
    assert printed.out.endswith("no faults; 1 room: checkout\n")
    assert printed.err.startswith("  warning: secret_keys_env: the environment variable STANCHION_KEYS is not set")
    assert main(["check", "--offline", "--strict", file]) == 2
    capsys.readouterr()
    assert main(["check", "--offline", "--json", file]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["valid"] is True
    assert [each["path"] for each in document["warnings"]] == ["secret_keys_env"]
    assert os.environ.get("STANCHION_KEYS") is None


async def test_each_of_several_servers_is_asked(tmp_path: Path):
    """A unix socket, a TCP server, and one that is not there: only that one is named."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 500 Oh\r\nContent-Length: 0\r\n\r\n")
        writer.close()

    path = tmp_path / "shop.sock"
    async with await asyncio.start_unix_server(serve, path), running_upstream(Shop().handle) as upstream:
        servers = [upstream, f"unix://{path}", f"unix://{tmp_path}/none.sock"]
        file = write(tmp_path, upstream={"servers": servers})
        found = await asyncio.to_thread(warned, file, asks_network=True, STANCHION_KEYS=KEY)
    assert list(found) == ["upstream.servers[2]"]
    assert "does not accept a connection: no such file" in found["upstream.servers[2]"]


def test_a_client_key_and_the_tokens_file_are_private_files_too(tmp_path: Path):
    """Both are found beside the settings file."""
    (tmp_path / "tokens").write_text(f"admin ann {'t' * 20}\n")
    certificate(tmp_path, "client")
    for name in ("tokens", "client.key"):
        (tmp_path / name).chmod(0o644)
    file = write(
        tmp_path,
        upstream={
            "url": "https://shop.example",
            "tls": {"client_certificate": "client.crt", "client_key": "client.key"},
        },
        admin={"tokens_file": "tokens"},
    )
    assert list(warned(file, STANCHION_KEYS=KEY)) == ["admin.tokens_file", "upstream.tls.client_key"]
    (tmp_path / "tokens").chmod(0o600)
    (tmp_path / "client.key").chmod(0o600)
    assert warned(file, STANCHION_KEYS=KEY) == {}


def test_colours_and_a_logo_that_visitors_cannot_see_are_warned_about(tmp_path: Path):
    page = {"logo": "/checkout/logo.gif2", "colors": {"text": "#777777", "background": "#ffffff"}}
    room = {"name": "a", "match": {"paths": ["/checkout*"]}, "capacity": {"admissions_per_second": 1}, "page": page}
    found = warned(write(tmp_path, rooms=[room]), STANCHION_KEYS=KEY)
    assert "4.47:1" in found["rooms[0].page.colors.text"]
    assert found["rooms[0].page.logo"].startswith("/checkout/logo.gif2 waits in line itself, in room 'a'")
    room["page"] = {"logo": "/checkout/logo.gif2", "colors": {"text": "#111111"}}
    assert warned(write(tmp_path, bypass=["/checkout/logo*"], rooms=[room]), STANCHION_KEYS=KEY) == {}
