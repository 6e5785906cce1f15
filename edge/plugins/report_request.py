"""A report while its body arrives: its connection collects the body and answers when it is whole."""

import asyncio
from collections.abc import Callable

from edge.messages.verdict import Answer
from edge.plugins.report import MOST_BYTES
from edge.proxy.body import Body, BodyFault, ChunkedBody, SizedBody
from edge.proxy.connection import Connection
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.pending import Pending
from edge.proxy.request import CHUNKED

__all__ = ["ReportRequest"]


class ReportRequest(Pending):
    """take(body): take in the reports; return the answer."""

    __slots__ = ("_body", "_connection", "_parsed", "_parts", "_size", "_take")

    def __init__(self, connection: Connection, parsed: ParsedHead, take: Callable[[bytes], Answer]) -> None:
        self._connection = connection
        self._parsed = parsed
        self._take = take
        self._parts: list[bytes] = []
        self._size = 0
        framing = parsed.framing
        self._body: Body = (
            ChunkedBody(chunked=False, most=MOST_BYTES, keeps_trailers=False)
            if framing.length == CHUNKED
            else SizedBody(framing.length)
        )
        self.is_over = False
        self.is_request_done = framing.length == 0

    def receive(self, data: bytes) -> bytes:
        try:
            part = self._body.feed(data)
        except BodyFault as fault:
            self._refuse(fault.status, str(fault))
            return b""
        self._size += len(part)
        if self._size > MOST_BYTES:
            self._refuse(413, f"a report may have {MOST_BYTES} bytes: send several")
            return b""
        self._parts.append(part)
        if self._body.is_done:
            self.finish_soon()
        return self._body.rest

    def finish_soon(self) -> None:
        """The body is whole. Answer in the next turn, when the connection has kept the bytes behind it."""
        self.is_request_done = True
        asyncio.get_running_loop().call_soon(self._finish)

    def _finish(self) -> None:
        if self.is_over:
            return
        self.is_over = True
        answer = self._take(b"".join(self._parts))
        self._connection.answer_instead(answer, self._parsed, keep_alive=self._parsed.framing.keep_alive)

    def abandon(self, outcome: str = "abandoned") -> None:  # noqa: ARG002
        self.is_over = True

    def expire(self) -> None:
        self._refuse(408, "the report took too long to arrive")

    def client_is_full(self) -> None:
        """Nothing is being written for this request."""

    def client_can_take(self) -> None:
        """Nothing is being written for this request."""

    def _refuse(self, status: int, detail: str) -> None:
        self.is_over = True
        self._connection.refuse(status, detail)
