"""The native leaf: a few functions on bytes in C (`leaf.c`), built with the compiled modules (`setup.py`).

It makes things faster and decides nothing. Each function has a Python form, which the pure installation runs and which
says what the answer is. A native one reads only the usual form of its input and returns None for all else: then the
Python form reads it. So a change of a format needs no change of `leaf.c`: the new form is only slower until then.

    native                                          Python form
    mac_state, digest, sign, unsign                 `waiting_room/signature.py`
    find_ticket(states, cookie, name, room)         `edge/decision/cookies.py`, then `Keyring.read`
    ticket_cookie(states, before, room, ...)        `Keyring.seal`, then `edge/decision/cookies.py`
    ident, slot                                     `waiting_room/ident.py`
    document(...), moment(seconds)                  `waiting_room/status.py`
    fill(parts, order, widths, values)              `waiting_room/filling.py`
    response_head(raw, uses)                        `edge/proxy/response.py`
    HeadTable                                       `edge/proxy/head_cache.py`

It reads what anybody can send: `python -m tests.reliability.leaf` compares both forms on mutated input, also with
AddressSanitizer.
"""

from types import ModuleType
from typing import Final

__all__ = ["NATIVE"]


def _loaded() -> ModuleType | None:
    try:
        from waiting_room import _leaf
    except ImportError:
        return None
    return _leaf


NATIVE: Final = _loaded()
"""The native module, or None in the pure form."""
