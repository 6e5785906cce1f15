"""One visitor's connection: heads come in, each is decided on, answers go out in the order of the requests.

    data -> whole head? -> known -> pipeline.decide -> Answer:  written, on to the next head
                                                    '-> Forward: an Exchange owns the connection until it is over

What needs no waiting is done in one go, without task or future. While an exchange is under way, what comes behind its
request is kept, and served after it (`connection.py`).

A request's body that nobody wants (its answer is the waiting page) is skipped if it is short. Otherwise the answer ends
the connection, gently.
"""

import asyncio
from typing import TYPE_CHECKING

from edge.messages.refusal import Refusal
from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.proxy.connection import Connection
from edge.proxy.deferred import DeferredRequest
from edge.proxy.exchange import Exchange
from edge.proxy.head_cache import ParsedHead
from edge.proxy.request import end_of_head
from edge.proxy.response import connection_field, render_again, render_fields

if TYPE_CHECKING:
    from edge.proxy.server import ProxyServer

__all__ = ["Client"]

#: What a connection is doing that has no exchange: nothing yet, receiving a head, nothing for a while.
QUIET, IN_HEAD, LONG_QUIET = range(3)
#: A body of this size is skipped rather than paid with a new connection (HAProxy and Envoy: what is in the buffer).
SKIP_BYTES = 65_536
#: Whoever is to say what becomes of a request takes half of this at most (`controller/polling/parked_polls.py`, `grants.py`).
ANSWER_S = 10.0


class Client(Connection):
    __slots__ = ("_exchange", "_left", "_peer", "_skip", "_stage")

    def __init__(self, plane: "ProxyServer") -> None:
        super().__init__(plane)
        self._exchange: Exchange | DeferredRequest | None = None
        self._peer = ""
        self._skip = 0
        self._stage = LONG_QUIET
        self._left = plane.settings.limits.requests_per_connection

    def __repr__(self) -> str:
        state = "forwarding" if self._exchange else "ending" if self._is_ending else "reading"
        return f"<Client {self._peer} {state} behind={len(self._behind)}>"

    @property
    def peer(self) -> str:
        return self._peer

    # from the loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._peer = peer[0] if isinstance(peer, tuple) else "127.0.0.1"
        self._plane.made(self)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        self._is_ending = True
        self._plane.lost(self)
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.abandon()

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is not None:
            if not exchange.is_request_done:
                data = exchange.receive(data)
            if data:
                self._keep_behind(data)
        elif self._is_ending:
            self._throw_away(data)
        elif self.is_full:
            self._keep_behind(data)
        else:
            if self._skip:
                skipped = min(self._skip, len(data))
                self._skip -= skipped
                data = data[skipped:]
                if not self._skip:
                    self._stay()
            elif self._behind:
                data = self._behind + data
                self._behind = b""
            self._serve(data)

    def eof_received(self) -> bool:
        """Nothing more will come. Whether they still listen cannot be known; a request that is whole is answered."""
        exchange = self._exchange
        serves = self._plane.settings.limits.serve_half_closed
        self._has_eof = serves and exchange is not None and exchange.is_request_done
        return self._has_eof

    @property
    def may_go_on(self) -> bool:
        """Whether further requests are taken after this one."""
        return self._left > 0 and not self._plane.is_draining

    def pause_writing(self) -> None:
        self.is_full = True
        if self._exchange is not None:
            self._exchange.client_is_full()
        else:
            self.deadline = self._plane.now + self._plane.settings.limits.write_seconds
            self.pause_reading()

    def resume_writing(self) -> None:
        self.is_full = False
        if self._exchange is not None:
            self._exchange.client_has_room()
        elif not self._is_ending:
            self._next()

    # from the exchange

    def finished(self, *, keep_alive: bool) -> None:
        """The exchange is over, its answer written."""
        exchange, self._exchange = self._exchange, None
        if keep_alive:
            if self._behind or self.is_full or self._is_paused or self._has_eof:
                self._next()
            else:  # nothing came meanwhile, and nothing was held up
                self._stay()
        else:
            self._end(gently=exchange is None or not exchange.is_request_done)

    def answer_instead(self, answer: Answer, known: ParsedHead, *, keep_alive: bool) -> None:
        """The upstream failed: this is the answer."""
        self._exchange_over()
        keep_alive = keep_alive and self.may_go_on
        self.transport.write(self._written(answer, known, keep_alive=keep_alive))
        if keep_alive:
            self._next()
        else:
            self._end(gently=True)

    def refuse(
        self, status: int, detail: str, *, is_recorded: bool = False, wants_page: bool = False, is_head: bool = False
    ) -> None:
        """Nobody knows where the next request would begin: say so and end the connection."""
        plane = self._plane
        self._exchange_over()
        answer = plane.pipeline.refused(status, detail, wants_page=wants_page)
        connection = connection_field(keep_alive=False, is_http10=False)
        written = plane.writer.write(answer, plane.date, connection, is_head=is_head)
        self.transport.write(written)
        if not is_recorded:
            plane.record(None, answer.outcome, status, len(written), 0.0, to_upstream=False)
        self._end(gently=True)

    def detach(self) -> bytes:
        """The connection leaves HTTP; returns what came behind the request."""
        self._exchange = None
        self.network = ""  # what takes this connection's place is counted instead of it
        self._plane.lost(self)
        self.resume_reading()
        behind, self._behind = self._behind, b""
        return behind

    # from the plane

    def expire(self) -> None:
        """The deadline has passed."""
        if self._is_ending or self.is_full:
            if self._exchange is not None:
                self._exchange.abandon("unread")
            self.transport.abort()
        elif self._exchange is not None:
            self._exchange.expire()
        elif self._behind:
            self.refuse(408, "the request's head took too long")
        elif self.transport.get_write_buffer_size():
            self.transport.abort()  # the last answer was not taken
        elif self._stage != QUIET or self._skip or self._plane.is_draining or not self._has_time_left():
            self._end(gently=False)

    def _has_time_left(self) -> bool:
        """At the first look at an idle connection, which comes when its answer must have been taken."""
        plane, self._stage = self._plane, LONG_QUIET
        self.deadline += plane.settings.limits.keepalive_seconds - plane.first_look_s
        return self.deadline > plane.now

    def drain(self) -> None:
        """No further requests after those that are on their way."""
        if self._exchange is None and not self._is_ending:
            self.deadline = min(self.deadline, self._plane.now + self._plane.last_word_s)

    # inside

    def _serve(self, data: bytes) -> None:
        """Serve the heads in data, in order, until one has to wait."""
        plane, peer = self._plane, self._peer
        recogniser, pipeline = plane.recogniser, plane.pipeline
        now = plane.clock()
        while data:
            # A packet that is one head; hashing one with a body behind it would be in vain.
            known = recogniser.memory.get(data) if data[-4:] == b"\r\n\r\n" else None
            if known is not None and known.peer == peer:
                raw, data = data, b""
            else:
                read = self._read(data)
                if read is None:
                    return
                known, raw, data = read
            verdict = pipeline.decide(known.facts, now, plane.chance())
            self._stage = QUIET
            self._left -= 1
            if type(verdict) is Forward:
                self._forward(known, verdict, raw, data)
                return
            if type(verdict) is Deferred:
                self._wait(known, verdict, raw, data)
                return
            known.request = None
            data = self._answer(verdict, known, data)

    def _read(self, data: bytes) -> tuple[ParsedHead, bytes, bytes] | None:
        """The first head of data: what it says, its bytes, what lies behind it. None: not (or never) to be served."""
        is_new = data[:2] != b"\r\n"
        if not is_new:  # an empty line before a request is tolerated (RFC 9112, 2.2)
            data = data[2:]
        end = end_of_head(data, self._plane.head_bytes)
        if isinstance(end, Refusal):
            self.refuse(end.status, end.detail)
            return None
        if not end:
            self._wait_for_more(data)
            return None
        recogniser = self._plane.recogniser
        if is_new and end == len(data):  # just looked for in vain; cut out, its hash would be worked out once more
            raw, data, known = data, b"", None
        else:
            raw, data = data[:end], data[end:]
            known = recogniser.memory.get(raw)
        if known is None or known.peer != self._peer:
            found = recogniser.know(raw, self._peer)
            if isinstance(found, Refusal):
                self.refuse(found.status, found.detail, is_head=raw.startswith(b"HEAD "))
                return None
            known = found
        return known, raw, data

    def _wait_for_more(self, data: bytes) -> None:
        """Keep the beginning of a head; the rest of it has its time."""
        self._behind = data
        if self._stage != IN_HEAD:
            self._stage = IN_HEAD
            self.deadline = self._plane.now + self._plane.settings.limits.head_seconds

    def settled(self, known: ParsedHead, verdict: Verdict, raw: bytes) -> None:
        """The verdict that this connection waited for."""
        self._exchange = None
        data, self._behind = self._behind, b""
        if isinstance(verdict, Forward):
            self.resume_reading()
            self._forward(known, verdict, raw, data)
        elif isinstance(verdict, Deferred):
            self._wait(known, verdict, raw, data)
        else:
            known.request = None
            self._behind = self._answer(verdict, known, data)
            if not self._is_ending:
                self._next()

    def _wait(self, known: ParsedHead, asking: Deferred, raw: bytes, data: bytes) -> None:
        """The verdict comes later; data, what is behind the head, is kept."""
        if data:
            self._keep_behind(data)
        self._exchange = asked = DeferredRequest(self, known, raw)
        self.deadline = self._plane.now + ANSWER_S
        asked.start(asking)

    def _forward(self, known: ParsedHead, forward: Forward, raw: bytes, data: bytes) -> None:
        plane = self._plane
        head = known.upstream_head or plane.recogniser.upstream_head(known, raw)
        if known.forward is not forward:
            known.forward, known.told = forward, render_fields(forward.request_headers)
            known.given = render_again(forward.response_headers)
        self._exchange = exchange = Exchange(self, plane, known, forward, b"%b%b\r\n" % (head, known.told))
        behind = exchange.start(data)
        if behind:
            self._keep_behind(behind)

    def _answer(self, answer: Answer, known: ParsedHead, data: bytes) -> bytes:
        """Write an answer; returns what is left of data."""
        plane = self._plane
        if known.is_plain and self._left > 0 and not plane.is_draining:
            written = plane.writer.write(answer, plane.date, b"")
            plane.record(known.facts.head, answer.outcome, answer.status, len(written), 0.0, to_upstream=False)
            self.transport.write(written)
            self.deadline = plane.now + plane.first_look_s
            if self.is_full and data:
                self._behind, data = data, b""
            return data
        return self._answer_with_care(answer, known, data)

    def _answer_with_care(self, answer: Answer, known: ParsedHead, data: bytes) -> bytes:
        """The same when the connection may end here, or a body stands behind the head."""
        is_awaited = known.expects_continue and not data
        fits = 0 <= known.length <= SKIP_BYTES
        keep_alive = known.keep_alive and fits and not is_awaited and self.may_go_on
        written = self._written(answer, known, keep_alive=keep_alive)
        self._plane.record(known.facts.head, answer.outcome, answer.status, len(written), 0.0, to_upstream=False)
        self.transport.write(written)
        if not keep_alive:
            self._end(gently=bool(data) or known.length != 0)
            return b""
        self._stay()
        self._skip = max(0, known.length - len(data))
        if self._skip:
            self.deadline = self._plane.now + self._plane.settings.limits.body_seconds
        data = data[known.length :]
        if self.is_full and data:
            self._behind, data = data, b""
        return data

    def _written(self, answer: Answer, known: ParsedHead, *, keep_alive: bool) -> bytes:
        connection = connection_field(keep_alive=keep_alive, is_http10=known.is_http10)
        return self._plane.writer.write(answer, self._plane.date, connection, is_head=known.method == "HEAD")

    def _go_on(self) -> None:
        """Serve what came meanwhile, and read again."""
        data, self._behind = self._behind, b""
        self.resume_reading()
        if data:
            self._serve(data)

    def _stay(self) -> None:
        """Be there for another request."""
        self.deadline = self._plane.now + (
            self._plane.last_word_s if self._plane.is_draining else self._plane.first_look_s
        )

    def _next(self) -> None:
        """Serve what came meanwhile, and be there for more if more can come."""
        self._stay()
        if self.is_full:  # by the last answer: the next request waits until that is taken
            self.deadline = self._plane.now + self._plane.settings.limits.write_seconds
            return
        self._go_on()
        if self._has_eof and self._exchange is None and not self._is_ending:
            self._end(gently=False)

    def _exchange_over(self) -> None:
        self._exchange = None
        self.resume_reading()
