-- KEYS: claims. ARGV: how long to keep the marks in ms; then the fence of each claim, or one for all.
-- A claim whose lease is over and that nobody else has now is marked all the same.
local values = redis.call('MGET', unpack(KEYS))
for i = 1, #KEYS do
  local fence = ARGV[i + 1] or ARGV[2]
  if not values[i] or values[i] == fence then
    redis.call('SET', KEYS[i], '-' .. fence, 'PX', ARGV[1])
  end
end
