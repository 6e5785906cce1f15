"""The single writer: it collects the commands of all requests into batches and stores one batch at a time.

No command waits for a batch to fill. While one batch is stored, the next one collects (group commit), so a single
request costs one transaction and many requests share one. At most 250 commands a batch bound the delay of one commit.

While the outcomes of a batch wait for the second copy (`CopiedEngine`), the store decides the next batch.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from checkout.engines.engine import CopiedEngine, Engine
from checkout.engines.epoch import Position
from checkout.errors import StoreError
from checkout.values import Command, Outcome

Batch = Sequence[tuple[Command, "asyncio.Future[Outcome]"]]
COPIES_AT_ONCE = 16
"""Batches that may wait for their copy. It bounds what is decided while no copy is made."""


class Writer:
    """`run()` is the task of the writer. Any other task of the event loop may call `submit`."""

    def __init__(self, engine: Engine, *, batch_size: int = 250) -> None:
        self._engine = engine
        self._copied = engine if isinstance(engine, CopiedEngine) and engine.has_copy else None
        self._batch_size = batch_size
        self._waiting: deque[tuple[Command, asyncio.Future[Outcome]]] = deque()
        self._wake = asyncio.Event()
        self._free = asyncio.Semaphore(COPIES_AT_ONCE)
        self.batches = 0
        self.decisions = 0

    async def submit(self, command: Command) -> Outcome:
        """Decide one command and return when the outcome is durable. Raises `StoreError`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        async with asyncio.TaskGroup() as copies:
            while True:
                await self._wake.wait()
                self._wake.clear()
                while self._waiting:
                    if self._copied is None:
                        await self._store(self._next_batch())
                    else:
                        await self._free.acquire()
                        await self._decide(self._copied, self._next_batch(), copies)

    def _next_batch(self) -> Batch:
        count = min(len(self._waiting), self._batch_size)
        return [self._waiting.popleft() for _ in range(count)]

    async def _store(self, batch: Batch) -> None:
        try:
            outcomes = await self._engine.apply([command for command, _ in batch])
        except StoreError as error:
            _fail(batch, error)
        except BaseException:
            _cancel(batch)
            raise
        else:
            self._answer(batch, outcomes)

    async def _decide(self, engine: CopiedEngine, batch: Batch, copies: asyncio.TaskGroup) -> None:
        """Decide a batch and return; a task of `copies` answers it when its copy is durable."""
        try:
            outcomes, position = await engine.decide([command for command, _ in batch])
        except StoreError as error:
            self._free.release()
            _fail(batch, error)
        except BaseException:
            _cancel(batch)
            raise
        else:
            copies.create_task(self._answer_when_copied(engine, batch, outcomes, position))

    async def _answer_when_copied(
        self, engine: CopiedEngine, batch: Batch, outcomes: list[Outcome], position: Position
    ) -> None:
        try:
            await engine.copied(position)
        except StoreError as error:
            _fail(batch, error)
        except BaseException:
            _cancel(batch)
            raise
        else:
            self._answer(batch, outcomes)
        finally:
            self._free.release()

    def _answer(self, batch: Batch, outcomes: list[Outcome]) -> None:
        self.batches += 1
        self.decisions += len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)


def _fail(batch: Batch, error: StoreError) -> None:
    for _, future in batch:
        if not future.done():
            future.set_exception(error)


def _cancel(batch: Batch) -> None:
    for _, future in batch:
        future.cancel()
