"""The demo's upstream: the shop of `checkout/`, in its own process as any upstream."""

import asyncio
import contextlib
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

from edge.support.errors import InternalError, UpstreamError

__all__ = ["running_shop"]


@contextlib.asynccontextmanager
async def running_shop(
    stock: int, checkouts_per_second: float, seconds_per_checkout: float, catalogue: Path
) -> AsyncIterator[str]:
    """Run a shop on a free port, yield its address, and end it afterwards. catalogue: the file of its products."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "checkout", "serve", "--listen", "127.0.0.1:0", "--stock", str(stock)),
        *("--checkouts-per-second", str(checkouts_per_second), "--seconds-per-checkout", str(seconds_per_checkout)),
        *("--catalogue", str(catalogue)),
        stdout=asyncio.subprocess.PIPE,
        # A session of its own: Ctrl-C reaches only the demo, which ends the shop after the edge.
        start_new_session=True,
    )
    try:
        if process.stdout is None:
            raise InternalError("the shop was started without a pipe for its output")
        first_line = (await process.stdout.readline()).decode()
        prefix = "listening on "
        if not first_line.startswith(prefix):
            raise UpstreamError(f"the demo's shop did not start; its first line is {first_line!r}")
        yield first_line.removeprefix(prefix).strip()
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        await process.wait()
