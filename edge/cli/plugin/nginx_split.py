"""nginx with its Lua module, the split way: nginx verifies the pass and sends the request straight to the shop.

The same rules as in `haproxy_split.py`. Lua computes HMAC-SHA256 by OpenSSL's functions, from two states that were
hashed once, and compares in constant time. A worker keeps the passes that were authentic, because a page has many
files. Debian: `apt-get install nginx libnginx-mod-http-lua`.
"""

import json
from typing import Final

from edge.cli.plugin.nginx import END, HEAD, PATH, SHOP_FIELDS, base_values
from edge.cli.plugin.site import Files, Site, fill, refusal

__all__ = ["render"]

_MODULES: Final = """
# The usual places of Debian.
load_module /usr/lib/nginx/modules/ndk_http_module.so;
load_module /usr/lib/nginx/modules/ngx_http_lua_module.so;

worker_processes auto;
"""
_LUA: Final = """http {
    # Where stanchion_split.lua and stanchion_keys.lua are.
    lua_package_path "<FOLDER>/?.lua;;";
    init_by_lua_block { stanchion = require "stanchion_split" }
"""
_CHECK: Final = """
        # Everything goes through Stanchion, but for visitors with a pass in the first half of its life.
        location / {
            set $stanchion_room "";
            set $stanchion_ticket "";
            set $stanchion_admitted_at "";
            access_by_lua_block { stanchion.check() }
"""
_SHOP: Final = """
        location @shop {
            add_header Stanchion-State admitted always;
<SHOP_FIELDS>
        }
"""
_SPLIT: Final = """
-- Verifies passes. Written by `stanchion plugin config --for nginx --way split`.
--
--   p1 . room . id~binding . first_seen ms . admitted ms . expires s . base64url(HMAC-SHA256(key, all before))

local ffi = require "ffi"
local bit = require "bit"
local keys = require "stanchion_keys"
ffi.cdef [[
typedef struct { unsigned int h[8]; unsigned int Nl, Nh; unsigned int data[16]; unsigned int num, md_len; } SHA256_CTX;
int SHA256_Init(SHA256_CTX *c);
int SHA256_Update(SHA256_CTX *c, const void *data, size_t len);
int SHA256_Final(unsigned char *md, SHA256_CTX *c);
int EVP_EncodeBlock(unsigned char *t, const unsigned char *f, int n);
]]
local crypto = ffi.load("crypto.so.3")
local SIZE = ffi.sizeof("SHA256_CTX")
local ctx = ffi.new("SHA256_CTX")
local digest, encoded = ffi.new("unsigned char[32]"), ffi.new("unsigned char[48]")
local byte, sub, find, match = string.byte, string.sub, string.find, string.match

local ROOMS = {
<ROOMS>
}

local function state(key, pad)
    local block = {}
    for i = 1, 64 do
        block[i] = string.char(bit.bxor(byte(key, i) or 0, pad))
    end
    local c = ffi.new("SHA256_CTX")
    crypto.SHA256_Init(c)
    crypto.SHA256_Update(c, table.concat(block), 64)
    return c
end

local STATES = {}
for i, key in ipairs(keys) do
    local raw = ngx.decode_base64(key)
    STATES[i] = { state(raw, 0x36), state(raw, 0x5c) }
end

local function is_signed(text, cookie, states)
    ffi.copy(ctx, states[1], SIZE)
    crypto.SHA256_Update(ctx, text, #text)
    crypto.SHA256_Final(digest, ctx)
    ffi.copy(ctx, states[2], SIZE)
    crypto.SHA256_Update(ctx, digest, 32)
    crypto.SHA256_Final(digest, ctx)
    crypto.EVP_EncodeBlock(encoded, digest, 32)
    local differs = 0
    for i = 0, 42 do
        local c = encoded[i]
        if c == 43 then c = 45 elseif c == 47 then c = 95 end
        differs = bit.bor(differs, bit.bxor(c, byte(cookie, #cookie - 42 + i)))
    end
    return differs == 0
end

local function verified(cookie)
    local n = #cookie
    if n < 60 or n > 256 or byte(cookie, n - 43) ~= 46 then return nil end
    local text = sub(cookie, 1, n - 44)
    for _, states in ipairs(STATES) do
        if is_signed(text, cookie, states) then return text end
    end
    return nil
end

local function room_at(path)
    -- Any other character, and the path has more than one reading.
    if not find(path, "^[%w/_~.-]+$") or find(path, "//", 1, true) or find(path, "/.", 1, true) then return nil end
    for _, room in ipairs(ROOMS) do
        for _, prefix in ipairs(room.prefixes) do
            if sub(path, 1, #prefix) == prefix then return room end
        end
    end
    return nil
end

-- A page has many files, so the same pass comes many times. Those that were authentic are kept, in two generations.
local MOST = 10000
local newer, older, count = {}, {}, 0

local function pass_in(cookie)
    local pass = newer[cookie]
    if pass then return pass end
    pass = older[cookie]
    if not pass then
        local text = verified(cookie)
        if not text then return nil end
        local id, admitted_s, admitted_ms, expires =
            match(text, "^p1%.[^.]+%.([%w_-]+)[^.]*%.%d+%.(%d+)(%d%d%d)%.(%d+)$")
        if not id then return nil end
        pass = { id = id, admitted_at = admitted_s .. "." .. admitted_ms, expires = tonumber(expires) }
    end
    if count == MOST then newer, older, count = {}, newer, 0 end
    newer[cookie], count = pass, count + 1
    return pass
end

local M = {}

function M.check()
    local room = room_at(match(ngx.var.request_uri, "^[^?]*"))
    local cookie = room and ngx.var[room.variable]
    if not cookie or sub(cookie, 1, #room.begins) ~= room.begins then return end
    local pass = pass_in(cookie)
    if not pass or pass.expires - ngx.time() <= room.half then return end
    ngx.var.stanchion_room = room.name
    ngx.var.stanchion_ticket = pass.id
    ngx.var.stanchion_admitted_at = pass.admitted_at
    return ngx.exec("@shop")
end

return M
"""
_KEYS: Final = """
-- The keys that verify passes, derived from the secret keys of the edge. They can make passes: keep this file as secret
-- as those. It changes when the secret keys change.
return {
<KEYS>
}
"""


def render(site: Site) -> Files:
    """Return nginx.conf, stanchion_split.lua, and stanchion_keys.lua with the derived keys."""
    if site.fails_open:
        raise refusal("--fail-open", "visitors without a pass go through the edge")
    values = base_values(site)
    values["FOLDER"] = site.scratch or "/etc/nginx/stanchion"
    values["ROOMS"] = "\n".join(
        f"    {{ name = {_text(room.name)}, variable = {_text('cookie_' + room.cookie)},"
        f" begins = {_text(f'p1.{room.name}.')}, half = {round(room.session_s / 2)},"
        f" prefixes = {{ {', '.join(map(_text, room.prefixes))} }} }},"
        for room in site.rooms
    )
    values["KEYS"] = "\n".join(f"    {_text(key)}," for key in site.pass_keys)
    values["SHOP_FIELDS"] = fill(SHOP_FIELDS, values).rstrip("\n")
    head = HEAD.replace("worker_processes auto;\n", _MODULES.lstrip()).replace("http {\n", _LUA)
    ask = _CHECK + PATH.partition("        location / {\n")[2]
    return {
        "nginx.conf": fill(head + ask + _SHOP + END, values),
        "stanchion_split.lua": fill(_SPLIT, values),
        "stanchion_keys.lua": fill(_KEYS, values),
    }


def _text(value: str) -> str:
    """Return a Lua string."""
    return json.dumps(value)
