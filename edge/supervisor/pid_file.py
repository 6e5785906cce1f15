"""The pid file: the supervisor's process id, in a file that is locked for as long as the supervisor lives.

The lock (flock) tells a running edge from a file that a killed one left behind, so a signal never reaches a stranger
that got the same process id.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edge.support.errors import ConfigurationError, SettingFault, UpstreamError

__all__ = ["pid_file", "running_pid"]


@contextmanager
def pid_file(path: str | None) -> Iterator[None]:
    """Hold the pid file while the edge runs, and remove it afterwards. path: None for no file.

    Raises ConfigurationError if the file cannot be written, or if another edge holds it.
    """
    if path is None:
        yield
        return
    descriptor = _lock(path)
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, b"%d\n" % os.getpid())
        yield
    finally:
        with suppress(OSError):
            os.unlink(path)
        os.close(descriptor)


def running_pid(path: Path) -> int:
    """Return the process id of the edge that holds the file. Raises UpstreamError if none does."""
    try:
        with path.open("rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return int(file.read())
    except OSError as error:
        raise UpstreamError(
            f"{path} cannot be read: {error.strerror}. Is the edge running with this pid_file?"
        ) from None
    except ValueError:
        raise UpstreamError(f"{path} is locked but holds no process id") from None
    raise UpstreamError(f"no edge runs: {path} was left by one that was killed")


def _lock(path: str) -> int:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    except OSError as error:
        raise _fault(f"{path} cannot be written: {error.strerror}") from None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        other = os.read(descriptor, 20).decode("ascii", "replace").strip()
        os.close(descriptor)
        raise _fault(f"another edge holds {path} (process {other})") from None
    return descriptor


def _fault(message: str) -> ConfigurationError:
    return ConfigurationError("the pid file", [SettingFault("pid_file", message)])
