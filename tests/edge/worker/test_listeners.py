"""A running edge on each kind of listener, and certificates that change while visitors come."""

import asyncio
import os
import shutil
import signal
import socket
import sys
import time
from pathlib import Path

import aiohttp

from tests.certificates import Pair, authority, certificate, client_context
from tests.edge.running import wait_until
from tests.edge.supervisor.test_reloading import reload
from tests.edge.whole import Visitor, whole_edge
from tests.edge.worker.test_under_load import Load, under_load, wait_more

#: Does what systemd does for a socket unit, and becomes the command behind it.
ACTIVATE = """
import os, socket, sys
listening = socket.create_server(("127.0.0.1", 0))
os.dup2(listening.fileno(), 3)
os.set_inheritable(3, True)
os.environ.update(LISTEN_FDS="1", LISTEN_PID=str(os.getpid()), LISTEN_FDNAMES="web")
os.execv(sys.argv[1], sys.argv[1:])
"""


def replace(pair: Pair, by: Pair) -> None:
    """Exchange the files as an ACME client does: each by a rename, the key first."""
    for old, new in ((pair.key, by.key), (pair.certificate, by.certificate)):
        shutil.copy(new, old.with_suffix(".new"))
        old.with_suffix(".new").rename(old)


async def test_certificates_change_and_workers_are_replaced_without_a_failed_request(tmp_path: Path):
    """Ten certificates, some found by the change of their files, some at HUP, and a rolling restart."""
    trusted = authority(tmp_path)
    fresh = [certificate(tmp_path, f"c{at}", "IP:127.0.0.1", signed_by=trusted, rsa=at % 2 == 0) for at in range(11)]
    shown = certificate(tmp_path, "shown", "IP:127.0.0.1", signed_by=trusted)
    listen = [{"url": "tls://127.0.0.1:0", "certificate": str(shown.certificate), "key": str(shown.key)}]
    context = client_context(trusted)

    class Encrypted(Load):
        tls = context

    async with whole_edge(tmp_path, listen=listen) as edge:
        host, port = edge.running.url.removeprefix("https://").split(":")

        async def is_shown(pair: Pair) -> bool:
            """Return whether several new connections, which both workers take, get this certificate."""
            for _ in range(8):
                _, writer = await asyncio.open_connection(host, int(port), ssl=context)
                found = writer.get_extra_info("ssl_object").getpeercert()
                writer.close()
                if found["subject"] != ((("commonName", pair.certificate.stem),),):
                    return False
            return True

        async with under_load(edge, Encrypted) as load:
            for at, pair in enumerate(fresh[:10]):
                replace(shown, pair)
                if at % 3:
                    assert await reload(edge) == "settings reloaded"
                await wait_until(lambda pair=pair: is_shown(pair), f"{pair.certificate.name} is shown")
                await wait_more(load)
            replace(shown, fresh[10])
            edge.running.send(signal.SIGUSR2)

            async def is_done() -> bool:
                return bool(edge.said("all workers were replaced"))

            await wait_until(is_done, "the workers are replaced")
            await wait_more(load)
            # A file that does not fit its key is refused, and nothing changes.
            shutil.copy(fresh[0].certificate, shown.certificate)
            assert (await reload(edge)).startswith("reload refused")
            await wait_more(load)
        assert set(load.seen) == {"200"}, load.seen
        assert await is_shown(fresh[10])
        name = f'stanchion_certificate_expiry_timestamp_seconds{{listener="{listen[0]["url"]}"}}'
        left_s = (await edge.metrics())[name] - time.time()
        assert 0 < left_s < 4 * 86_400


async def ask(connector: aiohttp.BaseConnector, url: str) -> tuple[int, str]:
    async with aiohttp.ClientSession(connector=connector) as session, session.get(url) as answer:
        return answer.status, await answer.text()


async def test_a_socket_file_serves_all_workers_and_is_gone_at_the_end(tmp_path: Path):
    path = tmp_path / "edge.sock"
    listen = [{"url": f"unix://{path}", "mode": "0600"}]
    async with whole_edge(tmp_path, listen=listen, trusted_proxies=["127.0.0.1"]) as edge:
        assert edge.running.url == f"unix://{path}"
        for _ in range(20):
            assert await ask(aiohttp.UnixConnector(str(path)), "http://shop.example/") == (200, "the shop")
        edge.running.send(signal.SIGUSR2)

        async def is_done() -> bool:
            return bool(edge.said("all workers were replaced"))

        await wait_until(is_done, "the workers are replaced")
        assert (await ask(aiohttp.UnixConnector(str(path)), "http://shop.example/checkout"))[0] == 200
        assert edge.upstream.heads[0]["X-Forwarded-For"] == "127.0.0.1"
    assert not path.exists()


def environment_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def test_a_socket_from_systemd_serves_all_workers(tmp_path: Path):
    prefix = [sys.executable, "-c", ACTIVATE]
    async with whole_edge(tmp_path, prefix=prefix, listen=["systemd://web"]) as edge:
        visitor = Visitor(edge)
        assert (await visitor.ask())[0] == "admitted"
        for pid in await edge.running.worker_pids():
            # The variables were for the supervisor alone.
            assert b"LISTEN_" not in environment_of(pid)
        os.kill((await edge.running.worker_pids())[0], signal.SIGKILL)

        async def is_back() -> bool:
            nodes = (await edge.running.status())["nodes"]
            return nodes[0]["restarts"] == 1 and all(node["ready"] for node in nodes)

        await wait_until(is_back, "the worker is back")
        for _ in range(20):
            assert (await visitor.ask())[0] == "admitted"


async def test_a_listener_that_changes_waits_for_a_restart_and_certificates_do_not(tmp_path: Path):
    first, second = (certificate(tmp_path, name, "IP:127.0.0.1") for name in ("first", "second"))

    def listen(pair: Pair, url: str = "tls://127.0.0.1:0") -> list[dict[str, str]]:
        return [{"url": url, "certificate": str(pair.certificate), "key": str(pair.key)}]

    async with whole_edge(tmp_path, listen=listen(first)) as edge:
        edge.rewrite(edge.tree | {"listen": listen(second)})
        assert await reload(edge) == "settings reloaded"
        assert not edge.said("takes effect at the next start only")

        async def is_second_shown() -> bool:
            connector = aiohttp.TCPConnector(ssl=client_context(second))
            try:
                return (await ask(connector, edge.running.url))[0] == 200
            except aiohttp.ClientConnectorCertificateError:
                return False

        await wait_until(is_second_shown, "the second certificate is shown")
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            port = free.getsockname()[1]
        edge.rewrite(edge.tree | {"listen": listen(second, f"tls://127.0.0.1:{port}")})
        await reload(edge)
        assert [line["message"] for line in edge.said("takes effect at the next start only")] == [
            "changed, but takes effect at the next start only: listen"
        ]
