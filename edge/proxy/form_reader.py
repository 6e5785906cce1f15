"""A form of a waiting visitor: its body is read before the answer, so that the edge can keep it.

POST, the visitor waits -> read the body, at its minimum rate -> SentForm -> the decision's answer
                            '-> too long: the answer without it; the rest is read and dropped
"""

from typing import Final

from edge.messages.verdict import Answer, SentForm, TakeForm
from edge.proxy.body import BodyFault, ChunkedBody
from edge.proxy.connection import Connection
from edge.proxy.parsed_head import ForwardMemo, ParsedHead
from edge.proxy.pending import Pending
from edge.proxy.request import CHUNKED
from edge.proxy.state import ProxyState
from edge.proxy.upload import Upload

__all__ = ["FormReader", "fields_of_form"]

#: The fields that belong to the body and to the page of a form, and not to the connection or the visitor.
_OF_A_FORM: Final = frozenset(
    (b"content-type", b"content-language", b"content-encoding", b"origin", b"referer", b"sec-fetch-site")
)


class FormReader(Pending):
    """A pending request without an upstream. `memo`: holds the head as the upstream would get it."""

    __slots__ = ("_connection", "_kept", "_memo", "_parsed", "_state", "_upload", "_verdict")

    def __init__(
        self, connection: Connection, state: ProxyState, parsed: ParsedHead, verdict: TakeForm, memo: ForwardMemo
    ) -> None:
        self._connection = connection
        self._state = state
        self._parsed = parsed
        self._verdict = verdict
        self._memo = memo
        self._upload = Upload(connection, state, parsed.framing, verdict.most)
        if parsed.framing.length == CHUNKED:
            self._upload.body = ChunkedBody(chunked=False, most=verdict.most)  # it is sent with its length
        self._kept: list[bytes] = []
        self.is_over = self.is_request_done = False

    def __repr__(self) -> str:
        return f"<FormReader of {self._connection.peer}, {sum(map(len, self._kept))} bytes>"

    def start(self, data: bytes) -> bytes:
        """Begin with the bytes behind the head; return those behind the body."""
        if data:
            return self.receive(data)
        if self._parsed.framing.expects_continue:
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return b""

    def receive(self, data: bytes) -> bytes:
        if self.is_over:
            return data
        upload = self._upload
        try:
            self._kept.append(upload.feed(data, is_timed=True))
        except BodyFault as fault:
            self.is_over = True
            if fault.status == 413:
                self._answer(self._verdict.then(None), keep_alive=False)
            else:
                self._connection.refuse(fault.status, str(fault))
            return b""
        if not upload.body.is_done:
            return b""
        self.is_over = self.is_request_done = True
        rest = upload.body.rest
        sent = SentForm(fields_of_form(self._memo.upstream_head), b"".join(self._kept))
        self._answer(self._verdict.then(sent), keep_alive=self._parsed.framing.keep_alive)
        return rest

    def _answer(self, answer: Answer, *, keep_alive: bool) -> None:
        head = self._parsed.context.head
        size = len(answer.body)
        self._state.watcher.record(head, answer.outcome, answer.status, size, 0.0, to_upstream=False)
        self._connection.answer_instead(answer, self._parsed, keep_alive=keep_alive)

    def abandon(self, outcome: str = "abandoned") -> None:  # noqa: ARG002
        """The visitor has left. A form that did not arrive whole is not kept."""
        self.is_over = True

    def expire(self) -> None:
        self.is_over = True
        self._connection.refuse(408, "the request took too long to arrive")

    def client_is_full(self) -> None:
        """Nothing is being written for this request."""

    def client_can_take(self) -> None:
        """Nothing is being written for this request."""


def fields_of_form(head: bytes) -> tuple[tuple[bytes, bytes], ...]:
    """Return the fields of a rendered head that belong to its form. The first line is the request line."""
    fields = []
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b": ")
        if name.lower() in _OF_A_FORM:
            fields.append((name, value))
    return tuple(fields)
