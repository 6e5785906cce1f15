"""The commands by which operators run rooms: `room`, `sale`, `draw`, `invite`, `staff-link`."""

import argparse
from collections.abc import Callable
from typing import Any

from edge.cli.operator_arguments import (
    add_draw_arguments,
    add_link_arguments,
    add_room_arguments,
    add_sale_arguments,
)

__all__ = ["add_operator_commands"]

Command = Callable[[argparse.Namespace], int]


def add_operator_commands(commands: Any) -> None:
    """Add the commands to a parser's subparsers."""
    add_room_arguments(
        _add(commands, "room", _room, "Hold, open, drain or close a room of a running edge, or change its capacity.")
    )
    add_sale_arguments(_add(commands, "sale", _sale, "Schedule the sales of a running edge, or suspend one."))
    draw = commands.add_parser("draw", help="Verify the draw of a sale.", description="Verify the draw of a sale.")
    verify = draw.add_subparsers(title="commands", metavar="COMMAND", required=True)
    add_draw_arguments(verify).set_defaults(command=_verify)
    add_link_arguments(_add(commands, "invite", _invite, "Make or revoke invites to a lane."), is_invite=True)
    staff = _add(commands, "staff-link", _staff_link, "Make or revoke links that let in without waiting.")
    add_link_arguments(staff, is_invite=False)


def _add(commands: Any, name: str, command: Command, text: str) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.set_defaults(command=command)
    return parser


def _room(options: argparse.Namespace) -> int:
    from edge.cli.rooms import run_room

    print(run_room(options))
    return 0


def _sale(options: argparse.Namespace) -> int:
    from edge.cli.sales import run_sale

    print(run_sale(options))
    return 0


def _verify(options: argparse.Namespace) -> int:
    from edge.cli.draws import verify_draw

    text, is_kept = verify_draw(options)
    print(text)
    return 0 if is_kept else 1


def _invite(options: argparse.Namespace) -> int:
    from edge.cli.links import run_links

    print(run_links(options, "invite"))
    return 0


def _staff_link(options: argparse.Namespace) -> int:
    from edge.cli.links import run_links

    print(run_links(options, "staff-link"))
    return 0
