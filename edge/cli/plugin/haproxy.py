"""HAProxy 2.6 or newer: forward-auth by a small Lua action, and in path. Lua runs for asked requests only."""

from typing import Final

from edge.cli.plugin.site import HOSTILE, Address, Files, Site, fill, refusal

__all__ = ["HEAD", "base_values", "render"]

#: How long HAProxy waits for an answer, and how much shorter a question is parked.
TIMEOUT_S: Final = 3.75
MOST_PARK_S: Final = 3.0

HEAD: Final = """
# HAProxy in front of a shop, with the line of Stanchion. Way: <WAY>.
# Written by `stanchion plugin config --for haproxy`. Start: haproxy -W -f haproxy.cfg

global
    # The waiting page is some 10 kB.
    tune.bufsize 65536
    <LUA>

defaults
    mode http
    timeout connect 5s
    timeout client 75s
    # A poll may be parked for 5 s.
    timeout server 75s
    timeout tunnel 1h
    option http-keep-alive

frontend web
    bind <LISTEN><TLS>

    <REPORT_LOG>
    # Only this load balancer says where a visitor comes from, and only Stanchion speaks as Stanchion.
    http-request del-header X-Forwarded- -m beg
    http-request del-header X-Stanchion- -m beg
    http-request set-header X-Forwarded-For %[src]
    http-request set-header X-Forwarded-Proto https if { ssl_fc }
    http-request set-header X-Forwarded-Proto http if !{ ssl_fc }
    http-request set-header X-Forwarded-Host %[req.hdr(host)]
"""

_ASK: Final = """
    <HOSTILE_RULE>

    # The page's polls and files go straight to Stanchion; every other request is asked about.
    acl of_stanchion path_beg /_stanchion/
    http-request lua.stanchion_ask unless of_stanchion
    http-request use-service lua.stanchion_answer if { var(txn.stanchion_status) -m found }
    acl in_room var(txn.stanchion_room) -m len gt 0
    http-request set-header X-Stanchion-Room %[var(txn.stanchion_room)] if in_room
    http-request set-header X-Stanchion-Ticket %[var(txn.stanchion_ticket)] if in_room
    http-request set-header X-Stanchion-Admitted-At %[var(txn.stanchion_admitted_at)] if in_room
    use_backend stanchion if of_stanchion
    default_backend shop

backend shop
    <REPORT>
    # What the shop says to Stanchion is not for visitors.
    http-response del-header Stanchion- -m beg
    http-response set-header Stanchion-State %[var(txn.stanchion_state)] if { var(txn.stanchion_state) -m found }
    http-response add-header Set-Cookie %[var(txn.stanchion_cookie)] if { var(txn.stanchion_cookie) -m found }
    balance leastconn
    <SHOP>

backend stanchion
    server stanchion <ASKS>
"""

_PATH: Final = """
    # Everything goes through Stanchion, which forwards what may pass to the shop.
    default_backend stanchion

backend stanchion
    server stanchion <ASKS>
"""

_LUA: Final = """
-- Asks Stanchion about a request. Written by `stanchion plugin config --for haproxy`.
--
--   200                 the request passes; fields for the shop and the visitor are kept in variables
--   any other status    is the answer to the visitor, with all its fields
--   no answer           <DOWN>

local ENDPOINT = "<ENDPOINT>"
-- HAProxy asks up to four times, also after a time-out, and 2.6 cannot be told otherwise: 15 s together.
local TIMEOUT_MS = <TIMEOUT_MS>

-- Fields of one connection, or of a body that is not sent along.
local DROPPED = {
    ["connection"] = true, ["keep-alive"] = true, ["te"] = true, ["trailer"] = true, ["upgrade"] = true,
    ["transfer-encoding"] = true, ["content-length"] = true, ["expect"] = true, ["proxy-connection"] = true,
}

local function fields_of(txn)
    local fields = {}
    for name, values in pairs(txn.http:req_get_headers()) do
        if not DROPPED[name] then
            local list = {}
            local at = 0
            while values[at] ~= nil do
                list[#list + 1] = values[at]
                at = at + 1
            end
            fields[name] = list
        end
    end
    fields["x-forwarded-method"] = { txn.f:method() }
    fields["x-forwarded-uri"] = { txn.f:pathq() }
    return fields
end

local function keep(txn, response, field, variable)
    local values = response.headers[field]
    if values and values[0] then
        txn:set_var("txn." .. variable, values[0])
    end
end

-- Leaves the answer to the service below. A field is one line.
local function answer(txn, status, fields, body)
    txn:set_var("txn.stanchion_status", tostring(status))
    txn:set_var("txn.stanchion_fields", fields)
    txn:set_var("txn.stanchion_body", body)
end

local function lines_of(headers)
    local lines = {}
    for name, values in pairs(headers) do
        if name ~= "content-length" and name ~= "connection" and name ~= "date" then
            local at = 0
            while values[at] ~= nil do
                lines[#lines + 1] = name .. ":" .. values[at] .. "\\n"
                at = at + 1
            end
        end
    end
    return table.concat(lines)
end

-- A service can read the request's body to its end. Otherwise HAProxy would reset the connection of a long upload
-- before the visitor has the answer. And `txn:reply` would end a compressed page at its first zero byte.
core.register_service("stanchion_answer", "http", function(applet)
    -- A connection that asks to be upgraded has no end of its own.
    local has_body = applet.headers["content-length"] or applet.headers["transfer-encoding"]
    while has_body and #applet:receive(65536) > 0 do
    end
    local body = applet:get_var("txn.stanchion_body")
    applet:set_status(tonumber(applet:get_var("txn.stanchion_status")))
    for name, value in applet:get_var("txn.stanchion_fields"):gmatch("([^:\\n]+):([^\\n]*)\\n") do
        applet:add_header(name, value)
    end
    applet:add_header("content-length", tostring(#body))
    applet:start_response()
    if applet.method ~= "HEAD" then
        applet:send(body)
    end
end)

core.register_action("stanchion_ask", { "http-req" }, function(txn)
    local response = core.httpclient():get({
        url = ENDPOINT,
        headers = fields_of(txn),
        timeout = TIMEOUT_MS,<DST>
    })
    local headers = response and response.headers or {}
    if response and response.status == 200 then
        keep(txn, response, "x-stanchion-room", "stanchion_room")
        keep(txn, response, "x-stanchion-ticket", "stanchion_ticket")
        keep(txn, response, "x-stanchion-admitted-at", "stanchion_admitted_at")
        keep(txn, response, "stanchion-state", "stanchion_state")
        keep(txn, response, "set-cookie", "stanchion_cookie")
    elseif headers["date"] then
        answer(txn, response.status, lines_of(headers), response.body)
    else
        -- HAProxy's own response: it has no Date.
        <ON_FAILURE>
    end
end, 0)
"""

_FAIL_CLOSED: Final = """answer(txn, 503, "content-type:text/plain\\ncache-control:no-store\\nretry-after:5\\n",
            "This page is not available for a moment. Please try again.\\n")"""


#: Kept before they are removed from the response.
_REPORT: Final = "\n    ".join(
    f"http-response set-var(txn.stanchion_{name}) res.hdr(Stanchion-{name.capitalize()})"
    for name in ("command", "stock", "held", "version")
)
_REPORT_LOG: Final = """# What the shop answers, for Stanchion: it does not see the shop's responses itself.
    log <REPORTS> len 2048 format raw local0
    log-format '<FORMAT>'
"""
_FORMAT: Final = (
    '{"room":"%[var(txn.stanchion_room)]","ticket":"%[var(txn.stanchion_ticket)]",'
    '"admitted_at":"%[var(txn.stanchion_admitted_at)]","method":"%HM","status":"%ST","milliseconds":"%Tr",'
    '"stanchion-command":"%[var(txn.stanchion_command)]","stanchion-stock":"%[var(txn.stanchion_stock)]",'
    '"stanchion-held":"%[var(txn.stanchion_held)]","stanchion-version":"%[var(txn.stanchion_version)]"}'
)


def render(site: Site) -> Files:
    """Return haproxy.cfg, and stanchion.lua if HAProxy asks."""
    is_asking = site.way != "path"
    if is_asking and site.park_s > MOST_PARK_S:
        raise refusal(
            "plugins.endpoints.forward_auth.max_park_seconds",
            f"HAProxy waits {TIMEOUT_S} s for an answer, so a question is parked for {MOST_PARK_S:g} s at most",
        )
    values = base_values(site) | {
        "LUA": "lua-load-per-thread stanchion.lua" if is_asking else "",
        "REPORT": _REPORT if site.reports is not None else "",
        "REPORT_LOG": _REPORT_LOG if site.reports is not None and is_asking else "",
        "REPORTS": site.reports,
        "FORMAT": _FORMAT,
        "TIMEOUT_MS": round(1000 * TIMEOUT_S),
        "DOWN": "the request passes" if site.fails_open else "the visitor gets a 503",
        "ENDPOINT": f"http://{'stanchion' if site.asks.socket else site.asks}/api/authz/forward-auth",
        "DST": f'\n        dst = "unix@{site.asks.socket}",' if site.asks.socket else "",
        "ON_FAILURE": "return" if site.fails_open else _FAIL_CLOSED,
    }
    files = {"haproxy.cfg": fill(HEAD + (_ASK if is_asking else _PATH), values)}
    if is_asking:
        files["stanchion.lua"] = fill(_LUA, values)
    return files


def base_values(site: Site) -> dict[str, object]:
    """Return what the templates of every way need."""
    pem = site.certificate.removesuffix(".crt") + ".pem"
    return {
        "WAY": site.way,
        "LUA": "",
        "LISTEN": site.listen,
        # One file with the certificate and the key.
        "TLS": f" ssl crt {pem} alpn h2,http/1.1" if site.is_secure else "",
        "ASKS": _server(site.asks),
        "SHOP": "\n    ".join(f"server shop{at} {_server(shop)}" for at, shop in enumerate(site.shops, 1)),
        "REPORT_LOG": "",
        "HOSTILE_RULE": _hostile_rule(),
    }


def _hostile_rule() -> str:
    """Return the rule that removes what a visitor may not say to the shop."""
    names = "|".join(name for name in HOSTILE if not name.startswith("x-forwarded-")).replace("-", "[-_]")
    return (
        "# Fields that could make the shop serve another address or method than the one asked about.\n"
        f"    http-request del-header '^({names})$' -m reg"
    )


def _server(address: Address) -> str:
    return f"unix@{address.socket}" if address.socket else str(address)
