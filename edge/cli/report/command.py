"""The command `stanchion report`: from files, from the folder that a settings file names, or from a running edge."""

import argparse
import json
import os
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import quote

from edge.cli.admin_client import AdminClient
from edge.cli.report.figures import Figures, figures_of
from edge.cli.report.page import page
from edge.cli.report.reading import read_record, segments_in
from edge.cli.report.words import sentences
from edge.support.build import VERSION

__all__ = ["report"]

FINE, FAILED = 0, 1
#: A report of millions of visitors takes that long.
PATIENCE_S = 300.0


def report(options: argparse.Namespace) -> int:
    """Run the command. Return the exit code. Raises ConfigurationError, AdminError."""
    if options.record is None:
        text = _of_edge(options)
    else:
        text = report_text(options.record, options.room, options.since, options.until, as_json=options.json)
    if options.output is None:
        print(text, end="")
        return FINE
    try:
        options.output.write_text(text, encoding="utf-8")
    except OSError as fault:
        print(f"{options.output}: cannot be written: {fault.strerror}", file=sys.stderr)
        return FAILED
    print(f"report: {options.output}")
    return FINE


def report_text(places: list[Path], room: str, since_s: float | None, until_s: float | None, *, as_json: bool) -> str:
    """Return the page or the JSON document of a room's record. Raises ConfigurationError."""
    figures = figures_of(read_record(segments_in(places, room), room, since_s, until_s))
    return json.dumps(_document(figures), indent=2) + "\n" if as_json else page(figures, f"stanchion {VERSION}")


def _of_edge(options: argparse.Namespace) -> str:
    asked = {"since": options.since, "until": options.until, "format": "json" if options.json else None}
    query = "&".join(f"{name}={value}" for name, value in asked.items() if value is not None)
    path = f"/v1/rooms/{quote(options.room, safe='')}/report" + (f"?{query}" if query else "")
    client = AdminClient.of(options, os.environ)
    reply = client.ask("GET", path, patience_s=PATIENCE_S)
    if reply.status != 200:
        raise client.refused(path, reply)
    return reply.body.decode("utf-8")


def _document(f: Figures) -> dict[str, Any]:
    """Return the figures as JSON values. Times are seconds; moments are seconds since 1970."""
    story = sentences(f)
    return {
        "room": f.history.room,
        "story": list(story),
        "begin": f.begin_s,
        "end": f.end_s,
        "came": f.came,
        "got_in": f.got_in,
        "left": f.left,
        "waiting": f.waiting,
        "wait": asdict(f.wait),
        "left_after": asdict(f.left_after),
        "kendall": f.kendall,
        "displacement": asdict(f.displacement),
        "use": f.use,
        "told": {"error": asdict(f.told_error), "kept": f.told_kept},
        "capacity": f.capacity_parts,
        "lanes": [
            {
                "lane": lane.name,
                "share": lane.share,
                "came": lane.came,
                "got_in": lane.got_in,
                "left": lane.left,
                "waiting": lane.waiting,
                "wait": asdict(lane.wait),
                "kendall": lane.kendall,
            }
            for lane in f.lanes
        ],
        "nodes": [
            {"node": node.name, "came": node.came, "admitted": node.admitted, "restarts": node.restarts}
            for node in f.nodes
        ],
        "refused": f.refused,
    }
