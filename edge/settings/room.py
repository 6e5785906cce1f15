"""The settings of one room: what it protects, how many visitors it admits, and what its visitors carry and see.

A room is one entry of `rooms` in the whole file (`model.py`). The whole file checks what a room needs from outside.
"""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from edge.settings.face import ColorSettings, FileName, FontText, LinkSettings, PageAddress
from edge.settings.lanes import LaneSettings, fault_in_lanes, key_of
from edge.settings.languages import RoomTexts
from edge.settings.sale import SaleSettings, overlap
from edge.settings.sources import SourceSettings
from edge.settings.values import Origin, PathText, PositiveSeconds, Rate, RequestPath, Section, Text

__all__ = [
    "AdaptiveCapacitySettings",
    "CapacitySettings",
    "CorsSettings",
    "JoinSettings",
    "MatchSettings",
    "PageSettings",
    "PollingSettings",
    "RoomMode",
    "RoomSettings",
    "SessionSettings",
    "StockSettings",
    "TicketSettings",
]


RoomMode = Literal["open", "hold", "drain", "closed", "shadow"]
"""What a room does with its visitors; `edge/supervisor/room_control.py`."""


class MatchSettings(Section):
    host: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9.*:\[\]_-]+$")] = "*"
    paths: Annotated[tuple[PathText, ...], Field(min_length=1, strict=False)]
    bypass: Annotated[tuple[PathText, ...], Field(strict=False)] = ()
    callbacks: Annotated[tuple[PathText, ...], Field(strict=False)] = ()


class AdaptiveCapacitySettings(Section):
    enabled: bool = False
    latency_target_seconds: PositiveSeconds = 1.0
    error_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    floor: Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)] = 0.1
    recovery_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 300.0


class CapacitySettings(Section):
    admissions_per_second: Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]
    burst_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 1.0
    burst_floor: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 3.0
    total_active_users: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    adaptive: AdaptiveCapacitySettings = AdaptiveCapacitySettings()


class SessionSettings(Section):
    duration_seconds: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = 600.0
    renew: bool = True
    confirm_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] | None = 15.0
    presence_seconds: Annotated[float, Field(ge=10, le=3600, allow_inf_nan=False)] | None = None
    bind: Annotated[tuple[Literal["browser", "network"], ...], Field(strict=False)] = ("browser",)
    bind_ipv4_bits: Annotated[int, Field(ge=8, le=32)] = 24
    bind_ipv6_bits: Annotated[int, Field(ge=16, le=64)] = 48


class PollingSettings(Section):
    min_seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 1.0
    max_seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False, validate_default=True)] = 15.0
    budget_per_second: Rate | None = None

    @field_validator("max_seconds")
    @classmethod
    def _not_below_min(cls, value: float, info: ValidationInfo) -> float:
        least = info.data.get("min_seconds")
        if least is not None and value < least:
            raise ValueError(f"must be >= min_seconds ({least:g}), got {value:g}")
        return value


class StockSettings(Section):
    path: RequestPath | None = None
    interval_seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 1.0
    timeout_seconds: PositiveSeconds = 2.0
    claim_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 20.0


class TicketSettings(Section):
    lifetime_seconds: Annotated[float, Field(ge=60, le=86_400 * 30, allow_inf_nan=False)] = 86_400.0
    skew_allowance_seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 2.0
    away_seconds: Annotated[float, Field(ge=300, le=86_400 * 30, allow_inf_nan=False)] | None = None


class JoinSettings(Section):
    proof: Literal["none", "suspects", "all"] = "none"
    difficulty: Annotated[int, Field(ge=100, le=10_000_000)] = 50_000
    no_script_wait_seconds: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 60.0
    challenge_ttl_seconds: Annotated[float, Field(ge=10, le=3600, allow_inf_nan=False)] = 120.0


class CorsSettings(Section):
    origins: Annotated[tuple[Origin, ...], Field(strict=False)] = ()
    credentials: bool = True
    max_age_seconds: Annotated[float, Field(ge=0, le=86_400, allow_inf_nan=False)] = 600.0

    def covers(self, origin: str) -> bool:
        """Return whether the list names an origin. `https://*.shop.example` names every host below."""
        scheme, _, host = origin.lower().partition("://")
        for named in self.origins:
            named_scheme, _, named_host = named.lower().partition("://")
            if named_scheme == scheme and (
                named_host == host or (named_host.startswith("*.") and host.endswith(named_host[1:]))
            ):
                return True
        return False


class PageSettings(Section):
    title: Annotated[Text, Field(min_length=1, max_length=120)] | None = None
    message: Annotated[Text, Field(max_length=500)] | None = None
    status_code: Annotated[int, Field(ge=200, le=599)] = 200
    logo: RequestPath | None = None
    colors: ColorSettings = ColorSettings()
    links: Annotated[tuple[LinkSettings, ...], Field(max_length=6, strict=False)] = ()
    footer: Annotated[Text, Field(min_length=1, max_length=300)] | None = None
    font: FontText | None = None
    stylesheet: FileName | None = None
    template: FileName | None = None
    sources: SourceSettings = SourceSettings()
    texts: RoomTexts = Field(default_factory=dict)
    home: PageAddress = "/"

    @field_validator("status_code")
    @classmethod
    def _not_misleading(cls, value: int) -> int:
        if value not in (200, 202, 503):
            raise ValueError(
                f"must be 200, 202 or 503 (to wait is neither a visitor's error nor a redirect), got {value}"
            )
        return value


class RoomSettings(Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    mode: RoomMode = "open"
    match: MatchSettings
    capacity: CapacitySettings
    session: SessionSettings = SessionSettings()
    polling: PollingSettings = PollingSettings()
    stock: StockSettings = StockSettings()
    ticket: TicketSettings = TicketSettings()
    join: JoinSettings = JoinSettings()
    page: PageSettings = PageSettings()
    cors: CorsSettings = CorsSettings()
    body_bytes: Annotated[int, Field(ge=0, le=1 << 40)] | None = None
    when_upstream_down: Literal["hold", "admit"] = "hold"
    when_redis_down: Literal["hold", "admit"] = "admit"
    when_stock_unknown: Literal["hold", "admit"] = "admit"
    sales: Annotated[tuple[SaleSettings, ...], Field(max_length=100, strict=False)] = ()
    outside_sales: Literal["closed", "open"] = "closed"
    lanes: Annotated[tuple[LaneSettings, ...], Field(max_length=15, strict=False)] = ()

    @property
    def keys(self) -> tuple[str, ...]:
        """The names under which nodes tell each other of its lanes; its own name alone if it has none."""
        return (self.name, *(key_of(self.name, lane.name) for lane in self.lanes))

    @field_validator("lanes")
    @classmethod
    def _shares_fit(cls, lanes: tuple[LaneSettings, ...]) -> tuple[LaneSettings, ...]:
        if fault := fault_in_lanes(lanes):
            raise ValueError(fault)
        return lanes

    @field_validator("sales")
    @classmethod
    def _one_after_the_other(cls, sales: tuple[SaleSettings, ...]) -> tuple[SaleSettings, ...]:
        if fault := overlap(sales):
            raise ValueError(fault)
        return sales

    @field_validator("when_stock_unknown")
    @classmethod
    def _can_be_known(cls, value: str, info: ValidationInfo) -> str:
        stock = info.data.get("stock")
        if value == "hold" and stock is not None and stock.path is None:
            raise ValueError("'hold' needs stock.path: a shop that nobody enters tells its stock only if the edge asks")
        return value
