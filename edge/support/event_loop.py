"""What a process runs on: its event loop, and how often the garbage collector looks."""

import asyncio
import gc
from typing import Any

__all__ = ["calm_collector", "run_loop"]


def calm_collector() -> None:
    """Exempt all objects made so far from garbage collection, and collect less often.

    The collector sees five objects of each remembered head. None of them is in a cycle, and of heads that do not come
    again two generations are kept: 80,000 objects. With a lower threshold it would look at each of them once, in vain.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def run_loop(main: Any) -> Any:
    """Run a coroutine as `asyncio.run` does, on uvloop if it is installed: it serves about twice as many requests."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
