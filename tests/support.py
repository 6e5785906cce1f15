"""Helpers that tests of several folders use."""

import contextlib
import io
import re

import pytest

from edge.cli.main import main

__all__ = ["command_names"]


def command_names() -> list[str]:
    """Return the commands that `stanchion --help` lists."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("COLUMNS", "200")
        out = io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.suppress(SystemExit):
            main(["--help"])
    return re.findall(r"^    ([a-z-]+)(?: |$)", out.getvalue(), re.M)
