"""The native leaf for tests: the installed one, or one that is built for them, so that the pure form is tested too."""

import importlib.util
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from functools import cache
from importlib.machinery import ExtensionFileLoader
from pathlib import Path
from types import ModuleType

import pytest

from waiting_room.leaf import NATIVE

__all__ = ["NAME", "SOURCE", "build", "leaf"]

NAME = "waiting_room._leaf"
SOURCE = Path(__file__).parents[1] / "waiting_room" / "leaf.c"


def compiler() -> list[str] | None:
    """Return the command of the C compiler, or None if it or Python's headers are missing."""
    command = shlex.split(sysconfig.get_config_var("CC") or "cc")[:1]
    has_headers = Path(sysconfig.get_path("include"), "Python.h").exists()
    return command if shutil.which(command[0]) and has_headers else None


def build(folder: Path, *flags: str, source: Path = SOURCE) -> Path:
    """Compile the leaf. Every warning is an error. Raises CalledProcessError, and RuntimeError without a compiler."""
    command, made = compiler(), folder / "_leaf.so"
    if command is None:
        raise RuntimeError("there is no C compiler, or Python's headers are missing")
    warnings = ("-Wall", "-Wextra", "-Wconversion", "-Werror", "-Wno-cast-function-type", "-Wno-unknown-pragmas")
    command += ["-shared", "-fPIC", *(flags or ("-O2",)), *warnings]
    if sys.platform == "darwin":
        command += ["-undefined", "dynamic_lookup"]
    subprocess.run([*command, f"-I{sysconfig.get_path('include')}", "-o", str(made), str(source)], check=True)
    return made


def load(made: Path) -> ModuleType:
    """Load a leaf that is not the installed one. It does not get into `sys.modules`."""
    loader = ExtensionFileLoader(NAME, str(made))
    spec = importlib.util.spec_from_file_location(NAME, made, loader=loader)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


@cache
def leaf() -> ModuleType:
    """Return the leaf, built if it is not installed. Skip the test if it cannot be built."""
    if NATIVE is not None:
        return NATIVE
    if compiler() is None:
        pytest.skip("the leaf is not installed, and there is no C compiler with Python's headers to build it")
    return load(build(Path(tempfile.mkdtemp(prefix="leaf"))))
