-- KEYS: claims. ARGV: lease in ms; a token of three digits; '1' if this very call may have been made before.
-- Answers the fence if all are granted, else a list: the fence, then for each claim 0 granted, -1 settled, or for how
-- many ms it is held.
local time = redis.call('TIME')
-- Microseconds and the token: as a text, being more than Lua's numbers hold; Redis stores it in eight bytes.
local fence = string.format('%s%06d%s', time[1], time[2], ARGV[2])
local answers = { fence }
local all = true
for i = 1, #KEYS do
  local answer = 0
  if not redis.call('SET', KEYS[i], fence, 'NX', 'PX', ARGV[1]) then
    local value = redis.call('GET', KEYS[i]) or ''
    if string.sub(value, 1, 1) == '-' then
      answer = -1
    elseif ARGV[3] == '1' and value ~= fence and string.sub(value, -3) == ARGV[2]
        and (time[1] * 1000000 + time[2]) - string.sub(value, 1, -4) < 2000000 then
      -- This call's own grant, whose answer was lost. The fence is new: nobody knows the other one.
      redis.call('SET', KEYS[i], fence, 'PX', ARGV[1])
    else
      answer = math.max(1, redis.call('PTTL', KEYS[i]))
    end
  end
  if answer ~= 0 then
    all = false
  end
  answers[i + 1] = answer
end
if all then
  return fence
end
return answers
