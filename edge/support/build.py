"""Which Stanchion runs: its version, and its form.

`compiled` means that mypyc has compiled the modules on a request's path, `pure` that Python interprets them
(`setup.py`). All of these modules are compiled or none, so one of them tells.
"""

from importlib.metadata import PackageNotFoundError
from importlib.metadata import version as installed_version
from typing import Final

import controller.gate

__all__ = ["FORM", "VERSION"]


def _version() -> str:
    try:
        return installed_version("stanchion")
    # A source tree that was never installed has no version.
    except PackageNotFoundError:
        return "unknown"


VERSION: Final = _version()
FORM: Final = "pure" if str(controller.gate.__file__).endswith(".py") else "compiled"
