"""The settings: one YAML file, parsed once into frozen values, every fault reported in one go with its path.

pydantic parses it rather than msgspec, because pydantic collects all faults of a file and msgspec stops at the first.

    rooms[0].capacity.admissions_per_second: must be > 0, got -3
    rooms[0].capcity: unknown key (did you mean 'capacity'?)

`configs/reference.yaml` documents every key: unit, default and danger; a test holds it complete. Durations are seconds
and say so in their names, as do rates. Nothing here reads a clock, opens a socket or configures logging.
"""

import ipaddress
import re
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

__all__ = [
    "AbuseSettings",
    "AdaptiveCapacitySettings",
    "AdminSettings",
    "BotSettings",
    "CapacitySettings",
    "ClusterSettings",
    "CookieSettings",
    "JoinSettings",
    "LimitSettings",
    "LogSettings",
    "MatchSettings",
    "PageSettings",
    "PollingSettings",
    "RoomSettings",
    "SessionSettings",
    "Settings",
    "ShutdownSettings",
    "StockSettings",
    "TicketSettings",
    "UpstreamSettings",
]

#: What never queues, whatever a room's paths say: files a page needs to look right, and what machines ask for.
DEFAULT_BYPASS = (
    "/robots.txt",
    "/favicon.ico",
    "/.well-known/*",
    "*.css",
    "*.js",
    "*.mjs",
    "*.map",
    "*.png",
    "*.jpg",
    "*.jpeg",
    "*.gif",
    "*.svg",
    "*.webp",
    "*.avif",
    "*.ico",
    "*.woff",
    "*.woff2",
)

Seconds = Annotated[float, Field(ge=0, le=86_400 * 30, allow_inf_nan=False)]
PositiveSeconds = Annotated[float, Field(gt=0, le=86_400 * 30, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0, le=1_000_000, allow_inf_nan=False)]


def _listen_address(text: str) -> str:
    if (
        not re.fullmatch(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\[\]/:@\s]+):\d{1,5}", text)
        or int(text.rsplit(":", 1)[1]) > 65_535
    ):
        raise ValueError(f"must look like tcp://HOST:PORT (for IPv6 tcp://[::1]:8080), got {text!r}")
    return text


def _is_loopback(listen: str) -> bool:
    host = urlsplit(listen).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reaches(host: str, listening: str) -> bool:
    """Whether who connects to a host of this very machine finds what listens there."""
    try:
        asked, own = ipaddress.ip_address(host), ipaddress.ip_address(listening)
    except ValueError:
        return host == listening or (host == "localhost" and _is_loopback(f"tcp://{listening}:1"))
    return asked == own or (asked.is_loopback and own.is_unspecified)


def _upstream_url(text: str) -> str:
    fault = ValueError(f"must look like http://HOST:PORT, got {text!r}")
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        raise fault from None
    if not is_address:
        raise fault
    if parts.username or parts.password or parts.query or parts.fragment or parts.path not in ("", "/"):
        raise ValueError(f"must hold scheme, host and port only (paths are passed through unchanged), got {text!r}")
    return text.rstrip("/")


def _redis_url(text: str) -> str:
    parts = urlsplit(text)
    if parts.scheme not in ("redis", "rediss", "unix") or not (parts.hostname or parts.path):
        raise ValueError("must look like redis://HOST:PORT/DATABASE (rediss:// for TLS, unix:///PATH for a socket)")
    if parts.password:
        raise ValueError("must hold no password: put it into an environment variable and name it in redis_password_env")
    return text


def _network(text: str) -> str:
    try:
        ipaddress.ip_network(text)
    except ValueError as fault:
        raise ValueError(f"must be an address or a CIDR range such as 10.0.0.0/8: {fault}") from None
    return text


def _path_glob(text: str) -> str:
    if not text.startswith(("/", "*")):
        raise ValueError(f"must start with '/' or '*', got {text!r}")
    if "?" in text or "#" in text:
        raise ValueError(f"matches paths only: '?' and '#' never occur in one, got {text!r}")
    return text


def _request_path(text: str) -> str:
    if not re.fullmatch(r"/[!-~]*", text) or "#" in text:
        raise ValueError(f"must be a path of the upstream, with or without a query, such as /stock, got {text!r}")
    return text


def _encodable(text: str) -> str:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError("holds half a surrogate pair, which is no text") from None
    return text


Text = Annotated[str, AfterValidator(_encodable)]
ListenAddress = Annotated[str, AfterValidator(_listen_address)]
PathGlob = Annotated[str, AfterValidator(_path_glob)]
Network = Annotated[str, AfterValidator(_network)]


class _Section(BaseModel):
    """A frozen part of the settings; unknown keys and values of another type are faults, nothing is converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class AdminSettings(_Section):
    listen: ListenAddress = "tcp://127.0.0.1:9090"
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None

    @model_validator(mode="after")
    def _not_open_to_others(self) -> Self:
        if self.token_env is None and not _is_loopback(self.listen):
            raise ValueError(
                f"{self.listen} can be reached from other machines, so a token is required:"
                " name the environment variable that holds it in token_env"
            )
        return self


class UpstreamSettings(_Section):
    url: Annotated[str, AfterValidator(_upstream_url)]
    host_header: Literal["preserve", "upstream"] = "preserve"
    via: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    connect_timeout_seconds: PositiveSeconds = 5.0
    response_timeout_seconds: PositiveSeconds = 60.0
    idle_timeout_seconds: PositiveSeconds = 60.0
    keepalive_seconds: Seconds = 15.0
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 512
    breaker_failures: Annotated[int, Field(ge=1, le=1_000_000)] | None = 20
    breaker_seconds: PositiveSeconds = 2.0


class ClusterSettings(_Section):
    nodes: Annotated[int, Field(ge=1, le=10_000)] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "stanchion"
    redis_url: Annotated[str, AfterValidator(_redis_url)] | None = None
    redis_password_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None


class CookieSettings(_Section):
    secure: Literal["auto", "always", "never"] = "auto"
    domain: Annotated[str, Field(pattern=r"^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")] | None = None


class LogSettings(_Section):
    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: Literal["none", "upstream", "all"] = "upstream"


class ShutdownSettings(_Section):
    delay_seconds: Seconds = 0.0
    grace_seconds: Seconds = 30.0


class LimitSettings(_Section):
    head_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = 16_384
    headers: Annotated[int, Field(ge=16, le=1000)] = 100
    target_bytes: Annotated[int, Field(ge=256, le=65_536)] = 8192
    body_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 10_485_760
    body_buffer_bytes: Annotated[int, Field(ge=0, le=16_777_216)] = 65_536
    head_seconds: PositiveSeconds = 10.0
    body_seconds: PositiveSeconds = 20.0
    body_bytes_per_second: Rate = 4096.0
    write_seconds: PositiveSeconds = 30.0
    keepalive_seconds: PositiveSeconds = 75.0
    requests_per_connection: Annotated[int, Field(ge=1, le=1_000_000_000)] = 10_000
    connections: Annotated[int, Field(ge=1, le=10_000_000)] = 50_000
    connections_per_address: Annotated[int, Field(ge=1, le=1_000_000)] | None = None
    descriptors_share: Annotated[float, Field(gt=0, le=0.9, allow_inf_nan=False)] = 0.5
    serve_half_closed: bool = True


class BotSettings(_Section):
    action: Literal["ignore", "observe", "limit", "refuse"] = "observe"
    suspect_at: Annotated[int, Field(ge=1, le=1000)] = 60
    suspected_per_minute: Rate = 1.0


class AbuseSettings(_Section):
    allow: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    allow_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    deny: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    deny_files: Annotated[tuple[str, ...], Field(strict=False)] = ()
    reads_per_minute: Rate | None = None
    writes_per_minute: Rate | None = None
    newcomers_per_minute: Rate | None = None
    visitor_per_minute: Rate | None = None
    premium_per_minute: Rate | None = None
    premium_seconds: Annotated[float, Field(ge=60, le=86_400 * 365, allow_inf_nan=False)] = 86_400.0
    bots: BotSettings = BotSettings()

    @model_validator(mode="after")
    def _premium_is_more(self) -> Self:
        if self.premium_per_minute is None:
            return self
        if self.visitor_per_minute is None or self.premium_per_minute < self.visitor_per_minute:
            raise ValueError("premium_per_minute must be at least visitor_per_minute, which must be set too")
        return self


class MatchSettings(_Section):
    host: Annotated[str, Field(min_length=1, pattern=r"^[A-Za-z0-9.*:\[\]_-]+$")] = "*"
    paths: Annotated[tuple[PathGlob, ...], Field(min_length=1, strict=False)]
    bypass: Annotated[tuple[PathGlob, ...], Field(strict=False)] = ()
    callbacks: Annotated[tuple[PathGlob, ...], Field(strict=False)] = ()


class AdaptiveCapacitySettings(_Section):
    enabled: bool = False
    latency_target_seconds: PositiveSeconds = 1.0
    error_share: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.05
    floor: Annotated[float, Field(ge=0.001, le=1, allow_inf_nan=False)] = 0.1
    recovery_seconds: Annotated[float, Field(ge=1, le=86_400, allow_inf_nan=False)] = 300.0


class CapacitySettings(_Section):
    admissions_per_second: Rate
    burst_seconds: Annotated[float, Field(gt=0, le=3600, allow_inf_nan=False)] = 1.0
    burst_floor: Annotated[float, Field(ge=1, le=1000, allow_inf_nan=False)] = 3.0
    total_active_users: Annotated[int, Field(ge=1, le=100_000_000)] | None = None
    adaptive: AdaptiveCapacitySettings = AdaptiveCapacitySettings()


class SessionSettings(_Section):
    duration_seconds: Annotated[float, Field(ge=5, le=86_400, allow_inf_nan=False)] = 600.0
    renew: bool = True
    bind: Annotated[tuple[Literal["browser", "network"], ...], Field(strict=False)] = ("browser",)
    bind_ipv4_bits: Annotated[int, Field(ge=8, le=32)] = 24
    bind_ipv6_bits: Annotated[int, Field(ge=16, le=64)] = 48


class PollingSettings(_Section):
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


class StockSettings(_Section):
    path: Annotated[str, AfterValidator(_request_path)] | None = None
    every_seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 1.0
    timeout_seconds: PositiveSeconds = 2.0
    claim_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 20.0


class TicketSettings(_Section):
    lifetime_seconds: Annotated[float, Field(ge=60, le=86_400 * 30, allow_inf_nan=False)] = 86_400.0
    skew_allowance_seconds: Annotated[float, Field(ge=0, le=300, allow_inf_nan=False)] = 2.0
    away_seconds: Annotated[float, Field(ge=300, le=86_400 * 30, allow_inf_nan=False)] | None = None


class JoinSettings(_Section):
    proof: Literal["none", "suspects", "all"] = "none"
    work: Annotated[int, Field(ge=100, le=10_000_000)] = 50_000
    without_seconds: Annotated[float, Field(ge=5, le=3600, allow_inf_nan=False)] = 60.0
    valid_seconds: Annotated[float, Field(ge=10, le=3600, allow_inf_nan=False)] = 120.0


class PageSettings(_Section):
    title: Annotated[Text, Field(min_length=1, max_length=120)] | None = None
    message: Annotated[Text, Field(max_length=500)] | None = None
    status_code: Annotated[int, Field(ge=200, le=599)] = 200

    @field_validator("status_code")
    @classmethod
    def _not_misleading(cls, value: int) -> int:
        if value not in (200, 202, 503):
            raise ValueError(
                f"must be 200, 202 or 503 (waiting is neither an error of the visitor's nor a redirect), got {value}"
            )
        return value


class RoomSettings(_Section):
    name: Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,30}[a-z0-9])?$")]
    match: MatchSettings
    capacity: CapacitySettings
    session: SessionSettings = SessionSettings()
    polling: PollingSettings = PollingSettings()
    stock: StockSettings = StockSettings()
    ticket: TicketSettings = TicketSettings()
    join: JoinSettings = JoinSettings()
    page: PageSettings = PageSettings()
    body_bytes: Annotated[int, Field(ge=0, le=1 << 40)] | None = None
    when_upstream_down: Literal["hold", "admit"] = "hold"
    when_redis_down: Literal["hold", "admit"] = "admit"
    when_stock_unknown: Literal["hold", "admit"] = "admit"

    @field_validator("when_stock_unknown")
    @classmethod
    def _can_be_known(cls, value: str, info: ValidationInfo) -> str:
        stock = info.data.get("stock")
        if value == "hold" and stock is not None and stock.path is None:
            raise ValueError("'hold' needs stock.path: without being asked, a shop that nobody enters says nothing")
        return value


class Settings(_Section):
    """The whole file."""

    listen: Annotated[tuple[ListenAddress, ...], Field(min_length=1, strict=False)] = ("tcp://0.0.0.0:8080",)
    admin: AdminSettings = AdminSettings()
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    worker_stall_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 30.0
    secret_keys_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    secret_keys_file: Annotated[str, Field(min_length=1)] | None = None
    upstream: UpstreamSettings
    cluster: ClusterSettings = ClusterSettings()
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    cookies: CookieSettings = CookieSettings()
    bypass: Annotated[tuple[PathGlob, ...], Field(strict=False)] = DEFAULT_BYPASS
    limits: LimitSettings = LimitSettings()
    abuse: AbuseSettings = AbuseSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    log: LogSettings = LogSettings()
    rooms: Annotated[tuple[RoomSettings, ...], Field(min_length=1, max_length=512, strict=False)]

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if (self.secret_keys_env is None) == (self.secret_keys_file is None):
            raise ValueError("exactly one of secret_keys_env and secret_keys_file is required")
        return self

    @model_validator(mode="after")
    def _has_what_rooms_depend_on(self) -> Self:
        for at, room in enumerate(self.rooms):
            if room.when_redis_down == "hold" and self.cluster.redis_url is None:
                raise ValueError(f"rooms[{at}].when_redis_down: 'hold' needs cluster.redis_url")
        return self

    @model_validator(mode="after")
    def _not_its_own_upstream(self) -> Self:
        """An intermediary must not forward to itself without end (RFC 9110, 7.6)."""
        target = urlsplit(self.upstream.url)
        port = target.port or (443 if target.scheme == "https" else 80)
        for listen in self.listen:
            own = urlsplit(listen)
            if own.port == port and _reaches(target.hostname or "", own.hostname or ""):
                raise ValueError(f"upstream.url {self.upstream.url} is where the edge itself listens ({listen})")
        return self

    @property
    def nodes(self) -> int:
        """How many nodes share each room's capacity: machines times workers."""
        return self.cluster.nodes * self.workers

    @property
    def is_joined(self) -> bool:
        """Whether nodes tell each other of their lines: over Redis, or on one machine over the supervisor.

        Machines that share the capacity evenly without Redis share nothing else either.
        """
        return self.cluster.redis_url is not None or (self.cluster.nodes == 1 and self.workers > 1)
