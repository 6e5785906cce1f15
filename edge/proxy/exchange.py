"""One forwarded request: the visitor's connection and the upstream's, coupled until the last byte of the response.

    visitor ---- request body ---->  upstream        each is read only as fast as the other takes it
            <----- response -------

What can go wrong, and what the visitor gets:

    no connection, or garbage before the response's head   502; 504 if there is neither in time
    the connection ends without a byte of a response       502, unless it is safe to send once more (GET, HEAD, OPTIONS)
    the response is cut short                              an abort; 502 if none of it was passed on
    the visitor leaves, or their body is faulty            the upstream's connection is aborted; 400, 408, 413
    the response comes before the body's end               the response, then the connection ends
    no server of the upstream is up                        503 with `Retry-After`, at once (`upstreams.py`)

A request without a connection was not sent: it goes to another server, whatever its method. A connection is taken when
the body came whole, or `body_buffer_bytes` of it (`upload.py`): so the edge itself answers `Expect: 100-continue`.
"""

from edge.messages.verdict import Forward
from edge.proxy.body import Body, BodyFault, EndlessBody, SizedBody
from edge.proxy.connection import Connection
from edge.proxy.hop_by_hop import asked_for
from edge.proxy.parsed_head import ForwardMemo, ParsedHead
from edge.proxy.private import carries_cookie, made_private
from edge.proxy.replayed import head_for
from edge.proxy.response import ResponseHead, body_of
from edge.proxy.response_writer import connection_field, render_again
from edge.proxy.route import Route
from edge.proxy.state import ProxyState
from edge.proxy.tunnel import Tunnel
from edge.proxy.upload import Upload, too_large
from edge.proxy.upstream import Upstream, UpstreamUser

__all__ = ["Exchange"]


class Exchange(UpstreamUser):
    __slots__ = (
        "_connection",
        "_forward",
        "_has_answered",
        "_head",
        "_keep_alive",
        "_parsed",
        "_response_keeps_alive",
        "_route",
        "_sent",
        "_state",
        "_status",
        "_upload",
        "_upstream",
        "_visitor_fields",
    )

    def __init__(
        self, connection: Connection, state: ProxyState, parsed: ParsedHead, forward: Forward, memo: ForwardMemo
    ) -> None:
        """`memo` holds what this verdict adds for the upstream and the visitor."""
        self._connection = connection
        self._state = state
        self._parsed = parsed
        self._forward = forward
        self._head = head_for(memo, forward, parsed.framing.length)
        self._visitor_fields = memo.visitor_fields
        self._route = Route(state, parsed, forward)
        self._upstream: Upstream | None = None
        self._upload: Upload | None = None
        self._has_answered = self._keep_alive = self._response_keeps_alive = False
        self._status = self._sent = 0
        self.is_request_done = parsed.framing.length == 0
        self.may_repeat = parsed.is_safe and forward.replay is None
        self.is_over = False

    def __repr__(self) -> str:
        step = "over" if self.is_over else "answering" if self._has_answered else "asking"
        return f"<Exchange of {self._connection.peer}, {step}, status {self._status}, {self._sent} bytes sent>"

    def start(self, data: bytes) -> bytes:
        """Begin with the bytes behind the head; return those behind the request's body."""
        framing = self._parsed.framing
        if not framing.length:
            self._acquire()
            return data
        most = self._forward.max_body_bytes
        if most is None:
            most = self._state.limits.body_bytes
        if framing.length > most:
            self._blame_client(413, too_large(most))
            return b""
        self._upload = Upload(self._connection, self._state, framing, most)
        if data:
            return self.receive(data)
        if framing.expects_continue:
            self._connection.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return b""

    @property
    def may_reuse(self) -> bool:
        return self.is_request_done and self._response_keeps_alive

    # From the visitor

    def receive(self, data: bytes) -> bytes:
        upload = self._upload
        if upload is None or self.is_request_done:
            return data
        try:
            out = upload.feed(data, is_timed=not self._has_answered)
        except BodyFault as fault:
            self._blame_client(fault.status, str(fault))
            return b""
        body = upload.body
        self.is_request_done = is_done = body.is_done
        if upload.is_kept:
            if upload.keep(out):
                self._acquire()
        elif self._upstream is not None:
            if out:
                self._upstream.transport.write(out)
            if is_done and not self._has_answered:
                self._connection.deadline = self._state.now + self._state.limits.response_s
        return body.rest

    def _acquire(self) -> None:
        """Ask for a connection to the upstream. The deadline includes the wait for a free one."""
        self._connection.deadline = self._state.now + self._state.limits.response_s
        if not self._route.open(self):
            self.fail(503, "shunned")

    def abandon(self, outcome: str = "abandoned") -> None:
        if not self.is_over:
            self._end(outcome, self._status or 499)

    def stalled_s(self, now: float) -> float:
        if not self._connection.is_full:
            return -1.0
        return now - (self._connection.deadline - self._state.limits.write_s)

    def break_client(self) -> None:
        self._connection.transport.abort()

    def client_is_full(self) -> None:
        self._connection.deadline = self._state.now + self._state.limits.write_s
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()

    def client_can_take(self) -> None:
        self._connection.deadline = self._state.now + self._state.limits.idle_s
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()

    def expire(self) -> None:
        if self._has_answered:
            self.cut()
        elif self.is_request_done or self._upload is None or self._upload.is_pausing:
            if self._upstream is None or not self.leave_server():
                self.fail(504, "timeout")
        else:
            self._blame_client(408, "the request took too long to arrive", "slow")

    # From the pool and the upstream

    def connected(self, upstream: Upstream) -> None:
        self._upstream = upstream
        self._connection.deadline = self._state.now + self._state.limits.response_s
        upload, head = self._upload, self._head
        if upload is not None:
            head += upload.take()
            # Before the write, which may find the upstream full and pause the visitor again.
            if upload.is_pausing:
                upload.resume(is_timed=not self._has_answered)
        self._route.is_sent = True
        upstream.transport.write(head)

    def upstream_is_full(self) -> None:
        if self._upload is not None and not self.is_request_done:
            self._upload.pause()

    def upstream_can_take(self) -> None:
        if self._upload is not None and self._upload.is_pausing:
            self._upload.resume(is_timed=not self._has_answered)

    def interim(self, response: ResponseHead) -> None:
        framing = self._parsed.framing
        # A visitor that expected a 100 has got the edge's own.
        if framing.is_http10 or (response.status == 100 and framing.expects_continue):
            return
        self._connection.transport.write(b"%b%b\r\n" % (response.line, response.kept))

    def answer(self, response: ResponseHead) -> tuple[bytes, Body]:
        state, parsed, connection = self._state, self._parsed, self._connection
        is_http10 = parsed.framing.is_http10
        self._has_answered = True
        connection.deadline = state.now + state.limits.idle_s
        self._status = response.status
        self._response_keeps_alive = response.keep_alive
        self._route.answered(response.status)
        keep_alive = parsed.framing.keep_alive and self.is_request_done and connection.may_continue
        added = self._visitor_fields
        if response.to_edge:
            forward = self._forward
            commanded = state.decider.observe(parsed.context, forward, response.to_edge, state.clock())
            added = render_again(forward.response_headers + commanded)
        body, framing = body_of(response, parsed.method, is_http10=is_http10)
        if not isinstance(body, SizedBody):
            # To HTTP/1.0 only the end of the connection tells the end of such a body.
            keep_alive = keep_alive and not is_http10
            if isinstance(body, EndlessBody):
                self._response_keeps_alive = False
        self._keep_alive = keep_alive
        field = b""
        if not keep_alive or is_http10:
            field = connection_field(keep_alive=keep_alive, is_http10=is_http10)
        date = b"" if response.has_date else state.date
        kept = made_private(response.kept) if added and carries_cookie(added) else response.kept
        head = b"".join((response.line, kept, added, date, framing, field, b"\r\n"))
        return head, body

    def send(self, data: bytes) -> None:
        if data:
            connection = self._connection
            self._sent += len(data)
            connection.transport.write(data)
            if not connection.is_full:
                connection.deadline = self._state.now + self._state.limits.idle_s

    def complete(self) -> None:
        if not self.is_over:
            if self._connection.is_full:
                self.client_can_take()  # the next response must not wait until this visitor has read theirs
            self._upstream = None
            self._end(self._forward.outcome, self._status)
            self._connection.finished(keep_alive=self._keep_alive)

    def upgrade(self, response: ResponseHead, data: bytes) -> None:
        upstream, connection, state = self._upstream, self._connection, self._state
        if upstream is None or not self._parsed.framing.upgrades or not asked_for(response.upgrade, self._head):
            self.fail(502, "upgrade")
            return
        self._has_answered = True
        self._status = 101
        self._upstream = None
        self.is_over = True
        self._route.upgraded()
        transport = upstream.detach()
        early = connection.detach()
        tunnel = Tunnel(state, connection.transport, transport, self._tunnel_closed)
        state.connections.replace(connection, tunnel)
        fields = b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % response.upgrade
        connection.transport.write(b"".join((response.line, response.kept, self._visitor_fields, fields, data)))
        if early:
            transport.write(early)
        if connection.has_eof:
            tunnel.client_has_finished()

    def _tunnel_closed(self, sent: int) -> None:
        self._route.ended(self._forward.outcome, 101, sent)

    def unanswered(self, *, nothing_came: bool) -> None:
        upstream, self._upstream = self._upstream, None
        was_used = upstream is not None and upstream.responses > 0
        may_repeat = nothing_came and self.may_repeat
        if not (may_repeat and ((was_used and self._route.repeat(self)) or self._route.move(self, "broken"))):
            self.fail(502, "broken")

    def unconnected(self, status: int, kind: str, reason: str) -> None:
        if not self._route.move(self, kind, reason):
            self.fail(status, kind, reason)

    def leave_server(self) -> bool:
        upstream = self._upstream
        if self.is_over or self._has_answered or not (upstream is None or self.may_repeat):
            return False
        self._upstream = None
        if self._route.move(self, "timeout"):
            self._connection.deadline = self._state.now + self._state.limits.response_s
            if upstream is not None:
                upstream.abort()
            return True
        self._upstream = upstream
        return False

    def fail(self, status: int, kind: str, reason: str = "") -> None:
        if self.is_over:
            return
        state, parsed = self._state, self._parsed
        self._route.failed(kind, reason)
        retry_after_s = state.upstreams.retry_after_s() if kind == "shunned" else None
        is_sent = kind != "shunned" and not reason  # a reason says why there was no connection
        answer = state.decider.failed(parsed.context.head, status, retry_after_s, is_sent=is_sent)
        keep_alive = parsed.framing.keep_alive and self.is_request_done
        self._end(kind, status)
        self._connection.answer_instead(answer, parsed, keep_alive=keep_alive)

    def cut(self) -> None:
        """The response ends before its end: only broken connections say so, once its head was passed on."""
        if not self._sent:
            self._has_answered = False
            self.fail(502, "broken")
        elif not self.is_over:
            self._state.watcher.upstream_failed("cut")
            self._end("cut", self._status)
            self._connection.transport.abort()

    def _blame_client(self, status: int, detail: str, outcome: str = "refused") -> None:
        has_answered, parsed = self._has_answered, self._parsed
        self._end(outcome, status)
        if has_answered:
            self._connection.transport.abort()
            return
        wants_page, is_head = parsed.context.wants_page, parsed.method == "HEAD"
        self._connection.refuse(status, detail, is_recorded=True, wants_page=wants_page, is_head=is_head)

    def _end(self, outcome: str, status: int) -> None:
        self.is_over = True
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        self._upload = None
        self._route.ended(outcome, status, self._sent)
