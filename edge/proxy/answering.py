"""How a connection writes the edge's own answers.

If the edge answers a request itself, nobody wants its body. It is skipped at its minimum rate, because many clients
read the response only after they have sent everything. A body without a known length, or a larger one than is allowed,
ends the connection, gently.
"""

from edge.messages.verdict import Answer
from edge.proxy.connection import Connection, Predecessor
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.response_writer import connection_field
from edge.proxy.state import ProxyState
from edge.proxy.unwanted_body import UnwantedBody

__all__ = ["Answering"]


class Answering(Connection):
    __slots__ = ("_requests_left", "_unwanted")

    def __init__(self, state: ProxyState, *, is_secure: bool = False, greeting: Predecessor | None = None) -> None:
        super().__init__(state, is_secure=is_secure, greeting=greeting)
        self._requests_left = state.limits.requests_per_connection
        self._unwanted: UnwantedBody | None = None
        """What is still to come of the body of a request that was answered."""

    @property
    def may_continue(self) -> bool:
        return self._requests_left > 0 and not self._state.is_draining

    def _answer(self, answer: Answer, parsed: ParsedHead, data: bytes) -> bytes:
        """Write an answer; return what is left of `data`, the bytes behind the head."""
        state = self._state
        if parsed.framing.is_plain and self._requests_left > 0 and not state.is_draining:
            written = state.writer.write(answer, state.date, b"")
            head = parsed.context.head
            state.watcher.record(head, answer.outcome, answer.status, len(written), 0.0, to_upstream=False)
            self.transport.write(written)
            self.deadline = state.now + state.limits.first_look_s
            return self._unless_full(data)
        return self._answer_special(answer, parsed, data)

    def _answer_special(self, answer: Answer, parsed: ParsedHead, data: bytes) -> bytes:
        """The same if the connection may end here, or if the request has a body."""
        state, framing = self._state, parsed.framing
        is_awaited = framing.expects_continue and not data
        fits = 0 <= framing.length <= state.limits.body_bytes
        keep_alive = framing.keep_alive and fits and not is_awaited and self.may_continue
        written = self._rendered(answer, parsed, keep_alive=keep_alive)
        state.watcher.record(parsed.context.head, answer.outcome, answer.status, len(written), 0.0, to_upstream=False)
        self.transport.write(written)
        if not keep_alive:
            self._end(gently=bool(data) or framing.length != 0, reads_body=framing.length != 0)
            return b""
        self._wait_for_next()
        if framing.length > len(data):
            self._unwanted = unwanted = UnwantedBody(state, framing.length - len(data))
            self.deadline = unwanted.due
        return self._unless_full(data[framing.length :])

    def _unless_full(self, data: bytes) -> bytes:
        """Return the bytes to serve next. If the visitor does not take the answer, keep them and return none."""
        if self.is_full and data:
            self._pipelined, data = data, b""
        return data

    def _rendered(self, answer: Answer, parsed: ParsedHead, *, keep_alive: bool) -> bytes:
        state = self._state
        connection = connection_field(keep_alive=keep_alive, is_http10=parsed.framing.is_http10)
        return state.writer.write(answer, state.date, connection, is_head=parsed.method == "HEAD")
