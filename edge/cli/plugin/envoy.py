"""Envoy: ext-authz over gRPC (the best contract of all), ext-authz over HTTP, and in path."""

from typing import Final

from edge.cli.plugin.site import HOSTILE, Address, Files, Site, fill

__all__ = ["render"]

_MAIN: Final = """
# Envoy in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for envoy`. Start: envoy -c envoy.yaml

static_resources:
  listeners:
    - name: web
      address:
        socket_address: {address: "<HOST>", port_value: <PORT>}
      filter_chains:
        - filters:
            - name: envoy.filters.network.http_connection_manager
              typed_config:
                "@type": <API>.filters.network.http_connection_manager.v3.HttpConnectionManager
                stat_prefix: web
                # The visitor's address is the one that Envoy sees, and not what the visitor says.
                use_remote_address: true
                # CGI-like shops cannot tell X_Stanchion_Room from X-Stanchion-Room.
                common_http_protocol_options: {headers_with_underscores_action: DROP_HEADER}
                <EARLY>
                upgrade_configs:
                  - upgrade_type: websocket
                route_config:
                  virtual_hosts:
                    - name: shop
                      domains: ["*"]
                      # What the shop says to Stanchion is not for visitors.
                      response_headers_to_remove:
                        [stanchion-command, stanchion-stock, stanchion-held, stanchion-version]
                      routes:
                        <OWN_ROUTE>
                        - match: {prefix: "/"}
                          route: {cluster: <MAIN_CLUSTER>, timeout: 0s}
                http_filters:
                  <FILTER>
                  - name: envoy.filters.http.router
                    typed_config:
                      "@type": <API>.filters.http.router.v3.Router
          <TLS>

  clusters:
    - name: shop
      connect_timeout: 5s
      <SHOP>
    - name: stanchion
      connect_timeout: 1s
      <ASKS>
    <GRPC_CLUSTER>
"""

_OWN_ROUTE: Final = """# The page's polls and files go straight to Stanchion. A poll may be parked for 5 s.
                        - match: {prefix: "/_stanchion/"}
                          route: {cluster: stanchion, timeout: 15s}
                          typed_per_filter_config:
                            envoy.filters.http.ext_authz:
                              "@type": <API>.filters.http.ext_authz.v3.ExtAuthzPerRoute
                              disabled: true"""

_FILTER: Final = """- name: envoy.filters.http.ext_authz
                    typed_config:
                      "@type": <API>.filters.http.ext_authz.v3.ExtAuthz
                      transport_api_version: V3
                      # While Stanchion cannot be reached.
                      failure_mode_allow: <FAIL_OPEN>
                      status_on_error: {code: 503}
                      <SERVICE>"""

#: Envoy's own limit of 200 ms would end every parked poll.
_GRPC_SERVICE: Final = """grpc_service:
                        envoy_grpc: {cluster_name: stanchion_grpc}
                        timeout: 15s"""

_HTTP_SERVICE: Final = """allowed_headers:
                        patterns:
                          - exact: cookie
                          - exact: accept
                          - exact: accept-encoding
                          - exact: accept-language
                          - exact: user-agent
                          - exact: referer
                          - exact: if-none-match
                          - exact: sec-fetch-mode
                          - prefix: x-forwarded-
                      http_service:
                        path_prefix: /api/authz/ext-authz
                        server_uri: {uri: "http://stanchion", cluster: stanchion, timeout: 15s}
                        authorization_response:
                          allowed_upstream_headers:
                            patterns: [{prefix: x-stanchion-}]
                          allowed_client_headers_on_success:
                            patterns: [{exact: set-cookie}, {exact: stanchion-state}]"""

_TLS: Final = """transport_socket:
            name: envoy.transport_sockets.tls
            typed_config:
              "@type": <API>.transport_sockets.tls.v3.DownstreamTlsContext
              common_tls_context:
                alpn_protocols: [h2, http/1.1]
                tls_certificates:
                  - certificate_chain: {filename: <CERTIFICATE>}
                    private_key: {filename: <KEY>}"""

_GRPC_CLUSTER: Final = """- name: stanchion_grpc
      connect_timeout: 1s
      typed_extension_protocol_options:
        envoy.extensions.upstreams.http.v3.HttpProtocolOptions:
          "@type": <API>.upstreams.http.v3.HttpProtocolOptions
          explicit_http_config: {http2_protocol_options: {}}
      <GRPC>"""


#: Fields that only this load balancer and Stanchion may write.
_OWN_FIELDS: Final = (
    *("x-forwarded-for", "x-forwarded-host", "x-stanchion-room", "x-stanchion-ticket", "x-stanchion-admitted-at"),
)
_EARLY: Final = """# Removed before anything else: fields by which a visitor could say where they come from, speak as
                # Stanchion, or make the shop serve another address or method than the one asked about.
                early_header_mutation_extensions:
                  - name: envoy.http.early_header_mutation.header_mutation
                    typed_config:
                      "@type": <API>.http.early_header_mutation.header_mutation.v3.HeaderMutation
                      mutations:""" + "".join(f"\n{' ' * 24}- remove: {name}" for name in (*_OWN_FIELDS, *HOSTILE))


def render(site: Site) -> Files:
    """Return envoy.yaml."""
    is_asking = site.way != "path"
    values: dict[str, object] = {
        "API": "type.googleapis.com/envoy.extensions",
        "WAY": site.way,
        "HOST": site.listen.host,
        "PORT": site.listen.port,
        "CERTIFICATE": site.certificate,
        "KEY": site.key,
        "SHOP": _endpoints("shop", *site.shops),
        "ASKS": _endpoints("stanchion", site.asks),
        "GRPC": _endpoints("stanchion_grpc", site.grpc) if site.grpc is not None else "",
        "MAIN_CLUSTER": "shop" if is_asking else "stanchion",
        "OWN_ROUTE": _OWN_ROUTE if is_asking else "",
        "EARLY": _EARLY if is_asking else "",
        "FAIL_OPEN": "true" if site.fails_open else "false",
        "SERVICE": _GRPC_SERVICE if site.way == "ext-authz-grpc" else _HTTP_SERVICE,
    }
    values["FILTER"] = fill(_FILTER, values) if is_asking else ""
    values["TLS"] = fill(_TLS, values) if site.is_secure else ""
    values["GRPC_CLUSTER"] = fill(_GRPC_CLUSTER, values) if site.way == "ext-authz-grpc" else ""
    return {"envoy.yaml": fill(_MAIN, values).rstrip() + "\n"}


def _endpoints(name: str, *addresses: Address) -> str:
    """Return how a cluster finds its servers."""
    is_static = all(each.socket or each.host.replace(".", "").isdigit() or ":" in each.host for each in addresses)
    servers = ", ".join(f"{{endpoint: {{address: {{{_where(each)}}}}}}}" for each in addresses)
    return f"""type: {"STATIC" if is_static else "STRICT_DNS"}
      load_assignment:
        cluster_name: {name}
        endpoints: [{{lb_endpoints: [{servers}]}}]"""


def _where(address: Address) -> str:
    if address.socket:
        return f'pipe: {{path: "{address.socket}"}}'
    return f'socket_address: {{address: "{address.host}", port_value: {address.port}}}'
