"""`stanchion draw verify`: compute a ticket's place in a draw from what was published, and check what was published."""

import argparse
import json
from typing import Any
from urllib.parse import quote

from edge.cli.admin_client import AdminClient
from edge.cli.rooms import answer_of
from edge.support.errors import ConfigurationError, SettingFault
from waiting_room.draw import commitment_of, share_of

__all__ = ["verify_draw"]


def verify_draw(options: argparse.Namespace) -> tuple[str, bool]:
    """Return the report, and whether the seed is known and fits its commitment.

    Raises AdminError, ConfigurationError.
    """
    ticket = _ticket_id(options.ticket)
    sale = {"seed": options.seed, "commitment": options.commitment} if options.seed else _published(options)
    report: dict[str, Any] = {"ticket": ticket, **sale}
    if sale["seed"] is None:
        lines = (
            f"ticket      {ticket}\ncommitment  {sale['commitment']}\nThe sale has not opened: its seed is secret yet."
        )
        return (json.dumps(report, indent=2) if options.json else lines), False
    try:
        seed = bytes.fromhex(sale["seed"])
    except ValueError:
        raise _wrong("--seed: must be hexadecimal digits, two for each byte") from None
    is_kept = sale["commitment"] is None or commitment_of(seed) == sale["commitment"].lower()
    share = share_of(seed, ticket) / 2**64
    report |= {"u": share, "before": 1.0 - share, "fits": is_kept if sale["commitment"] else None}
    if options.json:
        return json.dumps(report, indent=2), is_kept
    words = "not given" if not sale["commitment"] else "is" if is_kept else "IS NOT"
    checked = words if words == "not given" else f"{sale['commitment']} {words} the SHA-256 of the seed"
    lines = "\n".join(
        (
            f"ticket      {ticket}",
            f"seed        {sale['seed']}",
            f"commitment  {checked}",
            f"u           {share:.12f}; the visitor with the largest u is first",
            f"place       about {100 * (1 - share):.2f} % of the drawn visitors stand before this ticket",
        )
    )
    return lines, is_kept


def _published(options: argparse.Namespace) -> dict[str, Any]:
    """Return what a running edge has published of a draw."""
    if options.room is None:
        raise _wrong("name the room, so that a running edge is asked, or give --seed")
    path = f"/v1/rooms/{quote(options.room, safe='')}/sales"
    client = AdminClient.of(options)
    sales = answer_of(client, path, client.ask("GET", path))["sales"]
    drawn = [sale for sale in sales if sale["draw"] is not None and options.sale in (None, sale["name"])]
    if not drawn:
        named = "" if options.sale is None else f" {options.sale!r}"
        raise _wrong(f"room {options.room!r} has no sale{named} with a draw")
    opened = [sale for sale in drawn if sale["draw"]["seed"] is not None]
    found: dict[str, Any] = (opened or drawn[:1])[-1]["draw"]
    return found


def _ticket_id(text: str) -> str:
    """Return the id of a ticket that is given as an id or as a cookie."""
    value = text.rpartition("=")[2]
    fields = value.split(".")
    return fields[2].partition("~")[0] if fields[0] in ("t1", "p1") and len(fields) > 3 else value


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("stanchion draw", [SettingFault("", problem)])
