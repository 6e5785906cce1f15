"""Ids of tickets: 128 bits as text."""

import binascii
from collections.abc import Callable
from typing import Final

from waiting_room.leaf import NATIVE
from waiting_room.signature import TO_URL

__all__ = ["ID_BYTES", "ID_CHARACTERS", "new_id", "slot_bits"]

#: Random bytes in an id, as many as in a UUID.
ID_BYTES: Final = 16
#: Their base64 characters without padding.
ID_CHARACTERS: Final = 22

#: The values of the characters of an id (base64url).
_VALUES: Final = {
    character: value
    for value, character in enumerate("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_")
}
#: In compiled code an imported name costs a look-up in its module at each call; a `Final` does not.
_to_base64: Final = binascii.b2a_base64
_native_id: Final[Callable[[bytes], str] | None] = None if NATIVE is None else NATIVE.ident
_native_slot: Final[Callable[[str], int] | None] = None if NATIVE is None else NATIVE.slot


def new_id(entropy: bytes) -> str:
    """Return the id that these random bytes make. entropy: ID_BYTES of them."""
    if len(entropy) != ID_BYTES:
        raise ValueError(f"the id of a ticket needs {ID_BYTES} random bytes, got {len(entropy)}")
    return _new_id(entropy) if _native_id is None else _native_id(entropy)


def _new_id(entropy: bytes) -> str:
    return _to_base64(entropy)[:ID_CHARACTERS].translate(TO_URL).decode()


def slot_bits(ident: str) -> int:
    """Return the first 20 bits of an id of ID_CHARACTERS. A character that no id has counts as 0."""
    if _native_slot is not None:
        found = _native_slot(ident)
        if found >= 0:
            return found
    return _slot_bits(ident)


def _slot_bits(ident: str) -> int:
    value = _VALUES.get
    return (
        (value(ident[0], 0) << 14) + (value(ident[1], 0) << 8) + (value(ident[2], 0) << 2) + (value(ident[3], 0) >> 4)
    )
