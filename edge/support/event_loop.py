"""What a process runs on: its event loop, and how often its garbage is looked for."""

import asyncio
import gc
from typing import Any

__all__ = ["calm_collector", "run_loop"]


def calm_collector() -> None:
    """What was made so far stays for good: the collector need not look at it again.

    And it looks less often. Of each remembered head it sees five objects, in no cycles, and of heads that do not come
    again two generations are held: 80,000 objects. Below that number it would look at each of them once, for nothing.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 20, 50)


def run_loop(main: Any) -> Any:
    """`asyncio.run`, on uvloop where it imports: it serves about twice as many requests."""
    try:
        import uvloop
    except ImportError:
        return asyncio.run(main)
    return uvloop.run(main)
