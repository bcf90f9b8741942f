-- KEYS: claims. ARGV: the fence of each, or one for all.
local values = redis.call('MGET', unpack(KEYS))
local own = {}
for i = 1, #KEYS do
  local fence = ARGV[i] or ARGV[1]
  if values[i] == fence or values[i] == '-' .. fence then
    own[#own + 1] = KEYS[i]
  end
end
if #own > 0 then
  redis.call('DEL', unpack(own))
end
