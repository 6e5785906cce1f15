"""Shared counters: memory that all workers of a machine map, for counts that must hold over all of them.

    rows(room_row)[worker] = CELLS signed 64-bit integers, written by that worker only     (controller/occupancy.py)

    | room_row 0: worker 0 | worker 1 | ... | room_row 1: worker 0 | worker 1 | ...

Behind the rows of active visitors lie as many rows of claims (`edge/rooms/stock.py`), in the same order. Behind those
lie the table of shown passes (`edge/rooms/confirmation.py`) and the forms of waiting visitors (`shared_forms.py`),
which all workers write.

A room keeps its row for as long as the supervisor lives. The memory is an unnamed file that is passed on as a
descriptor: nothing is left behind, and a restarted worker finds the rows of the killed one.
"""

import mmap
import os
import tempfile
from collections.abc import MutableSequence
from typing import cast

from controller import CELLS
from edge.support.shared_forms import FORMS_BYTES, SharedForms

__all__ = ["MAX_ROOMS", "TABLE_CELLS", "SharedCounters", "create_counters_file"]

#: Rooms in the life of a supervisor, including those that a reload removed.
MAX_ROOMS = 1024
_CELL_BYTES = 8
_ROWS_A_WORKER = 2 * MAX_ROOMS
#: Cells of the table of shown passes.
TABLE_CELLS = 65_536


def create_counters_file(workers: int) -> int:
    """Return a descriptor of zeroed memory for all rows. Pages that are never touched take no memory."""
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("stanchion-counters")
    else:  # not Linux
        with tempfile.TemporaryFile() as file:
            descriptor = os.dup(file.fileno())
    os.ftruncate(descriptor, _forms_at(workers) + FORMS_BYTES)
    return descriptor


def _size(workers: int) -> int:
    return (_ROWS_A_WORKER * workers * CELLS + TABLE_CELLS) * _CELL_BYTES


def _forms_at(workers: int) -> int:
    """Return where the forms begin: the next page behind the counters."""
    page = mmap.ALLOCATIONGRANULARITY
    return -(-_size(workers) // page) * page


class SharedCounters:
    """The shared counters as one process maps them."""

    def __init__(self, descriptor: int, workers: int) -> None:
        self._workers = workers
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, _size(workers))
        self._cells = memoryview(self._memory).cast("q")

    def rows(self, room_row: int) -> list[MutableSequence[int]]:
        """Return a room's rows of active visitors, one a worker."""
        return self._rows_at(room_row)

    def claims(self, room_row: int) -> list[MutableSequence[int]]:
        """Return a room's rows of claims, one a worker."""
        return self._rows_at(MAX_ROOMS + room_row)

    def shown(self) -> MutableSequence[int]:
        """Return the table of shown passes."""
        first = _ROWS_A_WORKER * self._workers * CELLS
        return cast(MutableSequence[int], self._cells[first : first + TABLE_CELLS])

    def forms(self) -> SharedForms:
        """Return the forms of waiting visitors."""
        return SharedForms(self._descriptor, _forms_at(self._workers))

    def _rows_at(self, row: int) -> list[MutableSequence[int]]:
        first = row * self._workers
        rows = [self._cells[(first + at) * CELLS : (first + at + 1) * CELLS] for at in range(self._workers)]
        return cast(list[MutableSequence[int]], rows)
