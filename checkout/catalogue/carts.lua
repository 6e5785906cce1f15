-- Change carts within their bounds (checkout/catalogue/redis_carts.py).
-- put:  KEYS cart          ARGV put, lines, units, keep ms, SKU, units, price, time, product, add or set
-- move: KEYS source target ARGV move, lines, units, keep ms
-- A line is `units price time product`. Return -1 if the cart is full, or the number of lines left behind.
local most_lines, most_units, keep_ms = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]

local function units_of(line) return line and tonumber(string.match(line, '^%d+')) or 0 end

local function total(cart)
  local lines, units = 0, 0
  for _, line in ipairs(redis.call('HVALS', cart)) do lines, units = lines + 1, units + units_of(line) end
  return lines, units
end

local function fits(cart, kept, units)
  local lines, all = total(cart)
  return all - units_of(kept) + units <= most_units and (kept or lines < most_lines)
end

if ARGV[1] == 'put' then
  local cart, sku, units = KEYS[1], ARGV[5], tonumber(ARGV[6])
  local kept = redis.call('HGET', cart, sku)
  if kept and ARGV[10] == 'add' then units = units + units_of(kept) end
  if units <= 0 then redis.call('HDEL', cart, sku) return 0 end
  if not fits(cart, kept, units) then return -1 end
  local since = kept and string.match(kept, '^%d+ %d+ (%d+)') or ARGV[8]
  redis.call('HSET', cart, sku, units .. ' ' .. ARGV[7] .. ' ' .. since .. ' ' .. ARGV[9])
  redis.call('PEXPIRE', cart, keep_ms)
  return 0
end

local source, target, left = KEYS[1], KEYS[2], 0
local moved = {}
local all = redis.call('HGETALL', source)
for at = 1, #all, 2 do
  local since = tonumber(string.match(all[at + 1], '^%d+ %d+ (%d+)'))
  moved[#moved + 1] = {all[at], all[at + 1], since}
end
table.sort(moved, function(a, b) if a[3] == b[3] then return a[1] < b[1] end return a[3] < b[3] end)
for _, line in ipairs(moved) do
  local kept = redis.call('HGET', target, line[1])
  if not kept or units_of(kept) < units_of(line[2]) then
    if fits(target, kept, units_of(line[2])) then
      redis.call('HSET', target, line[1], line[2])
    else
      left = left + 1
    end
  end
end
redis.call('DEL', source)
redis.call('PEXPIRE', target, keep_ms)
return left
