"""`stanchion sale`: schedule the sales of a running edge. A thin client of the API (`edge/supervisor/sale_api.py`).

stanchion sale list
stanchion sale add checkout black-friday --opens 2026-11-27T20:00 --prequeue 30m --closes 2h --draw
stanchion sale suspend checkout black-friday
stanchion sale remove checkout black-friday
"""

import argparse
import json
import re
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from edge.cli.admin_client import AdminClient
from edge.cli.rooms import answer_of, table, until_of
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["run_sale", "sale_of"]

COLUMNS = ("room", "sale", "state", "pre-queue", "opens", "closes", "order", "said by")
#: What is sent back of a sale that the edge shows.
KEPT = (
    *("name", "prequeue_at", "opens_at", "closes_at", "order"),
    *("admissions_per_second", "total_active_users", "message"),
)
UNITS = {"s": 1, "m": 60, "h": 3600}
ADDED = ("opens", "prequeue", "closes", "time_zone", "capacity", "active_users", "message")


def run_sale(options: argparse.Namespace) -> str:
    """Make the change that the options ask for, if any, and return the sales. Raises AdminError, ConfigurationError."""
    _check(options)
    client = AdminClient.of(options)
    if options.action == "list":
        rooms = [options.room] if options.room else _rooms(client)
        shown = [_ask(client, "GET", _path(room)) for room in rooms]
    elif options.action == "add":
        shown = [_ask(client, "POST", _path(options.room), sale_of(options))]
    elif options.action == "remove":
        shown = [_ask(client, "DELETE", f"{_path(options.room)}/{quote(options.sale, safe='')}")]
    else:
        sale = _found(_ask(client, "GET", _path(options.room)), options.sale)
        change = {key: sale[key] for key in KEPT} | {"suspended": options.action == "suspend"}
        shown = [_ask(client, "POST", _path(options.room), change)]
    if options.json:
        return json.dumps(shown if options.action == "list" else shown[0], indent=2)
    rows = [_row(room, sale) for room in shown for sale in room["sales"]]
    return table([COLUMNS, *rows]) if rows else "no sale is scheduled"


def sale_of(options: argparse.Namespace, now: datetime | None = None) -> dict[str, Any]:
    """Return the sale that 'add' describes. Raises ConfigurationError. now: in the zone of the times."""
    if now is None:
        now = datetime.now().astimezone() if options.time_zone is None else datetime.now(_zone(options.time_zone))
    opens = _moment(options.opens, now, "--opens", is_local=options.time_zone is None)
    sale = {
        "name": options.sale,
        "opens_at": opens.isoformat(),
        "prequeue_at": None if options.prequeue is None else _around(options.prequeue, opens, -1, "--prequeue"),
        "closes_at": None if options.closes is None else _around(options.closes, opens, 1, "--closes"),
        "order": "draw" if options.draw else "arrival",
        "admissions_per_second": options.capacity,
        "total_active_users": options.active_users,
        "message": options.message,
    }
    return {key: value for key, value in sale.items() if value is not None}


def _moment(text: str, now: datetime, option: str, *, is_local: bool) -> datetime:
    """Return a moment. A date may lie behind a change of the clocks, so this machine's zone says its offset."""
    moment = until_of(text, now, option)
    is_date = re.match(r"\d{4}-", text) is not None and datetime.fromisoformat(text).tzinfo is None
    return moment.replace(tzinfo=None).astimezone() if is_date and is_local else moment


def _around(text: str, opens: datetime, sign: int, option: str) -> str:
    """Return a moment that is given as a time, or as a distance from the opening. sign: -1 before it, 1 after it."""
    if found := re.fullmatch(r"\+?(\d{1,6})([smh])", text):
        return (opens + sign * timedelta(seconds=int(found[1]) * UNITS[found[2]])).isoformat()
    # A time of day is the next one after the opening, or the last one before it.
    return until_of(text, opens if sign > 0 else opens - timedelta(days=1), option).isoformat()


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise _wrong(f"--time-zone: this machine knows no {name!r}; name one such as Europe/Berlin") from None


def _check(options: argparse.Namespace) -> None:
    needs_sale = options.action != "list"
    if needs_sale and (options.room is None or options.sale is None):
        raise _wrong(f"{options.action!r} needs the room and the sale")
    if not needs_sale and options.sale is not None:
        raise _wrong("'list' takes the room alone")
    if options.action == "add":
        if options.opens is None:
            raise _wrong("'add' needs --opens")
    elif options.draw or any(getattr(options, name) is not None for name in ADDED):
        raise _wrong("times, --draw, --capacity, --active-users and --message belong to 'add'")


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("stanchion sale", [SettingFault("", problem)])


def _path(room: str) -> str:
    return f"/v1/rooms/{quote(room, safe='')}/sales"


def _rooms(client: AdminClient) -> list[str]:
    return [room["room"] for room in _ask(client, "GET", "/v1/rooms")["rooms"]]


def _ask(client: AdminClient, method: str, path: str, change: object = None) -> Any:
    return answer_of(client, path, client.ask(method, path, change))


def _found(shown: dict[str, Any], name: str) -> dict[str, Any]:
    for sale in shown["sales"]:
        if sale["name"] == name:
            found: dict[str, Any] = sale
            return found
    raise _wrong(f"room {shown['room']!r} has no sale {name!r}")


def _row(room: dict[str, Any], sale: dict[str, Any]) -> tuple[str, ...]:
    state = room["phase"] if room["sale"] == sale["name"] else "scheduled"
    if room["time"] >= sale["opens_at"] and room["sale"] != sale["name"]:
        state = "over"
    return (
        room["room"],
        sale["name"],
        "suspended" if sale["suspended"] else state,
        *(_local(sale[key]) for key in ("prequeue_at", "opens_at", "closes_at")),
        sale["order"],
        "settings file" if sale["source"] == "file" else "operator",
    )


def _local(moment: str | None) -> str:
    return "-" if moment is None else datetime.fromisoformat(moment).astimezone().strftime("%Y-%m-%d %H:%M:%S %Z")
