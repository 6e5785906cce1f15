"""`stanchion invite` and `stanchion staff-link`: make and revoke links. A thin client of the API
(`edge/supervisor/link_api.py`).

stanchion invite make checkout --lane members --count 500 --url https://shop.example/checkout --csv invites.csv
stanchion invite revoke checkout kT3v9qXz                  a batch; a longer id is one invite
stanchion staff-link make checkout --url https://shop.example/checkout --valid 12h --note "the camera team"
stanchion staff-link revoke checkout kT3v9qXzAbC1dEf2
"""

import argparse
import csv
import io
import json
import os
import sys
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from edge.cli.admin_client import AdminClient
from edge.cli.rooms import answer_of, until_of
from edge.support.errors import ConfigurationError, SettingFault

__all__ = ["run_links"]

COLUMNS: Final = ("id", "lane", "uses", "expires_at", "url", "token")
MADE: Final = ("lane", "count", "uses", "valid", "url", "note", "csv")


def run_links(options: argparse.Namespace, kind: str) -> str:
    """Make or revoke links, and return what the command prints. kind: 'invite' or 'staff-link'.

    Raises AdminError, ConfigurationError.
    """
    collection = f"/v1/rooms/{quote(options.room, safe='')}/{kind}s"
    client = AdminClient.of(options)
    if options.action == "revoke":
        if options.link is None or any(getattr(options, name, None) is not None for name in MADE):
            raise _wrong(kind, "'revoke' needs the room and the id of a link or a batch, and nothing else")
        path = f"{collection}/{quote(options.link, safe='')}"
        revoked = answer_of(client, path, client.ask("DELETE", path))
        return json.dumps(revoked, indent=2) if options.json else f"revoked: {revoked['revoked']}"
    wanted = _wanted(options, kind)
    made = answer_of(client, collection, client.ask("POST", collection, wanted))
    if options.csv is not None:
        _write(options.csv, _csv(made))
        return f"{made['count']} links of batch {made['batch']} are in {options.csv}; valid until {made['expires_at']}"
    if options.json:
        return json.dumps(made, indent=2)
    shown = [link["url"] or link["token"] for link in made["links"]]
    return "\n".join([f"batch {made['batch']}, valid until {made['expires_at']}", *shown])


def _wanted(options: argparse.Namespace, kind: str) -> dict[str, Any]:
    if options.link is not None:
        raise _wrong(kind, "'make' takes the room alone")
    if kind == "invite" and options.lane is None:
        raise _wrong(kind, "'make' needs --lane")
    wanted = {name: getattr(options, name, None) for name in ("lane", "count", "uses", "url", "note")}
    if options.valid is not None:
        now = datetime.now().astimezone()
        wanted["expires_in_seconds"] = (until_of(options.valid, now, "--valid") - now).total_seconds()
    return {name: value for name, value in wanted.items() if value is not None}


def _csv(made: dict[str, Any]) -> str:
    text = io.StringIO(newline="")
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\r\n")
    writer.writeheader()
    for link in made["links"]:
        writer.writerow({name: link.get(name, made.get(name)) or "" for name in COLUMNS})
    return text.getvalue()


def _write(file: str, text: str) -> None:
    """Write a file that nobody else can read: each line lets somebody in. '-' is standard output."""
    if file == "-":
        sys.stdout.write(text)
        return
    try:
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as opened:
            opened.write(text)
    except OSError as fault:
        raise ConfigurationError("--csv", [SettingFault(file, f"cannot be written: {fault.strerror}")]) from None


def _wrong(kind: str, problem: str) -> ConfigurationError:
    return ConfigurationError(f"stanchion {kind}", [SettingFault("", problem)])
