"""Shared counters: memory that all workers of a machine map, for counts that must hold over all of them.

    rows(room_row)[worker] = CELLS signed 64-bit integers, written by that worker only     (controller/occupancy.py)

    | room_row 0: worker 0 | worker 1 | ... | room_row 1: worker 0 | worker 1 | ...

Behind the rows of active visitors lie as many rows of claims (`edge/rooms/stock.py`), in the same order.

A room keeps its row for as long as the supervisor lives. The memory is an unnamed file that is passed on as a
descriptor: nothing is left behind, and a restarted worker finds the rows of the killed one.
"""

import mmap
import os
import tempfile
from collections.abc import MutableSequence
from typing import cast

from controller import CELLS

__all__ = ["MAX_ROOMS", "SharedCounters", "create_counters_file"]

#: Rooms in the life of a supervisor, including those that a reload removed.
MAX_ROOMS = 1024
_CELL_BYTES = 8
_ROWS_A_WORKER = 2 * MAX_ROOMS


def create_counters_file(workers: int) -> int:
    """Return a descriptor of zeroed memory for all rows. Pages that are never touched take no memory."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stanchion-counters")
    else:  # not Linux
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _ROWS_A_WORKER * workers * CELLS * _CELL_BYTES)
    return descriptor


class SharedCounters:
    """The shared counters as one process maps them."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(descriptor, _ROWS_A_WORKER * workers * CELLS * _CELL_BYTES)
        self._cells = memoryview(self._memory).cast("q")

    def rows(self, room_row: int) -> list[MutableSequence[int]]:
        """Return a room's rows of active visitors, one a worker."""
        return self._rows_at(room_row)

    def claims(self, room_row: int) -> list[MutableSequence[int]]:
        """Return a room's rows of claims, one a worker."""
        return self._rows_at(MAX_ROOMS + room_row)

    def _rows_at(self, row: int) -> list[MutableSequence[int]]:
        first = row * self._workers
        rows = [self._cells[(first + at) * CELLS : (first + at + 1) * CELLS] for at in range(self._workers)]
        return cast(list[MutableSequence[int]], rows)
