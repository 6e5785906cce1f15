"""What visitors get while the edge cannot be reached: these cases run an installation of their own.

Each takes the load balancer, the way and a folder. Its docstring is its row in the table of docs/plugins.md.
"""

import asyncio
import contextlib
import os
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

from edge.cli.plugin.render import WAYS
from tests.plugins.attached import Bench, attached

__all__ = ["FAILURES", "LIMITS", "Failure"]

Failure = Callable[[str, str, Path], Awaitable[None]]

#: (load balancer, way, case) -> why the load balancer cannot do it. '' stands for every way.
LIMITS: dict[tuple[str, str, str], str] = {
    ("traefik", "", "fails_open"): "forwardAuth answers 500 then, and has no setting for it",
    ("traefik", "", "odd_targets"): "Traefik decodes and encodes a path anew, and writes `&` for a semicolon",
    ("envoy", "", "reloaded"): "a static file is read once; Envoy reloads by xDS or hot restart",
    (
        "caddy",
        "",
        "reloaded",
    ): "it listens on a new socket, and Linux resets connections that wait at the old one",
    **{(name, "path", "fails_open"): "everything goes through the edge" for name in WAYS},
    **{
        (name, "split", case): why
        for name in ("nginx", "haproxy")
        for case, why in (
            ("ends_session", "the pass goes straight to the shop in the first half of its life"),
            ("fails_open", "newcomers go through the edge"),
        )
    },
}


async def _stop(bench: Bench) -> None:
    bench.edge.process.terminate()
    await bench.edge.wait_ended()


async def fails_closed(name: str, way: str, folder: Path) -> None:
    """the edge is down, failing closed: a 5xx, and the shop is not reached"""
    async with attached(name, way, folder) as bench:
        visitor = await bench.inside()
        await _stop(bench)
        if way == "split":
            # The load balancer verifies the pass itself.
            assert (await visitor.ask("/fast")).is_shop
            visitor = bench.app()
        before = len(bench.shop.seen)
        for _ in range(3):
            for each in (visitor, bench.app()):
                reply = await each.ask("/fast")
                assert 500 <= reply.status <= 504, reply
        assert len(bench.shop.seen) == before


async def fails_open(name: str, way: str, folder: Path) -> None:
    """the edge is down, failing open: requests pass, without X-Stanchion-*"""
    async with attached(name, way, folder, fails_open=True) as bench:
        visitor = await bench.inside()
        await _stop(bench)
        for method, body in (("GET", None), ("POST", b"form" * 100)):
            reply = await visitor.ask("/fast", method, body, headers={"X-Stanchion-Ticket": "forged"})
            seen = bench.shop.seen[-1]
            assert reply.is_shop, reply
            assert (seen.method, seen.body) == (method, body or b"")
            assert seen.get("X-Stanchion-Ticket") is None, seen
            assert seen.get("X-Stanchion-Room") is None, seen


async def is_slow(name: str, way: str, folder: Path) -> None:
    """the edge stands still: a 5xx, in path perhaps the new worker's verdict; afterwards all is as before"""
    async with attached(name, way, folder) as bench:
        visitor = await bench.inside()
        [pid] = await bench.edge.worker_pids()
        os.kill(pid, signal.SIGSTOP)
        try:
            reply = await bench.app().ask("/fast")
            # Where everything goes through the edge, a load balancer waits as long as a shop may take. By then the
            # watchdog has replaced the worker (30 s).
            is_decided = way in ("path", "split") and reply.is_shop and reply.state == "admitted"
            assert 500 <= reply.status <= 504 or is_decided, reply
        finally:
            # The supervisor may have replaced it meanwhile.
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(30):
            while not (await visitor.ask("/fast")).is_shop:
                await asyncio.sleep(0.1)


FAILURES: tuple[Failure, ...] = (fails_closed, fails_open, is_slow)
