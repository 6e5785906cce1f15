"""The single writer: commands of all requests, gathered into batches, decided one batch at a time.

Nothing waits for a batch to fill: while one is being stored the next gathers (group commit), so a lone
request pays one transaction and a crowd shares it. 250 a batch bounds what one commit delays (the figure of
the sources).
"""

import asyncio
from collections import deque
from collections.abc import Sequence

from checkout.engines.engine import Engine
from checkout.errors import StoreError
from checkout.values import Command, Outcome


class Writer:
    """`run()` is the writer's task; `submit` may be called from any other task of the loop."""

    def __init__(self, engine: Engine, *, batch_size: int = 250) -> None:
        self._engine = engine
        self._batch_size = batch_size
        self._waiting: deque[tuple[Command, asyncio.Future[Outcome]]] = deque()
        self._wake = asyncio.Event()
        self.batches = 0
        self.decisions = 0

    async def submit(self, command: Command) -> Outcome:
        """Decide one command; returns when the outcome is durable. Raises `StoreError`."""
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
