"""One visitor's connection as requests: heads come in, each gets a verdict, responses go out in the order of requests.

    data -> whole head? -> ParsedHead -> decide -> Answer:    written; on to the next head
                                               '-> Forward:   an Exchange owns the connection until it is over
                                               '-> Deferred:  a DeferredRequest does, until the verdict is there

Where nothing has to be waited for, all of it happens in one call, without a task or future. While a request is pending,
the bytes behind it are kept and served after it (`connection.py`).
"""

from edge.messages.refusal import Refusal
from edge.messages.verdict import Answer, Deferred, Forward, SentForm, TakeForm, Verdict
from edge.proxy.answering import Answering
from edge.proxy.connection import Predecessor
from edge.proxy.deferred import DeferredRequest
from edge.proxy.exchange import Exchange
from edge.proxy.form_reader import FormReader, fields_of_form
from edge.proxy.parsed_head import ParsedHead
from edge.proxy.pending import Pending
from edge.proxy.request import end_of_head
from edge.proxy.response_writer import connection_field
from edge.proxy.state import ProxyState

__all__ = ["Client"]

#: What a connection without a pending request does: idle since its last response, receiving a head, idle for longer.
IDLE, IN_HEAD, LONG_IDLE = range(3)
#: Parking (controller's `PARKED_MOST_S`) and a redemption check (`PATIENCE_S`) together take about half of this.
VERDICT_S = 10.0


class Client(Answering):
    __slots__ = ("_pending", "_stage")

    def __init__(self, state: ProxyState, *, is_secure: bool = False, greeting: Predecessor | None = None) -> None:
        super().__init__(state, is_secure=is_secure, greeting=greeting)
        self._pending: Pending | None = None
        self._stage = LONG_IDLE

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
                if pending.is_over and not self._is_ending:
                    self._continue()
        elif self._is_ending:
            self._drop(data)
        elif self.is_full:
            self._keep(data)
        else:
            unwanted = self._unwanted
            if unwanted is not None:
                data = unwanted.skip(data)
                self.deadline = unwanted.due
                if unwanted.is_over:
                    self._unwanted = None
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

    def finished(self, *, keep_alive: bool) -> None:
        pending, self._pending = self._pending, None
        if not keep_alive:
            is_unread = pending is not None and not pending.is_request_done
            self._end(gently=pending is None or is_unread, reads_body=is_unread)
        elif self._pipelined or self.is_full or self._is_paused or self._has_eof:
            self._continue()
        else:
            self._wait_for_next()

    def answer_instead(self, answer: Answer, parsed: ParsedHead, *, keep_alive: bool) -> None:
        is_unread = self._pending is not None and not self._pending.is_request_done
        self._drop_pending()
        keep_alive = keep_alive and self.may_continue
        self.transport.write(self._rendered(answer, parsed, keep_alive=keep_alive))
        if keep_alive:
            self._continue()
        else:
            self._end(gently=True, reads_body=is_unread)

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
        self._end(gently=True, reads_body=status == 413)

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
        elif isinstance(verdict, TakeForm):
            self.resume_reading()
            self._take_form(parsed, verdict, raw, data)
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
        elif self._stage != IDLE or self._unwanted is not None or self._state.is_draining or not self._extend_idle():
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
            is_whole = data[-4:] == b"\r\n\r\n"
            parsed = head_cache.heads.get(data) if is_whole else None
            if parsed is not None and parsed.peer != peer:
                parsed = None
            if parsed is None and is_whole and len(data) <= state.limits.head_bytes:
                parsed = head_cache.known(data, peer)
            if parsed is not None:
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
            if type(verdict) is TakeForm:
                self._take_form(parsed, verdict, raw, data)
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
            known = self._head_cache.known(raw, self.peer) if data else None
            found = known or self._head_cache.read(raw, self.peer)
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

    def _take_form(self, parsed: ParsedHead, verdict: TakeForm, raw: bytes, data: bytes) -> None:
        """Read the form before the answer, unless it is empty or too long; `data` are the bytes behind the head."""
        state, length = self._state, parsed.framing.length
        memo = parsed.memo or self._head_cache.forward_memo(parsed, raw)
        if length == 0 or length > verdict.most:
            sent = None if length else SentForm(fields_of_form(memo.upstream_head), b"")
            data = self._answer(verdict.then(sent), parsed, data)
            if data and not self._is_ending:
                self._serve(data)
            return
        self._pending = reader = FormReader(self, state, parsed, verdict, memo)
        pipelined = reader.start(data)
        if pipelined:
            self._keep(pipelined)
            if reader.is_over and not self._is_ending:
                self._continue()

    def _forward(self, parsed: ParsedHead, forward: Forward, raw: bytes, data: bytes) -> None:
        state = self._state
        memo = parsed.memo or self._head_cache.forward_memo(parsed, raw)
        if memo.forward is not forward:
            memo.render(forward)
        self._pending = exchange = Exchange(self, state, parsed, forward, memo)
        pipelined = exchange.start(data)
        if pipelined:
            self._keep(pipelined)

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
