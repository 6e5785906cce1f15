"""The status that operators read: every room over all nodes of this machine, and every node's own view of it."""

import time
from collections.abc import Sequence
from typing import Any

from edge.settings.model import Settings
from edge.supervisor.adaptation import Adaptation
from edge.supervisor.relay import Relay
from edge.supervisor.stock_watch import StockWatch
from edge.supervisor.worker_handle import WorkerHandle

__all__ = ["room_status"]

#: What adds up over the nodes.
SUMMED = (
    "waiting", "active", "admitted", "polled", "bucket_level", "bucket_depth",
    "admitted_per_s", "polls_per_s", "arrivals_per_s",
)  # fmt: skip


def room_status(
    name: str,
    settings: Settings,
    seats: Sequence[WorkerHandle],
    relay: Relay,
    stock_watch: StockWatch,
    adaptation: Adaptation,
) -> dict[str, Any]:
    """One room, JSON-able."""
    views = [{"node": seat.index, **seat.report[name]} for seat in seats if name in seat.report]
    total = {key: sum(view[key] for view in views) for key in SUMMED}
    [rate] = [room.capacity.admissions_per_second for room in settings.rooms if room.name == name]
    # What this machine's nodes may admit together; how they divide it changes with every heartbeat.
    capacity = rate / settings.cluster.nodes * adaptation.factor(name)
    shelf = relay.shelf(name)
    return {
        "room": name,
        "admissions_per_second": capacity,
        **total,
        "lag_s": max((view["lag_s"] for view in views), default=0.0),
        "eta_last_s": total["waiting"] / capacity if capacity > 0 else None,
        "stock": shelf.free,
        "held": shelf.held,
        "sold_out": shelf.is_sold_out,
        "missing": sorted({each for view in views for each in view["missing"]}),
        "stock_watch": stock_watch.status(name),
        "adaptive": adaptation.status(name, time.monotonic()),
        "nodes": views,
    }
