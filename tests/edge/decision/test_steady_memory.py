"""A soak of seconds instead of half an hour: after a crowd has left, nothing of it is left in memory.

Waves of visitors run against the decision on a virtual clock. Requests that end in every possible way run against the
proxy over real sockets. `make soak` is the long form, with real workers.
"""

import asyncio
import gc
import random
from collections import Counter
from collections.abc import Sized
from types import BuiltinFunctionType, FunctionType, MethodType, ModuleType

from edge.messages.verdict import Answer, Deferred, Forward, Verdict
from edge.rooms.redeemed_tickets import MOST
from tests.edge.decision.test_pipeline import Edge, header
from waiting_room.ticket import Pass

CROWD = """
secret_keys_env: STANCHION_KEYS
upstream: {url: "http://127.0.0.1:9000"}
abuse: {visitor_per_minute: 1000, newcomers_per_minute: 100000}
rooms:
  - name: checkout
    match: {paths: ["/checkout*"]}
    capacity: {admissions_per_second: 1, burst_seconds: 1, total_active_users: 100000}
    session: {duration_seconds: 60}
    polling: {min_seconds: 2, max_seconds: 15}
"""
VISITORS, RUSH_S = 150, 10.0
CODE = (type, ModuleType, FunctionType, MethodType, BuiltinFunctionType)


def wave(edge: Edge, chance: random.Random) -> int:
    """Play a rush: most visitors wait until they are admitted, some leave, then all passes end. Return the polls."""
    due = [(edge.now + chance.uniform(0.0, RUSH_S), "") for _ in range(VISITORS)]
    polls = 0
    while due:
        due.sort()
        at, cookie = due.pop(0)
        if at > edge.now:
            edge.pass_time(at - edge.now)
        verdict = answer_to(edge, edge.ask(cookie=cookie))
        polls += 1
        cookie = (header(verdict, "Set-Cookie") or cookie).partition(";")[0]
        if isinstance(verdict, Forward):
            edge.ask(cookie=cookie, method="POST")
        elif chance.random() > 0.02:
            assert isinstance(verdict, Answer)
            due.append((edge.now + chance.uniform(2.0, 4.0), cookie))
    edge.pass_time(90.0)
    return polls


def answer_to(edge: Edge, verdict: Verdict) -> Verdict:
    """Return the verdict that a visitor gets in the end. Near the front, polls are parked."""
    said = [verdict]
    while isinstance(last := said[-1], Deferred):
        last.ask(said.append)
        while said[-1] is last:
            edge.pass_time(0.1)
    return last


def table_lengths(root: object) -> int:
    """Return the number of entries in all tables that can be reached from here, code apart."""
    seen, pending, total = {id(root)}, [root], 0
    while pending:
        each = pending.pop()
        if isinstance(each, Sized) and not isinstance(each, str | bytes):
            total += len(each)
        for inner in gc.get_referents(each):
            if id(inner) not in seen and not isinstance(inner, CODE):
                seen.add(id(inner))
                pending.append(inner)
    return total


def test_a_wave_of_visitors_leaves_nothing_behind() -> None:
    """After each of several equal waves the tables are as long as after the one before."""
    chance, lengths, polls = random.Random(5), [], 0
    edge = Edge(CROWD)
    [room] = edge.pipeline.rooms.rooms
    for number in range(MOST):  # bounded by number, not by time, so fill it first
        room.redeemed.add(Pass(f"{number:022}", room.name, edge.now, edge.now, edge.now))
        room.fairness.record(edge.now, edge.now)
    for _ in range(6):
        polls += wave(edge, chance)
        lengths.append(table_lengths(edge.pipeline))
    assert polls > 6 * VISITORS * 2, "nobody waited, so nothing was tested"
    assert max(lengths[3:]) - max(lengths[:3]) < VISITORS, f"{lengths}: more than one for three visitors"


def own_objects() -> Counter[str]:
    """Count the living objects of the edge's own classes."""
    gc.collect()
    names = (f"{type(each).__module__}.{type(each).__qualname__}" for each in gc.get_objects())
    return Counter(name for name in names if name.startswith(("edge.", "controller.", "waiting_room.")))


async def test_requests_leave_nothing_behind_however_they_end(edge_in_front_of, upstream):
    """Answered, refused, failed by the upstream, cut off, abandoned: as many objects after as before."""

    async def serve(reader, writer):
        while True:
            request = await upstream.read(reader)
            if "reset" in request.line:
                return
            if "silence" in request.line:
                await asyncio.sleep(60)
            writer.write(b"garbage\r\n\r\n" if "garbage" in request.line else upstream.answer)

    upstream.handler = serve
    edge = await edge_in_front_of(upstream, "breaker_failures: null, response_timeout_seconds: 0.3")
    of_others = own_objects()  # earlier tests with loops that ended with open connections

    async def one_round() -> None:
        for _ in range(4):
            visitor = await edge.connect()
            for target in ("/", "/reset", "/garbage", "/_stanchion/nothing", "/"):
                await visitor.get(target)
            await visitor.get("/", "Content-Length: 0", method="POST")
            visitor.send(b"GET /half HTTP/1.1\r\nHo")
            visitor.writer.close()
            leaving = await edge.connect()
            leaving.send(b"GET /silence HTTP/1.1\r\nHost: shop.example\r\n\r\n")
            wrong = await edge.connect()
            wrong.send(b"nonsense\r\n\r\n")
            await wrong.wait_closed()
            while not any("silence" in each.line for each in upstream.requests):
                await asyncio.sleep(0.005)
            leaving.writer.close()
            wrong.writer.close()
            upstream.requests.clear()

    async def after_a_round() -> Counter[str]:
        await one_round()
        left = own_objects()
        async with asyncio.timeout(10):
            while any(name.endswith((".Client", ".Exchange")) for name in left - of_others):
                await asyncio.sleep(0.1)
                left = own_objects()
        return left

    await after_a_round()
    before = await after_a_round()
    after = await after_a_round()
    assert after - before == Counter(), "something is left of finished requests"
