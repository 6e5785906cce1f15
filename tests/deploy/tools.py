"""Find and install the tools that validate `deploy/`: `python -m tests.deploy.tools`.

They live in a virtual environment beside the tests' own (`.venv/deploy-tools`), because their dependencies must not
mix with the product's. Each one is installed by itself: a tool that cannot be had is named, and the others are used.
"""

import os
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest

__all__ = ["find", "need", "python"]

HERE = Path(__file__).parent
FOLDER = Path(sys.prefix) / "deploy-tools"


def find(name: str) -> str | None:
    """Return the path of a program: of the tools' environment, or of this machine. None if there is none."""
    own = FOLDER / "bin" / name
    return str(own) if own.exists() else shutil.which(name)


def need(name: str, from_where: str = "make deploy-tools") -> str:
    """Return the path of a program; skip the test, by the program's name, if it is missing."""
    found = find(name)
    if found is None:
        pytest.skip(f"{name} is not installed, so this is not checked here; {from_where} installs it")
    return found


def python(module: str) -> str:
    """Return the interpreter of the tools' environment; skip the test if it lacks a module."""
    interpreter = FOLDER / "bin" / "python"
    if (
        not interpreter.exists()
        or subprocess.run([interpreter, "-c", f"import {module}"], capture_output=True, check=False).returncode
    ):
        pytest.skip(f"the Python package of {module} is not installed, so this is not checked here; make deploy-tools")
    return str(interpreter)


def wanted() -> list[str]:
    lines = (HERE / "tools.txt").read_text("utf-8").splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def install() -> list[str]:
    """Install what is missing. Return the tools that could not be installed."""
    if not (FOLDER / "bin" / "python").exists():
        venv.create(FOLDER, with_pip=True)
    pip = [str(FOLDER / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "-q"]
    there = subprocess.run([*pip, "freeze"], capture_output=True, text=True, check=True).stdout.splitlines()
    missing = []
    for tool in wanted():
        if tool in there:
            continue
        if subprocess.run([*pip, "install", tool], env={**os.environ}, check=False).returncode:
            missing.append(tool)
    return missing


if __name__ == "__main__":
    for lacking in install():
        print(f"{lacking} cannot be installed here: what it checks is not checked", file=sys.stderr)
