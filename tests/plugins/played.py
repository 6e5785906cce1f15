"""Plays a case and says what was wrong, in one line."""

import asyncio
import traceback
from collections.abc import Mapping

from tests.plugins.attached import Bench
from tests.plugins.cases import Case

__all__ = ["limit_of", "play", "told"]

CASE_S = 60.0


def limit_of(limits: Mapping[tuple[str, str, str], str], name: str, way: str, case: str) -> str:
    """Return why this load balancer cannot play the case, '' if it can."""
    return limits.get((name, way, case)) or limits.get((name, "", case)) or ""


async def play(case: Case, bench: Bench, limits: Mapping[tuple[str, str, str], str]) -> str:
    """Play a case; return the fault, '' if it was right or cannot be played here."""
    if limit_of(limits, bench.name, bench.way, case.__name__):
        return ""
    try:
        async with asyncio.timeout(CASE_S):
            await case(bench)
    except Exception as fault:  # noqa: BLE001 - any fault is a cell of the table
        return told(fault)
    return ""


def told(fault: BaseException) -> str:
    """Return a fault and where it came from."""
    frames = traceback.extract_tb(fault.__traceback__)
    return f"{type(fault).__name__} at {frames[-1].name}:{frames[-1].lineno}: {str(fault)[:400]}"
