"""The shop's page in docs/ names what exists: its commands, files and make targets."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "shop.md").read_text()


def test_files_that_are_named_exist() -> None:
    """Every path the page names is there."""
    named = set(re.findall(r"`((?:checkout|tests|configs)/[\w/.-]+\.\w+)`", PAGE))
    assert len(named) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_commands_that_are_named_exist() -> None:
    """Every make target and module the page tells to run is there."""
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in re.findall(r"`make ([\w-]+)`", PAGE))
    for module in re.findall(r"python -m ([\w.]+)", PAGE):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
