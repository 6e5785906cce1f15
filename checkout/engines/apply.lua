-- A batch of the shop's commands in one atomic script: the same decisions as checkout/ledger.py, on Redis' own data.
--
--   KEYS[1]  prefix of all keys, with the hash tag that keeps them on one node
--   ARGV     now_ms, '1' when what is over is ended before a sale is touched, how long a key is kept, the batch (JSON)
--   returns  JSON: for each command [reason or '', free, held, sold, version, hold or false, repeated]
--
--   sale:ID    hash    the terms, and free, held, sold, version
--   stock      channel  JSON [sale, free, held, sold, version] of every sale a batch has changed
--   holds      hash    hold -> JSON [id, sale, user, state, money, made_ms, ends_ms, charge]
--   units:ID   hash    user -> their units, 'h1,h2'             key:KEY    what a key was answered, kept a day
--   ttl:ID     zset    hold by end (first layer of expiry)      unsettled  set   payments without a known end
--   ready, processing  zsets, owner hash (the delay queue)      orders     hash  what is sold
--   events     stream  'seq-0' -> e = JSON of the event         seq        the last event's number
local P, now, lazy, keep = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1', ARGV[3]
local call, encode, decode = redis.call, cjson.encode, cjson.decode
local ID, SALE, USER, STATE, MONEY, MADE, ENDS, CHARGE = 1, 2, 3, 4, 5, 6, 7, 8
local seq = tonumber(call('GET', P .. 'seq') or '0')
local sales = {}

local function note(sale, hold, kind, actor, cause, before, key, fingerprint)
  seq = seq + 1
  sale.version = seq
  call('XADD', P .. 'events', seq .. '-0', 'e', encode({
    sale.id, hold[ID], hold[USER], kind, actor, cause, now, before[1], before[2], before[3],
    sale.free, sale.held, sale.sold, hold[ENDS], key or '', fingerprint or '', hold[CHARGE]}))
end

local function numbers(sale) return {sale.free, sale.held, sale.sold} end
local function is_live(hold) return hold[STATE] == 'held' or hold[STATE] == 'paying' end
local function save(hold) call('HSET', P .. 'holds', hold[ID], encode(hold)) end

local function find(id)
  local text = call('HGET', P .. 'holds', id)
  return text and decode(text)
end

local function unqueue(sale, hold)
  call('ZREM', P .. 'ttl:' .. sale.id, hold[ID])
  if call('ZREM', P .. 'ready', hold[ID]) == 0 then
    call('ZREM', P .. 'processing', hold[ID])
    call('HDEL', P .. 'owner', hold[ID])
  end
end

local function finish(sale, hold, state, actor, cause, money)
  local before, left = numbers(sale), {}
  sale.held, sale.free = sale.held - 1, sale.free + 1
  for id in string.gmatch(call('HGET', P .. 'units:' .. sale.id, hold[USER]) or '', '[^,]+') do
    if id ~= hold[ID] then left[#left + 1] = id end
  end
  if #left == 0 then call('HDEL', P .. 'units:' .. sale.id, hold[USER])
  else call('HSET', P .. 'units:' .. sale.id, hold[USER], table.concat(left, ',')) end
  hold[STATE], hold[MONEY] = state, money
  unqueue(sale, hold)
  save(hold)
  note(sale, hold, state, actor, cause, before)
end

local function sale_of(id, no_expiry)
  local sale = sales[id]
  if not sale then
    local v = call('HMGET', P .. 'sale:' .. id, 'free', 'held', 'sold', 'opens_ms', 'closes_ms', 'hold_ms', 'per_user',
      'version')
    if not v[1] then return nil end
    for i = 1, 8 do v[i] = tonumber(v[i]) end
    sale = {id = id, free = v[1], held = v[2], sold = v[3], opens = v[4], closes = v[5], hold = v[6], per_user = v[7],
      version = v[8], stored = v[8]}
    sales[id] = sale
  end
  if lazy and not no_expiry and not sale.lapsed then
    sale.lapsed = true -- one look a batch: all its commands are decided at one time
    for _, due in ipairs(call('ZRANGEBYSCORE', P .. 'ttl:' .. id, '-inf', now)) do
      local hold = find(due)
      finish(sale, hold, 'expired', 'ttl', 'time over', hold[MONEY])
    end
  end
  return sale
end

local function done(sale, hold, repeated)
  return {'', sale.free, sale.held, sale.sold, sale.version, hold or false, repeated or false}
end

local function refused(reason, sale, hold)
  if not sale then return {reason, 0, 0, 0, 0, false, false} end
  return {reason, sale.free, sale.held, sale.sold, sale.version, hold or false, false}
end

local function answer(key) -- what this key was told before: [fingerprint, hold, reason]
  local text = key ~= '' and call('GET', P .. 'key:' .. key)
  return text and decode(text)
end

local function remember(key, fingerprint, hold, reason)
  if key ~= '' then call('SET', P .. 'key:' .. key, encode({fingerprint, hold, reason}), 'PX', keep) end
end

local commands = {}

function commands.open(actor, id, title, total, price, currency, opens, closes, hold_ms, per_user)
  local terms = {'id', id, 'title', title, 'total', total, 'price_cents', price, 'currency', currency, 'opens_ms',
    opens, 'closes_ms', closes, 'hold_ms', hold_ms, 'per_user', per_user}
  local sale = sale_of(id, true)
  if sale then
    for i = 1, #terms, 2 do
      local is = call('HGET', P .. 'sale:' .. id, terms[i])
      if is ~= terms[i + 1] and tonumber(is) ~= terms[i + 1] then return refused('sale_exists', sale) end
    end
    return done(sale, nil, true)
  end
  for i = 2, #terms, 2 do -- numbers as whole digits, never 1e+12
    if type(terms[i]) == 'number' then terms[i] = string.format('%.0f', terms[i]) end
  end
  call('HSET', P .. 'sale:' .. id, 'free', terms[6], 'held', 0, 'sold', 0, 'version', 0, unpack(terms))
  call('RPUSH', P .. 'sales', id)
  sale = sale_of(id, true)
  note(sale, {'', id, '', '', '', 0, 0, ''}, 'opened', actor, 'total ' .. terms[6], {0, 0, 0})
  return done(sale)
end

function commands.look(id)
  local sale = sale_of(id)
  return sale and done(sale) or refused('unknown_sale')
end

function commands.reserve(id, user, hold_id, key, fingerprint)
  local sale, earlier = sale_of(id), answer(key)
  if earlier then
    if earlier[1] ~= fingerprint then return refused('key_reused', sale) end
    if earlier[3] ~= '' then return refused(earlier[3], sale) end
    local hold = find(earlier[2])
    hold[STATE], hold[MONEY], hold[CHARGE] = 'held', 'none', ''
    return done(sale, hold, true)
  end
  if not sale then return refused('unknown_sale') end
  local reason, mine, count, last = nil, call('HGET', P .. 'units:' .. id, user), 0, nil
  for unit in string.gmatch(mine or '', '[^,]+') do count, last = count + 1, unit end
  if now < sale.opens then reason = 'not_open'
  elseif sale.closes > 0 and now >= sale.closes then reason = 'closed'
  elseif count >= sale.per_user then reason = 'per_user'
  elseif sale.free == 0 then reason = 'sold_out' end
  if reason then
    remember(key, fingerprint, '', reason)
    return refused(reason, sale, reason == 'per_user' and find(last))
  end
  local ends, before = now + sale.hold, numbers(sale)
  local hold = {hold_id, id, user, 'held', 'none', now, ends, ''}
  sale.free, sale.held = sale.free - 1, sale.held + 1
  call('HSET', P .. 'units:' .. id, user, mine and (mine .. ',' .. hold_id) or hold_id)
  call('ZADD', P .. 'ttl:' .. id, ends, hold_id)
  call('ZADD', P .. 'ready', ends, hold_id)
  save(hold)
  remember(key, fingerprint, hold_id, '')
  note(sale, hold, 'held', 'user', '', before, key, fingerprint)
  return done(sale, hold)
end

function commands.pay(hold_id, key, fingerprint)
  local hold = find(hold_id)
  local sale = hold and sale_of(hold[SALE])
  local earlier = answer(key)
  if sale then hold = find(hold_id) end -- it may just have ended
  if earlier then
    if earlier[1] ~= fingerprint or earlier[2] ~= hold_id or not hold then return refused('key_reused', sale) end
    if hold[STATE] == 'paying' then return refused('key_running', sale, hold) end
    return done(sale, hold, true)
  end
  if not hold then return refused('unknown_hold') end
  if hold[STATE] ~= 'held' then return refused(hold[STATE] == 'paying' and 'paying' or 'ended', sale, hold) end
  hold[STATE], hold[MONEY] = 'paying', 'started'
  save(hold)
  call('SADD', P .. 'unsettled', hold_id)
  remember(key, fingerprint, hold_id, '')
  note(sale, hold, 'paying', 'user', '', numbers(sale), key, fingerprint)
  return done(sale, hold)
end

function commands.confirm(hold_id, charge, actor)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale = sale_of(hold[SALE])
  hold = find(hold_id)
  if hold[STATE] == 'sold' and hold[CHARGE] == charge then return done(sale, hold, true) end
  if hold[STATE] ~= 'paying' then return refused(hold[STATE] == 'held' and 'not_paying' or 'ended', sale, hold) end
  local before = numbers(sale)
  sale.held, sale.sold = sale.held - 1, sale.sold + 1
  hold[STATE], hold[MONEY], hold[CHARGE] = 'sold', 'charged', charge
  unqueue(sale, hold)
  save(hold)
  call('SREM', P .. 'unsettled', hold_id)
  call('HSET', P .. 'orders', hold_id, encode({hold_id, sale.id, hold[USER], charge, now}))
  note(sale, hold, 'sold', actor, '', before)
  return done(sale, hold)
end

function commands.release(hold_id, state, actor, cause)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale, failed = sale_of(hold[SALE]), state == 'payment_failed'
  hold = find(hold_id)
  if hold[STATE] == state then return done(sale, hold, true) end
  if not is_live(hold) then return refused('ended', sale, hold) end
  if failed ~= (hold[STATE] == 'paying') then return refused(failed and 'not_paying' or 'paying', sale, hold) end
  if failed then call('SREM', P .. 'unsettled', hold_id) end
  finish(sale, hold, state, actor, cause, failed and 'declined' or hold[MONEY])
  return done(sale, hold)
end

function commands.expire(hold_id, actor)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale = sale_of(hold[SALE], true)
  if not is_live(hold) then return refused('ended', sale, hold) end
  if now < hold[ENDS] then return refused('not_due', sale, hold) end
  finish(sale, hold, 'expired', actor, 'time over', hold[MONEY])
  return done(sale, hold)
end

function commands.settle(hold_id, money, charge, actor)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale = sale_of(hold[SALE])
  hold = find(hold_id)
  if hold[MONEY] == money then return done(sale, hold, true) end
  if is_live(hold) then return refused('paying', sale, hold) end
  if hold[MONEY] ~= 'started' then return refused('ended', sale, hold) end
  hold[MONEY], hold[CHARGE] = money, charge
  save(hold)
  call('SREM', P .. 'unsettled', hold_id)
  note(sale, hold, money, actor, 'after the hold had ended', numbers(sale))
  return done(sale, hold)
end

local outcomes = {}
for i, command in ipairs(decode(ARGV[4])) do
  outcomes[i] = commands[command[1]](unpack(command, 2))
end
for id, sale in pairs(sales) do
  if sale.version > sale.stored then
    call('HSET', P .. 'sale:' .. id, 'free', sale.free, 'held', sale.held, 'sold', sale.sold, 'version', sale.version)
    call('PUBLISH', P .. 'stock', encode({id, sale.free, sale.held, sale.sold, sale.version}))
  end
end
call('SET', P .. 'seq', string.format('%.0f', seq))
return encode(outcomes)
