"""What an operator should look at now, in plain words. Each notice is a state, not an event: it goes when it is over.

error     visitors are hurt now
warning   something is missing or not as the settings want it
info      somebody chose it, and should not forget it

kind: a short name of what it is about, for programs.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Literal

__all__ = ["MODES", "machine_notices", "room_notices"]

Level = Literal["error", "warning", "info"]

#: An operator is told that capacity is not used after so many seconds below this part of it.
UNUSED_S = 20
UNUSED_SHARE = 0.8
#: A worker that has not reported for this time may hang.
LATE_REPORT_S = 5.0

_MISSING = {
    "upstream": ("upstream", "error", "The shop does not answer. Nobody is admitted; visitors keep their places."),
    "redis": ("held_by_redis", "error", "Redis cannot be reached. Nobody is admitted, as when_redis_down asks."),
    "stock": (
        "stock_unknown",
        "error",
        "The shop does not report its stock. Nobody is admitted, as when_stock_unknown asks.",
    ),
}
MODES = {
    "hold": "The room is on hold: nobody is admitted; visitors keep their places.",
    "drain": "The room is drained: it gives out no more places.",
    "closed": "The room is closed.",
    "shadow": "Shadow mode: everybody passes, and nothing protects the shop.",
}


def machine_notices(workers: Sequence[Mapping[str, Any]], redis: str) -> list[dict[str, str]]:
    """Return the notices on workers and Redis. redis: 'up', 'down' or 'unused'."""
    found = []
    for worker in workers:
        if not worker["ready"]:
            found.append(_notice("worker", "error", f"Worker {worker['node']} does not serve."))
        elif (worker["report_age_seconds"] or 0.0) > LATE_REPORT_S:
            found.append(
                _notice(
                    "worker",
                    "warning",
                    f"Worker {worker['node']} has not reported for {worker['report_age_seconds']:.0f} s.",
                )
            )
    if redis == "down":
        found.append(_notice("redis", "warning", "Redis cannot be reached: this machine goes on alone."))
    return found


def room_notices(room: Mapping[str, Any], admitted_per_s: float | None) -> list[dict[str, str]]:
    """Return the notices on a room. room: as the API shows it. admitted_per_s: the mean of the last UNUSED_S."""
    figures, mode = room["figures"], room["mode"]
    found = []
    if mode in MODES:
        why = f" Reason: {room['reason']}." if room["reason"] else ""
        found.append(_notice("mode", "info", MODES[mode] + why))
    sale = room.get("sale")
    phase = None if sale is None else sale["phase"]
    if sale is not None and sale["suspended"] and phase != "over":
        found.append(
            _notice("sale", "warning", f"The sale {sale['name']} is suspended: it does not open, and admits nobody.")
        )
    elif phase == "over" and mode == "open":
        found.append(_notice("sale", "info", "The sale is over: the room admits nobody until the sale is removed."))
    found += [_notice(*_MISSING[each]) for each in figures["missing"] if each in _MISSING]
    if figures["sold_out"]:
        found.append(_notice("sold_out", "info", "Sold out."))
    adaptive = figures["adaptive"]
    if adaptive is not None and adaptive["factor"] < 0.999:
        found.append(
            _notice(
                "slow",
                "warning",
                f"The shop is slow: the room uses {adaptive['factor']:.0%} of its configured capacity.",
            )
        )
    capacity = figures["admissions_per_second"]
    is_open = mode in ("open", "drain") and not figures["missing"] and not figures["sold_out"]
    is_open = is_open and phase not in ("before", "prequeue", "over") and not (sale is not None and sale["suspended"])
    if is_open and admitted_per_s is not None and figures["waiting"] > capacity * UNUSED_S:
        limit = room["total_active_users"]
        if limit is not None and figures["active"] >= 0.98 * limit:
            found.append(_notice("full", "info", f"All {limit:,} places in the room are taken."))
        elif admitted_per_s < UNUSED_SHARE * capacity:
            found.append(
                _notice(
                    "capacity_unused",
                    "warning",
                    f"Visitors wait, but only {admitted_per_s:.1f} of {capacity:g} admissions a second happen.",
                )
            )
    if capacity == 0 and mode == "open":
        found.append(_notice("capacity_zero", "warning", "The capacity is 0: nobody is admitted."))
    return found


def _notice(kind: str, level: str, text: str) -> dict[str, str]:
    return {"kind": kind, "level": level, "text": text}
