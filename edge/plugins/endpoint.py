"""The endpoints at which load balancers ask, and what each dialect can carry.

    endpoint                        asks              a waiting visitor                 cookies on an allowed request
    /api/authz/accel                nginx             any status                        all
    /api/authz/auth-request         nginx             403; nginx asks accel then        the first
    /api/authz/forward-auth         Traefik, Caddy,   400 to 599                        the first
                                    HAProxy
    /api/authz/ext-authz/<target>   Envoy             300 to 499                        all
    envoy.service.auth.v3 (gRPC)    Envoy             any status                        all

An allowed request is exactly status 200 with an empty body. Its fields are those for the shop, every `X-Stanchion-*`
field, empty if need be, because some load balancers pass on the visitor's own field otherwise; and those for the
visitor. There is no field about the content and none about caching: nginx would copy it into the shop's response.
"""

from dataclasses import dataclass, replace
from typing import Final, Literal

from edge.messages.verdict import Headers
from edge.settings.plugins import EndpointSettings, ExtAuthzSettings, ForwardAuthSettings, PluginSettings

__all__ = ["AUTHZ_PATH", "REPORT_PATH", "STANCHION_FIELDS", "Endpoint", "endpoints_of", "grpc_endpoint_of"]

AUTHZ_PATH: Final = "/api/authz/"
REPORT_PATH: Final = "/api/report"
#: Every field that the edge may add for the shop.
STANCHION_FIELDS: Final = ("X-Stanchion-Room", "X-Stanchion-Ticket", "X-Stanchion-Admitted-At")

Dialect = Literal["accel", "auth-request", "forward-auth", "ext-authz", "ext-authz-grpc"]


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One dialect with its settings."""

    dialect: Dialect
    lowest: int = 100
    """The lowest status by which the load balancer can be told to answer the visitor itself."""
    highest: int = 599
    status_code: int = 0
    """The status of a response that the dialect cannot carry with its own status. 0 if it can carry any."""
    most_cookies: int | None = None
    """The number of `Set-Cookie` fields that reach the visitor of an allowed request. None if all do."""
    allow_headers: Headers = ()
    """Fields of every allowed request, for the load balancer."""
    in_path: bool = False
    """The visitor's request target follows the endpoint's path. Otherwise `X-Forwarded-Uri` holds it."""
    is_check: bool = False
    """Only passes are checked; the load balancer asks another endpoint if the check fails."""
    redirects: bool = False
    """A new cookie is set by a redirect to the same address, because the load balancer would lose it."""
    park_s: float = 0.0
    """The longest time that a poll is parked, in seconds."""

    @property
    def path(self) -> str:
        return AUTHZ_PATH + self.dialect

    def carried(self, status: int) -> int:
        """Return the status of a response to a visitor that is not let through."""
        return status if self.lowest <= status <= self.highest else self.status_code


_ACCEL: Final = Endpoint("accel")
_AUTH_REQUEST: Final = Endpoint("auth-request", 403, 403, 403, most_cookies=1, is_check=True)
_FORWARD_AUTH: Final = Endpoint("forward-auth", 300, 599, most_cookies=1)
_EXT_AUTHZ: Final = Endpoint("ext-authz", 300, 499, in_path=True)
_EXT_AUTHZ_GRPC: Final = Endpoint("ext-authz-grpc")


def endpoints_of(settings: PluginSettings) -> dict[str, Endpoint]:
    """Return the endpoints of the plugin listener by their paths."""
    wanted = settings.endpoints
    found: list[Endpoint] = []
    if wanted.accel.enabled:
        accel = replace(_ACCEL, allow_headers=(("X-Accel-Redirect", wanted.accel.location),))
        found.append(_with(accel, wanted.accel, settings))
    if wanted.auth_request.enabled:
        found.append(_with(_AUTH_REQUEST, wanted.auth_request, settings))
    if wanted.forward_auth.enabled:
        found.append(_with(_FORWARD_AUTH, wanted.forward_auth, settings))
    if wanted.ext_authz.enabled:
        found.append(_with(_EXT_AUTHZ, wanted.ext_authz, settings))
    return {endpoint.path: endpoint for endpoint in found}


def grpc_endpoint_of(settings: PluginSettings) -> Endpoint | None:
    """Return the endpoint of the gRPC listener, None if there is none."""
    wanted = settings.endpoints.ext_authz_grpc
    return None if not wanted.enabled else _with(_EXT_AUTHZ_GRPC, wanted, settings)


def _with(endpoint: Endpoint, own: EndpointSettings, settings: PluginSettings) -> Endpoint:
    """Return the endpoint with its own settings, or those of all endpoints."""
    park_s = settings.park_seconds(own)
    status = own.status_code if isinstance(own, (ForwardAuthSettings, ExtAuthzSettings)) else endpoint.status_code
    by_cookie = own.cookie_on_allow or settings.cookie_on_allow
    # A check answers nobody, so it cannot redirect: the endpoint that decides does.
    redirects = by_cookie == "redirect" and not endpoint.is_check
    return replace(endpoint, status_code=status, redirects=redirects, park_s=park_s)
