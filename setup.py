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

#: What runs for every request, and what that calls. Commands, settings and workers stay as they are.
CONTROLLER = (
    "bucket census decisions fairness fleet foresight front gate held lateness law leases line membership meter "
    "occupancy pacing pid pool profile showup standstill"
)
WAITING_ROOM = "assets error_page frame page signature slots status template texts ticket"
EDGE = (
    "access answers binding client_address commands cookies entropy facts guard head health metrics negotiation paths "
    "pipeline recognition replies room rooms seen stock telling uses verdict"
)
PLANE = (
    "asked body breaker census client connection exchange hop memory pace pool recognise request response server "
    "splice upload upstream"
)
MODULES = [
    f"{package}/{name}.py"
    for package, names in (
        ("controller", CONTROLLER),
        ("waiting_room", WAITING_ROOM),
        ("edge", EDGE),
        ("edge/abuse", "limiter networks refusals score shield"),
        ("edge/cluster", "grants"),
        ("edge/plane", PLANE),
    )
    for name in names.split()
]


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
