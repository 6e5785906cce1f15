"""The settings of the upstream: its servers, how they are reached, checked and chosen.

upstream: {url: "http://shop:9000"}                                     one server
upstream: {servers: ["http://a:9000", "https://b", "unix:///run/c"]}    several
"""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from edge.settings.values import ClientField, HostName, PositiveSeconds, RequestPath, Seconds, Section, UpstreamUrl

__all__ = ["HealthSettings", "UpstreamSettings", "UpstreamTls"]

HostField = Annotated[str, Field(pattern=r"^[A-Za-z0-9\[]([A-Za-z0-9._:\[\]-]{0,254})$")]
FileName = Annotated[str, Field(min_length=1)]
Times = Annotated[int, Field(ge=1, le=100)]


class HealthSettings(Section):
    """How the edge itself asks a server whether it is up."""

    path: RequestPath | None = None
    host: HostField | None = None
    interval_seconds: Annotated[float, Field(ge=0.05, le=3600, allow_inf_nan=False)] = 0.5
    timeout_seconds: Annotated[float, Field(ge=0.05, le=60, allow_inf_nan=False)] = 1.0
    unhealthy_after: Times = 3
    healthy_after: Times = 2


class UpstreamTls(Section):
    """How the edge verifies servers with `https`, and the certificate that it shows them."""

    ca_file: FileName | None = None
    server_name: HostName | None = None
    client_certificate: FileName | None = None
    client_key: FileName | None = None

    @model_validator(mode="after")
    def _key_has_certificate(self) -> Self:
        if self.client_key is not None and self.client_certificate is None:
            raise ValueError("client_key needs client_certificate")
        return self


class UpstreamSettings(Section):
    url: UpstreamUrl | None = None
    servers: Annotated[tuple[UpstreamUrl, ...], Field(max_length=64, strict=False)] = ()
    balance: Literal["least_connections", "round_robin", "ticket"] = "least_connections"
    slow_start_seconds: Seconds = 0.0
    health: HealthSettings = HealthSettings()
    tls: UpstreamTls = UpstreamTls()
    host_header: Literal["preserve", "upstream"] = "preserve"
    via: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    pass_client_fields: Annotated[tuple[ClientField, ...], Field(strict=False)] = ()
    connect_timeout_seconds: PositiveSeconds = 5.0
    response_timeout_seconds: PositiveSeconds = 60.0
    idle_timeout_seconds: PositiveSeconds = 60.0
    keepalive_seconds: Seconds = 15.0
    dns_refresh_seconds: Annotated[float, Field(ge=0.1, le=3600, allow_inf_nan=False)] = 10.0
    max_connections: Annotated[int, Field(ge=1, le=65_536)] = 512
    breaker_failures: Annotated[int, Field(ge=1, le=1_000_000)] | None = 20
    breaker_seconds: PositiveSeconds = 2.0

    @model_validator(mode="after")
    def _one_or_several(self) -> Self:
        if (self.url is None) == (not self.servers):
            raise ValueError("exactly one of url and servers is required")
        if len(set(self.servers)) < len(self.servers):
            raise ValueError("servers must not name a server twice")
        return self

    @model_validator(mode="after")
    def _names_its_host(self) -> Self:
        if self.host_header == "upstream" and (len(self.addresses) > 1 or self.addresses[0].startswith("unix:")):
            raise ValueError("host_header 'upstream' needs a single server with a host, in url")
        return self

    @property
    def addresses(self) -> tuple[str, ...]:
        """The servers, one or several."""
        return self.servers if self.url is None else (self.url,)

    @property
    def is_watched(self) -> bool:
        """Whether the edge may ever take a server for down."""
        return self.breaker_failures is not None or self.health.path is not None
