"""The status that operators read: each room over all nodes of this machine, and each node's own view of it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.messages.processes import RoomReport
from edge.settings.room import RoomSettings
from edge.supervisor.adaptation import Adaptation
from edge.supervisor.relay import Relay
from edge.supervisor.stock_watch import StockWatch
from edge.supervisor.worker_handle import WorkerHandle

__all__ = ["StatusSources"]

#: Figures of a gate that are summed over the nodes.
SUMMED = (
    *("waiting", "admitted", "polled", "bucket_level", "bucket_depth"),
    *("admitted_per_s", "polls_per_s", "arrivals_per_s"),
)


@dataclass(frozen=True, slots=True)
class StatusSources:
    """What the status is made of, besides the settings."""

    handles: Sequence[WorkerHandle]
    relay: Relay
    stock_watch: StockWatch
    adaptation: Adaptation

    def room(self, room: RoomSettings, machines: int) -> dict[str, Any]:
        """Return one room as JSON values. machines: that share its capacity."""
        name = room.name
        reports = {handle.index: handle.reports[name] for handle in self.handles if name in handle.reports}
        total = {key: sum(report.gate[key] for report in reports.values()) for key in SUMMED}
        rate = room.capacity.admissions_per_second
        # What this machine's nodes may admit together; how they divide it changes with every heartbeat.
        capacity = rate / machines * self.adaptation.factor(name)
        stock = self.relay.stock(name)
        return {
            "room": name,
            "mode": room.mode,
            "admissions_per_second": capacity,
            **total,
            "active": sum(report.active for report in reports.values()),
            "lag_s": max((report.gate["lag_s"] for report in reports.values()), default=0.0),
            "eta_last_s": _eta_s(total["waiting"], capacity, reports.values()),
            "stock": stock.free,
            "held": stock.held,
            "sold_out": stock.is_sold_out,
            "missing": sorted({each for report in reports.values() for each in report.missing}),
            "shadow": _shadow([report.shadow for report in reports.values() if report.shadow is not None]),
            "paused": sorted({report.paused for report in reports.values() if report.paused is not None}),
            "stock_watch": self.stock_watch.status(name),
            "adaptive": self.adaptation.status(name, time.monotonic()),
            "nodes": [_node_view(index, report) for index, report in reports.items()],
        }


def _shadow(figures: Sequence[Mapping[str, float]]) -> dict[str, float] | None:
    """Return what the nodes of a room in shadow mode counted together; None if it is in another mode."""
    if not figures:
        return None
    summed = {key: sum(each[key] for each in figures) for key in ("visitors", "queued", "waiting")}
    return {**summed, "longest_s": max(each["longest_s"] for each in figures)}


def _eta_s(waiting: float, capacity: float, reports: Iterable[RoomReport]) -> float | None:
    """Return the time in which the whole line is admitted. None while it stands still at any node."""
    is_still = capacity <= 0.0 or any(report.paused is not None for report in reports)
    return None if is_still else waiting / capacity


def _node_view(index: int, report: RoomReport) -> dict[str, Any]:
    """Return one node's view of a room as JSON values."""
    return {
        "node": index,
        **report.gate,
        "fairness": report.fairness,
        "active": report.active,
        "stock": report.stock,
        "held": report.held,
        "sold_out": report.sold_out,
        "missing": list(report.missing),
        "paused": report.paused,
    }
