"""The board: a small piece of memory that all workers of a machine see, for counts that must hold over all of them.

    row(room_row, worker) = CELLS signed 64-bit integers, written by that worker only    (controller/occupancy.py)

    | room_row 0: worker 0 | worker 1 | ... | room_row 1: worker 0 | worker 1 | ...

Behind the rows of active visitors lie as many of claims (`edge/rooms/stock.py`), in the same order.

A room_row belongs to a room for as long as the supervisor lives. The memory is an unnamed file, passed on as a descriptor:
nothing is left behind, and a worker that is killed finds its rows again when it is restarted.
"""

import mmap
import os
import tempfile
from collections.abc import MutableSequence
from typing import cast

from controller import CELLS

__all__ = ["MAX_ROOMS", "SharedCounters", "create_counters_file"]

#: Rooms in the life of a supervisor, those that a reload took away included.
MAX_ROOMS = 1024
_CELL_BYTES = 8
_ROWS_A_WORKER = 2 * MAX_ROOMS


def create_counters_file(workers: int) -> int:
    """A descriptor of zeroed memory for all rows; pages that are never touched cost nothing."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stanchion-board")
    else:  # not Linux
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _ROWS_A_WORKER * workers * CELLS * _CELL_BYTES)
    return descriptor


class SharedCounters:
    """A process's view of the board."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self._workers = workers
        self._memory = mmap.mmap(descriptor, _ROWS_A_WORKER * workers * CELLS * _CELL_BYTES)
        self._cells = memoryview(self._memory).cast("q")

    def rows(self, room_row: int) -> list[MutableSequence[int]]:
        """One room's rows of active visitors, one a worker."""
        return self._rows_at(room_row)

    def claims(self, room_row: int) -> list[MutableSequence[int]]:
        """One room's rows of claims, one a worker."""
        return self._rows_at(MAX_ROOMS + room_row)

    def _rows_at(self, room_row: int) -> list[MutableSequence[int]]:
        first = room_row * self._workers
        rows = [self._cells[(first + at) * CELLS : (first + at + 1) * CELLS] for at in range(self._workers)]
        return cast(list[MutableSequence[int]], rows)
