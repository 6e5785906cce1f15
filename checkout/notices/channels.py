"""The ways by which a notice leaves the shop: e-mail by SMTP, and a signed webhook.

SMTP      one connection a notice. Until the text is handed over, every fault can be repeated. After that only the
          server's answer tells; without one, nobody knows, and the notice is never sent again (RFC 5321, 4.5.3.2.6
          names this case). The Message-ID is made from the key.
webhook   POST with `Shop-Delivery`, the same at each attempt: the receiver ignores the second one.
          `Shop-Signature: v1=HEX`, HMAC-SHA256 with the secret over TIMESTAMP.BODY, as the edge signs
"""

import asyncio
import hashlib
import hmac
import json
import re
import smtplib
import ssl
import time
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable
from email import policy
from email.message import EmailMessage
from email.utils import formatdate

from aiohttp import ClientError, ClientSession, ClientTimeout

from checkout.notices.notice import Notice

TIMEOUT_S = 20.0
WIRE = policy.SMTP.clone(cte_type="7bit")

HandOver = Callable[[], Awaitable[None]]


class NotNow(Exception):
    """The notice surely did not arrive, and may be sent again."""


class Refused(Exception):
    """The receiver will never take this notice."""


class Unsure(Exception):
    """The notice was handed over, and nobody knows whether it arrived."""


class Channel(ABC):
    """One way to send. name: as in the outbox."""

    name: str

    @abstractmethod
    def wants(self, notice: Notice, /) -> bool:
        """Return whether this channel can reach the visitor."""

    @abstractmethod
    async def send(self, notice: Notice, hand_over: HandOver, /) -> None:
        """Send a notice. Raises `NotNow`, `Refused` and `Unsure`.

        hand_over: called when from now on a fault leaves the result unknown.
        """


class Smtp(Channel):
    """security: `none`, `starttls` or `tls`. user: empty if the server needs no log-in."""

    name = "email"

    def __init__(self, host: str, port: int, sender: str, security: str, user: str, password: str) -> None:
        self._host = host
        self._port = port
        self._sender = sender
        self._security = security
        self._user = user
        self._password = password

    def wants(self, notice: Notice) -> bool:
        return bool(notice.address)

    async def send(self, notice: Notice, hand_over: HandOver) -> None:
        loop = asyncio.get_running_loop()

        def told() -> None:
            asyncio.run_coroutine_threadsafe(_call(hand_over), loop).result(TIMEOUT_S)

        await asyncio.to_thread(self._send, notice, told)

    def _send(self, notice: Notice, hand_over: Callable[[], None]) -> None:
        try:
            server = self._connect()
        except (OSError, smtplib.SMTPException) as error:
            raise NotNow(f"{self._host}:{self._port}: {error}") from error
        try:
            self._log_in(server)
            _require(server.mail(self._sender))
            _require(server.rcpt(notice.address))
            _require(server.docmd("DATA"), 354)
            hand_over()
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise NotNow(f"{self._host}:{self._port}: {error}") from error
        except BaseException:
            server.close()
            raise
        try:
            server.send(_transparent(self._message(notice).as_bytes(policy=WIRE)))
            reply = server.getreply()
        except (OSError, smtplib.SMTPException) as error:
            server.close()
            raise Unsure(f"{self._host}:{self._port}: {error}") from error
        server.close()
        _require(reply)

    def _connect(self) -> smtplib.SMTP:
        if self._security == "tls":
            return smtplib.SMTP_SSL(self._host, self._port, timeout=TIMEOUT_S, context=ssl.create_default_context())
        return smtplib.SMTP(self._host, self._port, timeout=TIMEOUT_S)

    def _log_in(self, server: smtplib.SMTP) -> None:
        server.ehlo_or_helo_if_needed()
        if self._security == "starttls":
            server.starttls(context=ssl.create_default_context())
        if self._user:
            server.login(self._user, self._password)

    def _message(self, notice: Notice) -> EmailMessage:
        message = EmailMessage()
        message["From"], message["To"], message["Subject"] = self._sender, notice.address, notice.subject
        message["Date"] = formatdate()
        digest = hashlib.sha256(notice.key.encode()).hexdigest()[:32]
        message["Message-ID"] = f"<{digest}@{self._sender.rpartition('@')[2]}>"
        message["Auto-Submitted"] = "auto-generated"
        message.set_content(notice.text)
        return message


class Webhook(Channel):
    """One server that gets every notice, for apps and other ways of the operator."""

    name = "webhook"

    def __init__(self, session: ClientSession, url: str, secret: str) -> None:
        self._session = session
        self._url = url
        self._secret = secret.encode()

    def wants(self, _notice: Notice) -> bool:
        return True

    async def send(self, notice: Notice, _hand_over: HandOver) -> None:
        document = {name: getattr(notice, name) for name in ("kind", "sale", "user", "address", "subject", "text")}
        body = json.dumps({"key": notice.key, **document}).encode()
        sent_at = str(int(time.time()))
        headers = {
            "Content-Type": "application/json",
            "Shop-Delivery": hashlib.sha256(notice.key.encode()).hexdigest()[:32],
            "Shop-Timestamp": sent_at,
            "Shop-Signature": signature(self._secret, sent_at, body),
        }
        timeout = ClientTimeout(total=TIMEOUT_S)
        try:
            async with self._session.post(
                self._url, data=body, headers=headers, timeout=timeout, allow_redirects=False
            ) as answer:
                status = answer.status
        except (ClientError, TimeoutError, OSError) as error:
            raise NotNow(f"the webhook did not answer: {str(error) or type(error).__name__}") from error
        if status == 410:
            raise Refused("the webhook answered 410")
        if not 200 <= status < 300:
            raise NotNow(f"the webhook answered {status}")


def signature(secret: bytes, sent_at: str, body: bytes) -> str:
    """Return the value of `Shop-Signature`, and of the edge's `Stanchion-Signature`."""
    return "v1=" + hmac.new(secret, b"%b.%b" % (sent_at.encode(), body), hashlib.sha256).hexdigest()


async def _call(hand_over: HandOver) -> None:
    await hand_over()


def _transparent(body: bytes) -> bytes:
    """Return a text as it follows DATA: dots doubled at the start of lines, and the end (RFC 5321, 4.5.2)."""
    return re.sub(rb"(?m)^\.", b"..", body.removesuffix(b"\r\n") + b"\r\n") + b".\r\n"


def _require(reply: tuple[int, bytes], expected: int = 250) -> None:
    """Raise unless the server's reply is the expected one: 5xx is for ever, everything else is for now."""
    code, text = reply
    if code == expected or (expected == 250 and code == 251):
        return
    message = f"{code} {text.decode(errors='replace')}".splitlines()[0]
    if 500 <= code < 600:
        raise Refused(message)
    raise NotNow(message)
