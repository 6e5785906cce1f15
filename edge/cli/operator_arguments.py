"""The arguments of the commands by which operators run rooms (`operator_commands.py`)."""

import argparse
from typing import Any

from edge.cli.admin_errors import add_admin_options

__all__ = ["add_draw_arguments", "add_link_arguments", "add_room_arguments", "add_sale_arguments"]


def add_room_arguments(room: argparse.ArgumentParser) -> None:
    room.description = (
        "Without arguments, show every room; * marks one that differs from the settings file. A change is in force on "
        "all workers at once and on all machines that share a Redis, and outlives a restart. It lasts until --until, "
        "or until 'reset'."
    )
    actions = ("open", "hold", "drain", "close", "shadow", "set", "reset")
    room.add_argument("action", nargs="?", choices=actions, help="what to do")
    room.add_argument("room", nargs="?", metavar="ROOM", help="the room's name")
    room.add_argument("--reason", help="why, for other operators and the audit trail; visitors do not see it")
    room.add_argument("--until", metavar="TIME", help="20:15, 15m, 2h, or 2026-11-27T20:15; local time")
    room.add_argument(
        "--capacity", type=float, metavar="N", help="set: admissions a second; 0 lets the line stand still"
    )
    room.add_argument("--active-users", type=int, metavar="N", help="set: visitors in the room at most")
    room.add_argument(
        "--message", metavar="TEXT", help="set: what the waiting page shows from the shop; '' for nothing"
    )
    _add_common(room)


def add_sale_arguments(parser: argparse.ArgumentParser) -> None:
    parser.description = (
        "Schedule the sales of a room: when the pre-queue begins, when the sale opens and closes, and in what order "
        "visitors stand. A change is in force on all workers at once and on all machines that share a Redis, and "
        "outlives a restart. Sales of the settings file are shown too; to change one, add a sale of the same name."
    )
    actions = ("list", "add", "remove", "suspend", "resume")
    parser.add_argument("action", choices=actions, help="what to do")
    parser.add_argument("room", nargs="?", metavar="ROOM", help="the room's name; 'list' shows all rooms without it")
    parser.add_argument("sale", nargs="?", metavar="SALE", help="the sale's name")
    parser.add_argument("--opens", metavar="TIME", help="add: 20:00, 2026-11-27T20:00, or 45m from now")
    parser.add_argument(
        "--prequeue", metavar="TIME", help="add: when the pre-queue begins; 30m means before the opening (default: 30m)"
    )
    parser.add_argument("--closes", metavar="TIME", help="add: when the sale closes; 2h means after the opening")
    parser.add_argument("--draw", action="store_true", help="add: draw the order of the pre-queue")
    parser.add_argument("--time-zone", metavar="ZONE", help="add: of the times, such as Europe/Berlin (default: local)")
    parser.add_argument("--capacity", type=float, metavar="N", help="add: admissions a second while the sale lasts")
    parser.add_argument("--active-users", type=int, metavar="N", help="add: visitors in the room at most")
    parser.add_argument("--message", metavar="TEXT", help="add: what the waiting page shows from the shop")
    _add_common(parser)


def add_draw_arguments(commands: Any) -> argparse.ArgumentParser:
    text = "Compute a ticket's place in the draw of a sale from the published seed, and check the seed."
    parser: argparse.ArgumentParser = commands.add_parser("verify", help=text, description=text)
    parser.add_argument("ticket", metavar="TICKET", help="the ticket's id, as the page shows it, or the cookie's value")
    parser.add_argument("--room", metavar="ROOM", help="the room of the sale, which a running edge is asked for")
    parser.add_argument("--sale", metavar="SALE", help="the sale (default: the room's last one with a draw)")
    parser.add_argument("--seed", metavar="HEX", help="the published seed; then no edge is asked")
    parser.add_argument("--commitment", metavar="HEX", help="what was published before the opening, with --seed")
    _add_common(parser)
    return parser


def add_link_arguments(parser: argparse.ArgumentParser, *, is_invite: bool) -> None:
    what = "an invite" if is_invite else "a staff link"
    parser.description = (
        "Make or revoke invites. An invite is a link that puts a visitor into a lane of the room. The edge does not "
        "store invites, so this command prints them once."
        if is_invite
        else "Make or revoke staff links. A browser that opened one never waits. It counts neither as an admission "
        "nor as an active visitor. The edge does not store links, so this command prints them once."
    )
    parser.add_argument("action", choices=("make", "revoke"), help="what to do")
    parser.add_argument("room", metavar="ROOM", help="the room's name")
    parser.add_argument("link", nargs="?", metavar="ID", help=f"revoke: the id of {what}, or of its batch")
    if is_invite:
        parser.add_argument("--lane", metavar="LANE", help="make: the lane")
        parser.add_argument(
            "--uses", type=int, metavar="N", help="make: how many browsers may open each; 0: any number (default: 1)"
        )
    parser.add_argument("--count", type=int, metavar="N", help="make: how many (default: 1)")
    parser.add_argument(
        "--valid", metavar="TIME", help="make: valid until, as in 12h, 20:15 or 2026-11-27T20:15 (default: 24h)"
    )
    parser.add_argument("--url", metavar="URL", help="make: the address to open, such as https://shop.example/checkout")
    parser.add_argument("--note", metavar="TEXT", help="make: a note for the audit trail")
    parser.add_argument("--csv", metavar="FILE", help="make: write them into this file")
    _add_common(parser)


def _add_common(parser: argparse.ArgumentParser) -> None:
    add_admin_options(parser)
    parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")
