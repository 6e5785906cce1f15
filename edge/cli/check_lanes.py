"""Warnings of `stanchion check` about lanes that are valid, but may not be what the operator wants."""

from edge.settings.model import Settings
from edge.support.errors import SettingFault

__all__ = ["lane_warnings"]


def lane_warnings(settings: Settings) -> list[SettingFault]:
    """Return warnings about the lanes of rooms."""
    found = []
    for at, room in enumerate(settings.rooms):
        for number, lane in enumerate(room.lanes):
            path = f"rooms[{at}].lanes[{number}]"
            if lane.header is not None and not settings.trusted_proxies and not settings.plugins.is_asked:
                why = "only a trusted proxy may put visitors into the lane, and trusted_proxies is empty"
                found.append(SettingFault(f"{path}.header", why))
            rate = room.capacity.admissions_per_second * lane.share / 100.0 / settings.nodes
            if 0.0 < rate < 0.02:
                why = f"each of {settings.nodes} nodes would admit one visitor in {1 / rate:.0f} s from this lane"
                found.append(SettingFault(f"{path}.share", why))
    return found
