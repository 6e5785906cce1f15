"""Free ports for servers that cannot bind port 0 themselves, or that start again on the port they had.

A port from `bind(("127.0.0.1", 0))` that is closed again is free only until the kernel gives it to the next socket.
These ports lie below the kernel's ephemeral range, so no connection and no `bind` to port 0 takes one. A lock on a file
per port keeps other test processes away; the kernel drops it when the process ends.
"""

import fcntl
import os
import random
import socket
import tempfile
from contextlib import suppress
from pathlib import Path

__all__ = ["free_port"]

FIRST_PORT, LAST_PORT = 15_000, 32_000
"""Linux hands out 32768 to 60999 by itself unless it is told otherwise."""
LOCKS = Path(tempfile.gettempdir()) / f"stanchion-test-ports-{os.getuid()}"
_locks: list[int] = []
"""Descriptors of the locks that this process holds until it ends."""


def free_port() -> int:
    """Return a TCP port on 127.0.0.1 that belongs to this process until it ends."""
    LOCKS.mkdir(exist_ok=True)
    for port in random.sample(range(FIRST_PORT, LAST_PORT), 1000):
        lock = os.open(LOCKS / str(port), os.O_CREAT | os.O_RDWR | os.O_CLOEXEC)
        with suppress(OSError), socket.socket() as probe:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            probe.bind(("127.0.0.1", port))
            _locks.append(lock)
            return port
        os.close(lock)
    raise RuntimeError(f"no port was free between {FIRST_PORT} and {LAST_PORT}")
