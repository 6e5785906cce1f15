"""The page docs/shop.md names only files, modules and make targets that exist."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "shop.md").read_text()


def test_named_files_exist() -> None:
    """Every path that the page names exists."""
    named = set(re.findall(r"`((?:checkout|tests|configs)/[\w/.-]+\.\w+)`", PAGE))
    assert len(named) >= 4
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_named_commands_exist() -> None:
    """Every make target and module that the page names exists."""
    makefile = (ROOT / "Makefile").read_text()
    assert all(f"\n{target}:" in makefile for target in re.findall(r"`make ([\w-]+)`", PAGE))
    for module in re.findall(r"python -m ([\w.]+)", PAGE):
        assert (ROOT / (module.replace(".", "/") + ".py")).exists(), module
