"""Write the Grafana dashboards: `python deploy/grafana/make.py`. The JSON files are made by this program alone.

operator.json   one screen for the sale: is the line moving, how long do visitors wait, is anything missing
engineer.json   the same edge from inside: outcomes, upstream, Redis, workers, limits

A test compares the files with what this program writes, and asks a real Prometheus that watches a real edge for every
expression.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
SOURCE = {"type": "prometheus", "uid": "${source}"}
COLUMNS = 24


@dataclass(frozen=True)
class Panel:
    """title: a claim or a question in words. queries: (expression, legend). width: of 24 columns."""

    title: str
    queries: tuple[tuple[str, str], ...]
    text: str
    unit: str = "short"
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    options: dict[str, Any] = field(default_factory=dict)
    #: Above the first value amber, above the second red. None: no colours.
    limits: tuple[float, float] | None = None


ROOM = '{room=~"$room"}'


def quantile(share: float, histogram: str, window: str, by: str = "le") -> str:
    """Return the expression of a quantile of a histogram."""
    return f"histogram_quantile({share}, sum by ({by}) (rate({histogram}[{window}])))"


WAITING = f"sum by (room) (stanchion_waiting_visitors{ROOM})"
CAPACITY = f"sum by (room) (stanchion_capacity_per_second{ROOM})"
WAITS = f"stanchion_wait_seconds_bucket{ROOM}"
UPSTREAM = "stanchion_upstream_response_seconds_bucket"
IGNORED = "sum by (instance, reason) (increase(stanchion_redis_ignored_messages_total[5m])) or vector(0)"

OPERATOR = (
    Panel(
        "Visitors in line",
        ((WAITING, "{{room}}"),),
        "As the nodes estimate it: no server stores the line.",
        kind="stat", width=6, height=5,
    ),
    Panel(
        "Admitted a second",
        ((f"sum by (room) (rate(stanchion_admissions_total{ROOM}[1m]))", "{{room}}"),),
        "Measured over a minute.",
        kind="stat", width=6, height=5,
    ),
    Panel(
        "Inside now",
        ((f"sum by (room) (stanchion_active_visitors{ROOM})", "{{room}}"),),
        "Visitors with a pass that has not ended.",
        kind="stat", width=6, height=5,
    ),
    Panel(
        "Edges that are up",
        (('sum(up{job=~".*stanchion.*"})', "up"), ('count(up{job=~".*stanchion.*"})', "of")),
        "Machines that answer Prometheus.",
        kind="stat", width=6, height=5,
    ),
    Panel(
        "Does the line move?",
        (
            (f"sum by (room) (rate(stanchion_admissions_total{ROOM}[1m]))", "{{room}} admitted"),
            (CAPACITY, "{{room}} capacity"),
        ),
        "While visitors wait, the admissions should be at the capacity. If they stay below it: runbooks, "
        "'The line does not move'.",
        unit="reqps",
    ),
    Panel(
        "How long is the line?",
        ((WAITING, "{{room}}"),),
        "Visitors in line, estimated.",
    ),
    Panel(
        "How long did visitors wait?",
        (
            (quantile(0.5, WAITS, "5m", "le, room"), "{{room}} half"),
            (quantile(0.9, WAITS, "5m", "le, room"), "{{room}} nine of ten"),
        ),
        "From arrival to admission, of those admitted in the last five minutes.",
        unit="s",
    ),
    Panel(
        "How long will the last visitor wait?",
        (
            (f"{WAITING} / {CAPACITY}", "{{room}}"),
        ),
        "Visitors in line divided by the capacity. It gets shorter if visitors give up.",
        unit="s",
    ),
    Panel(
        "Does a room wait for something?",
        ((f"max by (room, dependency) (stanchion_room_missing_dependency{ROOM})", "{{room}}: {{dependency}}"),),
        "1 while the room admits nobody because this dependency is missing.",
        limits=(0.5, 1.0),
    ),
    Panel(
        "Is the shop well?",
        (
            (quantile(0.9, UPSTREAM, "1m"), "nine of ten answers"),
            ('sum(rate(stanchion_upstream_failures_total{kind!="retried"}[1m])) or vector(0)', "failures a second"),
        ),
        "The time to the head of the shop's response, and the requests that it failed.",
        unit="s",
    ),
    Panel(
        "Sold out",
        ((f"max by (room) (stanchion_room_sold_out{ROOM})", "{{room}}"),),
        "1 while no unit is left, as far as the shop has said.",
        width=8, height=6,
    ),
    Panel(
        "Is the order right?",
        ((f"max by (room) (stanchion_overtaken_pairs_ratio{ROOM})", "{{room}}"),),
        "Share of recent pairs that were admitted in the wrong order. 0 is first come, first served.",
        unit="percentunit", width=8, height=6, limits=(0.01, 0.05),
    ),
    Panel(
        "Refused by lists, limits and the bot score",
        (("sum by (reason) (rate(stanchion_shield_refusals_total[1m])) or vector(0)", "{{reason}}"),),
        "Requests a second.",
        unit="reqps", width=8, height=6,
    ),
)  # fmt: skip

ENGINEER = (
    Panel(
        "Requests by outcome",
        (("sum by (outcome) (rate(stanchion_requests_total[1m]))", "{{outcome}}"),),
        "docs/operating.md explains the outcomes.",
        unit="reqps",
    ),
    Panel(
        "Requests that the edge failed, as a share of all",
        (
            (
                '(sum(rate(stanchion_requests_total{outcome="failed"}[5m])) or vector(0))'
                " / sum(rate(stanchion_requests_total[5m]))",
                "5 minutes",
            ),
        ),
        "The objective is one in a thousand. The upstream's failures are not in it.",
        unit="percentunit", limits=(0.001, 0.0144),
    ),
    Panel(
        "Polls a second",
        ((f"sum by (room) (rate(stanchion_polls_total{ROOM}[1m]))", "{{room}}"),),
        "Requests for admission by visitors without a pass.",
        unit="reqps",
    ),
    Panel(
        "Polls a second of each edge",
        (("sum by (instance) (rate(stanchion_polls_total[1m]))", "{{instance}}"),),
        "Without Redis they must be even.",
        unit="reqps",
    ),
    Panel(
        "Connections",
        (("sum by (instance) (stanchion_connections)", "{{instance}}"),),
        "Open connections of visitors.",
        width=8,
    ),
    Panel(
        "Accepting paused",
        (("sum by (instance) (increase(stanchion_accept_pauses_total[5m]))", "{{instance}}"),),
        "Times in five minutes that a worker had no space for more connections.",
        width=8, limits=(0.5, 1.0),
    ),
    Panel(
        "Parked polls",
        ((f"sum by (room) (stanchion_parked_polls{ROOM})", "{{room}}"),),
        "Polls near the front that are answered when their visitor is admitted.",
        width=8,
    ),
    Panel(
        "Time of the upstream's answers",
        tuple(
            (quantile(share, UPSTREAM, "1m"), f"P{share * 100:.0f}") for share in (0.5, 0.9, 0.99)
        ),
        "From the head of the request to the head of the response.",
        unit="s",
    ),
    Panel(
        "Failures of the upstream",
        (("sum by (kind) (rate(stanchion_upstream_failures_total[1m])) or vector(0)", "{{kind}}"),),
        "`shunned`: the circuit breaker is open.",
        unit="reqps",
    ),
    Panel(
        "Servers of the upstream",
        (("min by (server) (stanchion_upstream_up)", "{{server}}"),),
        "1 while every edge reaches the server.",
    ),
    Panel(
        "The edge's own requests to the servers",
        (("sum by (server, result) (rate(stanchion_upstream_probes_total[5m]))", "{{server}} {{result}}"),),
        "`good`, or why a server counts as down.",
        unit="reqps",
    ),
    Panel(
        "The bucket",
        ((f"sum by (room) (stanchion_bucket_level{ROOM})", "{{room}}"),),
        "Admissions that could be made at once. Near its depth while visitors wait, capacity is lost.",
        width=8,
    ),
    Panel(
        "Lag",
        ((f"max by (room) (stanchion_lag_seconds{ROOM})", "{{room}}"),),
        "Visitors may try the bucket if they arrived longer ago than this.",
        unit="s", width=8,
    ),
    Panel(
        "Worst overtaking",
        ((f"max by (room) (stanchion_overtaken_max_seconds{ROOM})", "{{room}}"),),
        "How much earlier the worst overtaken visitor arrived.",
        unit="s", width=8,
    ),
    Panel(
        "Redis",
        (("stanchion_redis_delay_seconds", "{{instance}} delay"), ("stanchion_redis_up", "{{instance}} up")),
        "The time of a message through Redis and back. From 1.5 s on a machine goes on alone.",
        unit="s", width=8,
    ),
    Panel(
        "Messages lost on the bus",
        (
            ("sum by (instance) (increase(stanchion_redis_dropped_messages_total[5m]))", "{{instance}} dropped"),
            (IGNORED, "{{reason}} ignored"),
        ),
        "In five minutes.",
        width=8,
    ),
    Panel(
        "Redemption checks",
        (("sum by (outcome) (rate(stanchion_redemption_checks_total[1m])) or vector(0)", "{{outcome}}"),),
        "A ticket is redeemed once. `already_redeemed` is a copy, or a second tab.",
        unit="reqps", width=8,
    ),
    Panel(
        "Cookies that were not valid",
        (("sum by (reason) (rate(stanchion_ticket_rejections_total[5m])) or vector(0)", "{{reason}}"),),
        "`signature` jumps after a change of keys without the old key.",
        unit="reqps", width=8,
    ),
    Panel(
        "Suspected robots",
        (("sum by (reason) (rate(stanchion_suspected_requests_total[5m])) or vector(0)", "{{reason}}"),),
        "Once for each reason.",
        unit="reqps", width=8,
    ),
    Panel(
        "Join challenges",
        (("sum by (result) (rate(stanchion_join_challenges_total[5m])) or vector(0)", "{{result}}"),),
        "By result.",
        unit="reqps", width=8,
    ),
    Panel(
        "Adaptive capacity",
        (
            ("min by (room) (stanchion_adaptive_capacity_ratio)", "{{room}} part of the capacity"),
            ("max by (room) (stanchion_adaptive_strain_ratio)", "{{room}} strain"),
        ),
        "Strain above 1: the shop is slower or fails more than the settings allow.",
        width=8,
    ),
    Panel(
        "Restarts of workers",
        (("sum by (instance) (increase(stanchion_worker_restarts_total[15m]))", "{{instance}}"),),
        "In fifteen minutes.",
        width=8, limits=(0.5, 2.0),
    ),
    Panel(
        "Settings accepted",
        (("stanchion_last_reload_successful", "{{instance}}"),),
        "0: the last reload was refused, and the edge goes on with its old settings.",
        width=8,
    ),
    Panel(
        "Versions",
        (("count by (version, form) (stanchion_build_info)", "{{version}} {{form}}"),),
        "Edges by version and form. Two versions are normal during an upgrade only.",
        width=8,
    ),
)  # fmt: skip


def dashboard(uid: str, title: str, panels: tuple[Panel, ...]) -> dict[str, Any]:
    """Return a dashboard as Grafana's JSON."""
    return {
        "uid": uid,
        "title": title,
        "tags": ["stanchion"],
        "schemaVersion": 41,
        "editable": False,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "templating": {"list": [_source(), _rooms()]},
        "panels": list(_placed(panels)),
    }


def _placed(panels: tuple[Panel, ...]) -> Iterator[dict[str, Any]]:
    """Yield the panels from left to right, in rows."""
    x = y = row_height = 0
    for number, panel in enumerate(panels, 1):
        if x + panel.width > COLUMNS:
            x, y, row_height = 0, y + row_height, 0
        row_height = max(row_height, panel.height)
        place = {"x": x, "y": y, "w": panel.width, "h": panel.height}
        x += panel.width
        yield {
            "id": number,
            "title": panel.title,
            "description": panel.text,
            "type": panel.kind,
            "datasource": SOURCE,
            "gridPos": place,
            "targets": [
                {"refId": chr(65 + at), "datasource": SOURCE, "expr": expression, "legendFormat": legend}
                for at, (expression, legend) in enumerate(panel.queries)
            ],
            "fieldConfig": {"defaults": {"unit": panel.unit, **_thresholds(panel)}, "overrides": []},
            "options": panel.options,
        }


def _thresholds(panel: Panel) -> dict[str, Any]:
    if panel.limits is None:
        return {"min": 0}
    amber, red = panel.limits
    steps = [{"color": "green", "value": None}, {"color": "orange", "value": amber}, {"color": "red", "value": red}]
    return {"min": 0, "thresholds": {"mode": "absolute", "steps": steps}}


def _source() -> dict[str, Any]:
    return {"name": "source", "label": "Prometheus", "type": "datasource", "query": "prometheus"}


def _rooms() -> dict[str, Any]:
    return {
        "name": "room",
        "label": "Room",
        "type": "query",
        "datasource": SOURCE,
        "query": "label_values(stanchion_capacity_per_second, room)",
        "refresh": 2,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def files() -> dict[str, str]:
    """Return the text of each file by its name."""
    made = {
        "operator.json": dashboard("stanchion-operator", "Stanchion: the sale", OPERATOR),
        "engineer.json": dashboard("stanchion-engineer", "Stanchion: the edge", ENGINEER),
    }
    return {name: json.dumps(each, indent=2) + "\n" for name, each in made.items()}


if __name__ == "__main__":
    for name, text in files().items():
        (HERE / name).write_text(text, "utf-8")
