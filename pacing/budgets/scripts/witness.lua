-- Which epoch it is, which server it began on, which server this is.
-- KEYS meta
local meta = redis.call('HMGET', KEYS[1], 'epoch', 'server')
return {meta[1] or '', meta[2] or '', server_id()}
