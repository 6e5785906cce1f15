"""What may stand in a `Host` field: a name or an address, with or without a port."""

import re
from functools import lru_cache
from typing import Final

__all__ = ["is_host"]

# An empty port is the default port (RFC 3986, 3.2.3).
_HOST = re.compile(rb"(?:[A-Za-z0-9_](?:[A-Za-z0-9._-]{0,253})|\[[0-9A-Fa-f:.]{2,45}\])(?::(\d{0,5}))?")


#: The longest value that is one: a name of 254 bytes and a port.
LONGEST_HOST: Final = 264


def is_host(value: bytes) -> bool:
    """Return whether the value is a name or an address, with or without a port: no user, no list, no path."""
    return len(value) <= LONGEST_HOST and _is_host(value)


@lru_cache(maxsize=512)
def _is_host(value: bytes) -> bool:
    found = _HOST.fullmatch(value)
    return found is not None and int(found[1] or 0) <= 65_535
