"""The entry of `stanchion simulate`.

The simulator needs numpy and the edge does not. So this module looks for numpy first, and only then imports the rest.
"""

import argparse
import importlib.util
import sys

__all__ = ["simulate"]

FAILED = 1
NO_NUMPY = "stanchion simulate needs numpy, which the edge itself does not: pip install 'stanchion[simulate]'"


def simulate(options: argparse.Namespace) -> int:
    """Run the command. Return the exit code. Raises ConfigurationError."""
    if importlib.util.find_spec("numpy") is None:
        print(NO_NUMPY, file=sys.stderr)
        return FAILED
    from edge.cli.simulate.session import run

    return run(options)
