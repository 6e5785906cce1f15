"""A real mail server for tests: aiosmtpd on a free port. It keeps what it takes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from email import message_from_bytes, policy
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP


class MailServer:
    """`mails` is what was accepted. `answers`: replies to the next texts, before it accepts again."""

    def __init__(self) -> None:
        self.mails: list[EmailMessage] = []
        self.answers: list[str] = []
        self.refused: set[str] = set()
        self.texts = 0

    async def handle_RCPT(self, _server: Any, _session: Any, envelope: Any, address: str, _options: Any) -> str:
        if address in self.refused:
            return "550 no such mailbox"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:
        self.texts += 1
        answer = self.answers.pop(0) if self.answers else "250 OK"
        if answer.startswith(("250", "cut")):
            mail = message_from_bytes(envelope.content, policy=policy.default)
            assert isinstance(mail, EmailMessage)
            self.mails.append(mail)
        if answer == "cut":  # accepted, and the connection breaks before the client knows
            server.transport.abort()
            await asyncio.sleep(0)
            return "421 gone"
        return answer


@asynccontextmanager
async def mail_server() -> AsyncIterator[tuple[MailServer, str]]:
    """Yield the server and its HOST:PORT."""
    handler = MailServer()
    sessions: list[SMTP] = []

    def session() -> SMTP:
        sessions.append(SMTP(handler, hostname="mail.test"))
        return sessions[-1]

    server = await asyncio.get_running_loop().create_server(session, "127.0.0.1", 0)
    try:
        yield handler, f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for each in sessions:
            if each.transport is not None:
                each.transport.abort()
        async with asyncio.timeout(10):
            while any(each.transport is not None for each in sessions):
                await asyncio.sleep(0.01)
