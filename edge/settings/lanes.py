"""Lanes of a room: shares of its capacity for visitors of different kinds (`rooms[].lanes`).

The settings name the lanes beside the general one. What their shares leave is the general lane's.
"""

from typing import Annotated, Final

from pydantic import Field

from edge.settings.values import Section

__all__ = ["GENERAL", "FieldName", "LaneHeaderSettings", "LaneSettings", "fault_in_lanes", "key_of"]

#: The lane of all visitors without a named lane.
GENERAL: Final = "general"
#: The name of a header field (RFC 9110, 5.1).
FieldName = Annotated[str, Field(pattern=r"^[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}$")]
#: A value that is compared with the whole field: visible ASCII.
FieldValue = Annotated[str, Field(pattern=r"^[\x21-\x7e]([\x20-\x7e]{0,198}[\x21-\x7e])?$")]


class LaneHeaderSettings(Section):
    name: FieldName
    values: Annotated[tuple[FieldValue, ...], Field(min_length=1, max_length=100, strict=False)]


class LaneSettings(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    share: Annotated[float, Field(ge=0.1, le=99.9, allow_inf_nan=False)]
    header: LaneHeaderSettings | None = None


def fault_in_lanes(lanes: tuple[LaneSettings, ...]) -> str | None:
    """Return what is wrong with the lanes of one room together; None if nothing is."""
    names = [lane.name for lane in lanes]
    if GENERAL in names:
        return f"{GENERAL!r} is the lane of all others, and has the share that the named lanes leave"
    if len(set(names)) < len(names):
        return f"two lanes are named {next(name for name in names if names.count(name) > 1)!r}"
    total = sum(lane.share for lane in lanes)
    if total > 99.9 + 1e-9:
        return f"the shares add up to {total:g} %, and the general lane needs 0.1 % or more: use 99.9 % at most"
    return None


def key_of(room: str, lane: str) -> str:
    """Return the name under which nodes tell each other of a lane. lane: '' for the general one."""
    return f"{room}~{lane}" if lane else room
