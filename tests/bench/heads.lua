-- For wrk: reads heads from a file (env HEADS, separated by NUL bytes) and sends them in turn over all connections.
-- env FRESH=1: every head is new (a counter in place of '@@').
local heads, at, fresh = {}, 0, os.getenv("FRESH") == "1"
local count = 0

function init(args)
  local file = assert(io.open(os.getenv("HEADS"), "rb"))
  for head in file:read("*a"):gmatch("[^%z]+") do heads[#heads + 1] = head end
  file:close()
end

function request()
  at = at % #heads + 1
  if fresh then
    count = count + 1
    return (heads[at]:gsub("@@", string.format("%010d", count), 1))
  end
  return heads[at]
end

-- One line with failures and latency for load.py.
function done(summary, latency, requests)
  io.write(string.format("RESULT %d %d %d %d %d %d %d\n", summary.requests, summary.duration, summary.errors.status,
    summary.errors.connect + summary.errors.read + summary.errors.write, summary.errors.timeout,
    latency:percentile(50), latency:percentile(99)))
end
