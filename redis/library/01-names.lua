-- Names -----------------------------------------------------------------------------------------------------------

-- Our own keys do not start with the layer's prefix, because channels_redis' flush() deletes every key that does.
local function own(prefix, name)
  if prefix == 'asgi' then return 'tocsin:' .. name end
  return 'tocsin:' .. prefix .. ':' .. name
end

-- 'PREFIX:group:G' → prefix, group; or nil. A group name has no colon, so the last ':group:' is the separator.
local function parse_group_key(key)
  if type(key) ~= 'string' then return nil end
  local prefix, group = string.match(key, '^(.*):group:([%w%-_%.]+)$')
  if not prefix or #group >= 100 then return nil end
  return prefix, group
end

local BAD_GROUP_KEY = 'ERR tocsin: the key must be PREFIX:group:NAME, '
  .. 'NAME of ASCII letters, digits, "-", "_" or ".", shorter than 100 characters'

local crc_table = nil               -- made at the first call: a library may not use 'bit' while it loads

local function make_crc_table()
  crc_table = {}
  for i = 0, 255 do
    local c = i
    for _ = 1, 8 do
      if bit.band(c, 1) == 1 then c = bit.bxor(bit.rshift(c, 1), 0xEDB88320) else c = bit.rshift(c, 1) end
    end
    crc_table[i] = c
  end
end

local function crc32(text)
  if not crc_table then make_crc_table() end
  local c = bit.bnot(0)
  for i = 1, #text do
    c = bit.bxor(bit.rshift(c, 8), crc_table[bit.band(bit.bxor(c, string.byte(text, i)), 255)])
  end
  return bit.bnot(c)
end

-- channels_redis' ring of several servers: which of them has this name.
local function shard_of(name, shards)
  return math.floor(bit.band(crc32(name), 4095) / (4096 / shards))
end

local fleet_channels = {}           -- 'inbox.shard.shards' → the channel's name, up to its '!'

-- The fleet's channel of an inbox. With several servers its name has a number that makes the ring choose this server, so that
-- Django's layer finds the inbox where the group is.
local function fleet_channel(inbox, layer)
  local shard, shards = layer and layer.shard or 0, layer and layer.shards or 1
  if shards == 1 then return string.format('specific.tocsin-%02x!', inbox) end
  local key = inbox .. '.' .. shard .. '.' .. shards
  local number = 0
  while not fleet_channels[key] do
    local name = string.format('specific.tocsin-%02x.%d!', inbox, number)
    if shard_of(name, shards) == shard then fleet_channels[key] = name end
    number = number + 1
  end
  return fleet_channels[key]
end

-- The fleet's single member of a group: its inbox is one of 16, by the low 4 bits of the CRC-32 of the group's name.
local function fleet_member(group, layer)
  return fleet_channel(bit.band(crc32(group), 15), layer) .. group
end

-- Keys of another type under our names. A loop over many keys skips such a key, and reports it.
local types = { members = 'set', roster = 'hash', pos = 'hash', log = 'stream', retained = 'zset', staging = 'stream',
  seen = 'hash', holes = 'zset', expiring = 'zset', collapse = 'hash', due = 'zset', scheduled = 'hash', escalations = 'stream',
  tasks = 'zset', task = 'hash', push = 'hash' }

local function is_foreign(key, family)
  local type = redis.call('TYPE', key).ok
  return type ~= types[family] and type ~= 'none'
end

-- Records the key for `tocsin doctor`, the newest MAX_FOREIGN of them, and returns it.
local function note_foreign(prefix, key, seconds)
  local noted = own(prefix, 'foreign')
  redis.pcall('ZADD', noted, string.format('%.0f', seconds), key)
  redis.pcall('ZREMRANGEBYRANK', noted, 0, -1 - MAX_FOREIGN)
  return key
end

-- Redis' time in seconds, and as returned by TIME, which makes new epochs differ.
local function now()
  local t = redis.call('TIME')
  return t[1] + t[2] / 1000000, t
end

