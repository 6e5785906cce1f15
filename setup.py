"""Compile the modules on a request's path with mypyc, from the same sources, and the leaf. All else is in setup.cfg.

    pip install .        compiled if a C compiler and Python's headers are there and compiling works, else pure Python

    STANCHION_COMPILE=1  compiled, or the installation fails
    STANCHION_COMPILE=0  pure Python: nothing is compiled, and the wheel fits every platform

The compiled form takes half the time for the same work and rejects values of wrong types. `stanchion version` says
which form was installed. The sources are installed beside the compiled modules. An editable installation is always
pure, because an edited source must not meet an older compiled module.
"""

import os
import shlex
import shutil
import sys
import sysconfig
from pathlib import Path

from setuptools import Extension, errors, setup
from setuptools.command.build_ext import build_ext

#: Every module of these packages runs on a request's path and is compiled, except those in PURE.
COMPILED_PACKAGES = (
    *("controller", "controller/law", "controller/line", "controller/line/sampled", "controller/fleet"),
    *("controller/polling", "waiting_room"),
    *("edge/messages", "edge/decision", "edge/rooms", "edge/proxy", "edge/shield", "edge/support"),
    *("edge/operations", "edge/plugins"),
)
#: Not compiled: no request runs them, or mypyc does not make them faster (abstract classes, asyncio, memory maps).
PURE = frozenset(
    (
        *("controller/settings.py", "controller/snapshot.py", "controller/law/adaptive.py"),
        *("edge/messages/channel.py", "edge/messages/cluster.py", "edge/messages/processes.py"),
        *("edge/messages/upstream.py", "edge/proxy/server_address.py"),
        *("edge/operations/audit.py", "edge/operations/logs.py", "edge/operations/tracing.py"),
        *("edge/decision/premium.py", "edge/proxy/acceptor.py"),
        *("edge/proxy/dial.py", "edge/proxy/listener.py", "edge/proxy/server_tls.py", "edge/support/certificates.py"),
        *("edge/plugins/ext_authz.py", "edge/plugins/ext_authz_messages.py"),
        *("edge/plugins/report.py", "edge/plugins/report_datagrams.py"),
        *("edge/rooms/clock_steps.py", "edge/rooms/dependencies.py", "edge/rooms/join_challenge.py"),
        *("edge/shield/shared_lists.py", "edge/support/event_loop.py", "edge/support/shared_counters.py"),
        *("edge/support/build.py", "edge/support/sizes.py", "edge/support/tasks.py"),
        *("edge/support/shared_forms.py", "waiting_room/leaf.py"),
    )
)
#: Functions on bytes in C, beside the modules that mypyc compiles (`waiting_room/leaf.py`).
LEAF = Extension("waiting_room._leaf", ["waiting_room/leaf.c"], extra_compile_args=["-O3"])
MODULES = sorted(
    path.as_posix()
    for package in COMPILED_PACKAGES
    for path in Path(package).glob("*.py")
    if path.name != "__init__.py" and path.as_posix() not in PURE
)


#: STANCHION_COMPILE: "1", "0", or "" for what is possible.
CHOICE = os.environ.get("STANCHION_COMPILE", "")
#: The commands of a build that need compiled modules. `egg_info`, `sdist` and `editable_wheel` do not.
BUILDING = {"bdist_wheel", "build", "build_ext", "install"}


def can_compile() -> bool:
    """Return whether a C compiler and Python's headers are there."""
    compiler = shlex.split(os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc")[0]
    return shutil.which(compiler) is not None and Path(sysconfig.get_path("include"), "Python.h").exists()


def wants_compiled() -> bool:
    return CHOICE == "1" or (CHOICE == "" and can_compile())


class CompileOrWarn(build_ext):
    """Compile all modules or none, because they call each other's C functions."""

    def run(self) -> None:
        try:
            super().run()
        except (errors.BaseError, errors.CCompilerError, OSError) as fault:
            if CHOICE == "1":
                raise
            print(f"warning: Stanchion is installed as pure Python, because compiling failed: {fault}")
            for built in Path(self.build_lib).rglob("*.so"):
                built.unlink()
            self.extensions = []


def extensions() -> list[Extension]:
    if not wants_compiled() or BUILDING.isdisjoint(sys.argv):
        return []
    try:
        from mypyc.build import mypycify
    except ImportError:
        # pip is asking what the build needs (setup_requires below). The build itself has mypy.
        return []
    try:
        compiled = mypycify(
            ["--config-file=", "--follow-imports=silent", "--ignore-missing-imports", *MODULES], opt_level="3"
        )
        return [*compiled, LEAF]
    except SystemExit:
        if CHOICE == "1":
            raise
        print("warning: Stanchion is installed as pure Python, because mypyc rejects its sources", file=sys.stderr)
        return []


setup(
    ext_modules=extensions(),
    cmdclass={"build_ext": CompileOrWarn},
    setup_requires=["mypy>=1.13"] if wants_compiled() else [],
)
