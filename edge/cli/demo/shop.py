"""The demo's upstream: the shop of `checkout/`, started as a process of its own, as any upstream is."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator

from edge.support.errors import InternalError, UpstreamError

__all__ = ["running_shop"]


@contextlib.asynccontextmanager
async def running_shop(stock: int, checkouts_per_second: float, seconds_per_checkout: float) -> AsyncIterator[str]:
    """A shop on a free port; yields its address, and ends it afterwards."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "checkout", "serve", "--listen", "127.0.0.1:0", "--stock", str(stock)),
        *("--checkouts-per-second", str(checkouts_per_second), "--seconds-per-checkout", str(seconds_per_checkout)),
        stdout=asyncio.subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for the demo to hear: the shop ends after the edge
    )
    try:
        if process.stdout is None:
            raise InternalError("the shop was started without a pipe for its output")
        said = (await process.stdout.readline()).decode()
        prefix = "listening on "
        if not said.startswith(prefix):
            raise UpstreamError(f"the demo's shop did not start; it said {said!r}")
        yield said.removeprefix(prefix).strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
