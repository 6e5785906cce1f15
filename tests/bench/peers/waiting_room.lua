-- The same work as the edge's, as fast as LuaJIT does it: find the cookie, verify HMAC-SHA256 with two precomputed
-- SHA-256 states through FFI (nothing allocated, nothing hashed twice), compare with the threshold, answer.
local ffi = require "ffi"
ffi.cdef[[
typedef struct { unsigned int h[8]; unsigned int Nl, Nh; unsigned int data[16]; unsigned int num, md_len; } SHA256_CTX;
int SHA256_Init(SHA256_CTX *c);
int SHA256_Update(SHA256_CTX *c, const void *data, size_t len);
int SHA256_Final(unsigned char *md, SHA256_CTX *c);
int EVP_EncodeBlock(unsigned char *t, const unsigned char *f, int n);
int RAND_bytes(unsigned char *buf, int num);
]]
local crypto = ffi.load("crypto.so.3")
local SIZE = ffi.sizeof("SHA256_CTX")
local ctx = ffi.new("SHA256_CTX")
local digest, encoded, id = ffi.new("unsigned char[32]"), ffi.new("unsigned char[48]"), ffi.new("unsigned char[16]")
local char, sub, find, format, byte = string.char, string.sub, string.find, string.format, string.byte
local now, time = ngx.now, ngx.time

local function hmac_bytes(key, text)
  local inner, outer = {}, {}
  for i = 1, 64 do
    local k = byte(key, i) or 0
    inner[i], outer[i] = char(bit.bxor(k, 0x36)), char(bit.bxor(k, 0x5c))
  end
  local c = ffi.new("SHA256_CTX")
  local md = ffi.new("unsigned char[32]")
  crypto.SHA256_Init(c) crypto.SHA256_Update(c, table.concat(inner), 64)
  crypto.SHA256_Update(c, text, #text) crypto.SHA256_Final(md, c)
  crypto.SHA256_Init(c) crypto.SHA256_Update(c, table.concat(outer), 64)
  crypto.SHA256_Update(c, md, 32) crypto.SHA256_Final(md, c)
  return ffi.string(md, 32)
end

-- itsdangerous, key_derivation="hmac": the key is HMAC(secret, salt)
local function states(secret, salt)
  local key = hmac_bytes(secret, salt)
  local inner, outer = {}, {}
  for i = 1, 64 do
    local k = byte(key, i) or 0
    inner[i], outer[i] = char(bit.bxor(k, 0x36)), char(bit.bxor(k, 0x5c))
  end
  local a, b = ffi.new("SHA256_CTX"), ffi.new("SHA256_CTX")
  crypto.SHA256_Init(a) crypto.SHA256_Update(a, table.concat(inner), 64)
  crypto.SHA256_Init(b) crypto.SHA256_Update(b, table.concat(outer), 64)
  return a, b
end

local secret = os.getenv("STANCHION_KEYS")
local ticket_in, ticket_out = states(secret, "stanchion.ticket.v1")
local pass_in, pass_out = states(secret, "stanchion.pass.v1")

local function sign(text, inner, outer)
  ffi.copy(ctx, inner, SIZE) crypto.SHA256_Update(ctx, text, #text) crypto.SHA256_Final(digest, ctx)
  ffi.copy(ctx, outer, SIZE) crypto.SHA256_Update(ctx, digest, 32) crypto.SHA256_Final(digest, ctx)
  crypto.EVP_EncodeBlock(encoded, digest, 32)
  for i = 0, 42 do
    if encoded[i] == 43 then encoded[i] = 45 elseif encoded[i] == 47 then encoded[i] = 95 end
  end
end

-- constant time over the 43 characters of a signature
local function verified(cookie, inner, outer)
  local n = #cookie
  if n < 60 or n > 256 or byte(cookie, n - 43) ~= 46 then return nil end
  local text = sub(cookie, 1, n - 44)
  sign(text, inner, outer)
  local bad = 0
  for i = 0, 42 do bad = bit.bor(bad, bit.bxor(encoded[i], byte(cookie, n - 42 + i))) end
  if bad ~= 0 then return nil end
  return text
end

local M = { threshold = 0 }

-- P1: 'come back in 4.2 s'
function M.poll()
  local cookie = ngx.var.cookie_stanchion_checkout
  local text = cookie and sub(cookie, 1, 3) == "t1." and verified(cookie, ticket_in, ticket_out)
  if not text then return ngx.exit(403) end
  local _, _, first_seen = find(text, "^t1%.checkout%.[%w_-]+%.(%d+)%.%d+$")
  first_seen = tonumber(first_seen)
  if first_seen <= M.threshold then return ngx.exit(500) end
  local ahead = first_seen - M.threshold
  local body = format('{"state": "waiting", "room": "checkout", "position": %d, "eta_seconds": {"p50": %d, "p90": %d}, '
    .. '"poll_after_seconds": %.2f, "first_seen": %.3f, "message": null, "stock": null}',
    ahead % 2000, ahead % 100, ahead % 100 + 20, 4.2, first_seen / 1000)
  ngx.header.content_length = #body
  ngx.print(body)
end

-- P2: the page, with a freshly signed cookie
local page
function M.page()
  if not page then
    local file = assert(io.open(os.getenv("BENCH_PAGE"), "rb"))
    page = file:read("*a") file:close()
  end
  crypto.RAND_bytes(id, 16)
  crypto.EVP_EncodeBlock(encoded, id, 16)
  for i = 0, 21 do
    if encoded[i] == 43 then encoded[i] = 45 elseif encoded[i] == 47 then encoded[i] = 95 end
  end
  local text = format("t1.checkout.%s.%d.%d", ffi.string(encoded, 22), now() * 1000, time())
  sign(text, ticket_in, ticket_out)
  ngx.header["Set-Cookie"] = "stanchion_checkout=" .. text .. "." .. ffi.string(encoded, 43)
    .. "; Path=/; Max-Age=86400; HttpOnly; SameSite=Lax"
  ngx.header.content_length = #page
  ngx.print(page)
end

-- P3: a pass, then proxy_pass
function M.admitted()
  local cookie = ngx.var.cookie_stanchion_checkout
  local text = cookie and sub(cookie, 1, 3) == "p1." and verified(cookie, pass_in, pass_out)
  if not text then return ngx.exit(403) end
  local _, _, id, admitted, expires = find(text, "^p1%.checkout%.([%w_-]+)%.%d+%.(%d+)%.(%d+)$")
  if tonumber(expires) <= now() then return ngx.exit(403) end
  ngx.var.ticket_id = id
  ngx.var.admitted_at = admitted
end

return M
