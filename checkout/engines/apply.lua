-- Apply one batch atomically. This file follows ledger.lua in the same script and uses its variables.
--
-- Three steps: read everything that the batch names, decide everything in memory, write everything that has changed.
-- A call from a script costs as much as a decision, so there are as few calls as possible. Nothing is written before
-- everything is decided, so a batch that fails leaves no trace.

-- 1: read everything that the batch names
local users, named, keys = {}, {}, {}
for _, command in ipairs(batch) do
  local kind = command[1]
  local key = ''
  if kind == 'reserve' then
    local sale = command[2]
    users[sale] = users[sale] or {}
    table.insert(users[sale], command[3])
    key = command[5]
  elseif kind ~= 'open' and kind ~= 'read_stock' then
    named[#named + 1] = command[2]
    if kind == 'pay' then key = command[3] end
  end
  if key ~= '' then keys[#keys + 1] = key end
end
for sale, list in pairs(users) do
  units[sale] = {}
  read_all(P .. 'units:' .. sale, list, units[sale])
end
read_all(P .. 'holds', named, holds)
for id, text in pairs(holds) do holds[id] = text and decode(text) end
read_all(P .. 'keys:' .. string.format('%.0f', today), keys, key_records)
local older = {}
for _, key in ipairs(keys) do if not key_records[key] then older[#older + 1] = key end end
read_all(P .. 'keys:' .. string.format('%.0f', today - 1), older, key_records)

-- 2: decide everything
local outcomes = {}
for i, command in ipairs(batch) do
  outcomes[i] = commands[command[1]](unpack(command, 2))
end

-- 3: write everything that has changed
local function changed(set, values, wrap) -- the arguments of an HSET, and of an HDEL for removed names
  local written, removed = {}, {}
  for name in pairs(set) do
    local value = values[name]
    if value then
      written[#written + 1] = name
      written[#written + 1] = wrap and wrap(value) or value
    else removed[#removed + 1] = name end
  end
  return written, removed
end

for id, sale in pairs(sales) do
  local written, removed = changed(new_units[id], units[id])
  in_pieces(written, 'HSET', P .. 'units:' .. id)
  in_pieces(removed, 'HDEL', P .. 'units:' .. id)
  if sale.ended_count > 0 then call('LTRIM', P .. 'ends:' .. id, sale.ended_count, -1) end
  in_pieces(new_ends[id], 'RPUSH', P .. 'ends:' .. id)
  if sale.version > sale.stored then
    call('HSET', P .. 'sale:' .. id, 'free', sale.free, 'held', sale.held, 'sold', sale.sold, 'version', sale.version)
    call('PUBLISH', P .. 'stock', encode({id, sale.free, sale.held, sale.sold, sale.version}))
  end
end
in_pieces(changed(new_holds, holds, encode), 'HSET', P .. 'holds')
in_pieces(queued, 'ZADD', P .. 'ready')
in_pieces(ended, 'ZREM', P .. 'ready')
in_pieces(ended, 'ZREM', P .. 'processing')
in_pieces(ended, 'HDEL', P .. 'owner')
in_pieces(orders, 'HSET', P .. 'orders')
local started, settled = {}, {}
for id, is_open in pairs(open_money) do table.insert(is_open and started or settled, id) end
in_pieces(started, 'SADD', P .. 'unsettled')
in_pieces(settled, 'SREM', P .. 'unsettled')
local changed_keys = changed(new_key_records, key_records, encode)
if #changed_keys > 0 then
  in_pieces(changed_keys, 'HSET', P .. 'keys:' .. string.format('%.0f', today))
  call('UNLINK', P .. 'keys:' .. string.format('%.0f', today - 2)) -- all of its keys are older than their lifetime
end
if #events > 0 then
  local digits = string.format('%.0f', seq)
  last_batch = ARGV[7]
  call('XADD', P .. 'events', digits .. '-0', 'e', encode(events), 'b', last_batch)
  call('MSET', P .. 'seq', digits, P .. 'batch', last_batch)
end
return encode({outcomes, seq, last_batch})
