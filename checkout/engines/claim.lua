-- The delay queue: holds with an ended lease become ready again; then due holds move to this worker.
--   KEYS[1]  prefix       ARGV  now_ms, owner, lease_ms, most holds to claim       returns  the claimed holds
local P, now, owner, lease, limit = KEYS[1], tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
for _, hold in ipairs(redis.call('ZRANGEBYSCORE', P .. 'processing', '-inf', now)) do
  redis.call('ZREM', P .. 'processing', hold)
  redis.call('HDEL', P .. 'owner', hold)
  redis.call('ZADD', P .. 'ready', now, hold)
end
local due = redis.call('ZRANGEBYSCORE', P .. 'ready', '-inf', now, 'LIMIT', 0, limit)
for _, hold in ipairs(due) do
  redis.call('ZREM', P .. 'ready', hold)
  redis.call('ZADD', P .. 'processing', string.format('%.0f', now + lease), hold)
  redis.call('HSET', P .. 'owner', hold, owner)
end
return due
