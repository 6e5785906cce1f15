"""One visitor's connection as requests: heads come in, each gets a verdict, responses go out in the order of requests.

    data -> whole head? -> ParsedHead -> decide -> Answer:    written; on to the next head
                                               '-> Forward:   an Exchange owns the connection until it is over
                                               '-> Deferred:  a DeferredRequest does, until the verdict is there

Where nothing has to be waited for, all of it happens in one call, without a task or future. While a request is pending,
the bytes behind it are kept and served after it (`connection.py`).

If the edge answers a request itself, nobody wants its body. A body of up to SKIP_BYTES is skipped; a longer one ends
the connection, gently.
"""

from edge.messages.refusal import Refusal
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.proxy.connection import Connection, Predecessor
from edge.proxy.deferred import DeferredRequest
from edge.proxy.exchange import Exchange
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.pending import Pending
from edge.proxy.request import end_of_head
from edge.proxy.response_writer import connection_field
from edge.proxy.state import ProxyState

__all__ = ["Client"]

#: What a connection without a pending request does: idle since its last response, receiving a head, idle for longer.
IDLE, IN_HEAD, LONG_IDLE = range(3)
#: A body of this size is skipped, because a new connection costs more (HAProxy and Envoy: what is in the buffer).
SKIP_BYTES = 65_536
#: Parking (controller's `PARKED_MOST_S`) and a redemption check (`PATIENCE_S`) together take about half of this.
VERDICT_S = 10.0


class Client(Connection):
    __slots__ = ("_pending", "_requests_left", "_skip", "_stage")

    def __init__(self, state: ProxyState, *, is_secure: bool = False, greeting: Predecessor | None = None) -> None:
        super().__init__(state, is_secure=is_secure, greeting=greeting)
        self._pending: Pending | None = None
        self._skip = 0
        """How many bytes of an unwanted body are still to come."""
        self._stage = LONG_IDLE
        self._requests_left = state.limits.requests_per_connection

    def __repr__(self) -> str:
        step = "pending" if self._pending else "ending" if self._is_ending else "reading"
        return f"<Client {self.peer} {step}, {len(self._pipelined)} bytes pipelined>"

    # From the event loop

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._is_ending = True
        self._state.connections.closed(self)
        pending, self._pending = self._pending, None
        if pending is not None:
            pending.abandon()

    def data_received(self, data: bytes) -> None:
        pending = self._pending
        if pending is not None:
            if not pending.is_request_done:
                data = pending.receive(data)
            if data:
                self._keep(data)
        elif self._is_ending:
            self._drop(data)
        elif self.is_full:
            self._keep(data)
        else:
            if self._skip:
                skipped = min(self._skip, len(data))
                self._skip -= skipped
                data = data[skipped:]
                if not self._skip:
                    self._wait_for_next()
            elif self._pipelined:
                data = self._pipelined + data
                self._pipelined = b""
            self._serve(data)

    def eof_received(self) -> bool:
        """The visitor has finished writing. Whether they still read cannot be known; a whole request is answered."""
        pending = self._pending
        self._has_eof = self._state.limits.serve_half_closed and pending is not None and pending.is_request_done
        return self._has_eof

    def pause_writing(self) -> None:
        self.is_full = True
        if self._pending is not None:
            self._pending.client_is_full()
        else:
            self.deadline = self._state.now + self._state.limits.write_s
            self.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        if self._pending is not None:
            self._pending.client_can_take()
        elif not self._is_ending:
            self._continue()

    # From the pending request

    @property
    def may_continue(self) -> bool:
        return self._requests_left > 0 and not self._state.is_draining

    def finished(self, *, keep_alive: bool) -> None:
        pending, self._pending = self._pending, None
        if not keep_alive:
            self._end(gently=pending is None or not pending.is_request_done)
        elif self._pipelined or self.is_full or self._is_paused or self._has_eof:
            self._continue()
        else:
            self._wait_for_next()

    def answer_instead(self, answer: Answer, parsed: ParsedHead, *, keep_alive: bool) -> None:
        self._drop_pending()
        keep_alive = keep_alive and self.may_continue
        self.transport.write(self._rendered(answer, parsed, keep_alive=keep_alive))
        if keep_alive:
            self._continue()
        else:
            self._end(gently=True)

    def refuse(
        self, status: int, detail: str, *, is_recorded: bool = False, wants_page: bool = False, is_head: bool = False
    ) -> None:
        self._drop_pending()
        state = self._state
        answer = state.decider.refused(status, detail, wants_page=wants_page)
        connection = connection_field(keep_alive=False, is_http10=False)
        written = state.writer.write(answer, state.date, connection, is_head=is_head)
        self.transport.write(written)
        if not is_recorded:
            state.watcher.record(None, answer.outcome, status, len(written), 0.0, to_upstream=False)
        self._end(gently=True)

    def detach(self) -> bytes:
        self._drop_pending()
        pipelined, self._pipelined = self._pipelined, b""
        return pipelined

    def settled(self, parsed: ParsedHead, verdict: Verdict, raw: bytes) -> None:
        self._pending = None
        data, self._pipelined = self._pipelined, b""
        if isinstance(verdict, Forward):
            self.resume_reading()
            self._forward(parsed, verdict, raw, data)
        elif isinstance(verdict, Deferred):
            self._defer(parsed, verdict, raw, data)
        else:
            self._pipelined = self._answer(verdict, parsed, data)
            if not self._is_ending:
                self._continue()

    def _drop_pending(self) -> None:
        self._pending = None
        self.resume_reading()

    # From the connection table

    def expire(self) -> None:
        if self._is_ending or self.is_full:
            if self._pending is not None:
                self._pending.abandon("unread")
            self.transport.abort()
        elif self._pending is not None:
            self._pending.expire()
        elif self._pipelined:
            self.refuse(408, "the request's head took too long")
        elif self.transport.get_write_buffer_size():
            # The last response was not taken.
            self.transport.abort()
        elif self._stage != IDLE or self._skip or self._state.is_draining or not self._extend_idle():
            self._end(gently=False, is_idle=True)
        else:
            self._stage = LONG_IDLE

    def drain(self) -> None:
        if self._pending is None and not self._is_ending:
            self.deadline = min(self.deadline, self._state.now + self._state.last_word_s)

    # Requests

    def _serve(self, data: bytes) -> None:
        """Serve the heads in `data`, in order, until one has to wait."""
        state, peer = self._state, self.peer
        head_cache, decider = self._head_cache, state.decider
        now = state.clock()
        while data:
            # Only a packet that is one head is looked for as it is: hashing one with a body behind it would be in vain.
            parsed = head_cache.heads.get(data) if data[-4:] == b"\r\n\r\n" else None
            if parsed is not None and parsed.peer == peer:
                raw, data = data, b""
            else:
                read = self._read(data)
                if read is None:
                    return
                parsed, raw, data = read
            verdict = decider.decide(parsed.context, now, state.uniform())
            self._stage = IDLE
            self._requests_left -= 1
            if type(verdict) is Forward:
                self._forward(parsed, verdict, raw, data)
                return
            if type(verdict) is Deferred:
                self._defer(parsed, verdict, raw, data)
                return
            data = self._answer(verdict, parsed, data)

    def _read(self, data: bytes) -> tuple[ParsedHead, bytes, bytes] | None:
        """Return the first head of `data`, its bytes, and the bytes behind it; None if it cannot be served now."""
        state = self._state
        # An empty line before a request is tolerated (RFC 9112, 2.2).
        is_cut = data[:2] == b"\r\n"
        if is_cut:
            data = data[2:]
        end = end_of_head(data, state.limits.head_bytes)
        if isinstance(end, Refusal):
            self.refuse(end.status, end.detail)
            return None
        if not end:
            self._wait_for_more(data)
            return None
        parsed: ParsedHead | None = None
        if not is_cut and end == len(data):
            # The caller has just looked for these bytes. A slice would have to be hashed again.
            raw, data = data, b""
        else:
            raw, data = data[:end], data[end:]
            parsed = self._head_cache.heads.get(raw)
        if parsed is None or parsed.peer != self.peer:
            found = self._head_cache.read(raw, self.peer)
            if isinstance(found, Refusal):
                self.refuse(found.status, found.detail, is_head=raw.startswith(b"HEAD "))
                return None
            parsed = found
        return parsed, raw, data

    def _wait_for_more(self, data: bytes) -> None:
        """Keep the beginning of a head. The rest must come within `limits.head_seconds`."""
        self._pipelined = data
        if self._stage != IN_HEAD:
            self._stage = IN_HEAD
            self.deadline = self._state.now + self._state.limits.head_s

    def _defer(self, parsed: ParsedHead, verdict: Deferred, raw: bytes, data: bytes) -> None:
        """Wait for the verdict; `data`, the bytes behind the head, is kept."""
        if data:
            self._keep(data)
        self._pending = deferred = DeferredRequest(self, parsed, raw)
        self.deadline = self._state.now + VERDICT_S
        deferred.start(verdict)

    def _forward(self, parsed: ParsedHead, forward: Forward, raw: bytes, data: bytes) -> None:
        state = self._state
        memo = parsed.memo or self._head_cache.forward_memo(parsed, raw)
        if memo.forward is not forward:
            memo.render(forward)
        self._pending = exchange = Exchange(self, state, parsed, forward, memo)
        pipelined = exchange.start(data)
        if pipelined:
            self._keep(pipelined)

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
        fits = 0 <= framing.length <= SKIP_BYTES
        keep_alive = framing.keep_alive and fits and not is_awaited and self.may_continue
        written = self._rendered(answer, parsed, keep_alive=keep_alive)
        state.watcher.record(parsed.context.head, answer.outcome, answer.status, len(written), 0.0, to_upstream=False)
        self.transport.write(written)
        if not keep_alive:
            self._end(gently=bool(data) or framing.length != 0)
            return b""
        self._wait_for_next()
        self._skip = max(0, framing.length - len(data))
        if self._skip:
            self.deadline = state.now + state.limits.body_s
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

    def _continue(self) -> None:
        """Serve the bytes that came meanwhile, and wait for more if more can come."""
        self._wait_for_next()
        # The visitor has not taken the last response: the next request waits until they have.
        if self.is_full:
            self.deadline = self._state.now + self._state.limits.write_s
            return
        data, self._pipelined = self._pipelined, b""
        self.resume_reading()
        if data:
            self._serve(data)
        if self._has_eof and self._pending is None and not self._is_ending:
            self._end(gently=False)
