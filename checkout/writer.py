"""The single writer: it collects the commands of all requests into batches and stores one batch at a time.

No command waits for a batch to fill. While one batch is stored, the next one collects (group commit), so a single
request costs one transaction and many requests share one. At most 250 commands a batch bound the delay of one commit.
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from checkout.engines.engine import Engine
from checkout.errors import StoreError
from checkout.values import Command, Outcome


class Writer:
    """`run()` is the task of the writer. Any other task of the event loop may call `submit`."""

    def __init__(self, engine: Engine, *, batch_size: int = 250) -> None:
        self._engine = engine
        self._batch_size = batch_size
        self._waiting: deque[tuple[Command, asyncio.Future[Outcome]]] = deque()
        self._wake = asyncio.Event()
        self.batches = 0
        self.decisions = 0

    async def submit(self, command: Command) -> Outcome:
        """Decide one command and return when the outcome is durable. Raises `StoreError`."""
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self._waiting.append((command, future))
        self._wake.set()
        return await future

    async def run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._waiting:
                count = min(len(self._waiting), self._batch_size)
                await self._store([self._waiting.popleft() for _ in range(count)])

    async def _store(self, batch: Sequence[tuple[Command, asyncio.Future[Outcome]]]) -> None:
        try:
            outcomes = await self._engine.apply([command for command, _ in batch])
        except StoreError as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
            return
        except BaseException:
            for _, future in batch:
                future.cancel()
            raise
        self.batches += 1
        self.decisions += len(batch)
        for (_, future), outcome in zip(batch, outcomes, strict=True):
            if not future.done():
                future.set_result(outcome)
