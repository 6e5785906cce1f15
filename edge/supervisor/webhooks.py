"""Delivers messages to the servers that `notifications.webhooks` names: signed, in order, with retries.

    POST, Content-Type: application/json
    Stanchion-Event: line.formed
    Stanchion-Delivery: 4f1c...           of the message; the same at each attempt
    Stanchion-Timestamp: 1796061032       of the attempt, seconds since 1970
    Stanchion-Signature: v1=HEX           HMAC-SHA256 with the secret over TIMESTAMP.BODY

Each server has a queue and is sent one message at a time. A message that is not answered with a 2xx is sent again after
1, 2, 4, ... 60 s, until `retry_seconds` are over. If the queue is full, its oldest message is dropped.
"""

import asyncio
import hashlib
import hmac
import json
import logging
import secrets
import time
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

import aiohttp
from prometheus_client import CollectorRegistry, Counter, Gauge

from edge.operations.logs import facts
from edge.settings.model import Settings
from edge.settings.watching import NotificationSettings, WebhookSettings
from edge.supervisor.happenings import Happening
from edge.support.build import VERSION
from edge.support.errors import ConfigurationError, SettingFault
from waiting_room.status import timestamp

__all__ = ["Webhooks", "read_webhook_secrets", "signature"]

log = logging.getLogger("edge.notifications")

LEAST_SECRET = 16
LONGEST_PAUSE_S = 60.0


def read_webhook_secrets(settings: Settings, environment: Mapping[str, str]) -> dict[str, bytes]:
    """Return the secrets by the names of their variables. Raises ConfigurationError that names every one missing."""
    found: dict[str, bytes] = {}
    faults = []
    for at, webhook in enumerate(settings.notifications.webhooks):
        secret = environment.get(webhook.secret_env, "").strip()
        if len(secret) < LEAST_SECRET or not secret.isascii():
            text = (
                f"the environment variable {webhook.secret_env} must hold at least {LEAST_SECRET} ASCII characters;"
                " make a secret with: stanchion keygen"
            )
            faults.append(SettingFault(f"notifications.webhooks[{at}].secret_env", text))
        found[webhook.secret_env] = secret.encode()
    if faults:
        raise ConfigurationError("the secrets of webhooks", faults)
    return found


def signature(secret: bytes, sent_at: int, body: bytes) -> str:
    """Return the value of `Stanchion-Signature`. sent_at: of `Stanchion-Timestamp`."""
    return "v1=" + hmac.new(secret, b"%d.%b" % (sent_at, body), hashlib.sha256).hexdigest()


class Webhooks:
    """Of one supervisor. machine: this machine's name, for the messages."""

    def __init__(self, machine: str, registry: CollectorRegistry) -> None:
        self._machine = machine
        self._wanted = NotificationSettings()
        self._secrets: Mapping[str, bytes] = {}
        self._queues: dict[str, _WebhookQueue] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._results = Counter(
            "stanchion_notifications", "Messages to webhooks by result.", ["result"], registry=registry
        )
        for result in ("delivered", "failed", "dropped", "retried"):
            self._results.labels(result)
        self._queued = Gauge("stanchion_notifications_queued", "Messages to webhooks that wait.", registry=registry)

    def __repr__(self) -> str:
        return f"<Webhooks {list(self._queues.values())}>"

    def use(self, wanted: NotificationSettings, secrets_by_name: Mapping[str, bytes]) -> None:
        """Follow these settings. Messages that wait for a server that is still named stay."""
        self._wanted, self._secrets = wanted, secrets_by_name
        named = {webhook.url: webhook for webhook in wanted.webhooks}
        for gone in self._queues.keys() - named.keys():
            del self._queues[gone]
            if (task := self._tasks.pop(gone, None)) is not None:
                task.cancel()
        for url, webhook in named.items():
            queue = self._queues.setdefault(url, _WebhookQueue())
            queue.webhook = webhook

    def send(self, happening: Happening) -> None:
        """Queue a message to every server that wants it."""
        for queue in self._queues.values():
            if not queue.wants(happening):
                continue
            if len(queue.waiting) >= self._wanted.queue:
                queue.waiting.popleft()
                self._results.labels("dropped").inc()
            queue.waiting.append(_Message(happening.event, secrets.token_hex(12), self._body(happening)))
            queue.has_more.set()
        self._count()

    async def run(self) -> None:
        """Deliver until cancelled."""
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as group:
            while True:
                for url, queue in self._queues.items():
                    if url not in self._tasks:
                        self._tasks[url] = group.create_task(self._deliver_all(session, queue))
                await asyncio.sleep(0.2)

    def _body(self, happening: Happening) -> bytes:
        document = {
            "event": happening.event,
            "room": happening.room,
            "time": timestamp(happening.at_s),
            "text": happening.text,
            "machine": self._machine,
            "details": dict(happening.details),
        }
        return json.dumps(document).encode()

    def _count(self) -> None:
        self._queued.set(sum(len(queue.waiting) for queue in self._queues.values()))

    async def _deliver_all(self, session: aiohttp.ClientSession, queue: "_WebhookQueue") -> None:
        while True:
            await queue.has_more.wait()
            queue.has_more.clear()
            while queue.waiting:
                message = queue.waiting.popleft()
                is_delivered = await self._deliver(session, queue, message)
                self._results.labels("delivered" if is_delivered else "failed").inc()
                self._count()

    async def _deliver(self, session: aiohttp.ClientSession, queue: "_WebhookQueue", message: "_Message") -> bool:
        """Send a message until it is taken or its time is over. Return whether it was taken."""
        ends_at, pause_s = time.monotonic() + self._wanted.retry_seconds, 1.0
        while True:
            fault = await self._attempt(session, queue, message)
            if fault is None:
                if queue.has_failed:
                    log.info("a webhook takes messages again", extra=facts(webhook=queue.shown))
                queue.has_failed = False
                return True
            if not queue.has_failed:
                queue.has_failed = True
                log.warning("a webhook does not take messages: %s", fault, extra=facts(webhook=queue.shown))
            if time.monotonic() + pause_s > ends_at:
                return False
            self._results.labels("retried").inc()
            await asyncio.sleep(pause_s)
            pause_s = min(2.0 * pause_s, LONGEST_PAUSE_S)

    async def _attempt(self, session: aiohttp.ClientSession, queue: "_WebhookQueue", message: "_Message") -> str | None:
        """Send a message once. Return what went wrong, None if it was taken."""
        webhook, sent_at = queue.webhook, int(time.time())
        assert webhook is not None
        headers = {
            "Content-Type": "application/json",
            "User-Agent": f"stanchion/{VERSION}",
            "Stanchion-Event": message.event,
            "Stanchion-Delivery": message.ident,
            "Stanchion-Timestamp": str(sent_at),
            "Stanchion-Signature": signature(self._secrets[webhook.secret_env], sent_at, message.body),
        }
        timeout = aiohttp.ClientTimeout(total=self._wanted.timeout_seconds)
        try:
            async with session.post(
                webhook.url, data=message.body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                return None if 200 <= answer.status < 300 else f"it answered {answer.status}"
        except (aiohttp.ClientError, TimeoutError, OSError) as fault:
            return f"{type(fault).__name__}: {fault}".rstrip(": ")


class _Message:
    __slots__ = ("body", "event", "ident")

    def __init__(self, event: str, ident: str, body: bytes) -> None:
        self.event, self.ident, self.body = event, ident, body


class _WebhookQueue:
    """The messages to one server."""

    def __init__(self) -> None:
        self.webhook: WebhookSettings | None = None
        self.waiting: deque[_Message] = deque()
        self.has_more = asyncio.Event()
        self.has_failed = False

    def __repr__(self) -> str:
        return f"<to {self.shown}, {len(self.waiting)} waiting>"

    @property
    def shown(self) -> str:
        """The server without path and query, which may hold a secret."""
        return "nothing" if self.webhook is None else f"{urlsplit(self.webhook.url).hostname}"

    def wants(self, happening: Happening) -> bool:
        webhook = self.webhook
        if webhook is None or (webhook.events and happening.event not in webhook.events):
            return False
        return happening.room is None or not webhook.rooms or happening.room in webhook.rooms
