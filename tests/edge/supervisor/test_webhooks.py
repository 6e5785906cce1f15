"""Webhooks against real servers: signed as the documents say, tried again, in order, bounded."""

import asyncio
import contextlib
import json
import os
import re
import signal
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web
from prometheus_client import CollectorRegistry

from edge.cli.main import main
from edge.settings.watching import NotificationSettings, WebhookSettings
from edge.supervisor.happenings import Happening
from edge.supervisor.webhooks import Webhooks, signature
from tests.edge.running import running_upstream, wait_until
from tests.edge.whole import Visitor, whole_edge

SECRET = "a-secret-for-tests-only"
DOCS = Path(__file__).parents[3] / "docs" / "operating.md"

Verify = Callable[[bytes, Any, bytes], bool]


def verify_by_the_documents() -> Verify:
    """Return the function that docs/operating.md gives to receivers."""
    [code] = re.findall(r"```python\n(.*?def is_genuine.*?)```", DOCS.read_text("utf-8"), re.S)
    names: dict[str, Any] = {}
    exec(code, names)
    verify: Verify = names["is_genuine"]
    return verify


class Receiver:
    """A server that checks what it gets. statuses: of its first answers; afterwards it answers 204."""

    def __init__(self, *statuses: int) -> None:
        self.statuses = list(statuses)
        self.attempts: list[tuple[str, bool]] = []
        self.taken: list[dict[str, Any]] = []
        self.genuine = verify_by_the_documents()

    async def handle(self, request: web.BaseRequest) -> web.Response:
        body = await request.read()
        is_genuine = self.genuine(SECRET.encode(), request.headers, body)
        self.attempts.append((request.headers["Stanchion-Delivery"], is_genuine))
        status = self.statuses.pop(0) if self.statuses else 204
        if status < 300:
            document = json.loads(body)
            assert request.headers["Stanchion-Event"] == document["event"]
            self.taken.append(document)
        return web.Response(status=status)

    def events(self) -> list[str]:
        return [document["event"] for document in self.taken]


def happening(event: str = "line.formed", room: str | None = "checkout", number: int = 0) -> Happening:
    return Happening(event, room, 1_790_000_000.0, "A line has formed.", {"number": number})


@contextlib.asynccontextmanager
async def sending(
    url: str, *, events: tuple[Any, ...] = (), rooms: tuple[str, ...] = (), **changes: Any
) -> AsyncIterator[tuple[Webhooks, CollectorRegistry]]:
    registry = CollectorRegistry()
    webhooks = Webhooks("m1", registry)
    hook = WebhookSettings(url=url, secret_env="SECRET", events=events, rooms=rooms)
    webhooks.use(NotificationSettings(webhooks=(hook,), **changes), {"SECRET": SECRET.encode()})
    task = asyncio.get_running_loop().create_task(webhooks.run())
    try:
        yield webhooks, registry
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task


def result(registry: CollectorRegistry, name: str) -> float:
    return registry.get_sample_value("stanchion_notifications_total", {"result": name}) or 0.0


async def test_a_message_is_signed_as_the_documents_say_and_tried_again() -> None:
    receiver = Receiver(500, 302)
    async with running_upstream(receiver.handle) as url, sending(url + "/hook?key=1") as (webhooks, registry):
        webhooks.send(happening(number=1))
        webhooks.send(happening("line.cleared", number=2))

        async def both() -> bool:
            return len(receiver.taken) == 2

        await wait_until(both, "both messages arrive")
        assert receiver.events() == ["line.formed", "line.cleared"], "in order, although the first was refused twice"
        assert [is_genuine for _, is_genuine in receiver.attempts] == [True] * 4
        idents = [ident for ident, _ in receiver.attempts]
        assert idents[0] == idents[1] == idents[2] != idents[3], "the same message has the same delivery"
        document = receiver.taken[0]
        assert document["room"] == "checkout"
        assert document["time"] == "2026-09-21T14:13:20.000Z"
        assert document["details"] == {"number": 1}
        assert (result(registry, "delivered"), result(registry, "retried")) == (2, 2)


async def test_a_forged_or_old_message_is_not_genuine() -> None:
    genuine, now = verify_by_the_documents(), int(time.time())
    body = b'{"event": "room.open"}'

    def headers(sent_at: int, signed: bytes = body, secret: str = SECRET) -> dict[str, str]:
        return {"Stanchion-Timestamp": str(sent_at), "Stanchion-Signature": signature(secret.encode(), sent_at, signed)}

    assert genuine(SECRET.encode(), headers(now), body)
    assert not genuine(SECRET.encode(), headers(now), body + b" ")
    assert not genuine(SECRET.encode(), headers(now, secret="another-secret-here"), body)
    assert not genuine(SECRET.encode(), headers(now - 3600), body)
    assert not genuine(SECRET.encode(), {**headers(now), "Stanchion-Timestamp": str(now + 1)}, body)


async def test_a_server_that_is_gone_costs_only_its_own_messages() -> None:
    receiver = Receiver()
    async with running_upstream(receiver.handle) as url:
        gone = "http://127.0.0.1:9/hook"
        async with sending(gone, retry_seconds=0.0, queue=3) as (webhooks, registry):
            hooks = (
                WebhookSettings(url=gone, secret_env="SECRET"),
                WebhookSettings(url=url, secret_env="SECRET", events=("line.formed",), rooms=("checkout",)),
            )
            webhooks.use(NotificationSettings(webhooks=hooks, retry_seconds=0.0, queue=3), {"SECRET": SECRET.encode()})
            for number in range(5):  # before any task runs: the queue holds three
                webhooks.send(happening("node.lost" if number % 2 else "line.formed", number=number))
            webhooks.send(happening("line.formed", room="other"))
            webhooks.send(happening("line.formed", room=None))

            async def all_settled() -> bool:
                return len(receiver.taken) == 3 and result(registry, "failed") == 3

            await wait_until(all_settled, "the server that is there has its messages, the others failed")
            assert result(registry, "dropped") >= 4
            assert [each["room"] for each in receiver.taken] == ["checkout", "checkout", None]


async def test_a_sale_as_a_receiver_is_told_of_it(tmp_path: Path) -> None:
    receiver = Receiver(503)
    async with running_upstream(receiver.handle) as url:
        hooks = {"webhooks": [{"url": url, "secret_env": "HOOK_SECRET"}], "line_formed_visitors": 3}
        room = {"capacity": {"admissions_per_second": 50.0}}
        os.environ["HOOK_SECRET"] = SECRET
        try:
            async with whole_edge(tmp_path, room=room, notifications={**hooks, "cooldown_seconds": 0.0}) as edge:

                async def is_told(event: str) -> None:
                    async def told() -> bool:
                        return event in receiver.events()

                    await wait_until(told, f"the receiver is told {event}, not only {receiver.events()}")

                async def change(**changes: Any) -> None:
                    address = f"{edge.running.admin}/v1/rooms/checkout"
                    async with aiohttp.ClientSession() as session, session.patch(address, json=changes) as answer:
                        assert answer.status == 200

                async def is_watched() -> bool:
                    return (await edge.metrics()).get('stanchion_notifications_total{result="delivered"}') is not None

                await wait_until(is_watched, "the edge looks")
                await asyncio.sleep(1.5)  # a look, so that the room is known as open
                await change(mode="hold", reason="bank is down")
                await is_told("room.hold")
                visitors = [Visitor(edge) for _ in range(6)]

                async def line_is_told() -> bool:
                    for visitor in visitors:
                        await visitor.ask()
                    return "line.formed" in receiver.events()

                await wait_until(line_is_told, "the receiver is told that a line has formed")
                victim, *_ = await edge.running.worker_pids()
                os.kill(victim, signal.SIGKILL)
                await is_told("node.lost")
                await is_told("node.back")
                await change(mode="open")
                await is_told("room.open")
                counts = await edge.metrics()
                assert counts['stanchion_notifications_total{result="retried"}'] >= 1
        finally:
            del os.environ["HOOK_SECRET"]
    held = next(document for document in receiver.taken if document["event"] == "room.hold")
    assert held["details"] == {"reason": "bank is down"}
    assert all(is_genuine for _, is_genuine in receiver.attempts)


def test_check_and_run_name_a_missing_secret_and_a_wrong_room(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STANCHION_KEYS", "x" * 32)
    file = tmp_path / "edge.yaml"
    text = (
        "secret_keys_env: STANCHION_KEYS\nupstream: {url: 'http://127.0.0.1:9'}\n"
        "notifications: {webhooks: [{url: '%s', secret_env: HOOK_SECRET, rooms: [%s], events: [%s]}]}\n"
        "rooms: [{name: checkout, match: {paths: ['/c']}, capacity: {admissions_per_second: 1}}]\n"
    )
    file.write_text(text % ("https://a.example/x", "checkout", "line.formed"))
    assert main(["check", "--offline", str(file)]) == 0
    assert "notifications.webhooks[0].secret_env: the environment variable HOOK_SECRET" in capsys.readouterr().err
    assert main(["run", str(file)]) == 2
    assert "HOOK_SECRET must hold at least 16" in capsys.readouterr().err
    for url, rooms, event, fault in (
        ("https://a.example", "chekout", "line.formed", "there is no room 'chekout'"),
        ("ftp://a.example", "checkout", "line.formed", "must look like https://HOST/PATH"),
        ("https://u:p@a.example", "checkout", "line.formed", "must hold no user"),
        ("https://a.example", "checkout", "line.made", "notifications.webhooks[0].events[0]"),
    ):
        file.write_text(text % (url, rooms, event))
        assert main(["check", "--offline", str(file)]) == 2
        assert fault in capsys.readouterr().err
