-- KEYS[1]: a request. ARGV: d(one), a(bandoned) or o(pen); the answer. The time to live stays as it was begun with.
local value = redis.call('GET', KEYS[1])
local state = value and string.sub(value, 1, 1)
if state ~= 'p' and state ~= 'u' then
  return
end
local fingerprint = string.sub(value, 2, 9)
if ARGV[1] == 'd' then
  local done = 'd' .. fingerprint .. ARGV[2]
  if done == 'd\0\0\0\0\0\0\0\0' then
    done = '1'
  end
  redis.call('SET', KEYS[1], done, 'KEEPTTL')
elseif ARGV[1] == 'a' and state == 'p' then
  redis.call('DEL', KEYS[1])
else
  -- Another was told of it meanwhile: what that one did stands, so that it is not forgotten but left open.
  redis.call('SET', KEYS[1], string.sub(value, 1, 17) .. '0000000000000' .. string.sub(value, 31), 'KEEPTTL')
end
