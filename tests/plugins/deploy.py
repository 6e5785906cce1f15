"""Write the configurations of deploy/ anew, each from the settings beside it: python -m tests.plugins.deploy

tests/plugins/test_deploy.py fails while a file there differs from what `stanchion plugin config` prints.
"""

import argparse
from collections.abc import Iterator
from pathlib import Path

from edge.cli.plugin.command import add_arguments, site_of
from edge.cli.plugin.render import RENDERERS, render
from edge.settings.loading import load_settings

DEPLOY = Path(__file__).parents[2] / "deploy"


def wanted(balancer: str) -> dict[str, str]:
    """Return the files that a load balancer's folder should hold."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    settings = DEPLOY / balancer / "shop.yaml"
    options = parser.parse_args(["--for", balancer, "--settings", str(settings)])
    return render(balancer, site_of(load_settings(settings), options))


def differing() -> Iterator[tuple[Path, str]]:
    """Yield every file that differs, with its right text."""
    for balancer in RENDERERS:
        for name, text in wanted(balancer).items():
            path = DEPLOY / balancer / name
            if not path.exists() or path.read_text("utf-8") != text:
                yield path, text


if __name__ == "__main__":
    for path, text in differing():
        path.write_text(text, "utf-8")
        print(path)
