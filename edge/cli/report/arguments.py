"""The options of `stanchion report`. Every start of the command line imports this module, so it imports little."""

import argparse
from datetime import datetime
from pathlib import Path

from edge.cli.admin_errors import add_admin_options

__all__ = ["add_arguments"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options to the parser of the command."""
    parser.add_argument("room", metavar="ROOM", help="the room's name")
    parser.add_argument(
        "--record",
        nargs="+",
        type=Path,
        metavar="FOLDER",
        help="read these folders or files, such as one folder for each machine (default: ask the running edge)",
    )
    parser.add_argument("--since", type=_moment, metavar="TIME", help="from this time on, such as 2026-11-27T20:00")
    parser.add_argument(
        "--until", type=_moment, metavar="TIME", help="up to this time (default: the last day of the record)"
    )
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="write the page here (default: print it)")
    parser.add_argument("--json", action="store_true", help="the figures as JSON in place of the page")
    add_admin_options(parser)


def _moment(text: str) -> float:
    """Return a moment in seconds since 1970. Without an offset it is of this computer's time zone."""
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text).timestamp()
    except ValueError:
        raise argparse.ArgumentTypeError(f"must look like 2026-11-27T20:00, got {text!r}") from None
