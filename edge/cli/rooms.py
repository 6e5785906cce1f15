"""`stanchion room`: change a room of a running edge. A thin client of the API (`edge/supervisor/room_api.py`).

stanchion room                                        every room
stanchion room hold checkout --reason "bank is down" --until 20:15
stanchion room set checkout --capacity 80 --message "Card payments work again."
stanchion room reset checkout                         the settings file decides again
"""

import argparse
import json
import re
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from edge.cli.admin_client import AdminClient, Reply
from edge.cli.admin_errors import AdminError
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["answer_of", "change_of", "run_room", "table", "until_of"]

#: Command -> mode.
MODES = {"open": "open", "hold": "hold", "drain": "drain", "close": "closed", "shadow": "shadow"}
COLUMNS = ("room", "mode", "waiting", "admitted/s", "capacity/s", "until", "reason")
UNITS = {"s": 1, "m": 60, "h": 3600}


def run_room(options: argparse.Namespace) -> str:
    """Make the change that the options ask for, if any, and return what the edge says. Raises AdminError,
    ConfigurationError."""
    change = change_of(options, datetime.now().astimezone())
    client = AdminClient.of(options)
    if options.action is None:
        rooms = answer_of(client, "/v1/rooms", client.ask("GET", "/v1/rooms"))["rooms"]
    else:
        path = f"/v1/rooms/{options.room}"
        method, path = ("DELETE", f"{path}/overrides") if options.action == "reset" else ("PATCH", path)
        rooms = [answer_of(client, path, client.ask(method, path, change))]
    if options.json:
        return json.dumps(rooms if options.action is None else rooms[0], indent=2)
    return table([COLUMNS, *(_row(room) for room in rooms)])


def change_of(options: argparse.Namespace, now: datetime) -> dict[str, Any] | None:
    """Return the body of the PATCH, None for a command that sends none. now: in the operator's time zone.

    Raises ConfigurationError if the options do not fit the command.
    """
    values = {
        "admissions_per_second": options.capacity,
        "total_active_users": options.active_users,
        "message": options.message,
    }
    given = {key: value for key, value in values.items() if value is not None}
    is_change = options.action in MODES or options.action == "set"
    if (options.action is None) != (options.room is None):
        raise _wrong("name what to do and the room, or neither")
    if given and options.action != "set":
        raise _wrong("--capacity, --active-users and --message belong to 'set'")
    if (options.reason or options.until) and not is_change:
        raise _wrong("--reason and --until belong to a change")
    if options.action == "set" and not given:
        raise _wrong("'set' needs --capacity, --active-users or --message")
    if not is_change:
        return None
    until = None if options.until is None else until_of(options.until, now).isoformat()
    if options.action == "set":
        more = {key: value for key, value in (("reason", options.reason), ("until", until)) if value is not None}
        return {**given, **more}
    # A mode brings its own reason and end: those of the mode before do not stay.
    return {"mode": MODES[options.action], "reason": options.reason, "until": until}


def until_of(text: str, now: datetime, option: str = "--until") -> datetime:
    """Return the moment that an operator means: 20:15 (the next one), 15m, 2h, or a date and time (ISO 8601).

    Raises ConfigurationError.
    """
    if found := re.fullmatch(r"\+?(\d{1,6})([smh])", text):
        return now + timedelta(seconds=int(found[1]) * UNITS[found[2]])
    try:
        if found := re.fullmatch(r"(\d{1,2}):(\d{2})(?::(\d{2}))?", text):
            hour, minute, second = (int(part or 0) for part in found.groups())
            today = now.replace(hour=hour, minute=minute, second=second, microsecond=0)
            return today if today > now else today + timedelta(days=1)
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _wrong(f"{option}: must look like 20:15, 15m, 2h or 2026-11-27T20:15, got {text!r}") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=now.tzinfo)


def _wrong(problem: str) -> ConfigurationError:
    return ConfigurationError("stanchion room", [SettingFault("", problem)])


def answer_of(client: AdminClient, path: str, reply: Reply) -> Any:
    """Return the document of an answer. Raises AdminError with the edge's own words if it refused."""
    if reply.status == 200 and (document := reply.json()) is not None:
        return document
    if reply.content_type == "application/problem+json":
        raise AdminError(str(json.loads(reply.body).get("detail", reply.text)), status=reply.status)
    raise client.not_an_edge(path, reply)


def table(rows: Sequence[Sequence[str]]) -> str:
    """Return rows of cells as lines with aligned columns."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _row(room: dict[str, Any]) -> tuple[str, ...]:
    figures, until = room["figures"], room["until"]
    changed = "*" if room["changed"] else ""
    ends = "-" if until is None else datetime.fromisoformat(until).astimezone().strftime("%H:%M:%S")
    return (
        room["room"],
        room["mode"] + changed,
        f"{figures['waiting']:,}",
        f"{figures['admitted_per_s']:.1f}",
        f"{room['admissions_per_second']:g}",
        ends,
        room["reason"] or "-",
    )
