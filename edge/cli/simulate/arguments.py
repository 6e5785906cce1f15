"""The options of `stanchion simulate`. Every start of the command line imports this module, so it imports little."""

import argparse
from collections.abc import Callable
from pathlib import Path

__all__ = ["ALL", "MAX_NODES", "add_arguments"]

#: Every node is a gate of its own that does ten control steps a virtual second.
MAX_NODES = 1000
MAX_SEEDS = 1000
DEFAULT_SEEDS = 3
DEFAULT_POLICIES = ("stanchion", "bucket")
ALL = "all"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of the command."""
    crowd = parser.add_mutually_exclusive_group()
    crowd.add_argument(
        "--scenario",
        nargs="+",
        metavar="NAME",
        help=f"play these built-in sales, see --list ({ALL}: every one; default: flash)",
    )
    crowd.add_argument(
        "--trace",
        type=Path,
        metavar="FILE",
        help="play a recorded sale: a record of the edge, or CSV with the columns seconds and patience (optional)",
    )
    _add_sale(parser)
    parser.add_argument(
        "--policy",
        nargs="+",
        metavar="NAME",
        default=list(DEFAULT_POLICIES),
        help=f"compare these policies, see --list ({ALL}: every one; default: {' '.join(DEFAULT_POLICIES)})",
    )
    parser.add_argument(
        "--seeds",
        type=_between(1, MAX_SEEDS),
        default=DEFAULT_SEEDS,
        metavar="N",
        help="play seeds 0 to N-1 (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print all figures as JSON")
    parser.add_argument("--report", type=Path, metavar="FILE", help="write an HTML page with charts of the line")
    parser.add_argument("--list", action="store_true", help="list scenarios and policies and exit")


def _add_sale(parser: argparse.ArgumentParser) -> None:
    """Add the options that change the sale."""
    parser.add_argument(
        "--config", type=Path, metavar="FILE", help="take capacity, polling and number of nodes from this settings file"
    )
    parser.add_argument("--room", metavar="NAME", help="the room of --config or of a record, if there are several")
    parser.add_argument(
        "--capacity", type=_above_0, metavar="N", help="play with this number of admissions a second instead"
    )
    parser.add_argument(
        "--suggest",
        type=_above_0,
        metavar="SECONDS",
        help="find the least capacity with which nine of ten visitors wait no longer than this",
    )
    parser.add_argument(
        "--nodes", type=_between(1, MAX_NODES), metavar="N", help="play with this number of nodes instead"
    )
    parser.add_argument(
        "--joined", action=argparse.BooleanOptionalAction, help="let the nodes exchange summaries of the line, or not"
    )


def _above_0(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0.0 < value <= 1_000_000.0:
        raise argparse.ArgumentTypeError(f"must be a number above 0, at most 1000000, got {text!r}")
    return value


def _between(low: int, high: int) -> Callable[[str], int]:
    def parse(text: str) -> int:
        if not text.isdecimal() or not low <= int(text) <= high:
            raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}, got {text!r}")
        return int(text)

    return parse
