"""Looking at a running edge and at a visitor's cookie: `stanchion status`, `lists`, `ticket inspect`."""

import asyncio
import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

import aiohttp

from edge.messages.head import RequestHead
from edge.rooms.binding import Binding
from edge.settings.loading import load_settings, read_keys
from edge.settings.model import Settings
from edge.settings.room import SessionSettings
from waiting_room.status import timestamp
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Ticket

__all__ = ["inspect_ticket", "lists", "show_status"]

TIMEOUT_S = 5.0


def show_status(admin: str, token: str | None = None, *, as_json: bool) -> str | None:
    """What the edge behind an admin address says of its rooms; None when it cannot be reached, or not by this token."""
    status = asyncio.run(_fetch(admin, token))
    if status is None:
        return None
    return json.dumps(status, indent=2) if as_json else _table(status)


async def _fetch(admin: str, token: str | None) -> dict[str, Any] | None:
    try:
        async with _session(token) as session, session.get(f"{admin}/status", raise_for_status=True) as answer:
            status: dict[str, Any] = await answer.json()
            return status
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None


def lists(
    admin: str, token: str | None = None, change: dict[str, Any] | None = None, *, as_json: bool
) -> tuple[str, bool]:
    """What operators have put on the lists, after a change if there is one; and whether it could be asked and done."""
    try:
        entries = asyncio.run(_change_lists(admin, token, change))
    except (aiohttp.ClientError, TimeoutError, ValueError) as fault:
        return f"{admin}/lists: {fault}", False
    if as_json:
        return json.dumps(entries, indent=2), True
    rows = [f"{each['list']:5}  {each['network']:<40}  {each['seconds_left']:8.0f} s left" for each in entries]
    return "\n".join(rows) or "nothing is on a list but by the settings", True


async def _change_lists(admin: str, token: str | None, change: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Raises ValueError with what the edge says against it."""
    async with _session(token) as session:
        if change is not None:
            async with session.post(f"{admin}/lists", json=change) as answer:
                if answer.status != 200:
                    raise ValueError((await answer.text()).strip())
        async with session.get(f"{admin}/lists") as answer:
            if answer.status != 200:
                raise ValueError((await answer.text()).strip())
            entries: list[dict[str, Any]] = (await answer.json())["entries"]
            return entries


def _session(token: str | None) -> aiohttp.ClientSession:
    headers = {"Authorization": f"Bearer {token.strip()}"} if token else {}
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S), headers=headers)


def _table(status: dict[str, Any]) -> str:
    ready = sum(node["ready"] for node in status["nodes"])
    rows: list[tuple[str, ...]] = [
        ("room", "waiting", "admitted/s", "capacity/s", "lag", "bucket", "newcomers wait", "overtaken", "stock")
    ]
    rows += [_row(room) for room in status["rooms"]]
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{ready} of {len(status['nodes'])} nodes ready", "", *lines])


def _row(room: dict[str, Any]) -> tuple[str, ...]:
    wait = room["eta_last_s"]
    overtaken = max((node["fairness"]["kendall"] for node in room["nodes"]), default=0.0)
    return (
        room["room"],
        f"{room['waiting']:,}",
        f"{room['admitted_per_s']:.1f}",
        f"{room['admissions_per_second']:g}",
        f"{room['lag_s']:.1f} s",
        f"{room['bucket_level']:.1f}/{room['bucket_depth']:.1f}",
        "-" if wait is None else f"{wait:.0f} s",
        f"{overtaken:.2%}",
        _stock(room),
    )


def _stock(room: dict[str, Any]) -> str:
    """What is left; with what is held, if the shop says that."""
    if room["sold_out"]:
        return "sold out"
    if room["stock"] is None:
        return "-"
    return f"{room['stock']:,}" + (f" ({room['held']:,} held)" if room["held"] else "")


def inspect_ticket(
    cookie: str, file: Path | None, user_agent: str | None = None, address: str | None = None
) -> tuple[str, bool]:
    """What a cookie says, and whether that can be believed. file: the settings whose keys verify it.

    user_agent, address: whoever shows it; a pass then says whether it was given to them.
    """
    value = cookie.rpartition("=")[2].strip().strip(";")
    fields = value.split(".")
    if len(fields) < 3 or fields[0] not in ("t1", "p1", "j1"):
        return "neither a ticket, a pass nor a join_token: it should start with t1., p1. or j1.", False
    if file is None:
        times = {"t1": ["last sign of life (s)"], "p1": ["admitted (ms)", "expires (s)"], "j1": []}[fields[0]]
        names = ["kind", "room", "id", "first seen (ms)", *times, "signature"]
        said = [f"{name}: {field}" for name, field in zip(names, fields, strict=False)]
        return "\n".join([*said, "not verified: name the settings file whose keys signed it"]), False
    settings = load_settings(file)
    keys = Keyring(read_keys(settings, os.environ))
    opened = keys.read(value, fields[1])
    if isinstance(opened, Rejected):
        return f"rejected: {opened.reason}", False
    match opened:
        case Ticket():
            moments = {"first seen": opened.first_seen, "last sign of life": opened.seen}
        case Pass():
            moments = {"first seen": opened.first_seen, "admitted": opened.admitted_at, "expires": opened.expires}
        case JoinToken():
            moments = {"arrived": opened.arrived}
        case _:
            assert_never(opened)
    now = time.time()
    said = [f"kind: {type(opened).__name__.lower()}", f"room: {opened.room}", f"id: {opened.id}"]
    said += [f"{name}: {timestamp(moment)} ({_relative(moment - now)})" for name, moment in moments.items()]
    if isinstance(opened, Pass):
        said += _given_to(opened, settings, keys, user_agent, address)
    return "\n".join([*said, "signature: valid"]), True


def _given_to(
    held: Pass, settings: Settings, keys: Keyring, user_agent: str | None, address: str | None
) -> Iterator[str]:
    """Whether a pass was given to this browser and network, as far as they are named."""
    session = next((room.session for room in settings.rooms if room.name == held.room), SessionSettings())
    head = RequestHead("GET", "/", "", "http", address or "", user_agent=user_agent or "")
    differing = Binding(keys, session).differing(held, head)
    for what, shown in (("browser", user_agent), ("network", address)):
        said = "not in the pass" if not held.binding_digest else "another" if what in differing else "the same"
        bound = "bound" if what in session.bind else "not bound"
        if shown is not None:
            yield f"{what}: {said} ({bound})"


def _relative(seconds: float) -> str:
    return f"in {seconds:.0f} s" if seconds > 0 else f"{-seconds:.0f} s ago"
