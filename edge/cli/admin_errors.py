"""Why a command does not get an answer from a running edge, and the options by which it finds one.

    AdminError            1    the edge answered and refused: a missing token, a change it does not accept
     +- NoSuchAddress     2    the address cannot be one: not a URL, an unknown host, no socket at the path
     +- NobodyListens     3    nothing answers there: refused, unreachable, or no answer in time
     +- NotAnEdge         4    something else answers there

The number is the command's exit code, so that a script can tell them apart.
"""

from argparse import ArgumentParser
from pathlib import Path
from typing import ClassVar

from edge.support.errors import UpstreamError

__all__ = ["DEFAULT_ADMIN", "AdminError", "NoSuchAddress", "NobodyListens", "NotAnEdge", "add_admin_options"]

DEFAULT_ADMIN = "http://127.0.0.1:9090"


class AdminError(UpstreamError):
    """The edge answered, and refused what it was asked."""

    exit_code: ClassVar[int] = 1


class NoSuchAddress(AdminError):
    """The address of the admin listener cannot be right."""

    exit_code: ClassVar[int] = 2


class NobodyListens(AdminError):
    """Nothing answers at the address."""

    exit_code: ClassVar[int] = 3


class NotAnEdge(AdminError):
    """What answers at the address is not the admin listener of an edge."""

    exit_code: ClassVar[int] = 4


def add_admin_options(command: ArgumentParser) -> None:
    """Add the options by which a command finds a running edge."""
    place = command.add_mutually_exclusive_group()
    place.add_argument(
        "--admin",
        default=None,
        metavar="URL",
        help=f"admin listener of the edge: http://HOST:PORT or unix:///PATH (default: {DEFAULT_ADMIN})",
    )
    place.add_argument(
        "--config", type=Path, default=None, metavar="FILE", help="settings that name the admin listener and its token"
    )
    command.add_argument(
        "--token-env",
        default=None,
        metavar="NAME",
        help="environment variable that holds the admin token, if the edge asks for one"
        " (default: STANCHION_ADMIN_TOKEN)",
    )
