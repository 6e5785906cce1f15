"""What the edge tells systemd: that it is ready, that it stops, and that it is alive (sd_notify(3)).

    READY=1      every worker serves: `systemctl start` returns, units ordered after this one start
    STATUS=...   one line for `systemctl status`
    WATCHDOG=1   twice within WatchdogSec=, from the supervisor's event loop: a supervisor that hangs is restarted
    STOPPING=1   a stop was asked for

Without `NOTIFY_SOCKET` in the environment nothing is sent. Lost messages are no error: systemd may be restarting.
"""

import asyncio
import os
import socket
from collections.abc import Mapping
from contextlib import suppress

__all__ = ["ServiceManager"]

#: The longest time that a message which must not be lost may wait for space in the manager's queue, seconds.
PATIENCE_S = 1.0


class ServiceManager:
    """Sends messages to the service manager that started this process. environment: usually `os.environ`."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        address = environment.get("NOTIFY_SOCKET", "")
        #: A name that starts with @ is in the abstract namespace (unix(7)).
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._watchdog_s = _watchdog_s(environment)

    def ready(self, status: str) -> None:
        self._send(f"READY=1\nSTATUS={status}\nMAINPID={os.getpid()}", PATIENCE_S)

    def stopping(self) -> None:
        self._send("STOPPING=1\nSTATUS=finishing what is under way", PATIENCE_S)

    async def keep_alive(self) -> None:
        """Send WATCHDOG=1 for as long as this task runs; return at once if no watchdog was asked for."""
        while self._watchdog_s is not None:
            self._send("WATCHDOG=1", 0.0)
            await asyncio.sleep(self._watchdog_s / 2)

    def _send(self, message: str, patience_s: float) -> None:
        """patience_s: how long to wait while the manager's queue is full. The next WATCHDOG=1 follows soon anyway."""
        if not self._address:
            return
        with suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as out:
            out.settimeout(patience_s)
            out.sendto(message.encode(), self._address)


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Return WatchdogSec= of the unit if it is meant for this process (sd_watchdog_enabled(3))."""
    text = environment.get("WATCHDOG_USEC", "")
    if not text.isdecimal() or int(text) == 0:
        return None
    if environment.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    return int(text) / 1e6
