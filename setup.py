"""What setup.cfg cannot say: the modules on a request's path can be compiled, from the same sources, with mypyc.

    STANCHION_COMPILE=1 pip install .

The compiled form does the same in half the time and refuses values of wrong types. It needs a C compiler and Python's
headers. Where it cannot be built, the installation goes on with the pure form and says so; without the variable it is
not tried. The sources are installed beside it.
"""

import os
import sys
from pathlib import Path

from setuptools import Extension, errors, setup
from setuptools.command.build_ext import build_ext

#: Every module of these packages runs on a request's path and is compiled,
COMPILED_PACKAGES = (
    *("controller", "controller/law", "controller/line", "controller/fleet", "controller/polling", "waiting_room"),
    *("edge/messages", "edge/decision", "edge/rooms", "edge/proxy", "edge/shield", "edge/support"),
    "edge/operations",
)
#: except these: no request runs them, or mypyc has no use for them (abstract seams, asyncio, memory maps).
PURE = frozenset(
    (
        *("controller/settings.py", "controller/snapshot.py", "controller/law/adaptive.py"),
        *("edge/messages/channel.py", "edge/operations/audit.py", "edge/operations/logs.py"),
        *("edge/decision/premium.py", "edge/proxy/acceptor.py", "edge/messages/decider.py"),
        *("edge/rooms/clock_steps.py", "edge/rooms/dependencies.py", "edge/rooms/join_challenge.py"),
        *("edge/shield/shared_lists.py", "edge/support/event_loop.py", "edge/support/shared_counters.py"),
    )
)
MODULES = sorted(
    path.as_posix()
    for package in COMPILED_PACKAGES
    for path in Path(package).glob("*.py")
    if path.name != "__init__.py" and path.as_posix() not in PURE
)


class BuildOrGoOn(build_ext):
    """All modules are compiled, or none: they call each other's C functions."""

    def run(self) -> None:
        try:
            super().run()
        except (errors.BaseError, errors.CCompilerError, OSError) as fault:
            print(f"warning: Stanchion is installed in its pure form, for it cannot be compiled: {fault}")
            for built in Path(self.build_lib).rglob("*.so"):
                built.unlink()
            self.extensions = []


def compiled() -> list[Extension]:
    if os.environ.get("STANCHION_COMPILE", "") in ("", "0"):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        return []  # asked for what the build needs (below): this is not the build yet
    try:
        return mypycify(
            ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", *MODULES], opt_level="3"
        )
    except SystemExit:
        print("warning: Stanchion is installed in its pure form, for mypyc refuses its sources", file=sys.stderr)
        return []


setup(
    ext_modules=compiled(),
    cmdclass={"build_ext": BuildOrGoOn},
    setup_requires=["mypy>=1.13"] if os.environ.get("STANCHION_COMPILE", "") not in ("", "0") else [],
)
