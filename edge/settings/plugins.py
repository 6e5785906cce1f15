"""The settings of the plugin listener: which load balancers ask this edge for decisions, and in which dialect.

An endpoint exists if it is enabled. A dialect cannot carry every response; what it cannot carry is a fault here.
"""

import re
from importlib.util import find_spec
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, Field, field_validator, model_validator

from edge.settings.values import Network, Section, VariableName

__all__ = [
    "AccelSettings",
    "AuthRequestSettings",
    "EndpointSettings",
    "EndpointsSettings",
    "ExtAuthzGrpcSettings",
    "ExtAuthzSettings",
    "ForwardAuthSettings",
    "PluginSettings",
    "ReportSettings",
]

#: The endpoints of the plugin listener. gRPC has a listener of its own.
_OVER_HTTP = ("accel", "auth_request", "forward_auth", "ext_authz")
#: What `stanchion[grpc]` installs.
_GRPC_PACKAGES = ("grpc", "grpc_health", "grpc_reflection")
#: A poll is parked for 5 s at the most (controller's `PARKED_MOST_S`), so a longer limit changes nothing.
ParkSeconds = Annotated[float, Field(ge=0, le=5, allow_inf_nan=False)]
CookieOnAllow = Literal["header", "redirect"]


def _address(text: str) -> str:
    tcp = re.fullmatch(r"tcp://(\[[0-9a-fA-F:.]+\]|[^\[\]/:@\s]+):(\d{1,5})", text)
    if not re.fullmatch(r"unix:///[!-~]{1,100}", text) and (tcp is None or int(tcp[2]) > 65_535):
        raise ValueError(f"must look like tcp://HOST:PORT or unix:///PATH, got {text!r}")
    return text


def _tcp_address(text: str) -> str:
    if not text.startswith("tcp://"):
        raise ValueError(f"must look like tcp://HOST:PORT, got {text!r}")
    return _address(text)


def _udp_address(text: str) -> str:
    found = re.fullmatch(r"udp://(\[[0-9a-fA-F:.]+\]|[^\[\]/:@\s]+):(\d{1,5})", text)
    if found is None or not 1 <= int(found[2]) <= 65_535:
        raise ValueError(f"must look like udp://HOST:PORT, got {text!r}")
    return text


UdpAddress = Annotated[str, AfterValidator(_udp_address)]
PluginAddress = Annotated[str, AfterValidator(_address)]
TcpAddress = Annotated[str, AfterValidator(_tcp_address)]


class EndpointSettings(Section):
    """What every endpoint may set otherwise than `plugins` does. None: as `plugins` says."""

    enabled: bool = False
    cookie_on_allow: CookieOnAllow | None = None
    max_park_seconds: ParkSeconds | None = None


class AccelSettings(EndpointSettings):
    location: Annotated[str, Field(pattern=r"^@[A-Za-z0-9_]{1,64}$")] = "@shop"


class AuthRequestSettings(EndpointSettings):
    pass


class ForwardAuthSettings(EndpointSettings):
    status_code: Annotated[int, Field(ge=100, le=599)] = 503

    @field_validator("status_code")
    @classmethod
    def _is_carried(cls, value: int) -> int:
        if value < 400:
            raise ValueError(
                f"must be a status from 400 to 599: the load balancer takes every 2xx for leave to enter, got {value}"
            )
        return value


class ExtAuthzSettings(EndpointSettings):
    status_code: Annotated[int, Field(ge=100, le=599)] = 403

    @field_validator("status_code")
    @classmethod
    def _is_carried(cls, value: int) -> int:
        if not 400 <= value <= 499:
            raise ValueError(
                "must be a status from 400 to 499: Envoy's HTTP dialect takes 200 for leave to enter and replaces"
                f" every 5xx by a 403 without the page, got {value}"
            )
        return value


class ExtAuthzGrpcSettings(EndpointSettings):
    pass


class EndpointsSettings(Section):
    accel: AccelSettings = AccelSettings()
    auth_request: AuthRequestSettings = AuthRequestSettings()
    forward_auth: ForwardAuthSettings = ForwardAuthSettings()
    ext_authz: ExtAuthzSettings = ExtAuthzSettings()
    ext_authz_grpc: ExtAuthzGrpcSettings = ExtAuthzGrpcSettings()

    @model_validator(mode="after")
    def _checks_and_decides(self) -> Self:
        if self.auth_request.enabled and not self.accel.enabled:
            raise ValueError(
                "auth_request needs accel: nginx drops the body of a refused auth_request, so it only checks the pass,"
                " and asks the accel endpoint when a visitor has none"
            )
        return self


class ReportSettings(Section):
    enabled: bool = False
    listen: UdpAddress | None = None
    token_env: VariableName | None = None

    @model_validator(mode="after")
    def _listens_for_something(self) -> Self:
        if self.listen is not None and not self.enabled:
            raise ValueError("listen needs enabled: true")
        return self


class PluginSettings(Section):
    listen: PluginAddress | None = None
    grpc_listen: TcpAddress | None = None
    peers: Annotated[tuple[Network, ...], Field(strict=False)] = ("127.0.0.0/8", "::1/128")
    cookie_on_allow: CookieOnAllow = "header"
    max_park_seconds: ParkSeconds = 1.5
    endpoints: EndpointsSettings = EndpointsSettings()
    report: ReportSettings = ReportSettings()

    def park_seconds(self, own: EndpointSettings) -> float:
        """Return how long a question at this endpoint may be parked."""
        return self.max_park_seconds if own.max_park_seconds is None else own.max_park_seconds

    @model_validator(mode="after")
    def _has_listeners(self) -> Self:
        endpoints = self.endpoints
        over_http = [name for name in _OVER_HTTP if getattr(endpoints, name).enabled]
        if over_http and self.listen is None:
            raise ValueError(f"endpoints.{over_http[0]} needs listen: the address at which the load balancer asks")
        if endpoints.ext_authz_grpc.enabled != (self.grpc_listen is not None):
            raise ValueError("grpc_listen and endpoints.ext_authz_grpc.enabled need each other")
        if self.grpc_listen is not None and not all(map(find_spec, _GRPC_PACKAGES)):
            raise ValueError("grpc_listen needs more packages: pip install 'stanchion[grpc]'")
        if self.listen is not None and not (over_http or self.report.enabled or self.grpc_listen is not None):
            raise ValueError("listen needs an endpoint: enable the dialects of your load balancers under endpoints")
        if self.report.enabled and self.listen is None:
            raise ValueError("report needs listen: the address at which /api/report is served")
        return self

    @property
    def is_asked(self) -> bool:
        """Whether load balancers ask for decisions, so that the shop's responses do not pass the edge."""
        return any(getattr(self.endpoints, name).enabled for name in EndpointsSettings.model_fields)
