"""The settings: one YAML file, parsed once into frozen values. One report names every fault with its path.

pydantic parses the file rather than msgspec: pydantic collects all faults of a file, msgspec stops at the first.

    rooms[0].capacity.admissions_per_second: must be >= 0, got -3
    rooms[0].capcity: unknown key (did you mean 'capacity'?)

`configs/reference.yaml` documents every key with its unit, default and danger; a test holds it complete. The names of
durations and rates hold their unit. Nothing here reads a clock, opens a socket or configures logging.
"""

import ipaddress
from collections.abc import Mapping
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, model_validator

from edge.settings.bypass import BypassSettings
from edge.settings.languages import LanguageSettings
from edge.settings.listener import Listener, ListenerSettings
from edge.settings.plugins import PluginSettings
from edge.settings.room import RoomSettings
from edge.settings.upstream import UpstreamSettings
from edge.settings.values import (
    HostName,
    ListenAddress,
    Network,
    PathText,
    PositiveSeconds,
    Rate,
    RedisUrl,
    Seconds,
    Section,
    VariableName,
)
from edge.settings.watching import NotificationSettings, RecordSettings, TracingSettings

__all__ = [
    "AbuseSettings",
    "AdminSettings",
    "BotSettings",
    "ClusterSettings",
    "CookieSettings",
    "LimitSettings",
    "LogSettings",
    "Settings",
    "ShutdownSettings",
    "UpstreamSettings",
]

#: Paths that never queue in any room: files that a page needs to look right, and files that programs ask for.
DEFAULT_BYPASS = (
    "/robots.txt",
    "/favicon.ico",
    "/.well-known/*",
    "*.webmanifest",
    "*/manifest.json",
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


def _is_loopback(listen: str) -> bool:
    host = urlsplit(listen).hostname or ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _reaches(host: str, listening: str) -> bool:
    """Return whether a connection from this machine to `host` reaches a socket that listens on `listening`."""
    try:
        target, own = ipaddress.ip_address(host), ipaddress.ip_address(listening)
    except ValueError:
        return host == listening or (host == "localhost" and _is_loopback(f"tcp://{listening}:1"))
    return target == own or (target.is_loopback and own.is_unspecified)


class AdminSettings(Section):
    listen: ListenAddress = "tcp://127.0.0.1:9090"
    token_env: VariableName | None = None
    hosts: Annotated[tuple[HostName, ...], Field(strict=False)] = ()
    tokens_file: Annotated[str, Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _not_open_to_others(self) -> Self:
        if self.token_env is None and self.tokens_file is None and not _is_loopback(self.listen):
            raise ValueError(
                f"other machines can reach {self.listen}, so a token is required: name the environment variable"
                " that holds it in token_env, or a file of tokens in tokens_file"
            )
        return self


class ClusterSettings(Section):
    machines: Annotated[int, Field(ge=1, le=10_000)] = 1
    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] = "stanchion"
    redis_url: RedisUrl | None = None
    redis_password_env: VariableName | None = None


class CookieSettings(Section):
    secure: Literal["auto", "always", "never"] = "auto"
    domain: Annotated[str, Field(pattern=r"^\.?[A-Za-z0-9-]+(\.[A-Za-z0-9-]+)*$")] | None = None


class LogSettings(Section):
    format: Literal["auto", "text", "json"] = "auto"
    level: Literal["debug", "info", "warning", "error"] = "info"
    access: Literal["none", "upstream", "all"] = "upstream"


class ShutdownSettings(Section):
    delay_seconds: Seconds = 0.0
    grace_seconds: Seconds = 30.0


class LimitSettings(Section):
    head_bytes: Annotated[int, Field(ge=1024, le=1_048_576)] = 16_384
    headers: Annotated[int, Field(ge=16, le=1000)] = 100
    target_bytes: Annotated[int, Field(ge=256, le=65_536)] = 8192
    body_bytes: Annotated[int, Field(ge=0, le=1 << 40)] = 10_485_760
    body_buffer_bytes: Annotated[int, Field(ge=0, le=16_777_216)] = 65_536
    form_bytes: Annotated[int, Field(ge=0, le=65_536)] = 65_536
    form_seconds: Annotated[float, Field(ge=60, le=86_400, allow_inf_nan=False)] = 7200.0
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


class BotSettings(Section):
    action: Literal["ignore", "observe", "limit", "refuse"] = "observe"
    suspect_threshold: Annotated[int, Field(ge=1, le=1000)] = 60
    suspected_per_minute: Rate = 1.0


class AbuseSettings(Section):
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
            raise ValueError("premium_per_minute needs visitor_per_minute, and must not be below it")
        return self


class Settings(Section):
    """The whole file."""

    _page_files: dict[str, bytes] = PrivateAttr(default_factory=dict)

    listen: Annotated[tuple[Listener, ...], Field(min_length=1, max_length=64, strict=False)] = (
        ListenerSettings(url="tcp://0.0.0.0:8080"),
    )
    admin: AdminSettings = AdminSettings()
    pid_file: Annotated[str, Field(min_length=1)] | None = None
    workers: Annotated[int, Field(ge=1, le=256)] = 1
    state_folder: Annotated[str, Field(min_length=1)] = "auto"
    worker_stall_seconds: Annotated[float, Field(ge=1, le=3600, allow_inf_nan=False)] = 30.0
    secret_keys_env: VariableName | None = None
    secret_keys_file: Annotated[str, Field(min_length=1)] | None = None
    upstream: UpstreamSettings
    cluster: ClusterSettings = ClusterSettings()
    trusted_proxies: Annotated[tuple[Network, ...], Field(strict=False)] = ()
    cookies: CookieSettings = CookieSettings()
    languages: LanguageSettings = LanguageSettings()
    bypass: Annotated[tuple[PathText, ...], Field(strict=False)] = DEFAULT_BYPASS
    bypass_for: BypassSettings = BypassSettings()
    limits: LimitSettings = LimitSettings()
    abuse: AbuseSettings = AbuseSettings()
    plugins: PluginSettings = PluginSettings()
    shutdown: ShutdownSettings = ShutdownSettings()
    record: RecordSettings = RecordSettings()
    notifications: NotificationSettings = NotificationSettings()
    tracing: TracingSettings = TracingSettings()
    log: LogSettings = LogSettings()
    rooms: Annotated[tuple[RoomSettings, ...], Field(min_length=1, max_length=512, strict=False)]

    @model_validator(mode="after")
    def _one_source_of_keys(self) -> Self:
        if (self.secret_keys_env is None) == (self.secret_keys_file is None):
            raise ValueError("exactly one of secret_keys_env and secret_keys_file is required")
        return self

    @model_validator(mode="after")
    def _has_what_rooms_need(self) -> Self:
        names = {room.name for room in self.rooms}
        for at, webhook in enumerate(self.notifications.webhooks):
            unknown = sorted(set(webhook.rooms) - names)
            if unknown:
                raise ValueError(f"notifications.webhooks[{at}].rooms: there is no room {unknown[0]!r}")
        for at, room in enumerate(self.rooms):
            if room.when_redis_down == "hold" and self.cluster.redis_url is None:
                raise ValueError(f"rooms[{at}].when_redis_down: 'hold' needs cluster.redis_url")
        return self

    @model_validator(mode="after")
    def _trusts_the_senders_of_proxy_headers(self) -> Self:
        for at, listener in enumerate(self.listen):
            if listener.proxy_protocol and not self.trusted_proxies:
                raise ValueError(
                    f"listen[{at}].proxy_protocol needs trusted_proxies: only peers named there may send a header"
                )
        return self

    @model_validator(mode="after")
    def _sees_what_it_needs(self) -> Self:
        """Refuse what needs the shop's responses if these do not pass the edge and nobody reports them."""
        if not self.plugins.is_asked or self.plugins.report.enabled:
            return self
        why = "the shop's responses do not pass the edge where a load balancer asks: set plugins.report.enabled, or"
        for at, room in enumerate(self.rooms):
            if room.capacity.adaptive.enabled:
                raise ValueError(f"rooms[{at}].capacity.adaptive: {why} switch it off")
        return self

    @model_validator(mode="after")
    def _not_its_own_upstream(self) -> Self:
        """Refuse a loop: an intermediary must not forward to itself (RFC 9110, 7.6)."""
        for address in self.upstream.addresses:
            target = urlsplit(address)
            port = target.port or (443 if target.scheme == "https" else 80)
            for listen in self.listen:
                if listen.port == port and _reaches(target.hostname or "", listen.host):
                    raise ValueError(
                        f"upstream {address} must be the shop's address: the edge itself listens ({listen.url})"
                    )
        return self

    @property
    def page_files(self) -> Mapping[str, bytes]:
        """What the files contain that `rooms[].page` names, by path. Read once, so that all workers have the same."""
        return self._page_files

    def with_page_files(self, files: Mapping[str, bytes]) -> Self:
        """Return the same settings with these files."""
        copy = self.model_copy()
        copy._page_files = dict(files)
        return copy

    @property
    def line_keys(self) -> tuple[str, ...]:
        """The names under which nodes tell each other of all rooms and lanes."""
        return tuple(key for room in self.rooms for key in room.keys)

    @property
    def named_fields(self) -> frozenset[bytes]:
        """The fields of requests that the settings name, in lower case."""
        headers = [lane.header for room in self.rooms for lane in room.lanes]
        named = {header.name.lower().encode() for header in headers if header is not None}
        return frozenset(named | self.secret_fields)

    @property
    def secret_fields(self) -> frozenset[bytes]:
        """The fields of requests that hold a secret of the edge, in lower case: the shop does not see them."""
        header = self.bypass_for.header
        return frozenset() if header is None else frozenset((header.lower().encode(),))

    @property
    def nodes(self) -> int:
        """The number of nodes that share each room's capacity: machines times workers."""
        return self.cluster.machines * self.workers

    @property
    def is_joined(self) -> bool:
        """Whether the nodes tell each other about their lines, over Redis or (on one machine) over the supervisor.

        Several machines without Redis split the capacity evenly and tell each other nothing.
        """
        return self.cluster.redis_url is not None or (self.cluster.machines == 1 and self.workers > 1)
