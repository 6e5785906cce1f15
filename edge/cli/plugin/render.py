"""Which load balancer speaks which dialect, and the function that writes its configuration."""

from typing import Final

from edge.cli.plugin import caddy, envoy, haproxy, haproxy_split, nginx, nginx_split, traefik
from edge.cli.plugin.site import Files, Render, Site, refusal

__all__ = ["RENDERERS", "WAYS", "render"]

RENDERERS: Final[dict[str, Render]] = {
    "nginx": nginx.render,
    "haproxy": haproxy.render,
    "envoy": envoy.render,
    "caddy": caddy.render,
    "traefik": traefik.render,
}
#: The ways of each load balancer, the best first. 'path': all requests go through the edge. 'split': all but those of
#: visitors with a pass.
WAYS: Final[dict[str, tuple[str, ...]]] = {
    "nginx": ("accel", "auth-request", "split", "path"),
    "haproxy": ("forward-auth", "split", "path"),
    "envoy": ("ext-authz-grpc", "ext-authz", "path"),
    "caddy": ("forward-auth", "path"),
    "traefik": ("forward-auth", "path"),
}


def render(balancer: str, site: Site) -> Files:
    """Return the files of a load balancer's configuration. Raises ConfigurationError if it cannot be attached so."""
    if site.way not in WAYS[balancer]:
        raise refusal("--way", f"{balancer} can be attached by {', '.join(WAYS[balancer])}, not by {site.way}")
    if site.way == "split":
        return nginx_split.render(site) if balancer == "nginx" else haproxy_split.render(site)
    return RENDERERS[balancer](site)
