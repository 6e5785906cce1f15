"""Tasks with an owner: background services run while a block runs, end with it, and end it when they fail."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Sequence
from contextlib import asynccontextmanager

CANCEL_AGAIN_S = 1.0


@asynccontextmanager
async def background(*services: Coroutine[None, None, None]) -> AsyncIterator[None]:
    """Run `services` until the block ends. A single error is raised as it is, not wrapped in a group."""
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(service) for service in services]
            try:
                yield
            finally:
                await _cancel_all(tasks)
    except BaseExceptionGroup as errors:
        if len(errors.exceptions) == 1:
            raise errors.exceptions[0] from None
        raise


async def _cancel_all(tasks: Sequence[asyncio.Task[None]]) -> None:
    """Cancel again and again until all tasks have ended: a library can mistake a cancellation for a lost connection."""
    running = {task for task in tasks if not task.done()}
    while running:
        for task in running:
            task.cancel()
        _, running = await asyncio.wait(running, timeout=CANCEL_AGAIN_S)
