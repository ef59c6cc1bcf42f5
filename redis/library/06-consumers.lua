-- Django's consumers ----------------------------------------------------------------------------------------------

-- A consumer of Channels takes a map in its layer's serializer, with a `type` that names a method. Whatever else it is sent
-- ends it, with the page's connection (code 1011). So a message that cannot be one is not sent to it, and is counted.

-- The `type` of a msgpack map, or nil. The last of several counts, as in a dict.
local function type_of_map(message)
  local n, body, found = map_parts(message)
  local at = #message - #body + 1
  for _ = 1, n do
    local key_end = skip(message, at, 1)
    local value_end = skip(message, key_end, 1)
    local k = byte(message, at)
    local is_str = k >= 0xa0 and k <= 0xbf or str_length[k]
    if is_str and string.sub(message, at + 1 + (str_length[k] or 0), key_end - 1) == 'type' then
      local b = byte(message, key_end)
      local is_text = b >= 0xa0 and b <= 0xbf or str_length[b]
      found = is_text and string.sub(message, key_end + 1 + (str_length[b] or 0), value_end - 1) or nil
    end
    at = value_end
  end
  return found
end

-- What Python's json can take: it gives up at its recursion limit, and at integers of more digits.
local MAX_CONSUMER_NESTING, MAX_CONSUMER_DIGITS = 200, 4300
local shallow = nil                 -- a cjson that takes no deeper nesting, made at the first call

local function has_long_integer(text)
  if not find(text, string.rep('%d', 100)) then return false end   -- nearly always, and found at once
  local outside = string.gsub(string.gsub(text, '\\.', ''), '"[^"]*"', '""')
  for number in string.gmatch(outside, '[%d%.eE+-]+') do
    if #number > MAX_CONSUMER_DIGITS and not find(number, '[%.eE]') then return true end
  end
  return false
end

-- The message in the layer's serializer; nil when a consumer cannot be sent it.
local function for_layer(message, layer)
  local packed = is_map(byte(message, 1))
  local type_name
  if packed then
    if not skip(message, 1, MAX_NESTING - MAX_CONSUMER_NESTING + 1) then return nil end
    type_name = type_of_map(message)
  else
    if not shallow then
      shallow = cjson.new()
      shallow.decode_max_depth(MAX_CONSUMER_NESTING)
    end
    local ok, value = pcall(shallow.decode, message)
    if not ok or layer.serializer == 'json' and has_long_integer(message) then return nil end
    type_name = value.type
  end
  -- Channels calls the method of this name, '.' read as '_'. A name with '_' in front is refused there.
  if type(type_name) ~= 'string' or not find(type_name, '^[^_%.]') then return nil end
  if packed == (layer.serializer == 'msgpack') then return message end
  local out = {}
  local done = packed and json_of(message, 1, out) or not packed and pack_json(message, find(message, '{', 1, true), out)
  return done and table.concat(out) or nil
end

-- A message for consumers with the channels that it is for: the last entry, so that it counts, whatever the message has.
local function addressed(message, channels)
  local first = channels[1]
  if not is_map(byte(message, 1)) then
    local names = {}
    for i, channel in ipairs(channels) do names[i] = '"' .. channel .. '"' end
    local text = channels.is_one and '"' .. first .. '"' or '[' .. table.concat(names, ', ') .. ']'
    local close = find(message, '}[ \t\r\n]*$')
    local comma = find(message, '{[ \t\r\n]*}[ \t\r\n]*$') == find(message, '{', 1, true) and '' or ', '
    return string.sub(message, 1, close - 1) .. comma .. '"' .. ASGI_CHANNEL .. '": ' .. text .. '}'
  end
  local n, body = map_parts(message)
  local names = {}
  for i, channel in ipairs(channels) do names[i] = pack_text(channel) end
  local value = channels.is_one and pack_text(first)
    or pack_length(#channels, 0x90, 15, 0xdc, 0xdd) .. table.concat(names)
  return pack_length(n + 1, 0x80, 15, 0xde, 0xdf) .. body .. pack_text(ASGI_CHANNEL) .. value
end

-- channels_redis 2.x has lists for inboxes. Up to 2.2 it pushes at the right and pops at the left, from 2.3 on the other way
-- round, which only shows when something is pushed: a gateway hears it and says so here, and it is remembered. Until then the
-- commands that this server was sent tell: 2.3 and later pop with BRPOPLPUSH, the ones before with BLPOP.
local pops = {}

local function push_by_statistics(prefix)
  if not pops[prefix] then
    local statistics = redis.call('INFO', 'commandstats')
    local moves, pop = string.find(statistics, 'cmdstat_brpoplpush:'), string.find(statistics, 'cmdstat_blpop:')
    if moves and not pop then pops[prefix] = 'LPUSH' elseif pop and not moves then pops[prefix] = 'RPUSH' end
  end
  return pops[prefix] or 'RPUSH'
end

local function push_of(prefix, heard)
  local key = own(prefix, 'push')
  local known = redis.call('GET', key)
  if heard and heard ~= known then
    redis.call('SET', key, heard)
    known = heard
  end
  return known or push_by_statistics(prefix)
end

-- Puts a message on a channel's key, the layer's way. Whether there was room. `mark`: makes members of a sorted set differ,
-- and orders those of one time.
local function put_on_channel(prefix, name, layer, message, mark, seconds)
  local key = prefix .. name
  if layer.lists then
    if redis.call('LLEN', key) >= layer.capacity then return false end
    if push_of(prefix) == 'LPUSH' then redis.call('LPUSH', key, message)
    else redis.call('RPUSH', key, message) end
  else
    redis.call('ZREMRANGEBYSCORE', key, 0, math.floor(seconds) - layer.expiry)
    if redis.call('ZCARD', key) >= layer.capacity then return false end
    local n = layer.random_prefix
    local random = n == 0 and '' or string.sub(string.rep('0', n - #mark) .. mark, -n)
    redis.call('ZADD', key, string.format('%.6f', seconds), random .. message)
  end
  redis.call('EXPIRE', key, layer.expiry)
  return true
end

-- What an encrypted layer's consumers are to be sent waits here until a gateway, which has the keys, has encrypted it.
-- `to` is a channel's name, or 'PUBLISH ' and a pub/sub channel.
local MAX_OUTGOING = 10000

local function put_outgoing(prefix, to, message)
  redis.call('XADD', own(prefix, 'outgoing'), 'MAXLEN', '~', MAX_OUTGOING, '*', 'to', to, 'm', message)
  return true
end

-- Gateways look once a second in any case.
local function ring_outgoing(prefix) redis.pcall('PUBLISH', prefix .. '__group__!outgoing', '') end

-- What happens to a message after it is in the log must not fail the send: its sender would send it again. A refusal (a right that
-- the caller lacks, in nearly all cases) is written to Redis' log instead, once a minute, and to ACL LOG by Redis itself.
local after_acceptance = { noted = -60 }

function after_acceptance.note(what, refused)
  local seconds = now()
  if seconds - after_acceptance.noted < 60 then return end
  after_acceptance.noted = seconds
  if type(refused) == 'table' then refused = refused.err end
  redis.log(redis.LOG_WARNING, 'tocsin: a message was accepted, but ' .. what .. ': ' .. tostring(refused)
    .. ' (ACL LOG names user and right; see redis/users.acl)')
end

-- How many subscribers a message reached, and the refusal, if it was refused.
function after_acceptance.publish(channel, text)
  local reached = redis.pcall('PUBLISH', channel, text)
  if type(reached) == 'number' then return reached end
  after_acceptance.note('it could not be published on ' .. channel, reached)
  return 0, reached
end

-- Members of the group that are no member of the fleet, by the name whose key they share; and the names that are gateways'. A
-- gateway's connection is a member by its own name when Django added it (channel_layer.group_add(group, reply_channel)).
local function consumers_of(place, members)
  local names, of, ours = {}, {}, {}
  for _, member in ipairs(members) do
    local name = string.match(member, '^[^!]*!') or member
    if not string.find(name, '^specific%.tocsin%-%x%x[.!]') then
      if not of[name] then
        local gateway = string.match(name, '^specific%.([%w%-_%.]+)!$')
        ours[name] = gateway and redis.call('EXISTS', own(place.prefix, 'gateway:' .. gateway)) == 1
        names[#names + 1], of[name] = name, {}
      end
      -- Whoever joined the group by its route hears what is published.
      if not ours[name] or redis.call('HEXISTS', place.roster, member) == 0 then table.insert(of[name], member) end
    end
  end
  return names, of, ours
end

-- The consumers that a core layer has in the group, told as channels_redis' group_send tells them. How many were told, and
-- how many skipped: the message is none for consumers, their key is full, or of another type.
local function tell_consumers(place, message, position, seconds)
  local first = redis.pcall('ZRANGE', place.key, 0, 1)
  if first.err or not first[1] or first[1] == place.fleet and not first[2] then return 0, 0 end
  local layer, told, skipped = place.layer, 0, 0
  redis.call('ZREMRANGEBYSCORE', place.key, 0, math.floor(seconds) - layer.group_expiry)
  local names, of, ours = consumers_of(place, redis.call('ZRANGE', place.key, 0, -1))
  if #names == 0 then return 0, 0 end
  local copy = for_layer(message, layer)
  local function put(name, channels, mark)
    if layer.encrypted then return put_outgoing(place.prefix, name, addressed(copy, channels)) end
    return put_on_channel(place.prefix, name, layer, addressed(copy, channels), mark, seconds)
  end
  local mark = string.sub(redis.sha1hex(place.key), 1, 4)
    .. string.format('%08x', tonumber(string.match(position, '%d+$')) % 0x100000000)
  for _, name in ipairs(names) do
    local members = of[name]
    if ours[name] then
      -- No consumer: it is sent the message as it is, whatever its type.
      if #members > 0 then pcall(put_on_channel, place.prefix, name, layer, addressed(message, members), mark, seconds) end
    elseif not copy then
      skipped = skipped + #members
    elseif layer.lists then
      for _, member in ipairs(members) do
        local ok, has_room = pcall(put, name, { member, is_one = true }, mark)
        if not ok then after_acceptance.note('consumers were skipped', has_room) end
        if ok and has_room then told = told + 1 else skipped = skipped + 1 end
      end
    else
      local ok, has_room = pcall(put, name, members, mark)
      if not ok then after_acceptance.note('consumers were skipped', has_room) end
      if ok and has_room then told = told + #members else skipped = skipped + #members end
    end
  end
  if layer.encrypted and told > 0 then ring_outgoing(place.prefix) end
  return told, skipped
end

-- Members of the group besides the fleet's, for a sender that lacks a right to tell them.
local function others_in(place)
  local members = redis.pcall('ZRANGE', place.key, 0, -1)
  local count = 0
  for _, member in ipairs(members.err and {} or members) do
    if not string.find(member, '^specific%.tocsin%-%x%x[.!]') then count = count + 1 end
  end
  return count
end

-- Processes of Django's pub/sub layer subscribe to a channel of their own for each consumer. One such channel is kept, by
-- prefix: while somebody is subscribed to it, nobody looks for others.
local pubsub_layers = {}

local function has_pubsub_layer(prefix)
  local known = pubsub_layers[prefix]
  local counts = known and redis.pcall('PUBSUB', 'NUMSUB', known)
  if counts and not counts.err and counts[2] > 0 then return true end
  pubsub_layers[prefix] = nil
  local pattern = string.gsub(prefix, '[%*%?%[%]\\]', '\\%0') .. 'specific.*'
  local channels = redis.pcall('PUBSUB', 'CHANNELS', pattern)
  if channels.err or not channels[1] then return false end
  pubsub_layers[prefix] = channels[1]
  return true
end

-- Publishes a message to the gateways that listen, and to whatever else does. How many do, how many processes of Django's
-- pub/sub layer were told and skipped, and the refusal if the caller may not publish to gateways.
--
-- A gateway subscribes to `channel` and to `gateways` in one command, so more subscribers of `channel` are not gateways. Consumers
-- of Django among them can be sent nothing but what their layer reads: then the gateways are told on `gateways`, where nobody else
-- listens, and the consumers' copy is marked, so that gateways leave it.
local function publish(place, message, text)
  local counts = redis.pcall('PUBSUB', 'NUMSUB', place.channel, place.gateways)
  local others = counts.err and 0 or counts[2] - counts[4]
  if others <= 0 or not has_pubsub_layer(place.prefix) then
    local reached, refused = after_acceptance.publish(place.channel, stamp(message, text))
    return reached, 0, 0, refused
  end
  local gateways, refused = after_acceptance.publish(place.gateways, stamp(message, text))
  local copy = for_layer(message, place.layer)
  if not copy then return gateways, 0, others, refused end
  copy = stamp(copy, text .. COPY)
  if place.layer.encrypted then
    local ok, why = pcall(put_outgoing, place.prefix, 'PUBLISH ' .. place.channel, copy)
    if not ok then
      after_acceptance.note('consumers were skipped', why)
      return gateways, 0, others, refused
    end
    ring_outgoing(place.prefix)
  else
    local _, why = after_acceptance.publish(place.channel, copy)
    if why then return gateways, 0, others, refused end
  end
  return gateways, others, 0, refused
end

