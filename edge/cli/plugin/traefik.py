"""Traefik 3: forward-auth, and in path."""

from typing import Final

from edge.cli.plugin.site import HOSTILE, Files, Site, fill, refusal

__all__ = ["render"]

_STATIC: Final = """
# Traefik in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for traefik`. Start: traefik --configFile=traefik.yaml

entryPoints:
  web:
    address: "<LISTEN>"
    # X-Forwarded-* of visitors are replaced, because no address is trusted here.

providers:
  file:
    filename: dynamic.yaml

log:
  level: ERROR
"""

_DYNAMIC: Final = """
# Routers, the line, and the shop. Traefik reads this file again when it changes.

http:
  routers:
    # The page's polls and files go straight to Stanchion.
    stanchion:
      rule: "PathPrefix(`/_stanchion/`)"
      priority: 1000
      service: stanchion
      <ROUTER_TLS>
    shop:
      rule: "PathPrefix(`/`)"
      priority: 1
      <MIDDLEWARES>
      service: <SERVICE>
      <ROUTER_TLS>

  services:
    stanchion:
      loadBalancer:
        servers:
          - url: "http://<ASKS>"
    <SHOP_SERVICE>

  <MIDDLEWARE>

<TLS>
"""

_MIDDLEWARE: Final = """
  middlewares:
    # Asks Stanchion about every request. An answer of 300 or more goes to the visitor as it is.
    line:
      forwardAuth:
        address: "http://<ASKS>/api/authz/forward-auth"
        # A visitor may not say where they come from.
        trustForwardHeader: false
        # The waiting page is some 10 kB.
        maxResponseBodySize: 1048576
        # Taken from Stanchion's answer. The visitor's own fields of these names are removed.
        authResponseHeaders:
          - X-Stanchion-Room
          - X-Stanchion-Ticket
          - X-Stanchion-Admitted-At
        # No addAuthCookiesToResponse: with it Traefik writes the shop's own cookies anew, and changes
        # them. The settings say cookie_on_allow: redirect instead.
    # Fields that could make the shop serve another address or method than the one asked about.
    hostile:
      headers:
        customRequestHeaders:
          <HOSTILE>
        # What the shop says to Stanchion is not for visitors.
        customResponseHeaders:
          Stanchion-State: ""
          Stanchion-Command: ""
          Stanchion-Stock: ""
          Stanchion-Held: ""
          Stanchion-Version: ""
"""


#: Traefik writes these itself.
_OF_TRAEFIK: Final = ("x-real-ip", "x-forwarded-port", "x-forwarded-server")


def render(site: Site) -> Files:
    """Return traefik.yaml (static) and dynamic.yaml."""
    if site.asks.socket or any(shop.socket for shop in site.shops):
        raise refusal("plugins.listen", "Traefik cannot connect to a unix socket: use tcp://127.0.0.1:PORT")
    if site.fails_open:
        raise refusal("--fail-open", "Traefik's forwardAuth answers 500 while Stanchion cannot be reached")
    is_asking = site.way != "path"
    urls = "".join(f'\n          - url: "http://{shop}"' for shop in site.shops)
    shop = f"shop:\n      loadBalancer:\n        servers:{urls}"
    files = f"tls:\n  certificates:\n    - certFile: {site.certificate}\n      keyFile: {site.key}"
    values = {
        "WAY": site.way,
        "LISTEN": site.listen,
        "ASKS": site.asks,
        "ROUTER_TLS": "tls: {}" if site.is_secure else "",
        "MIDDLEWARES": "middlewares: [line, hostile]" if is_asking else "",
        "SERVICE": "shop" if is_asking else "stanchion",
        "SHOP_SERVICE": shop if is_asking else "",
        "HOSTILE": "\n          ".join(f'{name}: ""' for name in HOSTILE if name not in _OF_TRAEFIK),
        "TLS": files if site.is_secure else "",
    }
    values["MIDDLEWARE"] = fill(_MIDDLEWARE, values).strip() if is_asking else ""
    return {"traefik.yaml": fill(_STATIC, values), "dynamic.yaml": fill(_DYNAMIC, values).rstrip() + "\n"}
