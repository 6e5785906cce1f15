"""The status that operators read: each room over all nodes of this machine, and each node's own view of it."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from edge.messages.processes import RoomReport
from edge.settings.lanes import GENERAL
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


LANE_SUMMED = ("waiting", "admitted", "admitted_per_s", "admissions_per_second", "arrivals_per_s")


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
        reports = self._reports(name)
        lanes = [self._reports(key) for key in room.keys]
        gates = [report.gate for lane in lanes for report in lane.values()]
        total = {key: sum(gate[key] for gate in gates) for key in SUMMED}
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
            "lag_s": max((gate["lag_s"] for gate in gates), default=0.0),
            "eta_last_s": _eta_s(total["waiting"], capacity, reports.values()),
            "stock": stock.free,
            "held": stock.held,
            "sold_out": stock.is_sold_out,
            "missing": sorted({each for report in reports.values() for each in report.missing}),
            "shadow": _shadow([report.shadow for report in reports.values() if report.shadow is not None]),
            "paused": sorted({report.paused for report in reports.values() if report.paused is not None}),
            "stock_watch": self.stock_watch.status(name),
            "adaptive": self.adaptation.status(name, time.monotonic()),
            "lanes": _lanes(room, lanes),
            "nodes": [_node_view(index, report) for index, report in reports.items()],
        }

    def _reports(self, key: str) -> dict[int, RoomReport]:
        """Return the last report of each node on a room or a lane."""
        return {handle.index: handle.reports[key] for handle in self.handles if key in handle.reports}


def _lanes(room: RoomSettings, reports: Sequence[Mapping[int, RoomReport]]) -> list[dict[str, Any]]:
    """Return the lanes of a room as JSON values, the general one first; [] if it has none. reports: of each lane."""
    if not room.lanes:
        return []
    named = [(lane.name, lane.share) for lane in room.lanes]
    general = (GENERAL, round(100.0 - sum(share for _, share in named), 6))
    return [
        _lane(name, share, list(found.values()))
        for (name, share), found in zip([general, *named], reports, strict=True)
    ]


def _lane(name: str, share: float, reports: Sequence[RoomReport]) -> dict[str, Any]:
    total = {key: sum(report.gate[key] for report in reports) for key in LANE_SUMMED}
    return {
        "lane": name,
        "share": share,
        **total,
        "lag_s": max((report.gate["lag_s"] for report in reports), default=0.0),
        "overtaken": max((report.fairness["kendall"] for report in reports), default=0.0),
        "eta_last_s": _eta_s(total["waiting"], total["admissions_per_second"], reports),
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
