-- KEYS[1]: a request. ARGV: how long to keep it in ms; lease in ms; fingerprint, 8 bytes; token of this call, 8 bytes;
-- mark. Answers a letter and what belongs to it: n(ew), c(onflict), i(n progress), u(nfinished) and the mark, d(one)
-- and the answer.
-- The value: p(ut in) or u(nfinished before), fingerprint, token, end of the lease in 13 digits of ms, mark;
-- or d(one), fingerprint, answer; or '1', done without either, which costs no memory beyond that of the key.
local fingerprint, token = ARGV[3], ARGV[4]
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local function hold(state, mark)
  local lease_end = string.format('%013.0f', now + ARGV[2])
  redis.call('SET', KEYS[1], state .. fingerprint .. token .. lease_end .. mark, 'PX', ARGV[1])
end

local value = redis.call('GET', KEYS[1])
if not value then
  hold('p', ARGV[5])
  return 'n'
end
if value == '1' then
  return fingerprint == '\0\0\0\0\0\0\0\0' and 'd' or 'c'
end
if string.sub(value, 2, 9) ~= fingerprint then
  return 'c'
end
local state = string.sub(value, 1, 1)
if state == 'd' then
  return 'd' .. string.sub(value, 10)
end
local mark = string.sub(value, 31)
if string.sub(value, 10, 17) == token then
  -- It was this call, and its answer was lost.
  return state == 'p' and 'n' or 'u' .. mark
end
if now < tonumber(string.sub(value, 18, 30)) then
  return 'i'
end
hold('u', mark)
return 'u' .. mark
