-- KEYS[1]: a callback's rate. ARGV: interval, tolerance, patience and the longest wait, in microseconds; first or again.
-- Answers whether the request is counted (1 or 0) and how many microseconds it has to wait. The arithmetic is that of
-- `RateLimit::admit` in crates/core/src/rate.rs.
local interval, tolerance = tonumber(ARGV[1]), tonumber(ARGV[2])
local patience, wait_max, first = tonumber(ARGV[3]), tonumber(ARGV[4]), ARGV[5] == 'first'
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local next, queued_until, requeued_until = 0, 0, 0
local value = redis.call('GET', KEYS[1])
if value then
  local a, b, c = string.match(value, '^(%d+) (%d+) (%d+)$')
  next, queued_until, requeued_until = tonumber(a), tonumber(b), tonumber(c)
end
next = math.max(next, now)
local wait = math.max(next - tolerance - now, 0)
if first and math.max(queued_until, requeued_until) > now then
  patience = 0
end
local counted = wait <= patience and 1 or 0
if counted == 1 then
  next = next + interval
else
  local behind = first and queued_until or requeued_until
  local at = math.min(math.max(now + wait, behind + interval), now + wait_max)
  if first then queued_until = at else requeued_until = at end
  wait = at - now
end
-- Once all are in the past it is as if the callback had never sent.
local left_ms = math.ceil((math.max(next, queued_until, requeued_until) - now) / 1000)
value = string.format('%.0f %.0f %.0f', next, queued_until, requeued_until)
redis.call('SET', KEYS[1], value, 'PX', left_ms)
return {counted, wait}
