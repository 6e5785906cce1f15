-- The ledger on data in Redis: the same decisions as checkout/ledger.py. The contract tests of the engines hold both
-- to one model. apply.lua follows in the same script and applies a batch of commands.
--
--   KEYS[1]  prefix of all keys, with the hash tag that keeps them on one node
--   ARGV     now_ms, '1' if due holds are ended before a decision about their sale, lifetime of a key (ms), the batch,
--            the epoch that the caller knows, the highest event number that it has seen, a new batch id
--   returns  JSON: [outcomes, number of the last event, id of its batch]
--            outcomes: for each command [reason or '', free, held, sold, version, hold or false, repeated]
--            or a text that begins with '!': the store is not the one that the caller knows, and nothing was decided
--
--   sale:ID    hash     the terms, and free, held, sold, version
--   stock      channel  JSON [sale, free, held, sold, version] of every sale that a batch has changed
--   holds      hash     hold -> JSON [id, sale, user, state, money, made_ms, ends_ms, charge]
--   units:ID   hash     user -> the user's holds, 'h1,h2'
--   ends:ID    list     'ends_ms hold' in the order of creation, which is the order of their ends (first layer of expiry)
--   ready, processing   zsets, owner hash (the delay queue)
--   keys:N     hash     key -> JSON [fingerprint, hold, reason, at_ms] of the keys first used on day N
--   unsettled  set      payments without a known result
--   orders     hash     the sold holds
--   events     stream   id: the batch's last event number; field e: JSON of all its events
--   seq        string   the number of the last event
--   batch      string   the id of the batch of the last event; also in field b of its stream entry
--   epoch      string   'number token', new at every rebuild (checkout/engines/epoch.py)
--
local P, now, lazy, keep = KEYS[1], tonumber(ARGV[1]), ARGV[2] == '1', tonumber(ARGV[3])
local call, encode, decode = redis.call, cjson.encode, cjson.decode
local ID, SALE, USER, STATE, MONEY, MADE, ENDS, CHARGE = 1, 2, 3, 4, 5, 6, 7, 8
local MAX_ARGS = 4000 -- arguments of one call; Lua's stack holds 8,000
local known = call('MGET', P .. 'epoch', P .. 'seq', P .. 'batch')
if known[1] ~= ARGV[5] then return '!has epoch ' .. (known[1] or 'none') .. ', expected ' .. ARGV[5] end
local seq, last_batch = tonumber(known[2] or '0'), known[3] or ''
if seq < tonumber(ARGV[6]) then return '!ends at event ' .. (known[2] or '0') .. ', but had event ' .. ARGV[6] end
local today = math.floor(now / keep)
local batch = decode(ARGV[4])

-- records from memory or the store; false: the store does not have it
local sales, holds, units, key_records = {}, {}, {}, {}
-- to be written: lists of arguments, or sets of the names that have changed
local events, orders, ended, queued = {}, {}, {}, {}
local new_holds, new_units, new_ends, new_key_records, open_money = {}, {}, {}, {}, {}

local function in_pieces(list, command, key)
  for i = 1, #list, MAX_ARGS do call(command, key, unpack(list, i, math.min(i + MAX_ARGS - 1, #list))) end
end

local function read_all(key, names, into)
  for i = 1, #names, MAX_ARGS do
    local last = math.min(i + MAX_ARGS - 1, #names)
    for at, text in ipairs(call('HMGET', key, unpack(names, i, last))) do into[names[i + at - 1]] = text end
  end
end

local function find(id)
  local hold = holds[id]
  if hold == nil then
    local text = call('HGET', P .. 'holds', id)
    hold = text and decode(text)
    holds[id] = hold
  end
  return hold
end

local function units_of(sale, user)
  local mine = units[sale.id][user]
  if mine == nil then
    mine = call('HGET', P .. 'units:' .. sale.id, user)
    units[sale.id][user] = mine
  end
  return mine
end

local function set_units(sale, user, text)
  units[sale.id][user] = text
  new_units[sale.id][user] = true
end

local function note(sale, hold, kind, actor, cause, before, key, fingerprint)
  seq = seq + 1
  sale.version = seq
  events[#events + 1] = {
    seq, sale.id, hold[ID], hold[USER], kind, actor, cause, now, before[1], before[2], before[3],
    sale.free, sale.held, sale.sold, hold[ENDS], key or '', fingerprint or '', hold[CHARGE]}
end

local function numbers(sale) return {sale.free, sale.held, sale.sold} end
local function is_live(hold) return hold[STATE] == 'held' or hold[STATE] == 'paying' end
local function save(hold) holds[hold[ID]], new_holds[hold[ID]] = hold, true end

local function finish(sale, hold, state, actor, cause, money)
  local before, left = numbers(sale), {}
  sale.held, sale.free = sale.held - 1, sale.free + 1
  for id in string.gmatch(units_of(sale, hold[USER]) or '', '[^,]+') do
    if id ~= hold[ID] then left[#left + 1] = id end
  end
  set_units(sale, hold[USER], #left > 0 and table.concat(left, ','))
  hold[STATE], hold[MONEY] = state, money
  ended[#ended + 1] = hold[ID]
  save(hold)
  note(sale, hold, state, actor, cause, before)
end

local function end_due(sale) -- once a batch is enough: all its commands have the same time
  sale.is_checked = true
  local key = P .. 'ends:' .. sale.id
  local ended_count = 0
  while true do
    local due = call('LINDEX', key, ended_count)
    local ends, id = string.match(due or '', '^(%d+) (.*)$')
    if not ends or tonumber(ends) > now then break end
    ended_count = ended_count + 1
    local hold = find(id)
    if hold and is_live(hold) then finish(sale, hold, 'expired', 'ttl', 'time over', hold[MONEY]) end
  end
  sale.ended_count = ended_count
end

local function sale_of(id, no_expiry)
  local sale = sales[id]
  if not sale then
    local v = call('HMGET', P .. 'sale:' .. id, 'free', 'held', 'sold', 'opens_ms', 'closes_ms', 'hold_ms', 'per_user',
      'version')
    if not v[1] then return nil end
    for i = 1, 8 do v[i] = tonumber(v[i]) end
    sale = {id = id, free = v[1], held = v[2], sold = v[3], opens = v[4], closes = v[5], hold = v[6], per_user = v[7],
      version = v[8], stored = v[8], ended_count = 0}
    sales[id] = sale
    units[id], new_units[id], new_ends[id] = units[id] or {}, {}, {}
  end
  if lazy and not no_expiry and not sale.is_checked then end_due(sale) end
  return sale
end

local function done(sale, hold, repeated)
  -- a copy: a later command of the batch may change the hold
  return {'', sale.free, sale.held, sale.sold, sale.version, hold and {unpack(hold)} or false, repeated or false}
end

local function refused(reason, sale, hold)
  if not sale then return {reason, 0, 0, 0, 0, false, false} end
  return {reason, sale.free, sale.held, sale.sold, sale.version, hold and {unpack(hold)} or false, false}
end

local function key_record(key) -- the first outcome of this key: [fingerprint, hold, reason, at_ms]
  local record = key ~= '' and key_records[key]
  if type(record) == 'string' then
    record = decode(record)
    key_records[key] = record
  end
  return record and now - record[4] < keep and record
end

local function remember(key, fingerprint, hold, reason)
  if key ~= '' then
    key_records[key] = {fingerprint, hold, reason, now}
    new_key_records[key] = true
  end
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
  for i = 2, #terms, 2 do -- write numbers with all digits, never as 1e+12
    if type(terms[i]) == 'number' then terms[i] = string.format('%.0f', terms[i]) end
  end
  call('HSET', P .. 'sale:' .. id, 'free', terms[6], 'held', 0, 'sold', 0, 'version', 0, unpack(terms))
  call('RPUSH', P .. 'sales', id)
  sale = sale_of(id, true)
  note(sale, {'', id, '', '', '', 0, 0, ''}, 'opened', actor, 'total ' .. terms[6], {0, 0, 0})
  return done(sale)
end

function commands.read_stock(id)
  local sale = sale_of(id)
  return sale and done(sale) or refused('unknown_sale')
end

function commands.reserve(id, user, hold_id, key, fingerprint)
  local sale, earlier = sale_of(id), key_record(key)
  if earlier then
    if earlier[1] ~= fingerprint then return refused('key_reused', sale) end
    if earlier[3] ~= '' then return refused(earlier[3], sale) end
    local hold = {unpack(find(earlier[2]))}
    hold[STATE], hold[MONEY], hold[CHARGE] = 'held', 'none', ''
    return done(sale, hold, true)
  end
  if not sale then return refused('unknown_sale') end
  local reason, mine, count, last = nil, units_of(sale, user), 0, nil
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
  local digits = string.format('%.0f', ends)
  sale.free, sale.held = sale.free - 1, sale.held + 1
  set_units(sale, user, mine and (mine .. ',' .. hold_id) or hold_id)
  table.insert(new_ends[id], digits .. ' ' .. hold_id)
  queued[#queued + 1] = digits
  queued[#queued + 1] = hold_id
  save(hold)
  remember(key, fingerprint, hold_id, '')
  note(sale, hold, 'held', 'user', '', before, key, fingerprint)
  return done(sale, hold)
end

function commands.pay(hold_id, key, fingerprint)
  local hold = find(hold_id)
  local sale = hold and sale_of(hold[SALE]) -- this may have just ended the hold
  local earlier = key_record(key)
  if earlier then
    if earlier[1] ~= fingerprint or earlier[2] ~= hold_id or not hold then return refused('key_reused', sale) end
    if hold[STATE] == 'paying' then return refused('key_running', sale, hold) end
    return done(sale, hold, true)
  end
  if not hold then return refused('unknown_hold') end
  if hold[STATE] ~= 'held' then return refused(hold[STATE] == 'paying' and 'paying' or 'ended', sale, hold) end
  hold[STATE], hold[MONEY] = 'paying', 'started'
  save(hold)
  open_money[hold_id] = true
  remember(key, fingerprint, hold_id, '')
  note(sale, hold, 'paying', 'user', '', numbers(sale), key, fingerprint)
  return done(sale, hold)
end

function commands.confirm(hold_id, charge, actor)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale = sale_of(hold[SALE])
  if hold[STATE] == 'sold' and hold[CHARGE] == charge then return done(sale, hold, true) end
  if hold[STATE] ~= 'paying' then return refused(hold[STATE] == 'held' and 'not_paying' or 'ended', sale, hold) end
  local before = numbers(sale)
  sale.held, sale.sold = sale.held - 1, sale.sold + 1
  hold[STATE], hold[MONEY], hold[CHARGE] = 'sold', 'charged', charge
  ended[#ended + 1] = hold_id
  save(hold)
  open_money[hold_id] = false
  orders[#orders + 1] = hold_id
  orders[#orders + 1] = encode({hold_id, sale.id, hold[USER], charge, now})
  note(sale, hold, 'sold', actor, '', before)
  return done(sale, hold)
end

function commands.release(hold_id, state, actor, cause)
  local hold = find(hold_id)
  if not hold then return refused('unknown_hold') end
  local sale, failed = sale_of(hold[SALE]), state == 'payment_failed'
  if hold[STATE] == state then return done(sale, hold, true) end
  if not is_live(hold) then return refused('ended', sale, hold) end
  if failed ~= (hold[STATE] == 'paying') then return refused(failed and 'not_paying' or 'paying', sale, hold) end
  if failed then open_money[hold_id] = false end
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
  if hold[MONEY] == money then return done(sale, hold, true) end
  if is_live(hold) then return refused('paying', sale, hold) end
  if hold[MONEY] ~= 'started' then return refused('ended', sale, hold) end
  hold[MONEY], hold[CHARGE] = money, charge
  save(hold)
  open_money[hold_id] = false
  note(sale, hold, money, actor, 'after the hold had ended', numbers(sale))
  return done(sale, hold)
end
