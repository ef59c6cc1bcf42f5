#!lua name=tocsin
-- Tocsin's functions inside Redis, which make every Redis client in every language a publisher.
--
-- Load:  cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE      (gateways do it by themselves)
-- Send:  redis-cli -n 3 FCALL group_send 1 asgi:group:42isInsufficient '{"type":"receive","balance":3.5}'
--
-- function        KEYS                        ARGV                                              answer
-- group_send      PREFIX:group:G              message [TTL s] [KEY k] [SIZE n]                  {position, gateways[, told, skipped]}
-- channel_send    PREFIX:channel:NAME         message                                           1; CHANNELFULL when it has no room
-- group_add       PREFIX:group:G ...          gateway group_expiry (channel user info)...       {position and terms, ..., members put back}
-- group_discard   PREFIX:group:G ...          gateway channel...                                number left
-- group_position  PREFIX:group:G              -                                                  position
-- group_read      PREFIX:group:G ...          limit bytes position... [bytes...]                {{verdict, position, proven, entries}, ...}
-- gateway_lease   -                           prefix gateway seconds canary (field value)...    {canary, renewed, policy version, gateway, ...}
-- gateway_release -                           prefix gateway [process]                          1; 0 when it is another process'
-- gateway_sweep   -                           prefix limit                                      number swept, or {it, foreign key, ...}
-- gateway_retain  -                           prefix group_expiry start limit                   next start, 0 at the end, or {it, foreign key, ...}
-- gateway_trial   -                           prefix database [PRESENCE] [WAIT] [LISTS] [SCAN]  {right, ...}
-- gateway_collect inbox                       limit [push]                                      {message, ...}
-- outgoing_collect -                          prefix limit                                      {{id, message}, ...}
-- outgoing_commit -                           prefix id token                                   1; -1 gone, -2 not its turn
-- relay_collect   inbox staging               limit [push]                                      {moved, more, foreign key or '', {{id, message}, ...}}
-- relay_commit    staging PREFIX:group:G ...  id message                                        groups told; -1 gone, -2 not its turn
-- policy_set      -                           prefix rules [known] [layer]                      {version, changed}
-- tocsin_version  -                           [COMPATIBLE]                                      VERSION, or {VERSION, COMPATIBLE_SINCE}
--
-- Keys besides KEYS are derived from the prefix and the group: redis/README.md has the schema. Redis Cluster cannot
-- run this (nor does it have a database 3). Functions are not rolled back when they fail (redis.io, "Redis functions"):
-- so everything is validated before the first write, and the log is written before the counter.

local VERSION = 9
local COMPATIBLE_SINCE = 7          -- the oldest gateway, by the version of its own library, that can work with this one
local MAX_MESSAGE = 1048576         -- bytes; a notification, not a file
local MAX_NESTING = 1000            -- of arrays and maps; what cjson allows by default
local MAX_KEY = 200                 -- bytes of an idempotency key
local MAX_LINEAGE = 16              -- histories remembered per group: each is a restart or a failover
local DEFAULT_SIZE, DEFAULT_TTL = 100, 86400   -- history, where no policy matches
local MAX_FOREIGN = 100             -- keys of another type under our names that are remembered
local STAMP, ASGI_CHANNEL = '__tocsin__', '__asgi_channel__'
local LIVE = ' live'                -- follows the position in a stamp: no log has the message
local COPY = ' copy'                -- follows it in what is published for Django's pub/sub layer: gateways have the message

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
local types = { members = 'set', roster = 'hash', pos = 'hash', log = 'stream', retained = 'zset', staging = 'stream' }

local function is_foreign(key, family)
  local type = redis.call('TYPE', key).ok
  return type ~= types[family] and type ~= 'none'
end

-- Redis' time in seconds, and as returned by TIME, which makes new epochs differ.
local function now()
  local t = redis.call('TIME')
  return t[1] + t[2] / 1000000, t
end

-- Policies --------------------------------------------------------------------------------------------------------

-- '*' matches any run of characters, '?' a single one. The pattern is never turned into a Lua pattern.
local function glob(pattern, text)
  local p, t, star, mark = 1, 1, nil, nil
  while t <= #text do
    local c = string.sub(pattern, p, p)
    if c == '*' then star, mark, p = p, t, p + 1
    elseif c ~= '' and (c == '?' or c == string.sub(text, t, t)) then p, t = p + 1, t + 1
    elseif star then mark, p, t = mark + 1, star + 1, mark + 1
    else return false end
  end
  while string.sub(pattern, p, p) == '*' do p = p + 1 end
  return p > #pattern
end

-- A cache of parsed group keys: the names that a send needs, and the policy for as long as its text is unchanged.
local places, place_count, MAX_PLACES = {}, 0, 4096

-- nil when the key is not a group's.
local function place_of(key)
  local place = key and places[key]
  if place then return place end
  local prefix, group = parse_group_key(key)
  if not prefix then return nil end
  if place_count >= MAX_PLACES then places, place_count = {}, 0 end
  place = { prefix = prefix, name = group, key = key, pos = own(prefix, 'pos:' .. group), log = own(prefix, 'log:' .. group),
    roster = own(prefix, 'roster:' .. group), channel = prefix .. '__group__' .. group,
    gateways = prefix .. '__gateways__' .. group, policy = own(prefix, 'policy') }
  places[key], place_count = place, place_count + 1
  return place
end

-- What Django's layer is configured with: the defaults of channels_redis, which the gateways' `redis:` may change.
local function layer_terms(prefix, value)
  local given = type(value) == 'table' and value or {}
  local shard, shards = tonumber(given.shard) or 0, tonumber(given.shards) or 1
  if shards < 1 or shards > 64 or shard >= shards then shard, shards = 0, 1 end
  local lists = given.layer == '2' or given.layer == nil and string.sub(prefix, -1) == ':'
  return { lists = lists, serializer = given.serializer == 'json' and 'json' or 'msgpack',
    random_prefix = lists and 0 or tonumber(given.random_prefix_length) or 12, capacity = tonumber(given.capacity) or 100,
    expiry = tonumber(given.expiry) or 60, group_expiry = tonumber(given.group_expiry) or 86400,
    encrypted = given.encrypted == true, shard = shard, shards = shards }
end

local parsed = {}                   -- prefix → the policies' text last parsed, its version, rules and layer

-- The policies of a prefix: {version, rules, layer, text}. Without any: version 0, no rules, the layer's defaults.
local function policies(prefix, text)
  local cache = parsed[prefix]
  if not cache or cache.text ~= text then
    local ok, value = pcall(cjson.decode, text or '{}')
    if not ok or type(value) ~= 'table' then value = {} end
    cache = { text = text, version = tonumber(value.version) or 0, rules = type(value.rules) == 'table' and value.rules or {},
      layer = layer_terms(prefix, value.layer) }
    parsed[prefix] = cache
  end
  return cache
end

-- What Django's layer is configured with, for functions that are about no group.
local function layer_of(prefix) return policies(prefix, redis.call('GET', own(prefix, 'policy'))).layer end

-- History size (messages), ttl (seconds) and whether joins and leaves are published: by the first rule that matches.
local function policy(place)
  local text = redis.call('GET', place.policy)
  if place.text == nil or place.text ~= text then
    local all = policies(place.prefix, text)
    place.text, place.size, place.ttl, place.join_leave, place.layer = text, DEFAULT_SIZE, DEFAULT_TTL, false, all.layer
    place.fleet = fleet_member(place.name, all.layer)
    for _, rule in ipairs(all.rules) do
      if glob(rule.match, place.name) then
        place.size, place.ttl = rule.size or DEFAULT_SIZE, rule.ttl or DEFAULT_TTL
        place.join_leave = rule.join_leave == true
        break
      end
    end
  end
  return place.size, place.ttl, place.join_leave
end

-- Messages --------------------------------------------------------------------------------------------------------

-- Exactly those messages are refused that gateways cannot show (both are tested with Tests/Messages/corpus.txt). A message
-- that got a position but reaches nobody would be lost although its sender was told otherwise.
local NOT_WHOLE = 'ERR tocsin: the message is not one whole msgpack map; a length in it is wrong, or something follows'
local BAD_KEY = 'ERR tocsin: the message has a map key that is no string; make every msgpack key a str'
local BAD_TYPE = 'ERR tocsin: the message has an extension type or a timestamp; send a number or a str in its place'
local BAD_TEXT = 'ERR tocsin: the message has a str that is not UTF-8; send UTF-8, or bytes as a bin'
local TOO_DEEP = 'ERR tocsin: the message is nested more than 1000 deep; send it flatter'

local byte, find = nil, nil         -- set at the first call: a library may not use 'string' while it loads

local fixed_length = {              -- msgpack types of fixed length: bytes after the type byte
  [0xc0] = 0, [0xc2] = 0, [0xc3] = 0, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8,
  [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8 }
local str_length = { [0xd9] = 1, [0xda] = 2, [0xdb] = 4 }   -- size of the length field
local bin_length = { [0xc4] = 1, [0xc5] = 2, [0xc6] = 4 }
local ext = { [0xc7] = true, [0xc8] = true, [0xc9] = true,
  [0xd4] = true, [0xd5] = true, [0xd6] = true, [0xd7] = true, [0xd8] = true }

local function uint(s, i, n)
  local v = 0
  for k = i, i + n - 1 do
    local b = byte(s, k)
    if not b then return nil end
    v = v * 256 + b
  end
  return v
end

local utf8_sequences = {            -- multi-byte sequences: RFC 3629, section 4
  '[\194-\223][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]', '\224[\160-\191][\128-\191]',
  '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]' }

local known, known_count, MAX_KNOWN = {}, 0, 4096   -- characters known to be valid UTF-8 → a space

-- Texts use few different characters, and validation is three times as fast when they are looked up.
local function is_utf8(text)
  local rest = string.gsub(text, '[\194-\244][\128-\191]+', known)
  if string.find(rest, '^[^\128-\255]*$') then return true end
  local left = rest
  for _, sequence in ipairs(utf8_sequences) do left = string.gsub(left, sequence, ' ') end
  if not string.find(left, '^[^\128-\255]*$') then return false end
  if known_count >= MAX_KNOWN then known, known_count = {}, 0 end
  for character in string.gmatch(rest, '[\194-\244][\128-\191]+') do
    if known_count < MAX_KNOWN and not known[character] then known[character], known_count = ' ', known_count + 1 end
  end
  return true
end

-- The index after the text from i to last; or nil and why. Most text is ASCII, which a single find shows: it stops at the
-- next byte of 0x80 or above, at the latest at the type byte of the next text, so no byte is scanned twice.
local function after_text(s, i, last)
  if last > #s then return nil, NOT_WHOLE end
  local _, ascii = find(s, '^[^\128-\255]*', i)
  if ascii < last and not is_utf8(string.sub(s, ascii + 1, last)) then return nil, BAD_TEXT end
  return last + 1
end

-- The index after the msgpack value at i, which may be beyond the end; or nil and why when it cannot be shown.
local function skip(s, i, depth)
  local b = byte(s, i)
  if not b then return nil, NOT_WHOLE end
  if b <= 0x7f or b >= 0xe0 then return i + 1 end
  if b >= 0xa0 and b <= 0xbf then return after_text(s, i + 1, i + b - 0xa0) end
  if fixed_length[b] then return i + 1 + fixed_length[b] end
  local width = str_length[b]
  if width then
    local n = uint(s, i + 1, width)
    if not n then return nil, NOT_WHOLE end
    return after_text(s, i + 1 + width, i + width + n)
  end
  width = bin_length[b]
  if width then
    local n = uint(s, i + 1, width)
    if not n then return nil, NOT_WHOLE end
    return i + 1 + width + n
  end
  if ext[b] then return nil, BAD_TYPE end
  local n, at, keyed = nil, nil, false
  if b <= 0x8f then n, at, keyed = b - 0x80, i + 1, true
  elseif b <= 0x9f then n, at = b - 0x90, i + 1
  elseif b == 0xdc then n, at = uint(s, i + 1, 2), i + 3
  elseif b == 0xdd then n, at = uint(s, i + 1, 4), i + 5
  elseif b == 0xde then n, at, keyed = uint(s, i + 1, 2), i + 3, true
  elseif b == 0xdf then n, at, keyed = uint(s, i + 1, 4), i + 5, true end
  if not n or n > #s then return nil, NOT_WHOLE end   -- a claimed length beyond the end, or 0xc1, which is not a type
  if depth > MAX_NESTING then return nil, TOO_DEEP end
  local why
  for _ = 1, n do
    if keyed then
      local key = byte(s, at)
      if key and (key < 0xa0 or key > 0xbf) and not str_length[key] and not bin_length[key] then return nil, BAD_KEY end
      at, why = skip(s, at, depth)
      if not at then return nil, why end
    end
    at, why = skip(s, at, depth + 1)
    if not at then return nil, why end
    if at > #s + 1 then return nil, NOT_WHOLE end
  end
  return at
end

local function is_map(b) return b ~= nil and ((b >= 0x80 and b <= 0x8f) or b == 0xde or b == 0xdf) end

local strict = nil                  -- our own cjson instance, made at the first call

-- The value of the JSON text, or nil. cjson accepts what no browser does: NaN, 0x10, 01, "1.", "-.5", control characters
-- in strings, bytes that are not UTF-8, and anything after a NUL byte. The excess is searched for in the text, with
-- anchored patterns, because they cost a tenth of others.
local function decode_json(text)
  if not strict then
    strict = cjson.new()
    strict.decode_invalid_numbers(false)
  end
  local ok, value = pcall(strict.decode, text)
  if not ok then return nil end
  local plain = string.find(text, '^[ -~]*$')
  -- If no character of a bad number occurs anywhere, not even in a string, the text is fine. A plain find is nearly free.
  if plain and (not string.find(text, '.', 1, true)
    or not string.find(text, '%D%.') and not string.find(text, '%.%D')) then return value end
  local bare = string.find(text, '\\', 1, true) and string.gsub(text, '\\.', '') or text
  local control = nil
  local outside = string.gsub(bare, '"([^"]*)"', plain and '""' or function(inside)
    control = control or not string.find(inside, '^[^%z\1-\31]*$')
    return '""'
  end)
  if control or not string.find(outside, '^[\t\n\r -~]*$') or string.find(outside, '%D%.')
    or string.find(outside, '%.%D') or not (plain or is_utf8(text)) then return nil end
  return value
end

-- Half a surrogate pair (`"\ud83d"`, which JavaScript writes for an emoji that was cut) is valid JSON for browsers but not
-- for cjson: replaces it by other characters. Escaped backslashes go first, because what follows one is not an escape.
local function without_lone_surrogates(text)
  local rest = string.gsub(text, '\\\\', '__')
  rest = string.gsub(rest, '\\u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x', '____________')
  return (string.gsub(rest, '\\u[dD][89a-fA-F]%x%x', '______'))
end

local function is_json(text)
  if decode_json(text) ~= nil then return true end
  return find(text, '\\u[dD]') ~= nil and decode_json(without_lone_surrogates(text)) ~= nil
end

-- nil when the message can be sent, otherwise the error's text. Errors never contain user text.
local function refuse(message)
  byte, find = string.byte, string.find
  if #message > MAX_MESSAGE then return 'ERR tocsin: the message is longer than 1048576 bytes' end
  if is_map(byte(message, 1)) then
    local at, why = skip(message, 1, 1)
    if at == #message + 1 then return nil end
    return why or NOT_WHOLE
  end
  if byte(message, 1) ~= 123 and not find(message, '^[ \t\r\n]*{') then
    return 'ERR tocsin: the message must be a JSON object or a msgpack map'
  end
  if not is_json(message) then
    return 'ERR tocsin: the message is not valid JSON; send RFC 8259, in UTF-8, without NaN, at most 1000 deep'
  end
  return nil
end

-- The header of something with n parts.
local function pack_length(n, fixed, limit, wide, wider)
  if n <= limit then return string.char(fixed + n) end
  if n <= 0xffff then return struct.pack('>BI2', wide, n) end
  return struct.pack('>BI4', wider, n)
end

-- The number of a msgpack map's entries, and the bytes after its header.
local function map_parts(message)
  local b = string.byte(message, 1)
  if b == 0xde then return uint(message, 2, 2), string.sub(message, 4) end
  if b == 0xdf then return uint(message, 2, 4), string.sub(message, 6) end
  return b - 0x80, string.sub(message, 2)
end

-- The message with its stamp (the position, and whether it is live only) as the first entry of its map, spliced in as bytes:
-- decoding and encoding again would change numbers, and cmsgpack cannot read msgpack's bin.
local function stamp(message, text)
  if not is_map(string.byte(message, 1)) then
    local brace = string.find(message, '{', 1, true)
    local comma = string.find(message, '^[ \t\r\n]*}', brace + 1) and '' or ','
    return string.sub(message, 1, brace) .. '"' .. STAMP .. '":"' .. text .. '"' .. comma
      .. string.sub(message, brace + 1)
  end
  local n, body = map_parts(message)
  local value = #text <= 31 and string.char(0xa0 + #text) or string.char(0xd9, #text)
  return pack_length(n + 1, 0x80, 15, 0xde, 0xdf) .. string.char(0xa0 + #STAMP) .. STAMP .. value .. text .. body
end

-- Positions -------------------------------------------------------------------------------------------------------

-- History: the server's replication id. A primary makes its own: a new one at every promotion and every restart. A replica
-- has its primary's. So messages are sent under an id that belongs to this process, and two servers can never give the same
-- (history, offset) to different messages, which an epoch alone cannot guarantee after a failover.
--
-- INFO is expensive. What it returned on a primary is remembered, and trusted for groups whose key has that history: no
-- other process has ever written under it. The process may have been a replica since. Then either another server wrote to
-- the group, which its key shows; or nothing from this process was lost meanwhile: a replica that must discard its own
-- writes reloads all data together with the functions, which resets this. What INFO returns on a replica is the primary's
-- id, under which the primary may lose messages that never arrived here: it is used for a reader's answer, and not kept.
local history_known = nil

-- Asked once per call; `clock` remembers the answer.
local function history_id(clock)
  if not clock.history then
    local info = redis.call('INFO', 'replication')
    clock.history = string.sub(string.match(info, 'master_replid:(%x+)'), 1, 10)
    if string.match(info, 'role:(%a+)') == 'master' then history_known = clock.history else clock.follows = true end
  end
  return clock.history
end

-- The error for a send or a join on a writable replica: it would give its primary's offsets to other messages.
local function refuse_replica(clock)
  if not history_known then history_id(clock) end
  return clock.follows and redis.error_reply('READONLY tocsin: this server is a replica, though one that takes writes '
    .. '("replica-read-only no"). Send to its primary')
end

local function new_epoch(key, clock, history)
  return string.sub(redis.sha1hex(key .. clock[1] .. clock[2] .. history), 1, 8)
end

-- The group's position: epoch, history, offset; and, if the key has a different one, the new lineage and what has changed.
-- The lineage is 'history:offset inherited,…', oldest first: how far each history's offsets are valid.
local function read_position(key, clock)
  local m = redis.call('HMGET', key, 'epoch', 'history', 'offset')
  local offset = tonumber(m[3])
  if m[1] and offset and m[2] == history_known then return m[1], history_known, offset end
  local history = history_id(clock)
  if not m[1] or not offset then
    return new_epoch(key, clock, history), history, 0, history .. ':0', 'new'
  end
  if m[2] == history then return m[1], history, offset end
  local lineage = redis.call('HMGET', key, 'lineage')[1]
  lineage = (lineage and lineage .. ',' or '') .. history .. ':' .. string.format('%d', offset)
  local _, commas = string.gsub(lineage, ',', '')
  if commas >= MAX_LINEAGE then lineage = string.gsub(lineage, '^[^,]*,', '', 1) end
  return m[1], history, offset, lineage, 'history'
end

local function text_position(epoch, history, offset)
  return epoch .. '.' .. history .. ':' .. string.format('%d', offset)
end

-- The position's key must outlive the log by far, because its loss means a new epoch. A position without messages is kept
-- as long as clients refresh it.
local EMPTY_SECONDS = 3600

local function keep_position(key, ttl, offset)
  redis.call('EXPIRE', key, offset == 0 and EMPTY_SECONDS or math.max(ttl * 10, 864000))
end

-- The position of a reader before the first message, or after it was told that the group's key is gone: everything that
-- follows is new to it.
local BEGINNING = '0.0:0'

local function write_position(key, epoch, history, offset, lineage)
  redis.call('HSET', key, 'epoch', epoch, 'history', history, 'offset', string.format('%d', offset), 'lineage', lineage)
end

-- A log without a position belongs to an old epoch. A foreign key under its name is left for XADD to refuse.
local function drop_log(log)
  if not is_foreign(log, 'log') then redis.call('DEL', log) end
end

-- The position for a join. A group to which nothing was sent has none, and a join creates none unless it must: otherwise
-- anybody who may choose names could fill Redis.
local function present_position(place, ttl, clock, makes)
  local key = place.pos
  local epoch, history, offset, lineage, changed = read_position(key, clock)
  if changed == 'new' then
    if not makes then return BEGINNING end
    drop_log(place.log)
  end
  if changed then write_position(key, epoch, history, offset, lineage) end
  keep_position(key, ttl, offset)
  return text_position(epoch, history, offset)
end

-- Drops entries older than ttl from the head of the log; ids are offsets, so the age is in the entry. One entry at a time:
-- the first is nearly always young enough, and an entry may be 1 MiB. A publisher whose ACL does not let it read logs
-- leaves this to others.
local function trim_by_age(log, oldest_ms)
  if not redis.acl_check_cmd('XRANGE', log, '-', '+') then return end
  local keep = nil
  for _ = 1, 32 do
    local entry = redis.call('XRANGE', log, keep and '(' .. keep or '-', '+', 'COUNT', 1)[1]
    if not entry then break end
    local t = 0
    for i = 1, #entry[2], 2 do if entry[2][i] == 't' then t = tonumber(entry[2][i + 1]) or 0 end end
    if t >= oldest_ms then break end
    keep = entry[1]
  end
  if keep then redis.call('XTRIM', log, 'MINID', '=', string.format('%d-0', tonumber(string.match(keep, '^%d+')) + 1)) end
end

-- Django's consumers ----------------------------------------------------------------------------------------------

-- A consumer of Channels takes a map in its layer's serializer, with a `type` that names a method. Whatever else it is sent
-- ends it, with the page's connection (code 1011). So a message that cannot be one is not sent to it, and is counted.

local function pack_text(text)
  local n = #text
  if n > 31 and n <= 0xff then return string.char(0xd9, n) .. text end
  return pack_length(n, 0xa0, 31, 0xda, 0xdb) .. text
end

-- Two's complement of 64 bits in two halves.
local function negated(high, low)
  if low == 0 then return 0x100000000 - high, 0 end
  return 0xffffffff - high, 0x100000000 - low
end

-- A JSON number's text as msgpack: the shortest integer, or a float64; nil when 64 bits do not hold it.
local function pack_number(text)
  if find(text, '[%.eE]') then return '\203' .. struct.pack('>d', tonumber(text)) end
  local digits = string.match(text, '%d+')
  local negative = byte(text, 1) == 45
  if #digits <= 15 then
    local v = tonumber(digits)
    if not negative or v == 0 then
      if v <= 0x7f then return string.char(v) end
      if v <= 0xff then return string.char(0xcc, v) end
      if v <= 0xffff then return struct.pack('>BI2', 0xcd, v) end
      if v <= 0xffffffff then return struct.pack('>BI4', 0xce, v) end
    else
      if v <= 0x20 then return string.char(0x100 - v) end
      if v <= 0x80 then return string.char(0xd0, 0x100 - v) end
      if v <= 0x8000 then return struct.pack('>BI2', 0xd1, 0x10000 - v) end
      if v <= 0x80000000 then return struct.pack('>BI4', 0xd2, 0x100000000 - v) end
    end
  end
  local high, low = 0, 0              -- of the 64 bits: a Lua number has 53
  for digit in string.gmatch(digits, '%d') do
    low = low * 10 + tonumber(digit)
    high = high * 10 + math.floor(low / 0x100000000)
    low = low % 0x100000000
    if high >= 0x100000000 then return nil end
  end
  if not negative then return struct.pack('>BI4I4', 0xcf, high, low) end
  if high > 0x80000000 or high == 0x80000000 and low > 0 then return nil end
  high, low = negated(high, low)
  return struct.pack('>BI4I4', 0xd3, high % 0x100000000, low)
end

local escaped = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' }

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64) end
  local last = string.char(0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  if code < 0x10000 then return string.char(0xe0 + math.floor(code / 4096)) .. last end
  return string.char(0xf0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64) .. last
end

-- The JSON string whose first character is at i, and the index after its quote; nil for half a surrogate pair, which is no
-- UTF-8.
local function json_text(s, i)
  local parts = nil
  while true do
    local stop = find(s, '["\\]', i)
    local plain = string.sub(s, i, stop - 1)
    if byte(s, stop) == 34 then
      if not parts then return plain, stop + 1 end
      parts[#parts + 1] = plain
      return table.concat(parts), stop + 1
    end
    parts = parts or {}
    parts[#parts + 1] = plain
    local escape = string.sub(s, stop + 1, stop + 1)
    i = stop + 2
    if escape == 'u' then
      local code = tonumber(string.sub(s, i, i + 3), 16)
      i = i + 4
      if code >= 0xd800 and code <= 0xdfff then
        local low = code <= 0xdbff and string.match(s, '^\\u([dD][c-fC-F]%x%x)', i)
        if not low then return nil end
        code, i = 0x10000 + (code - 0xd800) * 1024 + tonumber(low, 16) - 0xdc00, i + 6
      end
      parts[#parts + 1] = utf8_of(code)
    else
      parts[#parts + 1] = escaped[escape]
    end
  end
end

-- Appends the JSON value at i (which `refuse` has let pass) to `out`, as msgpack. The index after it; nil when msgpack has no
-- such value.
local function pack_json(s, i, out)
  local c = byte(s, i)
  if c == 34 then
    local text, after = json_text(s, i + 1)
    if not text then return nil end
    out[#out + 1] = pack_text(text)
    return after
  end
  if c == 116 then out[#out + 1] = '\195'; return i + 4 end
  if c == 102 then out[#out + 1] = '\194'; return i + 5 end
  if c == 110 then out[#out + 1] = '\192'; return i + 4 end
  if c ~= 123 and c ~= 91 then
    local text = string.match(s, '^[%d%.eE+-]+', i)
    local packed = pack_number(text)
    if not packed then return nil end
    out[#out + 1] = packed
    return i + #text
  end
  local head, n = #out + 1, 0
  out[head] = ''
  i = find(s, '[^ \t\r\n]', i + 1)
  while byte(s, i) ~= c + 2 do        -- '}' and ']' are two after '{' and '['
    if c == 123 then
      local key, after = json_text(s, i + 1)
      if not key then return nil end
      out[#out + 1] = pack_text(key)
      i = find(s, '[^ \t\r\n:]', after)
    end
    i = pack_json(s, i, out)
    if not i then return nil end
    n, i = n + 1, find(s, '[^ \t\r\n]', i)
    if byte(s, i) == 44 then i = find(s, '[^ \t\r\n]', i + 1) end
  end
  out[head] = c == 123 and pack_length(n, 0x80, 15, 0xde, 0xdf) or pack_length(n, 0x90, 15, 0xdc, 0xdd)
  return i + 1
end

-- Two 32-bit halves as decimal digits.
local function decimal(high, low)
  if high < 0x200000 then return string.format('%.0f', high * 0x100000000 + low) end
  local text = ''
  repeat
    local rest = high % 10 * 0x100000000 + low
    high, low = math.floor(high / 10), math.floor(rest / 10)
    text = string.format('%d', rest - low * 10) .. text
  until high == 0 and low == 0
  return text
end

-- As Python prints it: the fewest digits that give the same number, and NaN and Infinity, which Python's json reads.
local function float_text(v)
  if v ~= v then return 'NaN' end
  if v == math.huge then return 'Infinity' elseif v == -math.huge then return '-Infinity' end
  local text
  for digits = 15, 17 do
    text = string.format('%.' .. digits .. 'g', v)
    if tonumber(text) == v then break end
  end
  return find(text, '[%.e]') and text or text .. '.0'
end

local function quoted(text)
  return '"' .. string.gsub(text, '[%z\1-\31"\\]', function(c) return string.format('\\u%04x', byte(c)) end) .. '"'
end

local integers = {                  -- msgpack type → bytes, and what is above the sign bit
  [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xd0] = 1, [0xd1] = 2, [0xd2] = 4 }

-- Appends the msgpack value at i (which `refuse` has let pass) to `out`, as JSON. The index after it; nil for bytes, which
-- JSON does not have.
local function json_of(s, i, out)
  local b = byte(s, i)
  local function put(text, after) out[#out + 1] = text; return after end
  if b <= 0x7f then return put(tostring(b), i + 1) end
  if b >= 0xe0 then return put(tostring(b - 0x100), i + 1) end
  if b == 0xc0 then return put('null', i + 1) end
  if b == 0xc2 or b == 0xc3 then return put(b == 0xc3 and 'true' or 'false', i + 1) end
  local width = integers[b]
  if width then
    local v = uint(s, i + 1, width)
    if b >= 0xd0 and v >= 256 ^ width / 2 then v = v - 256 ^ width end
    return put(string.format('%.0f', v), i + 1 + width)
  end
  if b == 0xcf or b == 0xd3 then
    local high, low = uint(s, i + 1, 4), uint(s, i + 5, 4)
    if b == 0xcf or high < 0x80000000 then return put(decimal(high, low), i + 9) end
    high, low = negated(high, low)
    return put('-' .. decimal(high, low), i + 9)
  end
  if b == 0xca then return put(float_text((struct.unpack('>f', s, i + 1))), i + 5) end
  if b == 0xcb then return put(float_text((struct.unpack('>d', s, i + 1))), i + 9) end
  if bin_length[b] then return nil end
  local bytes = str_length[b]
  if bytes or b >= 0xa0 and b <= 0xbf then
    local n = bytes and uint(s, i + 1, bytes) or b - 0xa0
    local at = i + 1 + (bytes or 0)
    return put(quoted(string.sub(s, at, at + n - 1)), at + n)
  end
  local is_object = is_map(b)
  local n, at = nil, i + 1
  if b <= 0x8f then n = b - 0x80
  elseif b <= 0x9f then n = b - 0x90
  elseif b == 0xdc or b == 0xde then n, at = uint(s, at, 2), i + 3
  else n, at = uint(s, at, 4), i + 5 end
  out[#out + 1] = is_object and '{' or '['
  for item = 1, n do
    if item > 1 then out[#out + 1] = ', ' end
    if is_object then
      at = json_of(s, at, out)
      if not at then return nil end
      out[#out + 1] = ': '
    end
    at = json_of(s, at, out)
    if not at then return nil end
  end
  return put(is_object and '}' or ']', at)
end

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

local function ring_outgoing(prefix) redis.call('PUBLISH', prefix .. '__group__!outgoing', '') end

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
        if ok and has_room then told = told + 1 else skipped = skipped + 1 end
      end
    else
      local ok, has_room = pcall(put, name, members, mark)
      if ok and has_room then told = told + #members else skipped = skipped + #members end
    end
  end
  if layer.encrypted and told > 0 then ring_outgoing(place.prefix) end
  return told, skipped
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

-- Publishes a message to the gateways that listen, and to whatever else does. How many do, and how many processes of Django's
-- pub/sub layer were told and skipped.
--
-- A gateway subscribes to `channel` and to `gateways` in one command, so more subscribers of `channel` are not gateways. Consumers
-- of Django among them can be sent nothing but what their layer reads: then the gateways are told on `gateways`, where nobody else
-- listens, and the consumers' copy is marked, so that gateways leave it.
local function publish(place, message, text)
  local counts = redis.pcall('PUBSUB', 'NUMSUB', place.channel, place.gateways)
  local others = counts.err and 0 or counts[2] - counts[4]
  if others <= 0 or not has_pubsub_layer(place.prefix) then
    return redis.call('PUBLISH', place.channel, stamp(message, text)), 0, 0
  end
  local gateways = redis.call('PUBLISH', place.gateways, stamp(message, text))
  local copy = for_layer(message, place.layer)
  if not copy then return gateways, 0, others end
  copy = stamp(copy, text .. COPY)
  if place.layer.encrypted then
    if not pcall(put_outgoing, place.prefix, 'PUBLISH ' .. place.channel, copy) then return gateways, 0, others end
    ring_outgoing(place.prefix)
  else
    redis.call('PUBLISH', place.channel, copy)
  end
  return gateways, others, 0
end

-- The log ---------------------------------------------------------------------------------------------------------

-- Appends, counts and publishes one validated message. Returns the position, the number of gateways, and of the processes
-- of Django's pub/sub layer that were told and skipped.
local function append(place, message, size, ttl, message_ttl, seconds, clock)
  local key, log = place.pos, place.log
  local epoch, history, offset, lineage, changed = read_position(key, clock)
  local refused = refuse_replica(clock)
  if refused then return nil, refused end
  if changed == 'new' then drop_log(log) end
  offset = offset + 1
  -- EXPIRE is expensive: called only when the remaining time is wrong, at most twice a second.
  local keep = changed or offset == 1   -- a position without messages has a short expiry
  local expires = message_ttl and string.format('%d', math.floor((seconds + message_ttl) * 1000))
  if size > 0 then
    local written = string.format('%d', math.floor(seconds * 1000))
    local function add(id)
      if not expires then return redis.pcall('XADD', log, 'MAXLEN', '~', size, id, 'm', message, 't', written) end
      return redis.pcall('XADD', log, 'MAXLEN', '~', size, id, 'm', message, 't', written, 'x', expires)
    end
    local added = add(string.format('%d-0', offset))
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'equal or smaller', 1, true) then return nil, added end
      -- The log is ahead of its counter: one of them was restored or changed. Neither can be trusted.
      redis.call('DEL', log)
      epoch, offset, lineage, changed = new_epoch(key, clock, history), 1, history .. ':0', 'new'
      add('1-0')
    end
    if redis.call('TTL', log) ~= ttl then
      redis.call('EXPIRE', log, ttl)
      keep = true
    end
    if offset % 16 == 0 then trim_by_age(log, (seconds - ttl) * 1000) end
  end
  if changed then
    write_position(key, epoch, history, offset, lineage)
  else
    redis.call('HSET', key, 'offset', string.format('%d', offset))
  end
  if keep or size == 0 then keep_position(key, ttl, offset) end
  local position = text_position(epoch, history, offset)
  return position, publish(place, message, size > 0 and position or position .. LIVE)
end

-- group_send ------------------------------------------------------------------------------------------------------

local function whole_number(text, least, most)
  if type(text) ~= 'string' or not string.find(text, '^%d+$') or #text > 12 then return nil end
  local n = tonumber(text)
  if n < least or n > most then return nil end
  return n
end

local function group_send(keys, args)
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  if not args[1] then return redis.error_reply('ERR tocsin: the message is missing: FCALL group_send 1 KEY MESSAGE') end
  local message_ttl, idempotency, size_option = nil, nil, nil
  for i = 2, #args, 2 do
    local option, value = string.upper(args[i]), args[i + 1]
    if option == 'TTL' then
      message_ttl = whole_number(value, 1, 315360000)
      if not message_ttl then return redis.error_reply('ERR tocsin: TTL wants whole seconds, 1 or more') end
    elseif option == 'KEY' then
      if not value or #value == 0 or #value > MAX_KEY then
        return redis.error_reply('ERR tocsin: KEY wants 1 to 200 bytes')
      end
      idempotency = own(place.prefix, 'key:' .. place.name .. ':' .. value)
    elseif option == 'SIZE' then
      size_option = whole_number(value, 0, 1000000)
      if not size_option then return redis.error_reply('ERR tocsin: SIZE wants a number of messages, 0 to 1000000') end
    else
      return redis.error_reply('ERR tocsin: unknown option after the message; there are TTL s, KEY k, SIZE n')
    end
  end
  local refused = refuse(args[1])
  if refused then return redis.error_reply(refused) end
  if idempotency then
    local before = redis.call('GET', idempotency)
    if before then
      local position, gateways = string.match(before, '^(%S+) (%d+)$')
      return { position, tonumber(gateways) }
    end
  end
  local size, ttl = policy(place)
  local seconds, clock = now()
  local position, gateways, told, skipped = append(
    place, args[1], size_option or size, ttl, message_ttl, seconds, clock)
  if not position then return gateways end
  local told_too, skipped_too = tell_consumers(place, args[1], position, seconds)
  told, skipped = told + told_too, skipped + skipped_too
  if idempotency then redis.call('SET', idempotency, position .. ' ' .. gateways, 'EX', math.max(ttl, 86400)) end
  if told + skipped > 0 then return { position, gateways, told, skipped } end
  return { position, gateways }
end

-- Sends to one channel of a layer: a general one that a worker reads, one consumer, or one connection of a gateway.
local BAD_CHANNEL = 'ERR tocsin: the key must be PREFIX:channel:NAME, NAME a channel of letters, digits, "-", "_", "." and '
  .. 'at most one "!", shorter than 100 characters'

local function channel_send(keys, args)
  local prefix, channel = string.match(keys[1] or '', '^(.*):channel:([%w%-_%.]+!?[%w%-_%.]*)$')
  if not prefix or #channel >= 100 or #keys ~= 1 then return redis.error_reply(BAD_CHANNEL) end
  if not args[1] then return redis.error_reply('ERR tocsin: the message is missing: FCALL channel_send 1 KEY MESSAGE') end
  local refused = refuse(args[1])
  if refused then return redis.error_reply(refused) end
  local layer = layer_of(prefix)
  local name = string.match(channel, '^[^!]*!') or channel
  local gateway = string.match(name, '^specific%.([%w%-_%.]+)!$')
  local is_ours = gateway and redis.call('EXISTS', own(prefix, 'gateway:' .. gateway)) == 1
  local message = args[1]
  if not is_ours then
    message = for_layer(args[1], layer)
    if not message then
      return redis.error_reply('ERR tocsin: a consumer wants a message with a "type" that names a method, and nothing that '
        .. layer.serializer .. ' cannot say')
    end
    -- The pub/sub layer's channels are Redis' own.
    local counts = redis.pcall('PUBSUB', 'NUMSUB', channel)
    if not counts.err and counts[2] > 0 then
      if not layer.encrypted then return redis.call('PUBLISH', channel, message) > 0 and 1 or 0 end
      put_outgoing(prefix, 'PUBLISH ' .. channel, message)
      ring_outgoing(prefix)
      return 1
    end
  end
  if string.find(channel, '!', 1, true) then message = addressed(message, { channel, is_one = true }) end
  if layer.encrypted and not is_ours then
    put_outgoing(prefix, name, message)
    ring_outgoing(prefix)
    return 1
  end
  local seconds, clock = now()
  local mark = string.sub(redis.sha1hex(clock[1] .. clock[2] .. channel), 1, 12)
  if not put_on_channel(prefix, name, layer, message, mark, seconds) then
    return redis.error_reply('CHANNELFULL tocsin: the channel holds as many messages as the layer\'s capacity; nobody reads it, or '
      .. 'too slowly')
  end
  return 1
end

-- Membership ------------------------------------------------------------------------------------------------------

-- Validates everything before the first write. Returns the parsed keys, or nil.
local function parse_group_keys(keys, first)
  local groups = {}
  for i = first, #keys do
    local group = place_of(keys[i])
    if not group then return nil end
    groups[#groups + 1] = group
  end
  return groups
end

-- Join and leave events, for groups whose policy has join_leave. Channel names contain nothing that JSON must escape.
local function tell_presence(group, event, channel, line)
  redis.call('PUBLISH', group.prefix .. '__presence__' .. group.name,
    '{"event":"' .. event .. '","channel":"' .. channel .. '","roster":' .. line .. '}')
end

-- The group's position, created if there is none: for a client that must know the epoch before the first message.
local function group_position(keys)
  local groups = parse_group_keys(keys, 1)
  if not groups or #groups ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  local group, _, clock = groups[1], now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local _, ttl = policy(group)
  return present_position(group, ttl, clock, true)
end

-- A caller that holds a lease identifies itself as 'GW@PROCESS:LINK'. For a name alone the lease is not checked.
local function parse_gateway(text)
  if type(text) ~= 'string' then return nil end
  local gateway, process, link = string.match(text, '^([%w%-_%.]+)@(%x+):(%d+)$')
  if gateway then return gateway, process, tonumber(link) end
  return string.match(text, '^[%w%-_%.]+$')
end

local NO_LEASE = 'ERR tocsin: the gateway does not hold its lease: renew it with gateway_lease first'

-- A command that was given up may still arrive: it has an earlier link and is refused; otherwise its members would stay
-- for as long as the gateway lives.
local function holds_lease(prefix, gateway, process, link)
  if not process then return true end
  local lease = redis.call('HMGET', own(prefix, 'gateway:' .. gateway), 'process', 'link')
  return lease[1] == process and tonumber(lease[2]) == link
end

-- The first of a group's keys with a wrong type; the group's own key if none of the others has.
local function foreign_key_of(group)
  for _, family in ipairs({ 'roster', 'pos', 'log' }) do
    local key = own(group.prefix, family .. ':' .. group.name)
    if is_foreign(key, family) then return key end
  end
  return group.key
end

-- Records the key for `tocsin doctor`, the newest MAX_FOREIGN of them, and returns it.
local function note_foreign(prefix, key, seconds)
  local noted = own(prefix, 'foreign')
  redis.pcall('ZADD', noted, string.format('%.0f', seconds), key)
  redis.pcall('ZREMRANGEBYRANK', noted, 0, -1 - MAX_FOREIGN)
  return key
end

-- A roster entry: {"user":…,"info":…,"gateway":…,"since":…}. An empty user or info is left out.
local function roster_line(user, info, gateway, seconds)
  local entries = {}
  if user ~= '' then entries[1] = '"user":' .. string.gsub(cjson.encode(user), '\\/', '/') end
  if info ~= '' then entries[#entries + 1] = '"info":' .. info end
  entries[#entries + 1] = string.format('"gateway":"%s","since":%.3f}', gateway, seconds)
  return '{' .. table.concat(entries, ',')
end

-- What is invalid about a connection, or nil.
local function refuse_member(channel, user, info)
  find = string.find
  if not find(channel, '^[%w%-_%.!]+$') then return 'ERR tocsin: a channel has letters, digits, "-", "_", "." and "!" only' end
  if not is_utf8(user) then return 'ERR tocsin: a user is UTF-8' end
  if info ~= '' and not is_json(info) then return 'ERR tocsin: info is JSON (RFC 8259), or an empty text' end
  return nil
end

-- The group's policy follows its position, for the gateway to act on.
local function with_terms(position, size, join_leave)
  return position .. (size == 0 and LIVE or '') .. (join_leave and ' presence' or '')
end

-- Writes first what a sweep needs to find the rest: functions are not rolled back when a key of a wrong type stops them.
local function group_add(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  local gateway, process, link = parse_gateway(args[1])
  local expiry = whole_number(args[2], 1, 315360000)
  if not gateway or not expiry or #args ~= 2 + 3 * #groups then
    return redis.error_reply('ERR tocsin: group_add wants gateway, group_expiry, then channel, user and info for each key')
  end
  for i = 3, #args, 3 do
    local refused = refuse_member(args[i], args[i + 1], args[i + 2])
    if refused then return redis.error_reply(refused) end
  end
  if groups[1] and not holds_lease(groups[1].prefix, gateway, process, link) then return redis.error_reply(NO_LEASE) end
  local seconds, clock = now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local answers, vanished = {}, 0
  for i, group in ipairs(groups) do
    local channel = args[3 * i]
    local size, ttl, join_leave = policy(group)
    redis.call('SADD', own(group.prefix, 'members:' .. gateway), group.name .. ' ' .. channel)
    local line = roster_line(args[3 * i + 1], args[3 * i + 2], gateway, seconds)
    local is_new = redis.call('HSETNX', group.roster, channel, line)
    if is_new == 1 and join_leave then tell_presence(group, 'join', channel, line) end
    local was_gone = redis.call('ZADD', group.key, string.format('%.6f', seconds), group.fleet)
    if was_gone == 1 and is_new == 0 then vanished = vanished + 1 end
    redis.call('EXPIRE', group.key, expiry)
    answers[i] = with_terms(present_position(group, ttl, clock), size, join_leave)
  end
  answers[#groups + 1] = vanished
  return answers
end

-- A connection has left the group. The fleet's member stays if somebody may return for something: the group has a log, or
-- the connection was logged in (Django reaches its user's group while the user is away). Without history it goes with the
-- last connection, as do groups that an anonymous client made up and to which nothing was ever sent.
local function let_go(group, line, size, ttl, seconds)
  local retained = own(group.prefix, 'retained')
  local is_last = redis.call('EXISTS', group.roster) == 0
  if size > 0 and (string.find(line, '^{"user":') or is_last and redis.call('EXISTS', group.log) == 1) then
    redis.call('ZADD', retained, string.format('%.0f', seconds + ttl), group.name)
  elseif is_last and (size == 0 or not redis.call('ZSCORE', retained, group.name)) then
    redis.call('ZREM', group.key, group.fleet)
  end
end

local function discard(group, gateway, channel, seconds)
  local line = redis.call('HGET', group.roster, channel)
  if line then
    local size, ttl, join_leave = policy(group)
    redis.call('HDEL', group.roster, channel)
    if join_leave then tell_presence(group, 'leave', channel, line) end
    let_go(group, line, size, ttl, seconds)
  end
  redis.call('SREM', own(group.prefix, 'members:' .. gateway), group.name .. ' ' .. channel)
end

-- The same, whatever the keys' types: what cannot be done now is left to the sweep, which retries it.
-- Returns the key of a wrong type, if any.
local function discard_or_defer(group, gateway, channel, seconds)
  if pcall(discard, group, gateway, channel, seconds) then return nil end
  local entry = group.name .. ' ' .. channel
  redis.pcall('SADD', own(group.prefix, 'unswept'), gateway .. ' ' .. entry)
  redis.pcall('SREM', own(group.prefix, 'members:' .. gateway), entry)
  return note_foreign(group.prefix, foreign_key_of(group), seconds)
end

local function group_discard(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  local gateway, process, link = parse_gateway(args[1])
  if not gateway or #args ~= 1 + #groups then
    return redis.error_reply('ERR tocsin: group_discard wants gateway, then a channel for each key')
  end
  if groups[1] and not holds_lease(groups[1].prefix, gateway, process, link) then return redis.error_reply(NO_LEASE) end
  local seconds, left = now(), 0
  for i, group in ipairs(groups) do
    if not discard_or_defer(group, gateway, args[1 + i], seconds) then left = left + 1 end
  end
  return left
end

-- Reading ---------------------------------------------------------------------------------------------------------

-- The verdict for a reader that has seen everything up to `since`, and the offset up to which what it has seen is valid.
-- resumed: nothing is missing. history_changed: nothing that it has seen was lost, but another or restarted server
-- continues. rolled_back: it has seen messages that this Redis no longer has. reset: the group's key is new.
local function continuity(since, epoch, history, offset, lineage)
  if since.epoch ~= epoch then return 'reset', 0 end
  if since.history == history then
    if since.offset <= offset then return 'resumed', since.offset end
    return 'rolled_back', offset
  end
  local known, inherited = false, nil
  for h, o in string.gmatch(lineage, '(%x+):(%d+)') do
    if known then inherited = tonumber(o); break end
    known = h == since.history
  end
  if not inherited then return 'rolled_back', offset end
  if since.offset > inherited then return 'rolled_back', inherited end
  return 'history_changed', since.offset
end

-- An entry's overhead, in bytes: a MiB takes Redis about a millisecond, an entry three microseconds.
local ENTRY_COST = 1024

-- An entry's message, and its size in the log. The text of an expired one is empty; no message is empty.
local function message_of(entry, seconds)
  local message, expires, fields = '?', nil, entry[2]   -- without 'm' it was not written by this library, and is not a message
  for f = 1, #fields, 2 do
    if fields[f] == 'm' then message = fields[f + 1] elseif fields[f] == 'x' then expires = tonumber(fields[f + 1]) end
  end
  if expires and expires <= seconds * 1000 then return '', #message end
  return message, #message
end

-- {offset, message, …} of the entries after `since`, up to `offset`, and the first offset among them: nil if there is none.
--
-- One entry at a time, because an entry's length is not known before it is read: entries that are requested together but
-- do not fit have been copied for nothing, and may be a hundred messages of a MiB. `most` limits the group, `budget` the
-- call; the last message may exceed them.
local function read_entries(log, since, offset, limit, most, budget, seconds)
  local entry = redis.call('XRANGE', log, string.format('%d-0', since + 1), '+', 'COUNT', 1)[1]
  if not entry then return {}, nil end
  local first = tonumber(string.match(entry[1], '^%d+'))
  local entries, count, at = {}, 0, first
  while entry do                    -- a hole (a send with SIZE 0) ends it: the next page starts with a gap
    local message, length = message_of(entry, seconds)
    entries[2 * count + 1], entries[2 * count + 2] = at, message
    count, most, budget.left = count + 1, most - length, budget.left - length - ENTRY_COST
    if count >= limit or at >= offset or most <= 0 or budget.left <= 0 then break end
    at = at + 1
    local id = string.format('%d-0', at)
    entry = redis.call('XRANGE', log, id, id)[1]
  end
  return entries, first
end

-- {verdict, position, proven offset, {offset, message, …}} of one group. Further verdicts: position: only that was
-- requested. gap: the next message is no longer in the log; its oldest follow. live: the group keeps no log. later: the
-- answer is full already, ask again.
local function read_group(group, text, limit, most, budget, seconds, clock)
  local key, log = group.pos, group.log
  local epoch, history, offset, lineage, changed = read_position(key, clock)
  if changed == 'new' then
    return { text == '' and 'position' or text == BEGINNING and 'resumed' or 'reset', '', 0, {} }
  end
  local position = text_position(epoch, history, offset)
  if text == '' then return { 'position', position, offset, {} } end
  local e, h, o = string.match(text, '^(%x+)%.(%x+):(%d+)$')
  if not e or #o > 15 then return { 'reset', position, 0, {} } end
  if text == BEGINNING then e, h = epoch, history end
  if not changed and h ~= history then lineage = redis.call('HMGET', key, 'lineage')[1] or '' end
  local verdict, proven = continuity({ epoch = e, history = h, offset = tonumber(o) }, epoch, history, offset, lineage)
  if (verdict ~= 'resumed' and verdict ~= 'history_changed') or proven == offset then
    return { verdict, position, proven, {} }
  end
  if budget.left <= 0 then return { 'later', position, proven, {} } end
  if policy(group) == 0 and redis.call('EXISTS', log) == 0 then
    return { 'live', position, proven, {} }
  end
  local entries, first = read_entries(log, proven, offset, limit, most, budget, seconds)
  if first ~= proven + 1 then return { 'gap', position, first and first - 1 or offset, entries } end
  return { verdict, position, proven, entries }
end

local function group_read(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  local limit, bytes = whole_number(args[1], 1, 10000), whole_number(args[2], 1, 1e9)
  local most = {}                   -- per group; if not given, the call's
  local good = limit and bytes and (#args == 2 + #groups or #args == 2 + 2 * #groups)
  for i = 1, #args - 2 - #groups do
    most[i] = whole_number(args[2 + #groups + i], 1, 1e9)
    good = good and most[i]
  end
  if not good then
    return redis.error_reply('ERR tocsin: group_read wants limit, bytes, then a position or an empty text for each key, '
      .. 'then for each key its own bytes, or nothing')
  end
  local budget, answer, seconds, clock = { left = bytes }, {}, now()
  for i, group in ipairs(groups) do
    answer[i] = read_group(group, args[2 + i], limit, most[i] or bytes, budget, seconds, clock)
  end
  return answer
end

-- Gateways --------------------------------------------------------------------------------------------------------

-- Whether the process that holds a lease still exists: it listens to its probe channel, and Redis notices immediately
-- when a killed process' connections have ended.
local function is_listening(prefix, gateway, process)
  local channel = prefix .. '__probe__' .. gateway .. (process and '.' .. process or '')
  return redis.call('PUBLISH', channel, '?') > 0
end

-- The canary is under the layer's prefix, so whatever deletes the layer's keys (flush(), FLUSHDB) deletes it too; a
-- gateway that gets a different canary than it knew adds all its groups again.
--
-- Fields `process` and `link` identify the holder: a name belongs to one process at a time. renewed: 1; 0 when the lease
-- had ended or was held by a process that no longer exists; -1: another process has the name, and its fields follow.
local function gateway_lease(_, args)
  local prefix, gateway, lease = args[1], args[2], whole_number(args[3], 1, 3600)
  if not gateway or not lease or #args < 4 then
    return redis.error_reply('ERR tocsin: gateway_lease wants prefix, gateway, seconds, canary, then fields')
  end
  local seconds, clock = now()
  local key, index, canary_key = own(prefix, 'gateway:' .. gateway), own(prefix, 'gateways'), prefix .. ':tocsin'
  local process, link = nil, nil
  for i = 5, #args - 1, 2 do
    if args[i] == 'process' then process = args[i + 1] elseif args[i] == 'link' then link = tonumber(args[i + 1]) end
  end
  local renewed = redis.call('EXISTS', key)
  if process and renewed == 1 then
    local held = redis.call('HMGET', key, 'process', 'link')
    if held[1] ~= process then
      if is_listening(prefix, gateway, held[1]) then
        local holder = { '', -1 }
        for _, text in ipairs(redis.call('HGETALL', key)) do holder[#holder + 1] = text end
        return holder
      end
      renewed = 0
    elseif link and link < (tonumber(held[2]) or 0) then
      return redis.error_reply(NO_LEASE)
    end
  end
  local canary = redis.call('GET', canary_key)
  if not canary then
    canary = string.sub(redis.sha1hex(canary_key .. clock[1] .. clock[2] .. gateway), 1, 16)
    redis.call('SET', canary_key, canary)
  end
  -- The index first: a gateway with a future time in it is not swept, whatever the type of the other key.
  redis.call('ZADD', index, string.format('%.3f', seconds + lease), gateway)
  local fields = { 'HSET', key, 'gateway', gateway, 'seen', string.format('%.3f', seconds) }
  for i = 5, #args - 1, 2 do fields[#fields + 1] = args[i]; fields[#fields + 1] = args[i + 1] end
  redis.call(unpack(fields))
  redis.call('EXPIRE', key, lease)
  local answer = { canary, renewed, policies(prefix, redis.call('GET', own(prefix, 'policy'))).version }
  for _, live in ipairs(redis.call('ZRANGEBYSCORE', index, string.format('%.3f', seconds), '+inf')) do
    answer[#answer + 1] = live
  end
  return answer
end

-- A gateway that leaves on purpose: whatever it did not discard itself is swept immediately. process: only if it is the holder.
local function gateway_release(_, args)
  if #args ~= 2 and #args ~= 3 then
    return redis.error_reply('ERR tocsin: gateway_release wants prefix, gateway and, to be safe, process')
  end
  local key = own(args[1], 'gateway:' .. args[2])
  if args[3] then
    local process = redis.call('HGET', key, 'process')
    if process and process ~= args[3] then return 0 end
  end
  redis.call('DEL', key)
  redis.call('ZADD', own(args[1], 'gateways'), 0, args[2])
  return 1
end

-- Discards one connection of a dead gateway: 'GROUP CHANNEL'. Returns the key of a wrong type, if any.
local function sweep_entry(prefix, gateway, entry, seconds)
  local name, channel = string.match(entry, '^(%S+) (.+)$')
  local group = name and place_of(prefix .. ':group:' .. name)
  if group then return discard_or_defer(group, gateway, channel, seconds) end
  redis.call('SREM', own(prefix, 'members:' .. gateway), entry)
end

-- A number, followed by skipped keys of a wrong type; without any, just the number, as gateways of version 5 expect.
local function with_foreign(number, foreign)
  return #foreign == 0 and number or { number, unpack(foreign, 1, 100) }
end

-- Retries what could not be swept, a few at a time: the keys may have been repaired.
local function sweep_deferred(prefix, seconds, foreign)
  local deferred = own(prefix, 'unswept')
  local entries = redis.pcall('SRANDMEMBER', deferred, 10)
  for _, entry in ipairs(entries.err and {} or entries) do
    local gateway, name, channel = string.match(entry, '^(%S+) (%S+) (.+)$')
    local group = name and place_of(prefix .. ':group:' .. name)
    if not group or pcall(discard, group, gateway, channel, seconds) then
      redis.call('SREM', deferred, entry)
    else
      foreign[#foreign + 1] = note_foreign(prefix, foreign_key_of(group), seconds)
    end
  end
end

-- The number swept, and keys of a wrong type that were skipped.
local function gateway_sweep(_, args)
  local prefix, limit = args[1], whole_number(args[2], 1, 10000)
  if not limit then return redis.error_reply('ERR tocsin: gateway_sweep wants prefix and a limit') end
  local seconds, foreign = now(), {}
  local index, at = own(prefix, 'gateways'), string.format('%.3f', seconds)
  local dead = redis.call('ZRANGEBYSCORE', index, '-inf', '(' .. at, 'LIMIT', 0, 1)[1]
  if dead then
    local members, entries = own(prefix, 'members:' .. dead), {}
    if is_foreign(members, 'members') then
      foreign[1] = note_foreign(prefix, members, seconds)
    else
      -- Not SPOP: an entry stays until its connection has been removed from the roster, or deferred.
      entries = redis.call('SRANDMEMBER', members, limit)
    end
    for _, entry in ipairs(entries) do foreign[#foreign + 1] = sweep_entry(prefix, dead, entry, seconds) end
    if #entries < limit then
      redis.call('ZREM', index, dead)
      redis.call('DEL', own(prefix, 'gateway:' .. dead))
    end
    return with_foreign(math.max(#entries, 1), foreign)
  end
  sweep_deferred(prefix, seconds, foreign)
  local retained = own(prefix, 'retained')
  if is_foreign(retained, 'retained') then
    foreign[#foreign + 1] = note_foreign(prefix, retained, seconds)
    return with_foreign(0, foreign)
  end
  local ended = redis.call('ZRANGEBYSCORE', retained, '-inf', at, 'LIMIT', 0, limit)
  for _, name in ipairs(ended) do
    redis.call('ZREM', retained, name)
    local group = place_of(prefix .. ':group:' .. name)
    if group then policy(group) end
    local roster = group and redis.call('EXISTS', group.roster) == 1
    local removed = group and not roster and redis.pcall('ZREM', group.key, group.fleet)
    if type(removed) == 'table' then
      foreign[#foreign + 1] = note_foreign(prefix, group.key, seconds)
    end
  end
  return with_foreign(#ended, foreign)
end

-- Members that only a retention keeps belong to no connection: they are refreshed from the list itself.
-- Returns the next start, and keys of a wrong type that were skipped.
local function gateway_retain(_, args)
  local prefix, expiry = args[1], whole_number(args[2], 1, 315360000)
  local start, limit = whole_number(args[3], 0, 1e9), whole_number(args[4], 1, 10000)
  if not expiry or not start or not limit then
    return redis.error_reply('ERR tocsin: gateway_retain wants prefix, group_expiry, start, limit')
  end
  local seconds, foreign = now(), {}
  local score, retained = string.format('%.6f', seconds), own(prefix, 'retained')
  if is_foreign(retained, 'retained') then
    return with_foreign(0, { note_foreign(prefix, retained, seconds) })
  end
  local layer = layer_of(prefix)
  local groups = redis.call('ZRANGE', retained, start, start + limit - 1)
  for _, name in ipairs(groups) do
    local key = prefix .. ':group:' .. name
    local added = redis.pcall('ZADD', key, score, fleet_member(name, layer))
    if type(added) == 'table' then
      foreign[#foreign + 1] = note_foreign(prefix, key, seconds)
    else
      redis.call('EXPIRE', key, expiry)
    end
  end
  return with_foreign(#groups == limit and start + limit or 0, foreign)
end

-- The commands of a gateway's work, by key. ':' and 'specific' are prefixed with the layer's prefix, the rest with ours.
local WORK = {
  { ':group:trial', 'ZADD', 'ZREM', 'ZRANGE', 'ZREMRANGEBYSCORE', 'EXPIRE' }, { ':tocsin', 'GET', 'SET' },
  { 'specific.tocsin-00!', 'EXISTS', 'TYPE', 'ZRANGE', 'ZREMRANGEBYRANK' }, { 'specific.tocsin-bell.trial!', 'ZADD', 'EXPIRE', 'DEL' },
  { 'specific.trial!', 'ZADD', 'ZCARD', 'ZREMRANGEBYSCORE', 'EXPIRE' }, { 'policy', 'GET', 'SET' }, { 'key:trial', 'GET', 'SET' }, { 'pos:trial', 'HMGET', 'HSET', 'EXPIRE', 'TYPE' },
  { 'log:trial', 'XADD', 'XRANGE', 'XTRIM', 'EXISTS', 'TTL', 'EXPIRE', 'DEL', 'TYPE' },
  { 'roster:trial', 'HSETNX', 'HGET', 'HDEL', 'HEXISTS', 'EXISTS', 'TYPE' },
  { 'members:trial', 'SADD', 'SREM', 'SRANDMEMBER', 'SSCAN', 'TYPE' }, { 'unswept', 'SADD', 'SREM', 'SRANDMEMBER' },
  { 'foreign', 'ZADD', 'ZREMRANGEBYRANK' },
  { 'gateway:trial', 'EXISTS', 'HSET', 'HGET', 'HMGET', 'HGETALL', 'EXPIRE', 'DEL' }, { 'gateways', 'ZADD', 'ZREM', 'ZRANGEBYSCORE' },
  { 'retained', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZRANGEBYSCORE', 'TYPE' },
  { 'outgoing', 'XADD', 'XRANGE', 'XDEL', 'XTRIM' }, { 'staging:00', 'XADD', 'XRANGE', 'XDEL', 'XLEN', 'TYPE' } }
-- What lists want besides, for the layer of channels_redis 2.x.
local LIST_WORK = { 'specific.tocsin-00!', 'LLEN', 'LINDEX', 'LTRIM', 'LPUSH', 'RPUSH' }
local CALLS = { 'group_send', 'channel_send', 'group_add', 'group_position', 'group_discard', 'gateway_lease', 'gateway_release', 'gateway_sweep',
  'gateway_retain', 'gateway_collect', 'outgoing_collect', 'outgoing_commit', 'relay_collect', 'relay_commit', 'policy_set' }

-- The rights that the caller lacks for a gateway's work, as ACL rules; 'no:COMMAND': this Redis lacks the command. It writes
-- nothing, but is registered as a function that may, so Redis refuses it whenever it refuses writes.
local function gateway_trial(_, args)
  local prefix, database = args[1], whole_number(args[2], 0, 1e6)
  if not prefix or not database then
    return redis.error_reply('ERR tocsin: gateway_trial wants prefix and database, then what else is used: PRESENCE, WAIT, LISTS, SCAN')
  end
  local used = {}
  for i = 3, #args do used[args[i]] = true end
  local missing, known = {}, {}
  local function lack(rule)
    if not known[rule] then known[rule] = true; missing[#missing + 1] = rule end
  end
  local function may(command, about)
    local there, allowed
    if not about then there, allowed = pcall(redis.acl_check_cmd, command)
    elseif command == 'SET' then there, allowed = pcall(redis.acl_check_cmd, command, about, 'x')
    else there, allowed = pcall(redis.acl_check_cmd, command, about) end
    if not there then lack('no:' .. command) end
    return not there or allowed
  end
  -- SET is checked with a key and a value only, because its options determine how it accesses the key.
  local function may_at_all(command)
    if command ~= 'SET' then return may(command) end
    return may(command, prefix .. ':tocsin') or may(command, own(prefix, 'policy'))
  end
  local function reached(about, by)
    for _, command in ipairs(by) do
      if may(command, about) then return true end
    end
    return false
  end
  -- Checks the command by itself, and with its key or channel, which `pattern` would grant; `by`: other commands that may reach it.
  local function try(command, about, pattern, by)
    local alone = may_at_all(command)
    if alone and may(command, about) then return end
    local is_reached = reached(about, by)
    if not alone or is_reached then lack('+' .. string.lower(command)) end
    if alone or not is_reached then lack(pattern) end
  end
  local all = {}
  for i, work in ipairs(WORK) do all[i] = work end
  if used.LISTS then all[#all + 1] = LIST_WORK end
  for _, work in ipairs(all) do
    local name, pattern = work[1], nil
    if string.find(name, '^:') then name, pattern = prefix .. name, '~' .. prefix .. ':*'
    elseif string.find(name, '^specific') then name, pattern = prefix .. name, '~' .. prefix .. 'specific.*'
    else name, pattern = own(prefix, name), '~' .. own(prefix, '*') end
    for i = 2, #work do try(work[i], name, pattern, { 'GET', 'EXISTS', 'TTL', 'ZADD', 'HGET', work[i] }) end
  end
  for _, command in ipairs({ 'NUMSUB', 'CHANNELS' }) do
    if not may('PUBSUB', command) then lack('+pubsub|' .. string.lower(command)) end
  end
  for _, command in ipairs({ 'INFO', 'TIME', 'UNSUBSCRIBE', used.WAIT and 'WAIT' or nil }) do
    if not may(command) then lack('+' .. string.lower(command)) end
  end
  if used.SCAN and not may('SCAN') then lack('+scan') end
  for _, name in ipairs(CALLS) do
    if not may('FCALL', name) then lack('+fcall|' .. name) end
  end
  if not may('FCALL_RO', 'group_read') then lack('+fcall_ro') end
  local said = { 'PUBLISH', 'SUBSCRIBE' }
  local function hear(channel, pattern) try('SUBSCRIBE', channel, pattern, said) end
  local families = { '__group__', '__gateways__', '__probe__', used.PRESENCE and '__presence__' or nil }
  for _, family in ipairs(families) do
    local channel, pattern = prefix .. family .. 'trial', '&' .. prefix .. family .. '*'
    try('PUBLISH', channel, pattern, said)
    hear(channel, pattern)
  end
  hear(prefix .. '__control', '&' .. prefix .. '__control')
  local bell = '__:' .. prefix .. 'specific.'
  hear('__keyspace@' .. database .. bell .. 'tocsin-00!', '&__keyspace@*' .. bell .. '*')
  return missing
end

-- The relay -------------------------------------------------------------------------------------------------------

-- Where an inbox is staged: the key itself; or a second key, while a foreign key has the name of the first, and until
-- everything staged there is gone. Also returns the foreign key.
local function staging_of(key)
  local beside = key .. ':beside'
  if is_foreign(key, 'staging') then return beside, key end
  if redis.call('XLEN', beside) > 0 then return beside end
  return key
end

local RELAY_BYTES = 1048576         -- moved, and returned, in one call, during which Redis does nothing else
local RELAY_MOVES = 1000

-- What reads an inbox of messages, the oldest first: `at(i)` the i-th, nil after the last, and `drop(n)` takes n away.
local function inbox_of(key, heard)
  local prefix = string.match(key, '^(.*)specific%.') or ''
  local is_list = redis.call('TYPE', key).ok == 'list'
    and layer_of(prefix).lists
  if not is_list then
    return function(i) return redis.call('ZRANGE', key, i, i)[1] end,
      function(n) redis.call('ZREMRANGEBYRANK', key, 0, n - 1) end
  end
  if push_of(prefix, heard) == 'LPUSH' then
    return function(i) return redis.call('LINDEX', key, -1 - i) or nil end, function(n) redis.call('LTRIM', key, 0, -1 - n) end
  end
  return function(i) return redis.call('LINDEX', key, i) or nil end, function(n) redis.call('LTRIM', key, n, -1) end
end

-- Takes the oldest messages out of a gateway's own inbox, where channel_layer.send puts what is for one of its connections.
local function gateway_collect(keys, args)
  local limit = whole_number(args[1] or '', 1, 10000)
  if #keys ~= 1 or not limit then return redis.error_reply('ERR tocsin: gateway_collect wants an inbox and a limit') end
  local at, drop = inbox_of(keys[1], args[2])
  local messages, left = {}, RELAY_BYTES
  while #messages < limit and left > 0 do
    local message = at(#messages)
    if not message then break end
    messages[#messages + 1], left = message, left - #message
  end
  if #messages > 0 then drop(#messages) end
  return messages
end

-- Empties the fleet's inbox (channels_redis drops silently what comes on top of its capacity) into the staging stream,
-- and answers the oldest of what is staged. A message leaves the inbox when it is in the stream, not before. One message at
-- a time, so that no call copies more than it may; more: 1 when there is more.
local function relay_collect(keys, args)
  local limit = whole_number(args[1], 1, 10000)
  if #keys ~= 2 or not limit then return redis.error_reply('ERR tocsin: relay_collect wants inbox, staging and a limit') end
  local staging, foreign = staging_of(keys[2])
  local at, drop = inbox_of(keys[1], args[2])
  local moved, more, left = 0, 0, RELAY_BYTES
  while moved < RELAY_MOVES do
    local message = at(moved)
    if not message then break end
    if left <= 0 then more = 1; break end
    local added = redis.pcall('XADD', staging, '*', 'm', message)
    if type(added) == 'table' and added.err then break end
    moved, left = moved + 1, left - #message
  end
  if moved > 0 then drop(moved) end
  local staged, after = {}, '-'
  left = RELAY_BYTES
  while #staged < limit do
    -- An error after the greatest possible id: nothing can follow it.
    local entry = redis.pcall('XRANGE', staging, after, '+', 'COUNT', 1)[1]
    if not entry then break end
    if left <= 0 then more = 1; break end
    staged[#staged + 1] = { entry[1], entry[2][2] }
    after, left = '(' .. entry[1], left - #entry[2][2]
  end
  -- Last, because gateways of version 5 expect it there.
  return { moved, more, foreign or '', staged }
end

-- Commits one staged message, if it is the oldest: sends it to its groups, then removes it. -1: another gateway has done
-- it. -2: an older one must go first. Without groups it is only removed, which is for unreadable messages.
local function relay_commit(keys, args)
  local groups = parse_group_keys(keys, 2)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  if not keys[1] or not args[1] or (not args[2] and #groups > 0) then
    return redis.error_reply('ERR tocsin: relay_commit wants a staging key, an id and, for groups, a message')
  end
  if #groups > 0 then
    local refused = refuse(args[2])
    if refused then return redis.error_reply(refused) end
  end
  local staging = staging_of(keys[1])
  local head = redis.call('XRANGE', staging, '-', '+', 'COUNT', 1)[1]
  if not head or head[1] ~= args[1] then
    return #redis.call('XRANGE', staging, args[1], args[1]) == 0 and -1 or -2
  end
  local seconds, clock = now()
  for _, group in ipairs(groups) do
    local size, ttl = policy(group)
    local position, failed = append(group, args[2], size, ttl, nil, seconds, clock)
    if not position then return failed end
  end
  redis.call('XDEL', staging, args[1])
  return #groups
end

-- The oldest of what waits to be encrypted. What the layer would have forgotten by now is dropped.
local function outgoing_collect(_, args)
  local prefix, limit = args[1], whole_number(args[2] or '', 1, 10000)
  if not prefix or not limit then return redis.error_reply('ERR tocsin: outgoing_collect wants prefix and a limit') end
  local key, seconds = own(prefix, 'outgoing'), now()
  local layer = layer_of(prefix)
  redis.call('XTRIM', key, 'MINID', string.format('%d-0', math.floor((seconds - layer.expiry) * 1000)))
  local entries, after, left = {}, '-', RELAY_BYTES
  while #entries < limit and left > 0 do
    local entry = redis.pcall('XRANGE', key, after, '+', 'COUNT', 1)[1]
    if not entry then break end
    entries[#entries + 1] = { entry[1], entry[2][4] }
    after, left = '(' .. entry[1], left - #entry[2][4]
  end
  return entries
end

-- One of them, encrypted: sent if it is the oldest still there. A channel without room drops it, as a layer's group_send does.
local function outgoing_commit(_, args)
  local prefix, id, token = args[1], args[2], args[3]
  if not token then return redis.error_reply('ERR tocsin: outgoing_commit wants prefix, an id and a token') end
  local key = own(prefix, 'outgoing')
  local head = redis.call('XRANGE', key, '-', '+', 'COUNT', 1)[1]
  if not head or head[1] ~= id then return #redis.call('XRANGE', key, id, id) == 0 and -1 or -2 end
  redis.call('XDEL', key, id)
  local to = head[2][2]
  local channel = string.match(to, '^PUBLISH (.+)$')
  if channel then
    redis.call('PUBLISH', channel, token)
    return 1
  end
  local layer = layer_of(prefix)
  local ms, sequence = string.match(id, '^(%d+)-(%d+)$')
  local mark = string.format('%08x%04x', tonumber(ms) % 0x100000000, tonumber(sequence) % 0x10000)
  pcall(put_on_channel, prefix, to, layer, token, mark, now())
  return 1
end

-- Policy and version ----------------------------------------------------------------------------------------------

local function whole_or_nil(v, least, most)
  return v == nil or (type(v) == 'number' and v % 1 == 0 and v >= least and v <= most)
end

-- rules: a JSON array of {match, size, ttl}, as in the gateways' `groups:`. The version counts changes. known: the version
-- that the caller has seen last; a newer one is left as it is, so that a reconnect is no change of configuration.
-- changed: 1 when this call wrote other rules than there were.
local layer_keys = { shard = 'number', shards = 'number', layer = 'string', serializer = 'string', encrypted = 'boolean', random_prefix_length = 'number',
  capacity = 'number', expiry = 'number', group_expiry = 'number' }

-- The layer's settings as a JSON object; nil when it is none.
local function decode_layer(text)
  local value = decode_json(text)
  if type(value) ~= 'table' or not string.find(text, '^%s*{') then return nil end
  for key, v in pairs(value) do
    if type(v) ~= layer_keys[key] or type(v) == 'number' and not whole_or_nil(v, 0, 315360000) then return nil end
  end
  local shards = value.shards or 1
  if shards < 1 or shards > 64 or (value.shard or 0) >= shards then return nil end
  return value
end

local function policy_set(_, args)
  local rules = args[2] and decode_json(args[2])
  if type(rules) ~= 'table' or not string.find(args[2], '^%s*%[') then return redis.error_reply('ERR tocsin: policy_set wants prefix and a JSON array') end
  for _, rule in ipairs(rules) do
    -- A number that EXPIRE or XADD refuses would fail in the middle of a send.
    if type(rule) ~= 'table' or type(rule.match) ~= 'string'
      or not whole_or_nil(rule.size, 0, 1000000) or not whole_or_nil(rule.ttl, 1, 315360000)
      or (rule.join_leave ~= nil and type(rule.join_leave) ~= 'boolean') then
      return redis.error_reply('ERR tocsin: a rule is {"match":"glob","size":messages,"ttl":seconds}, in whole numbers')
    end
  end
  if args[4] and not decode_layer(args[4]) then
    return redis.error_reply('ERR tocsin: the layer is {"layer":"3","serializer":"msgpack","capacity":100,"expiry":60,'
      .. '"group_expiry":86400,"random_prefix_length":12,"encrypted":false,"shard":0,"shards":1}, any of them')
  end
  local key = own(args[1], 'policy')
  local before = redis.call('GET', key)
  local version = policies(args[1], before).version
  local layer = args[4] and ',"layer":' .. args[4] or ''
  local function text(v) return '{"version":' .. string.format('%d', v) .. ',"rules":' .. args[2] .. layer .. '}' end
  if before == text(version) then return { version, 0 } end
  local known = whole_number(args[3] or '', 0, 1e12)
  if before and known and version > known then return { version, 0 } end
  redis.call('SET', key, text(version + 1))
  return { version + 1, 1 }
end

local function tocsin_version(_, args)
  if args[1] == 'COMPATIBLE' then return { VERSION, COMPATIBLE_SINCE } end
  return VERSION
end

redis.register_function('group_send', group_send)
redis.register_function('channel_send', channel_send)
redis.register_function('group_add', group_add)
redis.register_function('group_position', group_position)
redis.register_function{ function_name = 'group_discard', callback = group_discard, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_lease', callback = gateway_lease, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_release', callback = gateway_release, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'gateway_sweep', callback = gateway_sweep, flags = { 'allow-oom' } }
redis.register_function('gateway_retain', gateway_retain)
redis.register_function('gateway_trial', gateway_trial)
redis.register_function('gateway_collect', gateway_collect)
redis.register_function('outgoing_collect', outgoing_collect)
redis.register_function('outgoing_commit', outgoing_commit)
redis.register_function('relay_collect', relay_collect)
redis.register_function('relay_commit', relay_commit)
redis.register_function('policy_set', policy_set)
redis.register_function{ function_name = 'group_read', callback = group_read, flags = { 'no-writes' } }
redis.register_function{ function_name = 'tocsin_version', callback = tocsin_version, flags = { 'no-writes' } }
