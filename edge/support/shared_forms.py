"""Forms that wait for their turn, in memory that all workers of a machine share. Bounded; nothing reaches a disk.

A visitor may send a form at the moment when they have to wait. The edge keeps its body, and the worker that meets the
visitor's own request after the admission sends it to the shop, once. `take` removes the form under a lock that all
workers share, so no two of them send it.

    slot = | key 16 bytes | ticket id 22 | state 1 | length 4 | until 8 | content ... |
    state: EMPTY -> KEPT -> TAKEN            TAKEN: only the key is left, so that a reload is not taken for a loss

There are small and large slots. A ticket has WAYS slots of each kind, by the hash of its id, and at most
MOST_OF_A_VISITOR forms. If all of them are in use, the form is not kept, and the visitor is told so; nobody else's form
is pushed out. Memory is taken when a slot is written for the first time. All times are wall clock, in seconds.
"""

import fcntl
import mmap
import struct
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from zlib import crc32

__all__ = ["FORMS_BYTES", "LARGEST_FORM", "SharedForms"]

_HEAD: Final = struct.Struct("<16s22sBxId")
#: (bytes of a slot, number of slots): 16 MiB in all.
_KINDS: Final = ((4096, 2048), (73_728, 114))
#: All slots together.
FORMS_BYTES: Final = sum(size * count for size, count in _KINDS)
WAYS: Final = 6
MOST_OF_A_VISITOR: Final = 3
#: The longest content: a body of 64 KiB and what belongs to it.
LARGEST_FORM: Final = _KINDS[-1][0] - _HEAD.size

_EMPTY: Final = 0
_KEPT: Final = 1
_TAKEN: Final = 2
#: How long it is remembered that a form was taken.
_TAKEN_S: Final = 3600.0


class SharedForms:
    """The forms as one process maps them. descriptor, offset: FORMS_BYTES zeroed bytes that all workers map."""

    def __init__(self, descriptor: int, offset: int = 0) -> None:
        self._descriptor = descriptor
        self._memory = mmap.mmap(descriptor, FORMS_BYTES, offset=offset)

    def put(self, key: bytes, ticket_id: str, content: bytes, now: float, until: float) -> bool:
        """Keep a form, in place of what was kept or taken by the same key. Return False if there is no space for it.

        key: 16 bytes by which it is taken.
        """
        ticket = ticket_id.encode()
        if len(ticket) > 22 or len(key) != 16:
            return False
        with self._locked():
            slots = list(self._slots(ticket))
            for at, _ in slots:
                if self._read(at)[:2] == (key, ticket.ljust(22, b"\0")):
                    self._memory[at : at + _HEAD.size] = bytes(_HEAD.size)
            kept = [at for at, _ in slots if self._is(at, _KEPT, now) and self._read(at)[1].rstrip(b"\0") == ticket]
            if len(kept) >= MOST_OF_A_VISITOR:
                return False
            for wanted in (_EMPTY, _TAKEN):
                for at, size in slots:
                    if _HEAD.size + len(content) <= size and self._is(at, wanted, now):
                        _HEAD.pack_into(self._memory, at, key, ticket, _KEPT, len(content), until)
                        self._memory[at + _HEAD.size : at + _HEAD.size + len(content)] = content
                        return True
        return False

    def take(self, key: bytes, ticket_id: str, now: float) -> bytes | None:
        """Remove a form and return its content: b'' if it was taken before, None if it is not here."""
        ticket = ticket_id.encode()
        with self._locked():
            for at, _ in self._slots(ticket):
                found, owner, state, length, until = self._read(at)
                if found != key or owner.rstrip(b"\0") != ticket or state == _EMPTY:
                    continue
                if state == _TAKEN:
                    return b""
                if until <= now:
                    return None
                begin = at + _HEAD.size
                content = self._memory[begin : begin + length]
                self._memory[begin : begin + length] = bytes(length)
                _HEAD.pack_into(self._memory, at, key, ticket, _TAKEN, 0, now + _TAKEN_S)
                return content
        return None

    def _slots(self, ticket: bytes) -> Iterator[tuple[int, int]]:
        """Yield offset and size of the slots that a ticket may use, small ones first."""
        base, hashed = 0, crc32(ticket)
        for size, count in _KINDS:
            for way in range(WAYS):
                yield base + (hashed + way * 7919) % count * size, size
            base += size * count

    def _read(self, at: int) -> tuple[bytes, bytes, int, int, float]:
        key, owner, state, length, until = _HEAD.unpack_from(self._memory, at)
        return key, owner, state, length, until

    def _is(self, at: int, wanted: int, now: float) -> bool:
        _, _, state, _, until = self._read(at)
        if wanted == _EMPTY:
            return state == _EMPTY or until <= now
        return state == wanted and until > now

    @contextmanager
    def _locked(self) -> Iterator[None]:
        """Keep the other workers out. Record locks end with the process that holds them."""
        fcntl.lockf(self._descriptor, fcntl.LOCK_EX)
        try:
            yield
        finally:
            fcntl.lockf(self._descriptor, fcntl.LOCK_UN)
