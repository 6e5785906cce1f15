"""Tasks have owners: services run beside a block, end with it, and end it when they fail."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

AGAIN_S = 1.0


@asynccontextmanager
async def beside(*services: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `services` until the block is left. A lone error comes out as itself, not wrapped in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(service) for service in services]
            try:
                yield
            finally:
                await _end(tasks)
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


async def _end(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel until all have ended: a library on the way may take one cancellation for a lost connection."""
    waiting = {task for task in tasks if not task.done()}
    while waiting:
        for task in waiting:
            task.cancel()
        _, waiting = await asyncio.wait(waiting, timeout=AGAIN_S)
