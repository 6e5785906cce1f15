"""Caddy 2: forward-auth in its expanded form, and in path."""

from typing import Final

from edge.cli.plugin.site import HOSTILE, Address, Files, Site, fill

__all__ = ["render"]

_ASK: Final = """
# Caddy in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for caddy`. Start: caddy run --config Caddyfile

{
	admin off
	auto_https off
	persist_config off
}

<SITE> {
	<TLS>

	# The page's polls and files go straight to Stanchion.
	handle /_stanchion/* {
		reverse_proxy <ASKS>
	}

	handle {
		request_body {
			max_size <BODY>
		}

		# Fields that could make the shop serve another address or method than the one asked about.
		<HOSTILE>

		# Asks Stanchion about every request. This is `forward_auth` written out, because the short form
		# loses the cookie of an allowed request.
		reverse_proxy <ASKS> {
			method GET
			rewrite /api/authz/forward-auth
			header_up X-Forwarded-Method {method}
			header_up X-Forwarded-Uri {http.request.orig_uri}
			header_up -Upgrade
			header_up -Connection
			# A poll may be parked for 5 s.
			transport http {
				response_header_timeout 15s
			}

			@allowed_with_cookie {
				status 200
				header Set-Cookie *
			}
			handle_response @allowed_with_cookie {
				header +Set-Cookie {rp.header.Set-Cookie}
				header Stanchion-State {rp.header.Stanchion-State}
				request_header X-Stanchion-Room {rp.header.X-Stanchion-Room}
				request_header X-Stanchion-Ticket {rp.header.X-Stanchion-Ticket}
				request_header X-Stanchion-Admitted-At {rp.header.X-Stanchion-Admitted-At}
				<SHOP_PROXY>
			}

			@allowed_in_room {
				status 200
				header Stanchion-State *
			}
			handle_response @allowed_in_room {
				header Stanchion-State {rp.header.Stanchion-State}
				request_header X-Stanchion-Room {rp.header.X-Stanchion-Room}
				request_header X-Stanchion-Ticket {rp.header.X-Stanchion-Ticket}
				request_header X-Stanchion-Admitted-At {rp.header.X-Stanchion-Admitted-At}
				<SHOP_PROXY>
			}

			@allowed status 200
			handle_response @allowed {
				request_header -X-Stanchion-*
				<SHOP_PROXY>
			}
		}
	}

	<ERRORS>
}
"""

_PATH: Final = """
# Caddy in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for caddy`. Start: caddy run --config Caddyfile

{
	admin off
	auto_https off
	persist_config off
}

<SITE> {
	<TLS>

	# Everything goes through Stanchion, which forwards what may pass to the shop.
	reverse_proxy <ASKS> {
		flush_interval -1
	}
}
"""

_SHOP_PROXY: Final = """reverse_proxy <SHOP> {
					flush_interval -1
					header_down -Stanchion-*
				}"""

_CLOSED: Final = """# Stanchion or the shop cannot be reached.
	handle_errors 502 504 {
		header Retry-After 5
		header Cache-Control no-store
		respond "This page is not available for a moment. Please try again." 503
	}"""

_OPEN: Final = """# While Stanchion cannot be reached, requests pass.
	handle_errors 502 504 {
		request_header -X-Stanchion-*
		reverse_proxy <SHOP>
	}"""


def render(site: Site) -> Files:
    """Return the Caddyfile."""
    host = "" if site.listen.host in ("0.0.0.0", "::") else site.listen.host
    values: dict[str, object] = {
        "WAY": site.way,
        "SITE": f"{'https' if site.is_secure else 'http'}://:{site.listen.port}",
        "TLS": (f"bind {host}\n\t" if host else "") + (f"tls {site.certificate} {site.key}" if site.is_secure else ""),
        "ASKS": _upstream(site.asks),
        "SHOP": " ".join(map(_upstream, site.shops)),
        "BODY": f"{site.body_bytes}B",
    }
    values["HOSTILE"] = "\n\t\t".join(f"request_header -{name}" for name in HOSTILE)
    values["SHOP_PROXY"] = fill(_SHOP_PROXY, values)
    values["ERRORS"] = fill(_OPEN if site.fails_open else _CLOSED, values)
    return {"Caddyfile": fill(_PATH if site.way == "path" else _ASK, values)}


def _upstream(address: Address) -> str:
    return f"unix/{address.socket}" if address.socket else str(address)
