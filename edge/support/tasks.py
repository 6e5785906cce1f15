"""Tasks that outlive the call that starts them, with one owner that ends them.

    tasks = TaskOwner()
    tasks.start(coroutine(), "its name")     returns at once
    await tasks.wait()                       all have ended by themselves
    await tasks.close()                      all are cancelled and have ended

A bare `asyncio.create_task` may be garbage-collected while it runs, and its failure is logged when nobody expects it
any more. Where a scope awaits its tasks, use `asyncio.TaskGroup`. Use this class where a callback starts them.
"""

import asyncio
import logging
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

__all__ = ["TaskOwner", "faults_are_logged", "keep_cancellation", "run_together", "start_awaited"]

log = logging.getLogger("edge.tasks")

#: How long a cancelled task may take before it is cancelled again.
AGAIN_S = 0.5

Result = TypeVar("Result")


class TaskOwner:
    """Keeps a reference to each running task. A failure goes to the event loop's exception handler, which logs it."""

    def __init__(self) -> None:
        self._running: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<TaskOwner {len(self._running)} running: {sorted({task.get_name() for task in self._running})}>"

    def __len__(self) -> int:
        return len(self._running)

    def start(self, coroutine: Coroutine[None, None, None], name: str) -> asyncio.Task[None]:
        """Run the coroutine as a task of this name. The caller may cancel it, and need not keep it."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._running.add(task)
        task.add_done_callback(self._ended)
        return task

    async def wait(self) -> None:
        """Wait until every task has ended, those included that are started meanwhile."""
        while self._running:
            await asyncio.wait(self._running)

    async def close(self) -> None:
        """Cancel every task and wait until all have ended."""
        for task in self._running:
            task.cancel()
        await self.wait()

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        if not task.cancelled() and (fault := task.exception()) is not None:
            context = {"message": f"the task {task.get_name()!r} failed", "exception": fault, "task": task}
            task.get_loop().call_exception_handler(context)


def start_awaited(coroutine: Coroutine[Any, Any, Result], name: str) -> asyncio.Task[Result]:
    """Run the coroutine as a task that the caller keeps, and awaits or cancels. Its failure is the caller's."""
    return asyncio.get_running_loop().create_task(coroutine, name=name)


async def run_together(*coroutines: Coroutine[None, None, None]) -> None:
    """Run the coroutines until one fails or all have ended. Cancel the others, wait for them, and raise the failure.

    Unlike `asyncio.TaskGroup` before CPython 3.13 it never loses a cancellation: if a coroutine fails because it is
    cancelled, the caller still gets CancelledError. A loop that handles failures and goes on needs that to end.
    """
    loop = asyncio.get_running_loop()
    tasks = [loop.create_task(coroutine) for coroutine in coroutines]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
    finally:
        await _end(tasks)
    for task in done:
        task.result()


async def _end(tasks: "list[asyncio.Task[None]]") -> None:
    """Cancel the tasks until they have ended. A library may swallow a cancellation: redis-py does so now and then."""
    left = tasks
    while left := [task for task in left if not task.done()]:
        for task in left:
            task.cancel()
        await asyncio.wait(left, timeout=AGAIN_S)
    for task in tasks:  # taken, so that no failure is logged as one that nobody looked at
        if not task.cancelled():
            task.exception()


def keep_cancellation(fault: BaseException) -> None:
    """Raise CancelledError if the running task is to end. For a loop that handles a fault and goes on.

    A connection that is closed because of a cancellation may fail, and its fault then hides the cancellation.
    """
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from fault


@contextmanager
def faults_are_logged(what: str) -> Iterator[None]:
    """Log a fault of our own and go on. For work that the line does not need, such as a record: it must end no edge."""
    try:
        yield
    except Exception:
        log.exception("%s failed", what)
