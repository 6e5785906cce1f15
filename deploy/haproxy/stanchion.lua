-- Asks Stanchion about a request. Written by `stanchion plugin config --for haproxy`.
--
--   200                 the request passes; fields for the shop and the visitor are kept in variables
--   any other status    is the answer to the visitor, with all its fields
--   no answer           the visitor gets a 503

local ENDPOINT = "http://127.0.0.1:9191/api/authz/forward-auth"
local TIMEOUT_MS = 15000

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

local function answer(txn, response)
    local reply = txn:reply({ status = response.status, reason = response.reason, body = response.body })
    for name, values in pairs(response.headers) do
        if name ~= "content-length" and name ~= "connection" and name ~= "date" then
            local at = 0
            while values[at] ~= nil do
                reply:add_header(name, values[at])
                at = at + 1
            end
        end
    end
    txn:done(reply)
end

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
        answer(txn, response)
    else
        -- HAProxy's own response: it has no Date.
        local text = "This page is not available for a moment. Please try again.\n"
        local reply = txn:reply({ status = 503, body = text })
        reply:add_header("content-type", "text/plain")
        reply:add_header("cache-control", "no-store")
        reply:add_header("retry-after", "5")
        txn:done(reply)
    end
end, 0)
