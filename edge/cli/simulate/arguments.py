"""What `stanchion simulate` takes. Light: it is imported by every start of the command line."""

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["ALL", "MAX_NODES", "add_arguments"]

#: Every node is a gate of its own that ticks ten times a virtual second.
MAX_NODES = 1000
MAX_SEEDS = 1000
DEFAULT_SEEDS = 3
DEFAULT_POLICIES = ("stanchion", "bucket")
ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What `stanchion simulate` takes."""
    crowd = parser.add_mutually_exclusive_group()
    crowd.add_argument(
        "--scenario", nargs="+", metavar="NAME", help=f"invented sales, see --list ({ALL}: every one; default: flash)"
    )
    crowd.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="a recorded sale: CSV with the columns seconds and patience (optional)",
    )
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take capacity, polling and nodes from these settings"
    )
    parser.add_argument("--room", metavar="NAME", help="which room of --config, if it has several")
    parser.add_argument("--nodes", type=_between(1, MAX_NODES), metavar="N", help="play with this many nodes instead")
    parser.add_argument(
        "--joined", action=argparse.BooleanOptionalAction, help="whether the nodes tell each other of their lines"
    )
    parser.add_argument(
        "--policy",
        nargs="+",
        metavar="NAME",
        default=list(DEFAULT_POLICIES),
        help=f"who keeps the line, see --list ({ALL}: every one; default: {' '.join(DEFAULT_POLICIES)})",
    )
    parser.add_argument(
        "--seeds",
        type=_between(1, MAX_SEEDS),
        default=DEFAULT_SEEDS,
        metavar="N",
        help="play with N seeds, from 0 on (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write an HTML page with pictures of the line")
    parser.add_argument("--list", action="store_true", help="list scenarios and policies, and play nothing")


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return parse
