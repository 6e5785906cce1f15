"""Inspect a running edge and a visitor's cookie: `stanchion status`, `stanchion lists`, `stanchion ticket inspect`."""

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, assert_never

from edge.cli.admin_client import AdminClient
from edge.messages.head import RequestHead
from edge.operations.admission_tracer import trace_ids
from edge.rooms.binding import Binding
from edge.settings.loading import load_settings, parse_keys, read_keys
from edge.settings.model import Settings
from edge.settings.room import SessionSettings
from waiting_room.status import timestamp
from waiting_room.ticket import JoinToken, Keyring, Pass, Rejected, Ticket

__all__ = ["inspect_ticket", "lists", "show_status"]

#: The environment variable that holds the keys if no settings are named. The documents use it everywhere.
KEYS_VARIABLE = "STANCHION_KEYS"
#: The first field of each kind of cookie, and the names of the fields behind it.
FIELDS = {
    "t1": ("room", "id", "first seen (ms)", "last signed (s)", "signature"),
    "p1": ("room", "id", "first seen (ms)", "admitted (ms)", "expires (s)", "signature"),
    "j1": ("room", "id", "arrived (ms)", "signature"),
}
COLUMNS = ("room", "waiting", "admitted/s", "capacity/s", "lag", "bucket", "ETA last", "overtaken", "stock")


def show_status(client: AdminClient, *, as_json: bool) -> str:
    """Return the status of every room. Raises AdminError."""
    reply = client.ask("GET", "/status")
    status = reply.json()
    if reply.status != 200 or not isinstance(status, dict) or not {"nodes", "rooms"} <= status.keys():
        raise client.not_an_edge("/status", reply)
    return json.dumps(status, indent=2) if as_json else _table(status)


def lists(client: AdminClient, change: dict[str, Any] | None = None, *, as_json: bool) -> str:
    """Make a change if there is one, then return the networks on the lists. Raises AdminError."""
    if change is not None:
        client.post("/lists", change)
    reply = client.ask("GET", "/lists")
    answer = reply.json()
    if reply.status != 200 or not isinstance(answer, dict) or "entries" not in answer:
        raise client.refused("/lists", reply)
    entries: list[dict[str, Any]] = answer["entries"]
    if as_json:
        return json.dumps(entries, indent=2)
    rows = [f"{each['list']:5}  {each['network']:<40}  {each['seconds_left']:8.0f} s left" for each in entries]
    return "\n".join(rows) or "no network is on a list, except by the settings"


def _table(status: dict[str, Any]) -> str:
    ready = sum(node["ready"] for node in status["nodes"])
    rows: list[tuple[str, ...]] = [COLUMNS]
    for room in status["rooms"]:
        rows += [_row(room), *(_lane_row(lane) for lane in room["lanes"])]
    widths = [max(len(row[column]) for row in rows) for column in range(len(COLUMNS))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    return "\n".join([f"{ready} of {len(status['nodes'])} nodes ready", *_upstream(status["upstream"]), "", *lines])


def _upstream(upstream: dict[str, Any]) -> Iterator[str]:
    """Yield a line for each server that is down, and what follows if none is left."""
    for server in upstream["servers"]:
        if not server["up"]:
            yield f"upstream {server['server']} is down for {server['seconds']:.0f} s: {server['reason']}"
    if upstream["is_down"]:
        yield (
            "No server of the upstream is up. Visitors keep their places, and nobody is let in for the moment"
            " (rooms with when_upstream_down: hold)."
        )


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
        f"paused: {', '.join(room['paused'])}" if room["paused"] else "-" if wait is None else f"{wait:.0f} s",
        f"{overtaken:.2%}",
        _stock(room),
    )


def _lane_row(lane: dict[str, Any]) -> tuple[str, ...]:
    wait = lane["eta_last_s"]
    return (
        f"  {lane['lane']} {lane['share']:g} %",
        f"{lane['waiting']:,}",
        f"{lane['admitted_per_s']:.1f}",
        f"{lane['admissions_per_second']:g}",
        f"{lane['lag_s']:.1f} s",
        "",
        "-" if wait is None else f"{wait:.0f} s",
        f"{lane['overtaken']:.2%}",
        "",
    )


def _stock(room: dict[str, Any]) -> str:
    """Return the free units, and the held ones if the shop reports them."""
    if room["sold_out"]:
        return "sold out"
    if room["stock"] is None:
        return "-"
    return f"{room['stock']:,}" + (f" ({room['held']:,} held)" if room["held"] else "")


def inspect_ticket(
    cookie: str, file: Path | None, user_agent: str | None = None, address: str | None = None
) -> tuple[str, bool]:
    """Return what a cookie says and whether its signature is valid.

    file: the settings with the keys; without it the keys are those in the environment variable STANCHION_KEYS.
    user_agent, address: of the visitor that shows it. For a pass the text says whether it was given to them.
    """
    value = cookie.rpartition("=")[2].strip().strip(";")
    fields = value.split(".")
    if len(fields) < 3 or fields[0] not in FIELDS:
        return "not a ticket, a pass or a join token: the value must start with t1., p1. or j1.", False
    if file is None and KEYS_VARIABLE not in os.environ:
        lines = [f"{name}: {field}" for name, field in zip(("kind", *FIELDS[fields[0]]), fields, strict=False)]
        way = f"name the settings with its keys (--config FILE), or set {KEYS_VARIABLE}"
        return "\n".join([*lines, f"signature not verified: {way}"]), False
    settings = None if file is None else load_settings(file)
    keys = Keyring(_keys(settings))
    opened = keys.read(value, fields[1])
    match opened:
        case Rejected():
            source = f"the keys in {KEYS_VARIABLE}" if file is None else f"the keys of {file}"
            return f"rejected by {source}: {opened.reason}", False
        case Ticket():
            kind, moments = "ticket", {"first seen": opened.first_seen, "last signed": opened.seen}
        case Pass():
            kind = "pass"
            moments = {"first seen": opened.first_seen, "admitted": opened.admitted_at, "expires": opened.expires}
        case JoinToken():
            kind, moments = "join token", {"arrived": opened.arrived}
        case _:
            assert_never(opened)
    now = time.time()
    lines = [f"kind: {kind}", f"room: {opened.room}", f"id: {opened.id}"]
    if isinstance(opened, (Ticket, Pass)) and opened.lane:
        lines.append(f"lane: {opened.lane}")
    lines += [f"{name}: {timestamp(moment)} ({_relative(moment - now)})" for name, moment in moments.items()]
    if settings is not None and settings.tracing.otlp_url is not None:
        ids = trace_ids(opened.id)
        lines.append(f"trace: {ids.trace:032x}" + ("" if ids.is_sampled(settings.tracing.ratio) else " (not sampled)"))
    if isinstance(opened, Pass):
        lines += _compare_binding(opened, settings, keys, user_agent, address)
    return "\n".join([*lines, "signature: valid"]), True


def _compare_binding(
    visitor_pass: Pass, settings: Settings | None, keys: Keyring, user_agent: str | None, address: str | None
) -> Iterator[str]:
    """Yield a line for the browser and for the network, if given: does it match the one that the pass was given to?"""
    rooms = () if settings is None else settings.rooms
    session = next((room.session for room in rooms if room.name == visitor_pass.room), SessionSettings())
    head = RequestHead("GET", "/", "", "http", address or "", user_agent=user_agent or "")
    differing = Binding(keys, session).differing(visitor_pass, head)
    for what, shown in (("browser", user_agent), ("network", address)):
        if shown is None:
            continue
        result = "differs" if what in differing else "matches"
        if not visitor_pass.binding_digest:
            result = "not recorded in the pass"
        bound = "bound" if what in session.bind else "not bound"
        yield f"{what}: {result} ({bound}{'' if rooms else ' by default'})"


def _relative(seconds: float) -> str:
    return f"in {seconds:.0f} s" if seconds > 0 else f"{-seconds:.0f} s ago"


def _keys(settings: Settings | None) -> tuple[bytes, ...]:
    if settings is not None:
        return read_keys(settings, os.environ)
    return parse_keys(os.environ[KEYS_VARIABLE], KEYS_VARIABLE)
