-- KEYS[1]: a callback's rate. ARGV: interval, tolerance and the longest wait, in microseconds.
-- Answers how many microseconds to wait. The arithmetic is that of `RateLimit::admit` in crates/core/src/rate.rs.
local interval, tolerance, wait_max = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next, queued_until = 0, 0
local value = redis.call('GET', KEYS[1])
if value then
  local first, second = string.match(value, '^(%d+) (%d+)$')
  next, queued_until = tonumber(first), tonumber(second)
end
next = math.max(next, now)
local wait = 0
local free = next - tolerance
if free <= now then
  next = next + interval
else
  queued_until = math.min(math.max(free, queued_until + interval), now + wait_max)
  wait = queued_until - now
end
-- Once both are in the past it is as if the callback had never sent.
local left_ms = math.ceil((math.max(next, queued_until) - now) / 1000)
redis.call('SET', KEYS[1], string.format('%.0f %.0f', next, queued_until), 'PX', left_ms)
return wait
