"""A scheduled sale of a room: when its pre-queue begins, when it opens and closes, and what differs from the room.

A moment is a date and a time with an offset (RFC 3339), or without one if the sale has a `time_zone`, or Unix time in
seconds. It is read into Unix time.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from typing import Annotated, Any, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, Field, WithJsonSchema, model_validator

from edge.settings.values import Section, Text

__all__ = ["MOMENTS", "Moment", "SaleSettings", "overlap"]

#: The pre-queue begins this long before the opening unless the sale says otherwise.
PREQUEUE_S = 1800.0
MOMENTS = ("prequeue_at", "opens_at", "closes_at")
FIRST_S, LAST_S = 946_684_800.0, 7_258_118_400.0  # the years 2000 to 2200
EXAMPLE = "2026-11-27T20:00:00+01:00"


def _moment(value: object) -> object:
    """Return a moment as Unix time in seconds."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            raise ValueError(f"must be a date and a time such as {EXAMPLE}, got {value!r}") from None
    if isinstance(value, datetime):
        if value.tzinfo is None:
            raise ValueError(f"must have an offset, as in {EXAMPLE}, or the sale needs a time_zone")
        value = value.timestamp()
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"must be a date and a time such as {EXAMPLE}, got {value}")
    if not FIRST_S <= value < LAST_S:
        raise ValueError(f"must be between the years 2000 and 2200, got {value}")
    return round(value * 1000.0) / 1000.0


Moment = Annotated[
    float,
    BeforeValidator(_moment),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "format": "date-time"},
                {"type": "number", "minimum": FIRST_S, "exclusiveMaximum": LAST_S},
            ]
        }
    ),
]


class SaleSettings(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,62}[a-z0-9])?$")]
    prequeue_at: Moment | None = None
    opens_at: Moment
    closes_at: Moment | None = None
    time_zone: Annotated[str, Field(max_length=64)] | None = None
    order: Literal["arrival", "draw"] = "arrival"
    suspended: bool = False
    admissions_per_second: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)] | None = None
    total_active_users: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    message: Annotated[Text, Field(max_length=500)] | None = None

    @model_validator(mode="before")
    @classmethod
    def _in_its_time_zone(cls, values: object) -> object:
        """Read moments without an offset in the sale's time zone."""
        if not isinstance(values, Mapping) or not isinstance(values.get("time_zone"), str):
            return values
        zone = _zone(values["time_zone"])
        read: dict[str, Any] = dict(values)
        for key in MOMENTS:
            if key in read:
                read[key] = _local(key, read[key], zone)
        return read

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.prequeue_at is not None and self.prequeue_at > self.opens_at:
            raise ValueError("prequeue_at must not be after opens_at")
        if self.closes_at is not None and self.closes_at <= self.opens_at:
            raise ValueError("closes_at must be after opens_at")
        return self

    @property
    def begins_at(self) -> float:
        """When the pre-queue begins, Unix time in seconds."""
        return self.opens_at - PREQUEUE_S if self.prequeue_at is None else self.prequeue_at


def overlap(sales: Sequence[SaleSettings]) -> str | None:
    """Return what is wrong with the sales of one room, None if nothing is."""
    ordered = sorted(sales, key=lambda sale: sale.opens_at)
    names = [sale.name for sale in ordered]
    for name in names:
        if names.count(name) > 1:
            return f"two sales have the name {name!r}"
    for before, after in pairwise(ordered):
        end = before.opens_at if before.closes_at is None else before.closes_at
        if after.begins_at < end:
            return (
                f"the pre-queue of {after.name!r} begins at {_shown(after.begins_at)}, before {before.name!r}"
                f" {'opens' if before.closes_at is None else 'closes'} ({_shown(end)})"
            )
    return None


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        raise ValueError(
            f"time_zone: this machine knows no {name!r}; it must be a name such as Europe/Berlin (and the package"
            " tzdata must be installed), or write offsets"
        ) from None


def _local(key: str, value: object, zone: ZoneInfo) -> object:
    """Return a moment with the zone's offset if it has none. Other values are left to the field's own rule."""
    if isinstance(value, str):
        try:
            value = datetime.fromisoformat(value)
        except ValueError:
            return value
    if not isinstance(value, datetime) or value.tzinfo is not None:
        return value
    first, second = (value.replace(tzinfo=zone, fold=fold) for fold in (0, 1))
    if first.utcoffset() != second.utcoffset():
        raise ValueError(
            f"{key}: {value} does not exist, or exists twice, in {zone.key} because the clocks change; write an offset"
        )
    return first


def _shown(moment_s: float) -> str:
    return datetime.fromtimestamp(moment_s, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
