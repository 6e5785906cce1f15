"""The journal of a SQL store: every batch that was committed, again in a file of its own, before it is answered.

    one line = one batch = JSON [sales, events, {key: refusal}]        the events of all lines are without a gap

A database file that is replaced by an older copy, or a PostgreSQL that is restored from a backup, contradicts the
journal. Then the store is brought back to the last line, so every answer stays true. The journal is written and not
synced: it survives the end of every process, but not a power cut at the same time as an old copy. A last line that was
cut short belongs to a batch that nobody was told.
"""

import os
from collections.abc import Iterable
from pathlib import Path

import msgspec

from checkout.changes import Changes, KeyRecord
from checkout.engines.rows import hold_after
from checkout.errors import StockUnknown, StoreError
from checkout.values import Event, Hold, Sale

BLOCK = 1 << 16


class Journal:
    """The journal at a path. One process writes it: the one that holds the lock of the store."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)
        self._size = _whole_lines(self._file)
        os.ftruncate(self._file, self._size)
        self._last: Event | None = None
        for line in _lines_backwards(self._file, self._size):
            events = _changes_of(line).events
            if events:
                self._last = events[-1]
                break

    def __repr__(self) -> str:
        return f"<Journal {self._path}, {self._size} bytes, last event {self.last_seq}>"

    @property
    def last(self) -> Event | None:
        """The last event, None in an empty journal."""
        return self._last

    @property
    def last_seq(self) -> int:
        return self._last.seq if self._last else 0

    def append(self, changes: Changes) -> None:
        """Add a batch that the store has committed. Raises `StoreError`; then the journal lacks the batch."""
        line = msgspec.json.encode((changes.sales, changes.events, changes.refusals))
        try:
            if os.write(self._file, line + b"\n") != len(line) + 1:
                raise OSError("the file could not take the whole line")
        except OSError as error:
            os.ftruncate(self._file, self._size)
            raise StoreError(f"{self._path}: {error}") from error
        self._size += len(line) + 1
        if changes.events:
            self._last = changes.events[-1]

    def append_events(self, events: list[Event], sales: Iterable[Sale]) -> None:
        """Add events that only the store has, with those of its sales that they open. Raises `StoreError`."""
        opened = {event.sale for event in events if event.kind == "opened"}
        self.append(Changes([sale for sale in sales if sale.id in opened], {}, events, {}))

    def require_intact(self) -> None:
        """Raise `StockUnknown` if somebody has replaced or changed the file since this process wrote it."""
        try:
            found, own = os.stat(self._path), os.fstat(self._file)
        except OSError as error:
            raise StockUnknown(f"the journal of the store is gone: {error}") from error
        if (found.st_ino, found.st_size) != (own.st_ino, self._size):
            raise StockUnknown(f"{self._path}: the journal of the store was replaced")

    def read(self, after_seq: int = 0) -> list[Changes]:
        """Return the batches after an event, without the states of their holds."""
        return read_journal(self._path, after_seq)

    def close(self) -> None:
        os.close(self._file)


def read_journal(path: Path, after_seq: int = 0) -> list[Changes]:
    """Return the batches of a journal that end after the event `after_seq`, and those without events after them."""
    if not path.exists():
        return []
    lines = path.read_bytes().split(b"\n")[:-1]
    batches = [_changes_of(line) for line in lines]
    first = next((at for at, batch in enumerate(batches) if batch.events and batch.events[-1].seq > after_seq), None)
    return [] if first is None else batches[first:]


def joined(batches: Iterable[Changes], holds: dict[str, Hold]) -> Changes:
    """Return all batches as one, with the states of their holds. holds: those of the store before the batches."""
    all_of = Changes([], {}, [], {})
    for batch in batches:
        all_of.sales.extend(batch.sales)
        all_of.events.extend(batch.events)
        all_of.refusals.update(batch.refusals)
    for event in all_of.events:
        if event.hold:
            holds[event.hold] = all_of.holds[event.hold] = hold_after(holds.get(event.hold), event)
    return all_of


def _changes_of(line: bytes) -> Changes:
    sales, events, refusals = msgspec.json.decode(line)
    return Changes(
        [Sale(*sale) for sale in sales],
        {},
        [Event(*event) for event in events],
        {key: KeyRecord(*record) for key, record in refusals.items()},
    )


def _whole_lines(file: int) -> int:
    """Return the size of the file without a last line that was cut short."""
    end = os.fstat(file).st_size
    while end:
        start = max(0, end - BLOCK)
        at = os.pread(file, end - start, start).rfind(b"\n")
        if at >= 0:
            return start + at + 1
        end = start
    return 0


def _lines_backwards(file: int, size: int) -> Iterable[bytes]:
    """Yield the lines of the file, the last one first."""
    rest, end = b"", size
    while end:
        start = max(0, end - BLOCK)
        rest, *lines = (os.pread(file, end - start, start) + rest).split(b"\n")
        yield from (line for line in reversed(lines) if line)
        end = start
    if rest:
        yield rest
