"""The progress bar of the waiting page."""

from waiting_room.status import Status

__all__ = ["progress_percent"]


def progress_percent(status: Status, now: float | None) -> int | None:
    """Return the part of the whole wait that is over, in per cent. It uses time, because the line moves unevenly."""
    if now is None or status.first_seen is None or status.eta_p50_s is None:
        return None
    waited_s = max(0.0, now - status.first_seen)
    whole_s = waited_s + max(0.0, status.eta_p50_s)
    return min(99, int(100 * waited_s / whole_s)) if whole_s > 0 else 99
