"""One forwarded request: the visitor's connection and the upstream's, coupled until the answer's last byte.

    client ---- request body ---->  upstream        each read only as fast as the other is written
           <--- answer -----------

What can go wrong, and what the visitor then sees:

    no connection, or garbage before the answer's head     502
    no connection or no head in time                       504
    the connection ends without a byte of an answer        502; sent once more only if that is safe: GET, HEAD or
                                                           OPTIONS without a body, on a connection that was used before
    the answer is cut short                                the connection is broken, so that nobody takes it for whole
    the visitor goes away                                  the upstream's connection is broken: it may stop working
    the visitor's body breaks its framing                  400; 408 when it comes too slowly, 413 when it is too large
    the answer comes before the body's end                 the answer, then the connection ends
    the upstream has failed many in a row                  503 with `Retry-After`, at once (breaker.py)

A request's body is received before a connection to the upstream is taken for it (`upload.py`). So the edge itself
answers `Expect: 100-continue`, as nginx does: the upstream would have to hold a connection to say so.
"""

from time import monotonic
from typing import TYPE_CHECKING

from edge.messages.verdict import Forward
from edge.proxy.body import Body, BodyFault, EndlessBody, SizedBody
from edge.proxy.head_cache import ParsedHead
from edge.proxy.hop_by_hop import asked_for
from edge.proxy.response import Response, body_of, connection_field, render_again
from edge.proxy.tunnel import Tunnel
from edge.proxy.upload import Upload
from edge.proxy.upstream import Upstream

if TYPE_CHECKING:
    from edge.proxy.client import Client
    from edge.proxy.server import ProxyServer

__all__ = ["Exchange"]

#: Methods that change nothing (RFC 9110, 9.2.1), so that sending them again is safe.
SAFE = frozenset(("GET", "HEAD", "OPTIONS"))
#: Responses that say that the upstream, or what stands behind it, is down.
OVERLOADED = frozenset((502, 503, 504))


class Exchange:
    __slots__ = (
        "_began",
        "_client",
        "_forward",
        "_has_answered",
        "_head",
        "_health",
        "_keep_alive",
        "_known",
        "_plane",
        "_response_keeps_alive",
        "_sent",
        "_status",
        "_upload",
        "_upstream",
        "_was_retried",
        "is_over",
        "is_request_done",
    )

    def __init__(
        self, client: "Client", plane: "ProxyServer", known: ParsedHead, forward: Forward, head: bytes
    ) -> None:
        """head: as the upstream gets it, with its empty line."""
        self._client = client
        self._plane = plane
        self._known = known
        self._forward = forward
        self._head = head
        self._began = monotonic()
        self._upstream: Upstream | None = None
        self._upload: Upload | None = None
        self._health = forward.observer
        self._has_answered = False
        self._keep_alive = self._response_keeps_alive = False
        self._was_retried = False
        self._status = 0
        self._sent = 0
        self.is_request_done = known.length == 0
        self.is_over = False

    def start(self, data: bytes) -> bytes:
        """Go. data: what came behind the head; returns what lies behind the request's body."""
        length = self._known.length
        if not length:
            self._acquire()
            return data
        most = self._forward.max_body_bytes
        if most is None:
            most = self._plane.settings.limits.body_bytes
        if length > most:
            self._blame_client(413, f"a body may have {most} bytes here")
            return b""
        self._upload = Upload(self._client, self._plane, self._known, most)
        if data:
            return self.receive(data)
        if self._known.expects_continue:
            self._client.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        return b""

    @property
    def may_reuse(self) -> bool:
        """Whether the upstream's connection is good for another request."""
        return self.is_request_done and self._response_keeps_alive

    # from the visitor

    def receive(self, data: bytes) -> bytes:
        """More of the request's body; returns what lies behind it."""
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
                self._client.deadline = self._plane.now + self._plane.response_s
        return body.rest

    def _acquire(self) -> None:
        """Ask for a connection to the upstream; the time to get one is bounded, the wait for a free one included."""
        plane = self._plane
        self._client.deadline = plane.now + plane.response_s
        if plane.breaker.failures and not plane.breaker.allows(plane.now):
            self.fail(503, "shunned")
            return
        if self._health is not None:
            self._health.asked(self, monotonic())
        plane.pool.acquire(self)

    def abandon(self, outcome: str = "abandoned") -> None:
        """The visitor has gone."""
        if not self.is_over:
            self._over(outcome, self._status or 499)

    def stalled_s(self, now: float) -> float:
        """For how long the visitor has not read what is written for them; below 0 when they do."""
        if not self._client.is_full:
            return -1.0
        return now - (self._client.deadline - self._plane.settings.limits.write_seconds)

    def break_client(self) -> None:
        """What was answered is not whole, and will not become so."""
        self._client.transport.abort()

    def client_is_full(self) -> None:
        self._client.deadline = self._plane.now + self._plane.settings.limits.write_seconds
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.pause_reading()

    def client_has_room(self) -> None:
        self._client.deadline = self._plane.now + self._plane.idle_s
        if self._upstream is not None and not self._upstream.transport.is_closing():
            self._upstream.transport.resume_reading()

    def expire(self) -> None:
        """A deadline has passed."""
        if self._has_answered:
            self.cut()
        elif self.is_request_done or self._upload is None or self._upload.is_pausing:
            self.fail(504, "timeout")
        else:
            self._over("slow", 408)
            is_head = self._known.method == "HEAD"
            self._client.refuse(408, "the request took too long to arrive", is_recorded=True, is_head=is_head)

    # from the pool and the upstream

    def connected(self, upstream: Upstream) -> None:
        """A connection is there: send what there is."""
        self._upstream = upstream
        self._client.deadline = self._plane.now + self._plane.response_s
        upload, head = self._upload, self._head
        if upload is not None:
            head += upload.take()
            if upload.is_pausing:  # before the write, which may find the upstream full and pause the visitor again
                upload.go_on(is_timed=not self._has_answered)
        upstream.transport.write(head)

    def upstream_is_full(self) -> None:
        if self._upload is not None and not self.is_request_done:
            self._upload.pause()

    def upstream_has_room(self) -> None:
        if self._upload is not None and self._upload.is_pausing:
            self._upload.go_on(is_timed=not self._has_answered)

    def interim(self, response: Response) -> None:
        """A 1xx, but not 101."""
        if self._known.is_http10 or (response.status == 100 and self._known.expects_continue):
            return  # who expected a 100 has had the edge's
        self._client.transport.write(b"%b%b\r\n" % (response.line, response.kept))

    def answer(self, response: Response) -> tuple[bytes, Body]:
        """The head that goes to the visitor, and how the body is passed on."""
        plane, known = self._plane, self._known
        self._has_answered = True
        self._client.deadline = plane.now + plane.idle_s
        self._status = response.status
        self._response_keeps_alive = response.keep_alive
        now = monotonic()
        plane.on_upstream(now - self._began)
        if self._health is not None:
            self._health.answered(self, now, is_failure=response.status >= 500)
        if response.status in OVERLOADED:
            plane.breaker.failed(plane.now)
        elif plane.breaker.failures:
            plane.breaker.answered()
        self._keep_alive = known.keep_alive and self.is_request_done and self._client.may_go_on
        forward = self._forward
        if response.to_edge:
            commanded = plane.pipeline.observe(known.facts, forward, response.to_edge, plane.clock())
            added = render_again(forward.response_headers + commanded)
        else:
            added = known.given if known.forward is forward else render_again(forward.response_headers)
        body, framing = body_of(response, known.method, is_http10=known.is_http10)
        if not isinstance(body, SizedBody):
            # To HTTP/1.0 only the end of the connection tells the end of such a body.
            self._keep_alive = self._keep_alive and not known.is_http10
            if isinstance(body, EndlessBody):
                self._response_keeps_alive = False
        connection = b""
        if not self._keep_alive or known.is_http10:
            connection = connection_field(keep_alive=self._keep_alive, is_http10=known.is_http10)
        date = b"" if response.has_date else plane.date
        head = b"".join((response.line, response.kept, added, date, framing, connection, b"\r\n"))
        return head, body

    def send(self, data: bytes) -> None:
        """Bytes for the visitor."""
        if data:
            client = self._client
            self._sent += len(data)
            client.transport.write(data)
            if not client.is_full:
                client.deadline = self._plane.now + self._plane.idle_s

    def complete(self) -> None:
        """The answer's last byte was passed on."""
        if not self.is_over:
            self._upstream = None
            self._over(self._forward.outcome, self._status)
            self._client.finished(keep_alive=self._keep_alive)

    def upgrade(self, response: Response, data: bytes) -> None:
        """A 101: leave HTTP on both sides. data: what came behind its head."""
        upstream = self._upstream
        if upstream is None or not self._known.upgrades or not asked_for(response.upgrade, self._head):
            self.fail(502, "upgrade")
            return
        self._has_answered = True
        self._status = 101
        added = render_again(self._forward.response_headers)
        connection = b"Connection: Upgrade\r\nUpgrade: %b\r\n\r\n" % response.upgrade
        client, plane = self._client, self._plane
        self._upstream = None
        transport = upstream.detach()
        if self._health is not None:
            self._health.answered(self, monotonic(), is_failure=False)
        self.is_over = True
        network = client.network
        early = client.detach()
        splice = Tunnel(
            client.transport,
            transport,
            plane.read_now,
            plane.idle_s,
            self._spliced,
        )
        splice.network = network
        plane.connections.add(splice)
        client.transport.write(b"".join((response.line, response.kept, added, connection, data)))
        if early:
            transport.write(early)
        if client.has_ended:
            splice.client_has_ended()

    def _spliced(self, splice: Tunnel, sent: int) -> None:
        self._sent = sent
        self._plane.lost(splice)
        self._record(self._forward.outcome, 101)

    def unanswered(self, *, nothing_came: bool) -> None:
        """The upstream's connection ended before the head of an answer."""
        upstream, self._upstream = self._upstream, None
        is_safe = self._known.method in SAFE and self._known.length == 0 and not self._known.upgrades
        if upstream is not None and upstream.answered and nothing_came and is_safe and not self._was_retried:
            self._was_retried = True
            self._plane.pool.acquire(self, fresh=True)
        else:
            self.fail(502, "broken")

    def fail(self, status: int, kind: str) -> None:
        """The upstream failed before the head of its answer was passed on."""
        if self.is_over:
            return
        plane, retry_after_s = self._plane, None
        plane.on_upstream_failure(kind)
        if self._health is not None:
            self._health.answered(self, monotonic(), is_failure=True)
        if kind == "shunned":
            retry_after_s = plane.breaker.retry_after_s(plane.now)
        else:
            plane.breaker.failed(plane.now)
        answer = plane.pipeline.failed(self._known.facts.head, status, retry_after_s)
        keep_alive = self._known.keep_alive and self.is_request_done
        self._over(kind, status)
        self._client.answer_instead(answer, self._known, keep_alive=keep_alive)

    def cut(self) -> None:
        """The answer ends before its end: broken connections on both sides are the only honest way to say so."""
        if not self.is_over:
            self._plane.on_upstream_failure("cut")
            self._over("cut", self._status)
            self._client.transport.abort()

    def _blame_client(self, status: int, detail: str) -> None:
        has_answered = self._has_answered
        self._over("refused", status)
        if has_answered:
            self._client.transport.abort()
        else:
            known = self._known
            self._client.refuse(
                status,
                detail,
                is_recorded=True,
                wants_page=known.facts.wants_page,
                is_head=known.method == "HEAD",
            )

    def _over(self, outcome: str, status: int) -> None:
        self.is_over = True
        if self._health is not None:
            self._health.ended(self)
        upstream, self._upstream = self._upstream, None
        if upstream is not None:
            upstream.abort()
        self._upload = None
        self._record(outcome, status)

    def _record(self, outcome: str, status: int) -> None:
        seconds = monotonic() - self._began
        self._plane.record(self._known.facts.head, outcome, status, self._sent, seconds, to_upstream=True)
