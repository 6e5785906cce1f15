"""nginx 1.18 or newer: accel (X-Accel-Redirect), auth-request, and in path. No further module is needed."""

from typing import Final

from edge.cli.plugin.site import HOSTILE, Address, Files, Site, fill

__all__ = ["END", "HEAD", "PATH", "SHOP_FIELDS", "base_values", "render"]

HEAD: Final = """
# nginx in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for nginx`.

worker_processes auto;

events {
    worker_connections 4096;
}

http {
    <SCRATCH>
    access_log off;
    server_tokens off;
    <REPORT_FORMAT>

    upstream stanchion {
        server <ASKS>;
        keepalive 64;
    }

    upstream shop {
        <SHOP>
        keepalive 64;
    }

    # A WebSocket goes through; every other connection to the shop is kept open.
    map $http_upgrade $connection_to_shop {
        default upgrade;
        ''      '';
    }

    server {
        listen <LISTEN>;
        <TLS>
        client_max_body_size <BODY>;
        proxy_http_version 1.1;

        # The page's polls and files go straight to Stanchion.
        location /_stanchion/ {
            proxy_pass http://stanchion;
            proxy_set_header Connection "";
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            # A poll may be parked for 5 s.
            proxy_read_timeout 15s;
        }
"""

_ASK_FIELDS: Final = """
            proxy_method GET;
            proxy_pass_request_body off;
            proxy_set_header Content-Length "";
            proxy_set_header Expect "";
            proxy_set_header Upgrade "";
            proxy_set_header Connection "";
            proxy_set_header X-Forwarded-Method $request_method;
            proxy_set_header X-Forwarded-Uri $request_uri;
            proxy_set_header X-Forwarded-Host $http_host;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_read_timeout 15s;
"""

_ACCEL: Final = """
        # Every other request is asked about. Stanchion answers with the waiting page, or with
        # `X-Accel-Redirect: @shop`: then nginx sends the request, with its body, to the shop. The
        # endpoint stands in a variable, so that nginx leaves the visitor's URI as it is.
        location <LOCATION> {
            set $stanchion_endpoint /api/authz/accel;
            proxy_pass http://stanchion$stanchion_endpoint;
<ASK_FIELDS>
            # Stanchion cannot be reached.
            error_page 502 504 = <DOWN>;
        }
"""

_AUTH_REQUEST: Final = """
        # The pass is checked first, without a place in line. A visitor without one goes to the accel
        # endpoint, because nginx drops the body of a refused auth_request.
        location / {
            auth_request /stanchion-check;
            auth_request_set $stanchion_room $upstream_http_x_stanchion_room;
            auth_request_set $stanchion_ticket $upstream_http_x_stanchion_ticket;
            auth_request_set $stanchion_admitted_at $upstream_http_x_stanchion_admitted_at;
            auth_request_set $stanchion_state $upstream_http_stanchion_state;
            auth_request_set $stanchion_cookie $upstream_http_set_cookie;
            error_page 403 = @stanchion_wait;
            # The check failed, because Stanchion cannot be reached.
            error_page 500 = <DOWN>;
            add_header Set-Cookie $stanchion_cookie always;
            add_header Stanchion-State $stanchion_state always;
<SHOP_FIELDS>
        }

        location = /stanchion-check {
            internal;
            proxy_pass http://stanchion/api/authz/auth-request;
<ASK_FIELDS>
        }
"""

SHOP_FIELDS: Final = """
            proxy_pass http://shop$request_uri;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header X-Forwarded-Host $http_host;
            # Only Stanchion says these. An empty one is not sent.
            proxy_set_header X-Stanchion-Room $stanchion_room;
            proxy_set_header X-Stanchion-Ticket $stanchion_ticket;
            proxy_set_header X-Stanchion-Admitted-At $stanchion_admitted_at;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_to_shop;
            # Fields that could make the shop serve another address or method than the one asked about.
            <HOSTILE>
            # What the shop says to Stanchion is not for visitors, and the shop may not jump.
            proxy_hide_header Stanchion-State;
            proxy_hide_header Stanchion-Command;
            proxy_hide_header Stanchion-Stock;
            proxy_hide_header Stanchion-Held;
            proxy_hide_header Stanchion-Version;
            proxy_ignore_headers X-Accel-Redirect;
            # Streams and uploads go through as they come.
            proxy_buffering off;
            proxy_request_buffering off;
            <REPORT>
"""

_SHOP: Final = """
        location @shop {
            set $stanchion_room $upstream_http_x_stanchion_room;
            set $stanchion_ticket $upstream_http_x_stanchion_ticket;
            set $stanchion_admitted_at $upstream_http_x_stanchion_admitted_at;
            set $stanchion_state $upstream_http_stanchion_state;
            add_header Stanchion-State $stanchion_state always;
<SHOP_FIELDS>
        }
"""

_DOWN: Final = """
        location @stanchion_down {
            add_header Retry-After 5 always;
            add_header Cache-Control no-store always;
            default_type text/plain;
            return 503 "This page is not available for a moment. Please try again.\\n";
        }
"""

PATH: Final = """
        # Everything goes through Stanchion, which forwards what may pass to the shop.
        location / {
            proxy_pass http://stanchion;
            proxy_set_header Host $http_host;
            proxy_set_header X-Forwarded-For $remote_addr;
            proxy_set_header X-Forwarded-Proto $scheme;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection $connection_to_shop;
            proxy_buffering off;
            proxy_request_buffering off;
            # The shop may not jump.
            proxy_ignore_headers X-Accel-Redirect;
            proxy_read_timeout 75s;
        }
"""

END: Final = """
    }
}
"""


_REPORT_FORMAT: Final = """
    # What the shop answers, for Stanchion: it does not see the shop's responses itself.
    log_format stanchion_report escape=json
        '{"room":"$stanchion_room","ticket":"$stanchion_ticket","admitted_at":"$stanchion_admitted_at",'
        '"method":"$request_method","status":"$status","seconds":"$upstream_header_time",'
        '"stanchion-command":"$upstream_http_stanchion_command","stanchion-stock":"$upstream_http_stanchion_stock",'
        '"stanchion-held":"$upstream_http_stanchion_held","stanchion-version":"$upstream_http_stanchion_version"}';
"""


def render(site: Site) -> Files:
    """Return nginx.conf."""
    values = base_values(site)
    values["SHOP_FIELDS"] = fill(SHOP_FIELDS, values).rstrip("\n")
    parts = [HEAD]
    if site.way == "path":
        parts.append(PATH)
    else:
        if site.way == "auth-request":
            parts.append(_AUTH_REQUEST)
        parts += [_ACCEL, _SHOP]
        if not site.fails_open:
            parts.append(_DOWN)
    return {"nginx.conf": fill("".join([*parts, END]), values)}


def base_values(site: Site) -> dict[str, object]:
    """Return what the templates of every way need."""
    reports = site.reports is not None and site.way not in ("path", "split")
    return {
        "WAY": site.way,
        "ASKS": _server(site.asks),
        "SHOP": "\n        ".join(f"server {_server(shop)};" for shop in site.shops),
        "LISTEN": f"{site.listen} ssl http2" if site.is_secure else str(site.listen),
        "TLS": f"ssl_certificate {site.certificate};\n        ssl_certificate_key {site.key};"
        if site.is_secure
        else "",
        "BODY": site.body_bytes,
        "SCRATCH": _scratch(site.scratch),
        "DOWN": "@shop" if site.fails_open else "@stanchion_down",
        "ASK_FIELDS": _ASK_FIELDS.strip("\n"),
        "HOSTILE": "\n            ".join(f'proxy_set_header {name} "";' for name in HOSTILE),
        "LOCATION": "/" if site.way == "accel" else "@stanchion_wait",
        "REPORT_FORMAT": _REPORT_FORMAT if reports else "",
        "REPORT": f"access_log syslog:server={site.reports},nohostname stanchion_report;" if reports else "",
    }


def _server(address: Address) -> str:
    return f"unix:{address.socket}" if address.socket else str(address)


def _scratch(folder: str) -> str:
    if not folder:
        return ""
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    return "\n    ".join(f"{kind}_temp_path {folder}/{kind};" for kind in kinds)
