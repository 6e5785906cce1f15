-- Asks Stanchion about a request. Written by `stanchion plugin config --for haproxy`.
--
--   200                 the request passes; fields for the shop and the visitor are kept in variables
--   any other status    is the answer to the visitor, with all its fields
--   no answer           the visitor gets a 503

local ENDPOINT = "http://127.0.0.1:9191/api/authz/forward-auth"
-- HAProxy asks up to four times, also after a time-out, and 2.6 cannot be told otherwise: 15 s together.
local TIMEOUT_MS = 3750

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
                lines[#lines + 1] = name .. ":" .. values[at] .. "\n"
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
    for name, value in applet:get_var("txn.stanchion_fields"):gmatch("([^:\n]+):([^\n]*)\n") do
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
        timeout = TIMEOUT_MS,
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
        answer(txn, 503, "content-type:text/plain\ncache-control:no-store\nretry-after:5\n",
            "This page is not available for a moment. Please try again.\n")
    end
end, 0)
