"""Tests run side by side in several processes, except those that measure time.

A test marked `serial` has the machine to itself. pytest-xdist cannot do that, so the processes share two file locks:

    turnstile   a test takes it, then the lock, then gives the turnstile back: no test overtakes a serial one that waits
    lock        shared by usual tests, exclusive for serial ones

Serial tests come first. The process that runs them keeps the lock from one to the next, so the other processes wait
once, and then all work side by side to the end. In a single process (`make test JOBS=0`) nothing is locked.
"""

import faulthandler
import fcntl
import gc
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

#: How long one example takes depends on what else the machine does, so no test fails by it.
settings.register_profile("stanchion", deadline=None)
settings.load_profile("stanchion")

#: A test that takes longer hangs. Its process ends, and xdist reports the test as the one that crashed it.
LIMIT_S = 600.0
LONGEST = "tests/simulation/"
FILES = ("turnstile", "lock")
FOLDER = "STANCHION_TEST_LOCKS"
"""The environment variable that tells the processes where the files are."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Put serial tests first, then the longest ones, so that no process ends long after the others."""
    items.sort(key=lambda item: (not _is_serial(item), not item.nodeid.startswith(LONGEST)))


def _is_serial(item: pytest.Item) -> bool:
    return item.get_closest_marker("serial") is not None


class MachineLock:
    """One process's part in the lock that all processes of a test run share."""

    def __init__(self, folder: Path) -> None:
        self._turnstile, self._lock = (os.open(folder / name, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC) for name in FILES)
        self._is_exclusive = False

    def acquire(self, *, is_serial: bool) -> None:
        if self._is_exclusive and is_serial:
            return
        fcntl.flock(self._turnstile, fcntl.LOCK_EX)
        fcntl.flock(self._lock, fcntl.LOCK_EX if is_serial else fcntl.LOCK_SH)
        fcntl.flock(self._turnstile, fcntl.LOCK_UN)
        self._is_exclusive = is_serial

    def release(self) -> None:
        fcntl.flock(self._lock, fcntl.LOCK_UN)
        self._is_exclusive = False

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item, nextitem: pytest.Item | None) -> Iterator[None]:
        """Hold the lock from the first fixture's set-up to the last one's end."""
        self.acquire(is_serial=_is_serial(item))
        faulthandler.dump_traceback_later(LIMIT_S, exit=True)
        try:
            return (yield)
        finally:
            faulthandler.cancel_dump_traceback_later()
            if nextitem is None or not _is_serial(nextitem):
                self.release()


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        # What edges keep over a restart is kept for this test run only.
        state = os.environ["XDG_STATE_HOME"] = tempfile.mkdtemp(prefix="stanchion-state-")
        config.add_cleanup(lambda: shutil.rmtree(state))
    if hasattr(config, "workerinput"):
        config.pluginmanager.register(MachineLock(Path(os.environ[FOLDER])))
    elif config.getoption("numprocesses", None):
        folder = os.environ[FOLDER] = tempfile.mkdtemp(prefix="stanchion-tests-")
        config.add_cleanup(lambda: shutil.rmtree(folder))


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    """Let a crowd's test itself report the sockets it left open, not a later test that collects them by chance."""
    if _is_serial(item):
        gc.collect()
