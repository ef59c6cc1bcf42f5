#!lua name=tocsin
-- Tocsin's functions inside Redis, which make every Redis client in every language a publisher.
--
-- Load:  cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE      (gateways do it by themselves)
-- Send:  redis-cli -n 3 FCALL group_send 1 asgi:group:42isInsufficient '{"type":"receive","balance":3.5}'
--
-- function          KEYS                        ARGV                                                                                             answer
-- group_send        PREFIX:group:G              message [TTL s] [KEY k] [SIZE n] [COLLAPSE k] [URGENCY u] [ESCALATE s] [UNLESS r] [IN s] [AT t]  {position, gateways[, told, skipped]}, or {id, 0}
-- channel_send      PREFIX:channel:NAME         message                                                                                          1; CHANNELFULL when it has no room
-- group_add         PREFIX:group:G ...          gateway group_expiry (channel user info)...                                                      {position and terms, ..., members put back}
-- group_discard     PREFIX:group:G ...          gateway channel...                                                                               number left
-- group_position    PREFIX:group:G              -                                                                                                position
-- group_read        PREFIX:group:G ...          limit bytes position... [bytes...]                                                               {{verdict, position, proven, entries}, ...}
-- gateway_lease     -                           prefix gateway seconds canary (field value)...                                                   {canary, renewed, policy version, gateway, ...}
-- gateway_release   -                           prefix gateway [process]                                                                         1; 0 when it is another process'
-- gateway_sweep     -                           prefix limit                                                                                     number swept, or {it, foreign key, ...}
-- gateway_retain    -                           prefix group_expiry start limit                                                                  next start, 0 at the end, or {it, foreign key, ...}
-- gateway_trial     -                           prefix database use...                                                                             {right, ...}
-- gateway_collect   inbox                       limit [push]                                                                                     {message, ...}
-- outgoing_collect  -                           prefix limit                                                                                     {{id, message}, ...}
-- outgoing_commit   -                           prefix id token                                                                                  1; -1 gone, -2 not its turn
-- relay_collect     inbox staging               limit [push]                                                                                     {moved, more, foreign key or '', {{id, message}, ...}}
-- relay_commit      staging PREFIX:group:G ...  id message                                                                                       groups told; -1 gone, -2 not its turn
-- mark_read         PREFIX:group:G              user mark [position]                                                                             JSON: {unread, read}
-- mark_delivered    PREFIX:group:G ...          (user position)...                                                                               cursors that moved
-- inbox             PREFIX:group:G              user [LIMIT n] [BEFORE p] [RAW]                                                                  JSON: {unread, read, messages}; or {unread, read, singles, {{offset, read, message}, ...}}
-- receipts          PREFIX:group:G              position                                                                                         JSON: {position, users}
-- schedule_cancel   PREFIX:group:G              id                                                                                               1; 0 when it is unknown
-- schedule_list     -                           prefix limit [group]                                                                             JSON: {scheduled}
-- due_run           -                           prefix limit                                                                                     {done, ms to the next or -1, sent, escalated}
-- escalation_claim  -                           prefix target most limit seconds                                                                 {{id, escalation, attempt, ...}, ...}
-- escalation_finish -                           prefix target id attempt result [after] [reason]                                                 1; 0 when it is not the claim's
-- escalation_list   -                           prefix limit                                                                                     JSON: {targets, dead}
-- escalation_retry  -                           prefix id                                                                                        number sent again
-- push_set          -                           prefix user id subscription                                                                      the user's subscriptions
-- push_delete       -                           prefix user id                                                                                   1; 0 when there was none
-- user_groups       -                           prefix user                                                                                      {group, ...}
-- user_erase        -                           prefix user [cursor]                                                                             next cursor; 0 at the end
-- policy_set        -                           prefix rules [known] [layer] [targets]                                                           {version, changed}
-- tocsin_version    -                           [COMPATIBLE]                                                                                     VERSION, or {VERSION, COMPATIBLE_SINCE}
--
-- Keys besides KEYS are derived from the prefix and the group: redis/README.md has the schema. Redis Cluster cannot
-- run this (nor does it have a database 3). Functions are not rolled back when they fail (redis.io, "Redis functions"):
-- so everything is validated before the first write, and the log is written before the counter.

local VERSION = 10
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

-- The functions of two sections are fields of these, because a Lua chunk has at most 200 locals: "Receipts and inboxes" and "What
-- is due".
local track, due = {}, {}

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

-- The user that a name belongs to, by a pattern with {user} in it: the shortest that fits; nil: the name does not match.
local function owner_of(pattern, name)
  local at = string.find(pattern, '{user}', 1, true)
  local before, after = string.sub(pattern, 1, at - 1), string.sub(pattern, at + 6)
  for first = 1, #name do
    if glob(before, string.sub(name, 1, first - 1)) then
      for last = first, #name do
        if glob(after, string.sub(name, last + 1)) then return string.sub(name, first, last) end
      end
    end
  end
  return nil
end

-- Whether a rule is for the name, and the user whom it names.
local function rule_fits(rule, name)
  if not string.find(rule.match, '{user}', 1, true) then return glob(rule.match, name) end
  local owner = owner_of(rule.match, name)
  return owner ~= nil, owner
end

local parsed = {}                   -- prefix → the policies' text last parsed, its version, rules, layer and targets

-- The policies of a prefix: {version, rules, layer, text}. Without any: version 0, no rules, the layer's defaults.
local function policies(prefix, text)
  local cache = parsed[prefix]
  if not cache or cache.text ~= text then
    local ok, value = pcall(cjson.decode, text or '{}')
    if not ok or type(value) ~= 'table' then value = {} end
    cache = { text = text, version = tonumber(value.version) or 0, rules = type(value.rules) == 'table' and value.rules or {},
      layer = layer_terms(prefix, value.layer), targets = type(value.targets) == 'table' and value.targets or {} }
    parsed[prefix] = cache
  end
  return cache
end

-- What Django's layer is configured with, for functions that are about no group.
local function layer_of(prefix) return policies(prefix, redis.call('GET', own(prefix, 'policy'))).layer end

-- History size (messages), ttl (seconds) and whether joins and leaves are published: by the first rule that matches. The place
-- also gets `receipts`, `inbox`, `escalate` ({after, unless, to}; nil: none) and `owner`, the user whom the group belongs to.
local function policy(place)
  local text = redis.call('GET', place.policy)
  if place.text == nil or place.text ~= text then
    local all = policies(place.prefix, text)
    place.text, place.size, place.ttl, place.join_leave, place.layer = text, DEFAULT_SIZE, DEFAULT_TTL, false, all.layer
    place.fleet = fleet_member(place.name, all.layer)
    place.receipts, place.inbox, place.escalate, place.owner = false, false, nil, nil
    for _, rule in ipairs(all.rules) do
      local fits, owner = rule_fits(rule, place.name)
      if fits then
        place.inbox, place.owner = rule.inbox == true, owner
        place.receipts, place.escalate = rule.receipts == true or place.inbox, rule.escalate
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

-- The group's position: epoch, history, offset; if the key has a different one, the new lineage and what has changed; and what is
-- known of the log's holes: '1' all, '0' some, nil: nobody records them ("Holes", below). The lineage is 'history:offset inherited,…', oldest first: how far each history's offsets are valid.
local function read_position(key, clock)
  local m = redis.call('HMGET', key, 'epoch', 'history', 'offset', 'holes')
  local offset, holes = tonumber(m[3]), m[4] or nil
  if m[1] and offset and m[2] == history_known then return m[1], history_known, offset, nil, nil, holes end
  local history = history_id(clock)
  if not m[1] or not offset then
    return new_epoch(key, clock, history), history, 0, history .. ':0', 'new'
  end
  if m[2] == history then return m[1], history, offset, nil, nil, holes end
  local lineage = redis.call('HMGET', key, 'lineage')[1]
  lineage = (lineage and lineage .. ',' or '') .. history .. ':' .. string.format('%d', offset)
  local _, commas = string.gsub(lineage, ',', '')
  if commas >= MAX_LINEAGE then lineage = string.gsub(lineage, '^[^,]*,', '', 1) end
  return m[1], history, offset, lineage, 'history', holes
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
local function drop_log(place)
  local keys = { track.key(place, 'holes'), track.key(place, 'expiring'), track.key(place, 'collapse') }
  if not is_foreign(place.log, 'log') then keys[4] = place.log end
  redis.call('DEL', unpack(keys))
end

-- The position for a join. A group to which nothing was sent has none, and a join creates none unless it must: otherwise
-- anybody who may choose names could fill Redis.
local function present_position(place, ttl, clock, makes)
  local key = place.pos
  local epoch, history, offset, lineage, changed = read_position(key, clock)
  if changed == 'new' then
    if not makes then return BEGINNING end
    drop_log(place)
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

-- Serializers ------------------------------------------------------------------------------------------------------

-- Between JSON and msgpack, the two serializers of Django's layer. Numbers of 64 bits are two halves of 32: Lua has doubles only.

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

local function base64(text)
  local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = byte(text, i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local function digit(shift)
      local d = math.floor(n / shift) % 64 + 1
      return string.sub(digits, d, d)
    end
    out[#out + 1] = digit(262144) .. digit(4096) .. (b and digit(64) or '=') .. (c and digit(1) or '=')
  end
  return table.concat(out)
end

-- Appends the msgpack value at i (which `refuse` has let pass) to `out`, as JSON. The index after it; nil for bytes, which
-- JSON does not have: unless `out.for_browsers`, whose bytes are base64, and whose NaN and infinities are null, as gateways
-- show them.
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
  if b == 0xca or b == 0xcb then
    local v = struct.unpack(b == 0xca and '>f' or '>d', s, i + 1)
    local text = out.for_browsers and (v ~= v or v == math.huge or v == -math.huge) and 'null' or float_text(v)
    return put(text, i + (b == 0xca and 5 or 9))
  end
  if bin_length[b] then
    if not out.for_browsers then return nil end
    local n, at = uint(s, i + 1, bin_length[b]), i + 1 + bin_length[b]
    return put('"' .. base64(string.sub(s, at, at + n - 1)) .. '"', at + n)
  end
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

-- The log ---------------------------------------------------------------------------------------------------------

-- Appends, counts and publishes one validated message. Returns the position, the number of gateways, and of the processes
-- of Django's pub/sub layer that were told and skipped.
local function append(place, message, size, ttl, message_ttl, seconds, clock, options)
  local key, log = place.pos, place.log
  local epoch, history, offset, lineage, changed, holes = read_position(key, clock)
  local refused = refuse_replica(clock)
  if refused then return nil, refused end
  if changed == 'new' then drop_log(place) end
  offset = offset + 1
  options = options or {}
  -- EXPIRE is expensive: called only when the remaining time is wrong, at most twice a second.
  local keep = changed or offset == 1   -- a position without messages has a short expiry
  local expires = message_ttl and string.format('%d', math.floor((seconds + message_ttl) * 1000))
  if size > 0 then
    local written = string.format('%d', math.floor(seconds * 1000))
    local entry = { 'm', message, 't', written }
    local function field(name, value) if value then entry[#entry + 1] = name; entry[#entry + 1] = value end end
    field('x', expires)
    field('k', options.collapse)
    field('u', options.urgency)
    -- An inbox counts what the log has, so it is trimmed to the entry.
    local function add(id) return redis.pcall('XADD', log, 'MAXLEN', place.inbox and '=' or '~', size, id, unpack(entry)) end
    local added = add(string.format('%d-0', offset))
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'equal or smaller', 1, true) then return nil, added end
      -- The log is ahead of its counter: one of them was restored or changed. Neither can be trusted.
      drop_log(place)
      epoch, offset, lineage, changed = new_epoch(key, clock, history), 1, history .. ':0', 'new'
      add('1-0')
    end
    if redis.call('TTL', log) ~= ttl then
      redis.call('EXPIRE', log, ttl)
      keep = true
    end
    if offset % 16 == 0 or place.inbox then trim_by_age(log, (seconds - ttl) * 1000) end
  end
  if changed then
    write_position(key, epoch, history, offset, lineage)
  else
    redis.call('HSET', key, 'offset', string.format('%d', offset))
  end
  if keep or size == 0 then keep_position(key, ttl, offset) end
  local position = text_position(epoch, history, offset)
  if holes or options.collapse or place.inbox then
    holes = track.logged(place, offset, size, expires, options.collapse, seconds, holes)
  end
  if size > 0 and place.receipts then due.escalate_later(place, position, options, message_ttl, seconds) end
  local gateways, told, skipped, cannot = publish(place, message, size > 0 and position or position .. LIVE)
  -- Without a log the message is nowhere.
  if cannot and size == 0 then return nil, cannot end
  if place.receipts and place.owner then pcall(track.remember, place, place.owner) end
  if place.inbox and place.owner then pcall(track.sent, place, { epoch = epoch, history = history, offset = offset, holes = holes }, seconds) end
  return position, gateways, told, skipped
end

-- group_send ------------------------------------------------------------------------------------------------------

local function whole_number(text, least, most)
  if type(text) ~= 'string' or not string.find(text, '^%d+$') or #text > 12 then return nil end
  local n = tonumber(text)
  if n < least or n > most then return nil end
  return n
end

due.urgencies = { ['very-low'] = true, low = true, normal = true, high = true }

-- The options after a message; or nil and an error.
function due.options(args)
  local options, i = {}, 2
  local function failed(text) return nil, redis.error_reply(text) end
  while args[i] do
    local option, value = string.upper(args[i]), args[i + 1]
    if option == 'TTL' then
      options.ttl = whole_number(value, 1, due.LONGEST)
      if not options.ttl then return failed('ERR tocsin: TTL wants whole seconds, 1 or more') end
    elseif option == 'KEY' then
      if not value or #value == 0 or #value > MAX_KEY then return failed('ERR tocsin: KEY wants 1 to 200 bytes') end
      options.key = value
    elseif option == 'SIZE' then
      options.size = whole_number(value, 0, 1000000)
      if not options.size then return failed('ERR tocsin: SIZE wants a number of messages, 0 to 1000000') end
    elseif option == 'COLLAPSE' then
      if not value or #value == 0 or #value > MAX_KEY then return failed('ERR tocsin: COLLAPSE wants 1 to 200 bytes') end
      options.collapse = value
    elseif option == 'URGENCY' then
      options.urgency = string.lower(value or '')
      if not due.urgencies[options.urgency] then return failed('ERR tocsin: URGENCY wants very-low, low, normal or high') end
    elseif option == 'ESCALATE' then
      options.after = whole_number(value, 0, due.LONGEST)
      if not options.after then return failed('ERR tocsin: ESCALATE wants whole seconds; 0: never') end
      if string.upper(args[i + 2] or '') == 'UNLESS' then
        options.unless = string.lower(args[i + 3] or '')
        if options.unless ~= 'delivered' and options.unless ~= 'read' then return failed('ERR tocsin: UNLESS wants delivered or read') end
        i = i + 2
      end
    elseif option == 'IN' or option == 'AT' then
      if options.at then return failed('ERR tocsin: a message is sent once: give IN s or AT unix-time, not both') end
      options.at, options.is_relative = due.ms(value), option == 'IN'
      if not options.at or options.is_relative and options.at > due.LONGEST * 1000 then
        return failed('ERR tocsin: IN wants seconds, AT seconds since 1970, with at most three decimals')
      end
    else
      return failed('ERR tocsin: unknown option after the message; there are TTL s, KEY k, SIZE n, COLLAPSE k, URGENCY u, '
        .. 'ESCALATE s [UNLESS delivered|read], IN s, AT unix-time')
    end
    i = i + 2
  end
  return options
end

-- What a message's options want and the group cannot do: an error, or nil.
function due.refuse_options(place, options, size)
  local after = options.after or place.escalate and place.escalate.after or 0
  if options.after and options.after > 0 then
    if not place.receipts then return redis.error_reply(track.NO_RECEIPTS .. ', or send without ESCALATE') end
    if options.unless == 'read' and not place.inbox then return redis.error_reply(track.NO_INBOX .. ', or send with UNLESS delivered') end
  end
  if size == 0 and options.collapse then
    return redis.error_reply('ERR tocsin: COLLAPSE is for messages that are kept, and this one is not (size 0)')
  end
  if size == 0 and options.after and options.after > 0 then
    return redis.error_reply('ERR tocsin: ESCALATE is for messages that are kept, and this one is not (size 0)')
  end
  if options.at or after > 0 and size > 0 then return due.refuse(place.prefix) end
  return nil
end

-- group_send, now or later. `due.send`, because what is due is sent by the same function.
local function group_send(keys, args, is_due)
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  if not args[1] then return redis.error_reply('ERR tocsin: the message is missing: FCALL group_send 1 KEY MESSAGE') end
  local options, wrong = due.options(args)
  if not options then return wrong end
  local refused = refuse(args[1])
  if refused then return redis.error_reply(refused) end
  local idempotency = options.key and own(place.prefix, 'key:' .. place.name .. ':' .. options.key)
  if idempotency then
    local before = redis.call('GET', idempotency)
    if before then
      local position, gateways, told, skipped = string.match(before, '^(%S+) (%d+) ?(%d*) ?(%d*)$')
      return { position, tonumber(gateways), tonumber(told), tonumber(skipped) }
    end
  end
  local size, ttl = policy(place)
  size = options.size or size
  local seconds, clock = now()
  -- What is due was accepted under the policy of then: it is sent, with what the policy of now allows.
  local cannot = not is_due and due.refuse_options(place, options, size)
  if cannot then return cannot end
  local position, gateways, told, skipped
  if options.at then
    local is_replica = refuse_replica(clock)
    if is_replica then return is_replica end
    local at = options.is_relative and seconds * 1000 + options.at or options.at
    if at > (seconds + due.LONGEST) * 1000 then return redis.error_reply('ERR tocsin: AT is more than ten years from now') end
    position, gateways, told, skipped = due.schedule(place, at, due.without_time(args), seconds, clock), 0, 0, 0
  else
    position, gateways, told, skipped = append(place, args[1], size, ttl, options.ttl, seconds, clock, options)
    if not position then return gateways end
    local ok, told_too, skipped_too = pcall(tell_consumers, place, args[1], position, seconds)
    if not ok then
      after_acceptance.note('consumers were skipped', told_too)
      told_too, skipped_too = 0, others_in(place)
    end
    told, skipped = told + told_too, skipped + skipped_too
  end
  if idempotency then
    local answer = position .. ' ' .. gateways .. (told + skipped > 0 and ' ' .. told .. ' ' .. skipped or '')
    local kept = redis.pcall('SET', idempotency, answer, 'EX', math.max(ttl, 86400))
    if kept.err then after_acceptance.note('its KEY could not be kept', kept) end
  end
  if told + skipped > 0 then return { position, gateways, told, skipped } end
  return { position, gateways }
end
due.send = group_send

-- The arguments of a scheduled send when it is due: without IN, AT, and KEY, which has been remembered.
function due.without_time(args)
  local kept = { args[1] }
  for i = 2, #args, 2 do
    local option = string.upper(args[i])
    if option ~= 'IN' and option ~= 'AT' and option ~= 'KEY' then
      kept[#kept + 1], kept[#kept + 2] = args[i], args[i + 1]
    end
  end
  return kept
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
local function with_terms(position, size, join_leave, group)
  return position .. (size == 0 and LIVE or '') .. (join_leave and ' presence' or '')
    .. (group.receipts and ' receipts' or '') .. (group.inbox and ' inbox' or '')
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
    answers[i] = with_terms(present_position(group, ttl, clock), size, join_leave, group)
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

-- {offset, message, …} of the entries after `since`, up to `offset`, and the first offset among them: nil if there is none. Of a known
-- hole (what was collapsed or has expired) there is its last offset, with an empty message.
--
-- One entry at a time, because an entry's length is not known before it is read: entries that are requested together but
-- do not fit have been copied for nothing, and may be a hundred messages of a MiB. `most` limits the group, `budget` the
-- call; the last message may exceed them.
local function read_entries(place, since, offset, holes, limit, most, budget, seconds)
  local log = place.log
  local known = holes and track.known_hole(place, since + 1)
  local from = string.format('%d-0', since + 1)
  local entry = redis.call('XRANGE', log, from, known and from or '+', 'COUNT', 1)[1]
  if not entry and not known then return {}, nil end
  local first = known and since + 1 or tonumber(string.match(entry[1], '^%d+'))
  local entries, count, at = {}, 0, first
  while entry or known do           -- a hole that is not known (a send with SIZE 0) ends it: the next page starts with a gap
    local message, length = '', 0
    if known then at = math.min(known, offset) else message, length = message_of(entry, seconds) end
    entries[2 * count + 1], entries[2 * count + 2] = at, message
    count, most, budget.left = count + 1, most - length, budget.left - length - ENTRY_COST
    if count >= limit or at >= offset or most <= 0 or budget.left <= 0 then break end
    at = at + 1
    local id = string.format('%d-0', at)
    entry = redis.call('XRANGE', log, id, id)[1]
    known = not entry and holes and track.known_hole(place, at)
  end
  return entries, first
end

-- {verdict, position, proven offset, {offset, message, …}} of one group. Further verdicts: position: only that was
-- requested. gap: the next message is no longer in the log; its oldest follow. live: the group keeps no log. later: the
-- answer is full already, ask again.
local function read_group(group, text, limit, most, budget, seconds, clock)
  local key = group.pos
  local epoch, history, offset, lineage, changed, holes = read_position(key, clock)
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
  if policy(group) == 0 and redis.call('EXISTS', group.log) == 0 then
    return { 'live', position, proven, {} }
  end
  local entries, first = read_entries(group, proven, offset, holes, limit, most, budget, seconds)
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
  { 'log:trial', 'XADD', 'XRANGE', 'XREVRANGE', 'XTRIM', 'XDEL', 'XLEN', 'EXISTS', 'TTL', 'EXPIRE', 'DEL', 'TYPE' },
  { 'roster:trial', 'HSETNX', 'HGET', 'HDEL', 'HEXISTS', 'HVALS', 'EXISTS', 'TYPE' },
  { 'members:trial', 'SADD', 'SREM', 'SRANDMEMBER', 'SSCAN', 'TYPE' }, { 'unswept', 'SADD', 'SREM', 'SRANDMEMBER' },
  { 'foreign', 'ZADD', 'ZREMRANGEBYRANK' },
  { 'gateway:trial', 'EXISTS', 'HSET', 'HGET', 'HMGET', 'HGETALL', 'EXPIRE', 'DEL' }, { 'gateways', 'ZADD', 'ZREM', 'ZRANGEBYSCORE' },
  { 'retained', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZRANGEBYSCORE', 'TYPE' },
  { 'outgoing', 'XADD', 'XRANGE', 'XDEL', 'XTRIM' }, { 'staging:00', 'XADD', 'XRANGE', 'XDEL', 'XLEN', 'TYPE' },
  { 'seen:trial', 'HGET', 'HSET', 'HDEL', 'HGETALL', 'EXPIRE', 'TTL', 'EXISTS', 'DEL', 'TYPE' },
  { 'reads:trial:u', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZRANGEBYSCORE', 'ZREMRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL' },
  { 'holes:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGEBYSCORE', 'ZREVRANGEBYSCORE', 'ZREMRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'expiring:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGE', 'ZRANGEBYSCORE', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'collapse:trial', 'HGET', 'HSET', 'HDEL', 'HLEN', 'HGETALL', 'EXPIRE', 'TTL', 'DEL', 'TYPE' },
  { 'tracked:u', 'SADD', 'SREM', 'SISMEMBER', 'SMEMBERS', 'SRANDMEMBER', 'EXPIRE', 'TTL', 'DEL' },
  { 'due', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGE', 'ZRANGEBYSCORE', 'ZSCAN' }, { 'scheduled', 'HSET', 'HGET', 'HDEL', 'HEXISTS', 'TYPE' },
  { 'escalations', 'XADD', 'XRANGE', 'XDEL', 'TYPE' },
  { 'task:trial', 'HSET', 'HGET', 'HMGET', 'HINCRBY', 'EXISTS', 'EXPIRE', 'PERSIST', 'DEL', 'TYPE' },
  { 'tasks:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZRANGEBYSCORE', 'ZSCAN', 'TYPE' },
  { 'claims:trial', 'ZADD', 'ZREM', 'ZCARD', 'ZSCORE', 'ZRANGEBYSCORE', 'ZSCAN' },
  { 'dead', 'ZADD', 'ZREM', 'ZSCORE', 'ZRANGE', 'ZREVRANGE', 'ZREMRANGEBYSCORE', 'ZSCAN' },
  { 'push:u', 'HSET', 'HDEL', 'HEXISTS', 'HLEN', 'HGETALL', 'DEL', 'TYPE' } }
-- What lists want besides, for the layer of channels_redis 2.x.
local LIST_WORK = { 'specific.tocsin-00!', 'LLEN', 'LINDEX', 'LTRIM', 'LPUSH', 'RPUSH' }
local CALLS = { 'group_send', 'channel_send', 'group_add', 'group_position', 'group_discard', 'gateway_lease', 'gateway_release', 'gateway_sweep',
  'gateway_retain', 'gateway_collect', 'outgoing_collect', 'outgoing_commit', 'relay_collect', 'relay_commit', 'policy_set', 'mark_read',
  'mark_delivered', 'inbox', 'receipts', 'schedule_cancel', 'schedule_list', 'due_run', 'escalation_claim', 'escalation_finish',
  'escalation_list', 'escalation_retry', 'push_set', 'push_delete', 'user_groups', 'user_erase' }

-- The rights that the caller lacks for a gateway's work, as ACL rules; 'no:COMMAND': this Redis lacks the command. It writes
-- nothing, but is registered as a function that may, so Redis refuses it whenever it refuses writes.
local function gateway_trial(_, args)
  local prefix, database = args[1], whole_number(args[2], 0, 1e6)
  if not prefix or not database then
    return redis.error_reply('ERR tocsin: gateway_trial wants prefix and database, then what else is used: PRESENCE, WAIT, ROLE, LISTS, SCAN, CHANNEL=name')
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
  for name in pairs(used) do
    local channel = string.match(name, '^CHANNEL=([%w%-_%.]+)$')
    if channel then all[#all + 1] = { '=' .. channel, 'ZADD', 'ZCARD', 'ZREMRANGEBYSCORE', 'EXPIRE' } end
  end
  for _, work in ipairs(all) do
    local name, pattern = work[1], nil
    if string.find(name, '^:') then name, pattern = prefix .. name, '~' .. prefix .. ':*'
    elseif string.find(name, '^=') then name = prefix .. string.sub(name, 2); pattern = '~' .. name
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
  if used.ROLE and not may('ROLE') then lack('+role') end
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

-- Receipts and inboxes --------------------------------------------------------------------------------------------

-- What users have of a group (policy `receipts`) and what they have read (policy `inbox`).
--
-- `seen:G` has a record for each user: 'EPOCH READ OFFSET@MS …'. READ: everything up to there is read, except the offsets at or
-- below it in `reads:G:U`; those above it in that set are read singly. OFFSET@MS: the user's devices have the messages after those
-- of the range before, up to this one, since then. AFTER-OFFSET@MS: only those after AFTER, because no device was there for the
-- others. Both only grow within an epoch.
--
-- `holes:G` has the offsets below the group's that the log does not have, although they were not trimmed, as intervals
-- 'KIND A B' by B: 'h', known to readers (expired or collapsed), and 'l', a message that was sent live only. There are at most two
-- between two entries of the log. So the number of messages after a cursor is arithmetic: the offsets after it, without holes, and
-- at most the log's length.
track.ADVANCES = 8
track.NO_RECEIPTS = 'ERR tocsin: the group keeps no receipts: set `receipts: true` or `inbox: true` in its policy'
track.NO_INBOX = 'ERR tocsin: the group keeps no inbox: set `inbox: true` in its policy'
track.NOT_YOURS = 'ERR tocsin: the group belongs to another user'
track.NOBODY = 'ERR tocsin: the user is missing'
track.BAD_USER = 'ERR tocsin: a user is UTF-8, at most 1024 bytes'

function track.key(place, family) return own(place.prefix, family .. ':' .. place.name) end
function track.reads(place, user) return track.key(place, 'reads') .. ':' .. user end

-- Keys of a group live as long as its position. EXPIRE is expensive: called only when a tenth of the time is over.
function track.keep(place, key)
  local seconds = math.max(place.ttl * 10, 864000)
  local left = redis.call('TTL', key)
  if left < seconds * 0.9 then redis.call('EXPIRE', key, seconds) end
  return left
end

-- The user's list of groups, by which erasure finds them. It lives as long as the longest of them.
function track.remember(place, user)
  local key = own(place.prefix, 'tracked:' .. user)
  if redis.call('SISMEMBER', key, place.name) == 1 then return track.keep(place, key) end
  redis.call('SADD', key, place.name)
  track.keep(place, key)
  -- Groups that are gone are dropped as fast as others come.
  if not redis.acl_check_cmd('SRANDMEMBER', key) then return end
  for _, name in ipairs(redis.call('SRANDMEMBER', key, 2)) do
    if redis.call('EXISTS', own(place.prefix, 'seen:' .. name), own(place.prefix, 'log:' .. name)) == 0 and name ~= place.name then
      redis.call('SREM', key, name)
    end
  end
end

-- Whose the record is. Without a login (an empty user) it is the user whom the group belongs to.
function track.user(place, user)
  if type(user) ~= 'string' then return nil, track.NOBODY end
  if #user > 1024 or not is_utf8(user) then return nil, track.BAD_USER end
  if place.owner then
    if user == '' or user == place.owner then return place.owner end
    return nil, track.NOT_YOURS
  end
  if user == '' then return nil, track.NOBODY end
  return user
end

-- The group as it is now: epoch, history, offset, lineage.
function track.group(place, clock)
  local epoch, history, offset, lineage, changed, holes = read_position(place.pos, clock)
  if changed == 'new' then return { epoch = '0', history = '0', offset = 0, is_new = true } end
  return { epoch = epoch, history = history, offset = offset, lineage = lineage, holes = holes }
end

function track.text(group, offset) return text_position(group.epoch, group.history, offset) end

-- The offset up to which a position is valid, and the verdict; or nil and an error.
function track.offset(place, group, text)
  local e, h, o = string.match(text or '', '^(%x+)%.(%x+):(%d+)$')
  if not e or #o > 15 then return nil, 'ERR tocsin: a position is EPOCH.HISTORY:OFFSET, as group_send answered it' end
  if text == BEGINNING then return 0, 'resumed' end
  local lineage = group.lineage
  if not lineage and h ~= group.history then lineage = redis.call('HMGET', place.pos, 'lineage')[1] or '' end
  local verdict, proven = continuity({ epoch = e, history = h, offset = tonumber(o) }, group.epoch, group.history, group.offset, lineage)
  if verdict == 'reset' then
    return nil, 'ERR tocsin: the position is of another group, or from before this group\'s key was lost'
  end
  return proven, verdict
end

-- The offset of a message that the group has, or had; or nil and an error.
function track.existing(place, group, text)
  local offset, verdict = track.offset(place, group, text)
  if not offset then return nil, verdict end
  if verdict == 'rolled_back' or offset == 0 then return nil, 'ERR tocsin: the group has no message at this position' end
  return offset
end

function track.record(place, group, user)
  local record = { read = 0, advances = {} }
  local text = redis.call('HGET', track.key(place, 'seen'), user)
  if not text then record.is_new = true; return record end
  local epoch, read, rest = string.match(text, '^(%x+) (%d+)(.*)$')
  if epoch ~= group.epoch then record.is_stale = true; return record end
  record.read = math.min(tonumber(read), group.offset)
  local upto = 0
  for range, ms in string.gmatch(rest, ' ([%d%-]+)@(%d+)') do
    local after, offset = tonumber(string.match(range, '^(%d+)%-')) or upto, tonumber(string.match(range, '%d+$'))
    offset = math.min(offset, group.offset)
    if offset > after then record.advances[#record.advances + 1] = { after = after, offset = offset, ms = tonumber(ms) } end
    upto = offset
  end
  return record
end

function track.delivered(record)
  local last = record.advances[#record.advances]
  return last and last.offset or 0
end

-- Since when the user has the message, in ms; nil: not yet. Ranges that were joined have the time of the last of them.
function track.delivered_at(record, offset)
  for _, advance in ipairs(record.advances) do
    if advance.after < offset and offset <= advance.offset then return advance.ms end
  end
  return nil
end

-- The user's devices have the messages after `after`, up to `offset`. Whether that was news. What was known keeps its time.
function track.advance(record, after, offset, ms)
  local ranges, is_news = {}, false
  local function add(from, upto, at)
    if upto > from then ranges[#ranges + 1] = { after = from, offset = upto, ms = at } end
  end
  local function news(upto)
    if upto > after then add(after, upto, ms); is_news = true end
  end
  for _, known in ipairs(record.advances) do
    if after < offset and known.offset > after then
      news(math.min(known.after, offset))
      after = math.max(after, known.offset)
    end
    add(known.after, known.offset, known.ms)
  end
  news(offset)
  table.sort(ranges, function(one, other) return one.after < other.after end)
  while #ranges > track.ADVANCES do track.shorten(ranges) end
  record.advances = ranges
  return is_news
end

-- Joins the oldest two ranges between which nothing is missing; if there are none, forgets the oldest.
function track.shorten(ranges)
  for i = 1, #ranges - 1 do
    if ranges[i].offset == ranges[i + 1].after then
      ranges[i + 1].after = ranges[i].after
      table.remove(ranges, i)
      return
    end
  end
  table.remove(ranges, 1)
end

function track.save(place, group, user, record)
  local parts = { group.epoch .. ' ' .. string.format('%d', record.read) }
  local upto = 0
  for _, advance in ipairs(record.advances) do
    local after = advance.after == upto and '' or string.format('%d-', advance.after)
    parts[#parts + 1] = after .. string.format('%d@%.0f', advance.offset, advance.ms)
    upto = advance.offset
  end
  local seen = track.key(place, 'seen')
  if record.is_stale or record.is_new then redis.call('DEL', track.reads(place, user)) end
  track.remember(place, user)
  redis.call('HSET', seen, user, table.concat(parts, ' '))
  track.keep(place, seen)
end

-- Holes -----------------------------------------------------------------------------------------------------------

function track.number(n) return string.format('%d', n) end

function track.hole(text)
  local kind, a, b = string.match(text, '^(%a) (%d+) (%d+)$')
  return kind, tonumber(a), tonumber(b)
end

-- Makes the offsets a hole, joined with those beside it. What readers may pass over joins 'l' after it, because that stops them
-- anyway; not before it, because who saw the live message may go on. So there are at most two intervals between two entries.
function track.add_hole(place, a, b, kind)
  local key, joins = track.key(place, 'holes'), true
  while joins do
    joins = false
    for _, text in ipairs(redis.call('ZRANGEBYSCORE', key, track.number(a - 1), '+inf', 'LIMIT', 0, 2)) do
      local k, from, to = track.hole(text)
      local left, right = to == a - 1 and (k == kind or kind == 'l'), from == b + 1 and (k == kind or k == 'l')
      if left or right then
        redis.call('ZREM', key, text)
        a, b, kind, joins = math.min(a, from), math.max(b, to), right and k or kind, true
        break
      end
    end
  end
  redis.call('ZADD', key, track.number(b), string.format('%s %d %d', kind, a, b))
  track.keep(place, key)
end

-- The hole that the offset is in: kind and bounds; or nil, and the first offset of the next hole, if there is one.
function track.hole_at(place, offset)
  local text = redis.call('ZRANGEBYSCORE', track.key(place, 'holes'), track.number(offset), '+inf', 'LIMIT', 0, 1)[1]
  if not text then return nil end
  local kind, a, b = track.hole(text)
  if a <= offset then return kind, a, b end
  return nil, a
end

-- The end of the hole that an offset is in, if readers may pass over it; or nil.
function track.known_hole(place, offset)
  local kind, _, b = track.hole_at(place, offset)
  return kind == 'h' and b or nil
end

-- The offsets from a to b are not in the log: those that are in no hole become one.
function track.missing(place, a, b)
  while a <= b do
    local kind, from, to = track.hole_at(place, a)
    if kind then a = to + 1 else
      local stop = math.min(b, (from or b + 1) - 1)
      track.add_hole(place, a, stop, 'l')
      a = stop + 1
    end
  end
end

-- Reads the holes, and what will expire, off a log that was written while nobody recorded them. Whether the caller may read it.
function track.rebuild(place, offset)
  local log, from, expected = place.log, '-', nil
  if not redis.acl_check_cmd('XRANGE', log, '-', '+') then return false end
  while true do
    local entries = redis.call('XRANGE', log, from, '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
      local at = tonumber(string.match(entry[1], '^%d+'))
      track.missing(place, expected or at, at - 1)
      expected, from = at + 1, '(' .. entry[1]
      for f = 1, #entry[2], 2 do
        if entry[2][f] == 'x' then redis.call('ZADD', track.key(place, 'expiring'), entry[2][f + 1], track.number(at)) end
      end
    end
    if #entries < 16 then break end
  end
  if expected then track.missing(place, expected, offset) end
  track.keep(place, track.key(place, 'expiring'))
  return true
end

-- Takes expired messages out of the log: they are holes from now on.
function track.sweep(place, seconds, offset)
  local expiring, holes = track.key(place, 'expiring'), track.key(place, 'holes')
  local expired = redis.call('ZRANGEBYSCORE', expiring, '-inf', string.format('%.0f', seconds * 1000), 'LIMIT', 0, 100)
  for _, id in ipairs(expired) do
    if redis.call('XDEL', place.log, id .. '-0') == 1 then track.add_hole(place, tonumber(id), tonumber(id), 'h') end
    redis.call('ZREM', expiring, id)
  end
  local count = redis.call('ZCARD', holes)
  if count > 64 or redis.call('ZCARD', expiring) > 64 then track.forget(place, offset, count) end
end

-- Drops holes and expiries of what was trimmed, when there are more of them than the log can have.
function track.forget(place, offset, count)
  local length, expiring = redis.call('XLEN', place.log), track.key(place, 'expiring')
  local first = track.first(place, offset, length)
  if count > 2 * length + 64 then redis.call('ZREMRANGEBYSCORE', track.key(place, 'holes'), '-inf', '(' .. track.number(first - 1)) end
  if redis.call('ZCARD', expiring) > 2 * length + 64 then
    for _, id in ipairs(redis.call('ZRANGE', expiring, 0, -1)) do
      if tonumber(id) < first then redis.call('ZREM', expiring, id) end
    end
  end
end

-- A message has been given the offset: what that means for holes. If something cannot be recorded, the group's `holes` says so, and
-- the next who may read the log makes it good. Returns that field.
function track.logged(place, offset, size, expires, collapse, seconds, holes)
  local ok = pcall(function()
    local before = holes
    if holes ~= '1' then holes = (offset == 1 or track.rebuild(place, offset)) and '1' or '0' end
    if holes ~= before then redis.call('HSET', place.pos, 'holes', holes) end
    if size == 0 then return track.missing(place, offset, offset) end
    if expires then
      redis.call('ZADD', track.key(place, 'expiring'), expires, track.number(offset))
      track.keep(place, track.key(place, 'expiring'))
    end
    if collapse then track.collapse(place, offset, size, collapse) end
    track.sweep(place, seconds, offset)
  end)
  if ok then return holes end
  redis.call('HSET', place.pos, 'holes', '0')
  pcall(function() note_foreign(place.prefix, track.foreign_key(place), seconds) end)
  return '0'
end

-- The first of the keys of this section with a wrong type.
function track.foreign_key(place)
  for _, family in ipairs({ 'holes', 'expiring', 'collapse' }) do
    if is_foreign(track.key(place, family), family) then return track.key(place, family) end
  end
  return foreign_key_of(place)
end

-- COLLAPSE takes the last message of its key out of the log.
function track.collapse(place, offset, size, collapse)
  local key = track.key(place, 'collapse')
  local last = redis.call('HGET', key, collapse)
  redis.call('HSET', key, collapse, track.number(offset))
  track.keep(place, key)
  if last and tonumber(last) < offset and redis.call('XDEL', place.log, last .. '-0') == 1 then
    redis.call('ZREM', track.key(place, 'expiring'), last)
    track.add_hole(place, tonumber(last), tonumber(last), 'h')
  end
  if redis.call('HLEN', key) > 2 * size + 100 then track.forget_keys(place, offset) end
end

-- Drops collapse keys whose messages are no longer in the log.
function track.forget_keys(place, offset)
  local key = track.key(place, 'collapse')
  local first, all = track.first(place, offset, redis.call('XLEN', place.log)), redis.call('HGETALL', key)
  for i = 1, #all, 2 do
    if tonumber(all[i + 1]) < first then redis.call('HDEL', key, all[i]) end
  end
end

-- The offset of the log's first entry, by arithmetic: a publisher may not read logs. Beyond `offset` where there is none.
function track.first(place, offset, length)
  local at, left = offset, length
  local cursor = '+inf'
  while true do
    local texts = redis.call('ZREVRANGEBYSCORE', track.key(place, 'holes'), cursor, '-inf', 'LIMIT', 0, 100)
    for _, text in ipairs(texts) do
      local _, a, b = track.hole(text)
      if left <= at - b then return at - left + 1 end
      left, at, cursor = left - (at - b), a - 1, '(' .. track.number(b)
    end
    if #texts < 100 then return math.max(at - left + 1, 1) end
  end
end

-- The view without the log's oldest entries, which are older than the policy's ttl and not yet trimmed. One at a time: the first is
-- nearly always young enough.
function track.without_aged(view, oldest)
  local from = '-'
  while true do
    local entry = redis.call('XRANGE', view.place.log, from, '+', 'COUNT', 1)[1]
    if not entry then return end
    local at, t = tonumber(string.match(entry[1], '^%d+')), 0
    for f = 1, #entry[2], 2 do if entry[2][f] == 't' then t = tonumber(entry[2][f + 1]) or 0 end end
    view.first = at
    if t >= oldest then return end
    view.length, view.first, from = view.length - 1, at + 1, '(' .. entry[1]
  end
end

-- What the log has now. `gone`: messages that have expired and are not yet taken out.
function track.view(place, group, seconds)
  local length = redis.call('XLEN', place.log)
  local view = { place = place, offset = group.offset, length = length, gone = {}, is_gone = {} }
  if length > 0 and redis.acl_check_cmd('XRANGE', place.log, '-', '+') then
    track.without_aged(view, (seconds - place.ttl) * 1000)
  else
    view.first = track.first(place, group.offset, length)
  end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', track.key(place, 'expiring'), '-inf', string.format('%.0f', seconds * 1000))) do
    local offset = tonumber(id)
    if offset >= view.first then view.gone[#view.gone + 1], view.is_gone[offset] = offset, true end
  end
  return view
end

-- The number of messages after an offset.
function track.after(view, offset)
  local n, from = view.offset - offset, '(' .. track.number(offset)
  while true do
    local texts = redis.call('ZRANGEBYSCORE', track.key(view.place, 'holes'), from, '+inf', 'LIMIT', 0, 100)
    for _, text in ipairs(texts) do
      local _, a, b = track.hole(text)
      n, from = n - (b - math.max(a, offset + 1) + 1), '(' .. track.number(b)
    end
    if #texts < 100 then break end
  end
  n = math.min(n, view.length)
  for _, gone in ipairs(view.gone) do if gone > offset then n = n - 1 end end
  return math.max(n, 0)
end

-- Whether the log has the message.
function track.has(view, offset)
  return offset >= view.first and offset <= view.offset and not view.is_gone[offset] and not track.hole_at(view.place, offset)
end

-- Read state ------------------------------------------------------------------------------------------------------

-- The offsets at which the user's read state is the opposite of what the cursor says.
function track.singles(place, user, record)
  if record.is_new or record.is_stale then return {} end
  local singles = {}
  for i, text in ipairs(redis.call('ZRANGE', track.reads(place, user), 0, -1)) do singles[i] = tonumber(text) end
  return singles
end

-- The number of unread messages, counted in the log. `opposite`: the singles.
function track.count(view, record, singles, seconds)
  local n, from, opposite = 0, view.first, {}
  for _, offset in ipairs(singles) do opposite[offset] = true end
  while true do
    local entries = redis.call('XRANGE', view.place.log, track.number(from) .. '-0', '+', 'COUNT', 16)
    for _, entry in ipairs(entries) do
      from = tonumber(string.match(entry[1], '^%d+'))
      local is_read = (from <= record.read) ~= (opposite[from] == true)
      if not is_read and message_of(entry, seconds) ~= '' then n = n + 1 end
      from = from + 1
    end
    if #entries < 16 then return n end
  end
end

-- The number of unread messages: by arithmetic, or counted where not all holes of the log are known yet.
function track.unread(group, view, record, singles, seconds)
  if group.holes ~= '1' and redis.acl_check_cmd('XRANGE', view.place.log, '-', '+') then
    return track.count(view, record, singles, seconds)
  end
  local n = track.after(view, record.read)
  for _, offset in ipairs(singles) do
    if track.has(view, offset) then n = n + (offset > record.read and -1 or 1) end
  end
  return n
end

-- Whether the user has read a message.
function track.has_read(place, user, record, offset)
  local is_single = not record.is_new and not record.is_stale
    and redis.call('ZSCORE', track.reads(place, user), string.format('%d', offset))
  if offset > record.read then return is_single and true or false end
  return not is_single
end

-- {"unread":2,"read":"…"} without the braces.
function track.state_text(group, view, record, singles, seconds)
  return string.format('"unread":%d,"read":"%s"', track.unread(group, view, record, singles, seconds), track.text(group, record.read))
end

-- Tells all gateways with members of the group, which tell the user's devices. What starts with '!' is no message.
function track.announce(place, user, text)
  byte = string.byte
  redis.call('PUBLISH', place.gateways, '!inbox {"user":' .. quoted(user) .. ',' .. text .. '}')
end

-- A message was sent to the group of one user: the user's devices get the new count.
function track.sent(place, group, seconds)
  local record, view = track.record(place, group, place.owner), track.view(place, group, seconds)
  track.announce(place, place.owner, track.state_text(group, view, record, track.singles(place, place.owner, record), seconds))
end

-- Moves the cursor over what was read singly after it, and over holes between.
function track.fold(place, user, record)
  local key = track.reads(place, user)
  while true do
    local nearest = redis.call('ZRANGEBYSCORE', key, '(' .. string.format('%d', record.read), '+inf', 'LIMIT', 0, 1)[1]
    if not nearest then return end
    local upto = tonumber(nearest)
    local at = record.read + 1
    while at < upto do
      local kind, _, b = track.hole_at(place, at)
      if not kind then return end
      at = b + 1
    end
    redis.call('ZREM', key, nearest)
    record.read = upto
  end
end

track.marks = { READ = 'upto', UPTO = 'upto', READ_ONE = 'one', ONE = 'one', UNREAD_ONE = 'unread', UNREAD = 'unread', READ_ALL = 'all', ALL = 'all' }

-- Changes what the user has read. Whether it was a change.
function track.mark(place, view, user, record, kind, offset)
  local key, id, before, changed = track.reads(place, user), track.number(offset), record.read, false
  if record.is_stale or record.is_new then
    redis.call('DEL', key)
    record.is_stale, record.is_new = nil, nil
  end
  if kind == 'upto' or kind == 'all' then
    changed = redis.call('ZREMRANGEBYSCORE', key, '-inf', id) > 0
    record.read = math.max(record.read, offset)
  elseif (kind == 'one') == (offset <= record.read) then
    changed = redis.call('ZREM', key, id) > 0
  elseif track.has(view, offset) then
    changed = redis.call('ZADD', key, id, id) > 0
  end
  redis.call('ZREMRANGEBYSCORE', key, '-inf', '(' .. track.number(view.first))
  if kind ~= 'unread' then track.fold(place, user, record) end
  track.keep(place, key)
  return changed or record.read ~= before
end

-- mark_read: user, then a position (everything up to it is read), or ONE position, UNREAD position, ALL.
local function mark_read(keys, args)
  local usage = 'ERR tocsin: mark_read wants a user, then POSITION, ONE POSITION, UNREAD POSITION or ALL'
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  local kind, text = track.marks[string.upper(args[2] or '')], args[3]
  if not kind then kind, text = 'upto', args[2] end
  if not args[2] or #args > 3 or (kind == 'all') ~= (text == nil) then return redis.error_reply(usage) end
  policy(place)
  if not place.inbox then return redis.error_reply(track.NO_INBOX) end
  local user, failed = track.user(place, args[1])
  if not user then return redis.error_reply(failed) end
  local seconds, clock = now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local group, offset = track.group(place, clock), nil
  if kind == 'all' then offset = group.offset else
    offset, failed = track.existing(place, group, text)
    if not offset then return redis.error_reply(failed) end
  end
  if group.is_new then return '{"unread":0,"read":"' .. BEGINNING .. '"}' end
  if group.holes ~= '1' and track.rebuild(place, group.offset) then
    redis.call('HSET', place.pos, 'holes', '1')
    group.holes = '1'
  end
  track.sweep(place, seconds, group.offset)
  trim_by_age(place.log, (seconds - place.ttl) * 1000)
  local record, view = track.record(place, group, user), track.view(place, group, seconds)
  local changed = track.mark(place, view, user, record, kind, offset)
  local advanced = kind ~= 'unread' and track.advance(record, kind == 'one' and offset - 1 or 0, offset, math.floor(seconds * 1000))
  if changed or advanced then track.save(place, group, user, record) end
  local state = track.state_text(group, view, record, track.singles(place, user, record), seconds)
  if changed then
    local one = kind == 'one' and ',"read_one":"' or kind == 'unread' and ',"unread_one":"'
    track.announce(place, user, state .. (one and one .. track.text(group, offset) .. '"' or ''))
  end
  return '{' .. state .. '}'
end

-- A message's JSON: bytes are base64, as gateways show them.
function track.json(message)
  byte, find = string.byte, string.find
  if not is_map(byte(message, 1)) then return find(message, '^[ \t\r\n]*{') and message or 'null' end
  local out = { for_browsers = true }
  return json_of(message, 1, out) and table.concat(out) or 'null'
end

-- inbox: user [LIMIT n] [BEFORE position] [RAW]. JSON, newest first; RAW: an array with the messages as they were sent.
local function inbox(keys, args)
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  local limit, before, raw, i = 50, nil, false, 2
  while args[i] do
    local option = string.upper(args[i])
    if option == 'RAW' then raw = true
    elseif option == 'LIMIT' then
      i = i + 1
      limit = whole_number(args[i], 0, 1000)
      if not limit then return redis.error_reply('ERR tocsin: LIMIT wants a number of messages, 0 to 1000') end
    elseif option == 'BEFORE' and args[i + 1] then
      i = i + 1
      before = args[i]
    else
      return redis.error_reply('ERR tocsin: unknown option of inbox; there are LIMIT n, BEFORE position, RAW')
    end
    i = i + 1
  end
  policy(place)
  if not place.inbox then return redis.error_reply(track.NO_INBOX) end
  local user, failed = track.user(place, args[1])
  if not user then return redis.error_reply(failed) end
  local seconds, clock = now()
  local group = track.group(place, clock)
  local at = group.offset
  if before then
    local offset, verdict = track.offset(place, group, before)
    if not offset then return redis.error_reply(verdict) end
    at = offset - 1
  end
  local record, view = track.record(place, group, user), track.view(place, group, seconds)
  local singles, opposite, entries, budget = track.singles(place, user, record), {}, {}, MAX_MESSAGE
  for _, offset in ipairs(singles) do opposite[offset] = true end
  while #entries < limit and at >= view.first and budget > 0 do
    local chunk = redis.call('XREVRANGE', place.log, string.format('%d-0', at), string.format('%d-0', view.first), 'COUNT', 4)
    if not chunk[1] then break end
    for _, entry in ipairs(chunk) do
      at = tonumber(string.match(entry[1], '^%d+')) - 1
      local message = message_of(entry, seconds)
      if message ~= '' and #entries < limit and budget > 0 then
        local is_read = (at + 1 <= record.read) ~= (opposite[at + 1] == true)
        entries[#entries + 1] = { at + 1, is_read and 1 or 0, message }
        budget = budget - #message
      elseif message ~= '' then
        budget = 0
      end
    end
  end
  if raw then
    local unread = track.unread(group, view, record, singles, seconds)
    return { unread, track.text(group, record.read), singles, entries }
  end
  local texts = {}
  for n, entry in ipairs(entries) do
    texts[n] = string.format('{"position":"%s","message":', track.text(group, entry[1])) .. track.json(entry[3])
      .. ',"read":' .. (entry[2] == 1 and 'true' or 'false') .. '}'
  end
  return '{' .. track.state_text(group, view, record, singles, seconds) .. ',"messages":[' .. table.concat(texts, ',') .. ']}'
end

-- mark_delivered: a user and a position for each key: the user's devices have what came after their last proof, up to there; with
-- '/N' after the position only the N messages up to there, because no device was there for others. The number of records that
-- changed: what is unknown or not the user's is left out, because the rest of a gateway's batch is right.
local function mark_delivered(keys, args)
  local groups = parse_group_keys(keys, 1)
  if not groups then return redis.error_reply(BAD_GROUP_KEY) end
  if #args ~= 2 * #groups then return redis.error_reply('ERR tocsin: mark_delivered wants a user and a position for each key') end
  local seconds, clock = now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local moved = 0
  for i, place in ipairs(groups) do
    local ok, failed = pcall(function()
      policy(place)
      local user = place.receipts and track.user(place, args[2 * i - 1])
      local group = user and track.group(place, clock)
      local offset, verdict = 0, nil
      local position, count = string.match(args[2 * i], '^(.*)/(%d+)$')
      if group and not group.is_new then offset, verdict = track.offset(place, group, position or args[2 * i]) end
      -- What was lost in a failover proves nothing about the messages that have its offsets now.
      if not offset or offset == 0 or verdict == 'rolled_back' then return end
      local record = track.record(place, group, user)
      local after = count and math.max(offset - tonumber(count), 0) or track.delivered(record)
      if not track.advance(record, after, offset, math.floor(seconds * 1000)) then return end
      track.save(place, group, user, record)
      moved = moved + 1
    end)
    if not ok then note_foreign(place.prefix, track.key(place, 'seen'), seconds) end
  end
  return moved
end

-- Who is meant: the group's user, or those in the roster and those with a record. Sorted.
function track.users(place, group)
  if place.owner then return { place.owner } end
  local known, users = {}, {}
  local function add(user)
    if user and user ~= '' and not known[user] then known[user] = true; users[#users + 1] = user end
  end
  for _, line in ipairs(redis.call('HVALS', place.roster)) do
    local ok, value = pcall(cjson.decode, line)
    if ok and type(value) == 'table' and type(value.user) == 'string' then add(value.user) end
  end
  local records = redis.call('HGETALL', track.key(place, 'seen'))
  for i = 1, #records, 2 do
    if string.match(records[i + 1], '^%x+') == group.epoch then add(records[i]) end
  end
  table.sort(users)
  return users
end

-- {delivered since (ms) or nil, read} of a user and a message.
function track.receipt(place, group, user, offset)
  local record = track.record(place, group, user)
  return track.delivered_at(record, offset), place.inbox and track.has_read(place, user, record, offset) or false
end

-- receipts: a position → {"position":…,"users":[…]}.
local function receipts(keys, args)
  byte = string.byte
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  policy(place)
  if not place.receipts then return redis.error_reply(track.NO_RECEIPTS) end
  local _, clock = now()
  local group = track.group(place, clock)
  local offset, failed = track.existing(place, group, args[1])
  if not offset then return redis.error_reply(failed) end
  local texts = {}
  for i, user in ipairs(track.users(place, group)) do
    local ms, is_read = track.receipt(place, group, user, offset)
    texts[i] = '{"user":' .. quoted(user) .. ',"delivered":' .. (ms and string.format('true,"delivered_at":%.3f', ms / 1000) or 'false')
      .. ',"read":' .. tostring(is_read) .. '}'
  end
  return '{"position":"' .. args[1] .. '","users":[' .. table.concat(texts, ',') .. ']}'
end

-- What is due -----------------------------------------------------------------------------------------------------

-- `due` has what is to happen when, in ms: 's ID', a scheduled send whose arguments are in the hash `scheduled`, and
-- 'e POSITION GROUP UNLESS [USER]', an escalation: without a user it is for the group's own, or becomes one for each of its users.
-- Each is taken out in the step that does it, or drops it: so it happens once, whichever gateway asks, and whoever dies. What fails
-- is tried again after 10 s: a key may have a wrong type.
--
-- An escalation is an entry of the stream `escalations` for each user, and a task for each target (`task:ID`), which waits in
-- `tasks:TARGET` by the time of its next try, or is claimed in `claims:TARGET` until a time at which another may take it.
due.MOST = 1000000                  -- sends and escalations that may wait
due.LONGEST = 315360000             -- seconds that a send may be put off
due.KEPT = 100000                   -- entries of `escalations`
due.SCANNED = 20000                 -- of what is due, looked at for one list
due.DEAD, due.DEAD_SECONDS = 10000, 2592000   -- dead letters, and how long they are kept
due.FULL = 'ERR tocsin: 1000000 sends and escalations are waiting already; let them become due, or cancel some'

-- A number of seconds with at most three decimals, as ms.
function due.ms(text)
  if type(text) ~= 'string' or #text > 16 or not string.find(text, '^%d+%.?%d*$') then return nil end
  return math.floor(tonumber(text) * 1000 + 0.5)
end

-- Whether something can be put there: checked before a message is accepted. An error, or nil.
function due.refuse(prefix)
  local key = own(prefix, 'due')
  local count = redis.pcall('ZCARD', key)
  if type(count) == 'table' then return count end
  local ok, allowed = pcall(redis.acl_check_cmd, 'ZADD', key, 0, 'x')
  if ok and not allowed then return redis.error_reply('NOPERM tocsin: the user may not ZADD to ' .. key .. ', which escalations and scheduled sends need') end
  return count >= due.MOST and redis.error_reply(due.FULL) or nil
end

-- Puts off the escalation of a message that has its position; none, if the message will have expired by then.
function due.escalate_later(place, position, options, message_ttl, seconds)
  local policy = place.escalate or {}
  local after = options.after or policy.after or 0
  if after == 0 or message_ttl and message_ttl <= after then return end
  local unless = options.unless or policy.unless or place.inbox and 'read' or 'delivered'
  local added = redis.pcall('ZADD', own(place.prefix, 'due'), string.format('%.0f', (seconds + after) * 1000),
    'e ' .. position .. ' ' .. place.name .. ' ' .. unless)
  if type(added) == 'table' then note_foreign(place.prefix, own(place.prefix, 'due'), seconds) end
end

-- Keeps a send for later. Its id names the group, so that several servers can be asked for it.
function due.schedule(place, at, args, seconds, clock)
  local id = string.sub(redis.sha1hex(place.key .. clock[1] .. clock[2] .. (args[1] or '')), 1, 16) .. '@' .. place.name
  while redis.call('HEXISTS', own(place.prefix, 'scheduled'), id) == 1 do
    id = string.sub(redis.sha1hex(id), 1, 16) .. '@' .. place.name
  end
  redis.call('HSET', own(place.prefix, 'scheduled'), id, cmsgpack.pack({ key = place.key, at = at, args = args }))
  redis.call('ZADD', own(place.prefix, 'due'), string.format('%.0f', at), 's ' .. id)
  return id
end

-- schedule_cancel: an id. 1; 0 when it is unknown: sent, or cancelled before.
local function schedule_cancel(keys, args)
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  local id = args[1] or ''
  if #args ~= 1 or string.match(id, '^%x+@(.+)$') ~= place.name then
    return redis.error_reply('ERR tocsin: schedule_cancel wants the id that group_send answered for this group')
  end
  redis.call('ZREM', own(place.prefix, 'due'), 's ' .. id)
  return redis.call('HDEL', own(place.prefix, 'scheduled'), id)
end

function due.listed(prefix, id, group, at)
  local kept = redis.call('HGET', own(prefix, 'scheduled'), id)
  local message = kept and track.json(cmsgpack.unpack(kept).args[1]) or 'null'
  return string.format('{"id":"%s","group":"%s","at":%.3f,"message":', id, group, at / 1000) .. message .. '}'
end

-- schedule_list: prefix, limit [group]. JSON of what is scheduled, soonest first; `more`: there is more than a call may cost.
local function schedule_list(_, args)
  byte = string.byte
  local prefix, limit = args[1], whole_number(args[2] or '', 1, 1000)
  if not limit then return redis.error_reply('ERR tocsin: schedule_list wants prefix, a limit of 1 to 1000 and, if you like, a group') end
  local texts, start, left, more = {}, 0, RELAY_BYTES, false
  while true do
    local members = redis.call('ZRANGE', own(prefix, 'due'), start, start + 499, 'WITHSCORES')
    for i = 1, #members, 2 do
      local id, group = string.match(members[i], '^s (%x+@(.+))$')
      if id and (not args[3] or args[3] == group) then
        more = #texts == limit or left <= 0
        if more then break end
        texts[#texts + 1] = due.listed(prefix, id, group, tonumber(members[i + 1]))
        left = left - #texts[#texts]
      end
    end
    start = start + 500
    if more or #members < 1000 then break end
    more = start >= due.SCANNED
    if more then break end
  end
  return '{"scheduled":[' .. table.concat(texts, ',') .. ']' .. (more and ',"more":true' or '') .. '}'
end

-- Escalations -----------------------------------------------------------------------------------------------------

-- The tasks of an escalation: one for each webhook, and one for each browser of the user.
function due.tasks(place, escalation, data, message, rest, user, seconds)
  local all, tasks = policies(place.prefix, redis.call('GET', place.policy)).targets, {}
  local function add(target, id, body, subscription)
    tasks[#tasks + 1] = { target = target, id = id, body = body, subscription = subscription }
  end
  for _, target in ipairs(place.escalate and place.escalate.to or due.names(all)) do
    local kind = all[target] and all[target].kind
    if kind == 'webhook' then
      add(target, escalation .. '/' .. target, string.format('{"type":"notification.unseen","timestamp":%.3f,"data":{', seconds)
        .. data .. ',"message":' .. message .. rest .. '}}')
    elseif kind == 'web_push' then
      local body = '{' .. data .. ',"message":' .. message .. '}'
      if #body > due.PAYLOAD then body = '{' .. data .. '}' end
      local key = own(place.prefix, 'push:' .. user)
      local subscriptions = redis.pcall('HGETALL', key)
      if subscriptions.err then error({ key = key }) end
      for i = 1, #subscriptions, 2 do add(target, escalation .. '/' .. target .. '/' .. subscriptions[i], body, subscriptions[i + 1]) end
    end
  end
  return tasks
end

-- One record of RFC 8188 in 4096 bytes leaves so many for the payload of a Web Push. A longer message sends its position.
due.PAYLOAD = 3993

-- Stops, before anything is written, where a key has a wrong type, or a target has as many tasks waiting as may be.
function due.check_keys(prefix, tasks)
  local function check(family, name)
    local key = own(prefix, name and family .. ':' .. name or family)
    if is_foreign(key, family) then error({ key = key }) end
    return key
  end
  check('escalations')
  for _, task in ipairs(tasks) do
    check('task', task.id)
    local waiting = check('tasks', task.target)
    if redis.call('ZCARD', waiting) >= due.MOST then error({ is_full = true }) end
  end
end

-- One user has not seen a message in time.
function due.escalate(place, position, user, delivered, is_read, fields, seconds)
  local prefix = place.prefix
  local message = fields.m and track.json(fields.m) or 'null'
  local data = string.format('"group":"%s","user":%s,"position":"%s"', place.name, quoted(user), position)
  local rest = ',"delivered":' .. tostring(delivered) .. ',"read":' .. tostring(is_read)
  local escalation = 'esc_' .. string.sub(redis.sha1hex(place.key .. ' ' .. position .. ' ' .. user), 1, 24)
  local tasks = due.tasks(place, escalation, data, message, rest, user, seconds)
  due.check_keys(prefix, tasks)
  redis.call('XADD', own(prefix, 'escalations'), 'MAXLEN', '~', due.KEPT, '*', 'id', escalation, 'group', place.name, 'user', user,
    'position', position, 'message', message, 'delivered', delivered and '1' or '0', 'read', is_read and '1' or '0')
  for _, task in ipairs(tasks) do
    redis.call('HSET', own(prefix, 'task:' .. task.id), 'target', task.target, 'escalation', escalation, 'attempt', '0', 'since',
      string.format('%.3f', seconds), 'group', place.name, 'user', user, 'position', position, 'body', task.body,
      'subscription', task.subscription or '', 'ttl', fields.ttl or '', 'urgency', fields.u or '', 'topic', fields.k or '')
    redis.call('ZADD', own(prefix, 'tasks:' .. task.target), string.format('%.0f', seconds * 1000), task.id)
  end
end

function due.names(targets)
  local names = {}
  for name in pairs(targets) do names[#names + 1] = name end
  table.sort(names)
  return names
end

-- The entry's fields; empty if it was trimmed; nil if it has expired, or a newer one, which has an escalation of its own, took its
-- place.
function due.fields_of(place, offset, seconds)
  local id = string.format('%d-0', offset)
  local entry, fields = redis.call('XRANGE', place.log, id, id)[1], {}
  if not entry then return not track.hole_at(place, offset) and fields or nil end
  for i = 1, #entry[2], 2 do fields[entry[2][i]] = entry[2][i + 1] end
  local expires = tonumber(fields.x)
  if expires and expires <= seconds * 1000 then return nil end
  fields.ttl = expires and string.format('%.0f', math.ceil(expires / 1000 - seconds)) or nil
  return fields
end

-- Decides about a message that was to be seen by now: the number of escalations. Of a group of several users each becomes an
-- escalation of its own, so that one step never escalates more than one.
function due.decide(place, position, unless, user, seconds, clock)
  policy(place)
  if not place.receipts then return 0 end
  local group = track.group(place, clock)
  local offset = not group.is_new and track.existing(place, group, position)
  local fields = offset and due.fields_of(place, offset, seconds)
  if not fields then return 0 end
  if user == '' then user = place.owner end
  local function receipt(of)
    local since, is_read = track.receipt(place, group, of, offset)
    return not is_read and not ((unless == 'delivered' or not place.inbox) and since), since ~= nil, is_read
  end
  if user then
    local is_unseen, is_delivered, is_read = receipt(user)
    if not is_unseen then return 0 end
    due.escalate(place, position, user, is_delivered, is_read, fields, seconds)
    return 1
  end
  for _, each in ipairs(track.users(place, group)) do
    if receipt(each) then
      redis.call('ZADD', own(place.prefix, 'due'), string.format('%.0f', seconds * 1000), 'e ' .. position .. ' ' .. place.name .. ' ' .. unless .. ' ' .. each)
    end
  end
  return 0
end

-- Does one thing that is due: what it was ('sent', 'escalated' or 'dropped') and its bytes.
function due.perform(prefix, member, seconds, clock)
  local id = string.match(member, '^s (%x+@.+)$')
  if id then
    local scheduled = own(prefix, 'scheduled')
    local kept = redis.call('HGET', scheduled, id)
    if not kept then return 'dropped', 0 end
    local send = cmsgpack.unpack(kept)
    local answer = due.send({ send.key }, send.args, true)
    if answer.err then error(answer) end
    redis.call('HDEL', scheduled, id)
    return 'sent', #kept
  end
  local position, name, unless, user = string.match(member, '^e (%S+) (%S+) (%a+) ?(.*)$')
  local place = name and place_of(prefix .. ':group:' .. name)
  local count = place and due.decide(place, position, unless, user, seconds, clock) or 0
  return count > 0 and 'escalated' or 'dropped', count * ENTRY_COST
end

-- The key that is in the way of what is due.
function due.foreign_key(prefix, member, failed)
  if type(failed) == 'table' and failed.key then return failed.key end
  if is_foreign(own(prefix, 'scheduled'), 'scheduled') then return own(prefix, 'scheduled') end
  local place = place_of(prefix .. ':group:' .. (string.match(member, '^s %x+@(.+)$') or string.match(member, '^e %S+ (%S+)') or ''))
  if not place then return own(prefix, 'due') end
  if is_foreign(track.key(place, 'seen'), 'seen') then return track.key(place, 'seen') end
  return track.foreign_key(place)
end

-- due_run: prefix, limit. Does what is due: {done, ms until the next or -1, sent, escalated}.
local function due_run(_, args)
  local prefix, limit = args[1], whole_number(args[2] or '', 1, 10000)
  if not limit then return redis.error_reply('ERR tocsin: due_run wants prefix and a limit of 1 to 10000') end
  byte, find = string.byte, string.find
  local seconds, clock = now()
  local refused = refuse_replica(clock)
  if refused then return refused end
  local key, done, count, left = own(prefix, 'due'), 0, { sent = 0, escalated = 0, dropped = 0 }, RELAY_BYTES
  while done < limit and left > 0 do
    local member = redis.call('ZRANGEBYSCORE', key, '-inf', string.format('%.0f', seconds * 1000), 'LIMIT', 0, 1)[1]
    if not member then break end
    local ok, what, bytes = pcall(due.perform, prefix, member, seconds, clock)
    if ok then
      redis.call('ZREM', key, member)
      count[what] = count[what] + 1
    else
      redis.call('ZADD', key, string.format('%.0f', (seconds + 10) * 1000), member)
      if type(what) ~= 'table' or not what.is_full then note_foreign(prefix, due.foreign_key(prefix, member, what), seconds) end
    end
    done, left = done + 1, left - ENTRY_COST - (ok and bytes or 0)
  end
  local following = redis.call('ZRANGE', key, 0, 0, 'WITHSCORES')
  local wait = following[2] and math.max(tonumber(following[2]) - math.floor(seconds * 1000 + 0.5), 0) or -1
  return { done, wait, count.sent, count.escalated }
end

-- Tasks -----------------------------------------------------------------------------------------------------------

due.fields = { 'escalation', 'attempt', 'since', 'group', 'user', 'position', 'body', 'subscription', 'ttl', 'urgency', 'topic' }

function due.target(text) return type(text) == 'string' and string.find(text, '^[%w%-_]+$') and #text <= 64 and text or nil end

-- escalation_claim: prefix, target, most in flight in the whole fleet, limit, seconds. {{id, escalation, attempt, …}, …} in the order of
-- `due.fields`. A claim that is not finished in time is taken back.
local function escalation_claim(_, args)
  local prefix, target = args[1], due.target(args[2])
  local most, limit, lease = whole_number(args[3] or '', 1, 10000), whole_number(args[4] or '', 1, 1000), whole_number(args[5] or '', 1, 3600)
  if not target or not most or not limit or not lease then
    return redis.error_reply('ERR tocsin: escalation_claim wants prefix, target, most in flight, limit and seconds')
  end
  local tasks, claims = own(prefix, 'tasks:' .. target), own(prefix, 'claims:' .. target)
  local seconds = now()
  local ms = string.format('%.0f', seconds * 1000)
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', claims, '-inf', ms, 'LIMIT', 0, 1000)) do
    redis.call('ZADD', tasks, ms, id)
    redis.call('ZREM', claims, id)
  end
  local free = math.min(limit, most - redis.call('ZCARD', claims))
  local answer = {}
  if free <= 0 then return answer end
  for _, id in ipairs(redis.call('ZRANGEBYSCORE', tasks, '-inf', ms, 'LIMIT', 0, free)) do
    local key = own(prefix, 'task:' .. id)
    redis.call('ZREM', tasks, id)
    if redis.call('TYPE', key).ok == 'hash' then
      redis.call('ZADD', claims, string.format('%.0f', (seconds + lease) * 1000), id)
      redis.call('HINCRBY', key, 'attempt', 1)
      local task = redis.call('HMGET', key, unpack(due.fields))
      for i = 1, #due.fields do task[i] = task[i] or '' end
      table.insert(task, 1, id)
      answer[#answer + 1] = task
    end
  end
  return answer
end

-- escalation_finish: prefix, target, id, attempt, then DONE, GONE (the subscription is removed too), RETRY ms reason, or DEAD reason.
-- 1; 0 when the task was finished by another, or belongs to a later attempt.
local function escalation_finish(_, args)
  local prefix, target, id, result = args[1], due.target(args[2]), args[3], string.upper(args[5] or '')
  local after = result == 'RETRY' and whole_number(args[6] or '', 0, 864000000)
  if not target or not id or not ({ DONE = true, GONE = true, RETRY = after, DEAD = true })[result] then
    return redis.error_reply('ERR tocsin: escalation_finish wants prefix, target, id, attempt, then DONE, GONE, RETRY ms reason, or DEAD reason')
  end
  local key, tasks, claims = own(prefix, 'task:' .. id), own(prefix, 'tasks:' .. target), own(prefix, 'claims:' .. target)
  local task = redis.call('HMGET', key, 'attempt', 'user', 'target')
  if task[3] ~= target or redis.call('ZSCORE', own(prefix, 'dead'), target .. ' ' .. id) then return 0 end
  local is_current = task[1] == args[4] and redis.call('ZSCORE', claims, id)
  if not is_current and result ~= 'DONE' and result ~= 'GONE' then return 0 end
  local seconds = now()
  redis.call('ZREM', claims, id)
  redis.call('ZREM', tasks, id)
  if result == 'RETRY' then
    redis.call('HSET', key, 'reason', args[7] or '')
    redis.call('ZADD', tasks, string.format('%.0f', seconds * 1000 + after), id)
  elseif result == 'DEAD' then
    redis.call('HSET', key, 'reason', args[6] or '')
    redis.call('EXPIRE', key, due.DEAD_SECONDS)
    local dead = own(prefix, 'dead')
    redis.call('ZADD', dead, string.format('%.0f', seconds * 1000), target .. ' ' .. id)
    redis.call('ZREMRANGEBYSCORE', dead, '-inf', string.format('%.0f', (seconds - due.DEAD_SECONDS) * 1000))
    for _, oldest in ipairs(redis.call('ZRANGE', dead, 0, -1 - due.DEAD)) do
      redis.call('DEL', own(prefix, 'task:' .. string.match(oldest, ' (.*)$')))
      redis.call('ZREM', dead, oldest)
    end
  else
    if result == 'GONE' then redis.call('HDEL', own(prefix, 'push:' .. task[2]), string.match(id, '([^/]*)$')) end
    redis.call('DEL', key)
  end
  return 1
end

-- escalation_list: prefix, limit. JSON: what waits for each target, what is in flight, and the dead letters, newest first.
local function escalation_list(_, args)
  byte = string.byte
  local prefix, limit = args[1], whole_number(args[2] or '', 1, 1000)
  if not limit then return redis.error_reply('ERR tocsin: escalation_list wants prefix and a limit of 1 to 1000') end
  local targets, dead = {}, {}
  for i, name in ipairs(due.names(policies(prefix, redis.call('GET', own(prefix, 'policy'))).targets)) do
    targets[i] = string.format('{"target":"%s","waiting":%d,"in_flight":%d}', name, redis.call('ZCARD', own(prefix, 'tasks:' .. name)),
      redis.call('ZCARD', own(prefix, 'claims:' .. name)))
  end
  local members = redis.call('ZREVRANGE', own(prefix, 'dead'), 0, limit - 1, 'WITHSCORES')
  for i = 1, #members, 2 do
    local target, id = string.match(members[i], '^(%S+) (.*)$')
    local task = redis.call('HMGET', own(prefix, 'task:' .. id), 'group', 'user', 'position', 'attempt', 'reason')
    if task[1] then
      dead[#dead + 1] = '{"id":' .. quoted(id) .. string.format(',"target":"%s","group":"%s","user":%s,"position":"%s","attempts":%s,"died_at":%.3f,"reason":%s}',
        target, task[1], quoted(task[2]), task[3], task[4], tonumber(members[i + 1]) / 1000, quoted(task[5] or ''))
    end
  end
  return '{"targets":[' .. table.concat(targets, ',') .. '],"dead":[' .. table.concat(dead, ',') .. ']}'
end

-- escalation_retry: prefix, id or ALL. The number of dead letters that are sent again, as new ones: at most 1000 in a call.
local function escalation_retry(_, args)
  if #args ~= 2 then return redis.error_reply('ERR tocsin: escalation_retry wants prefix and an id, or ALL') end
  local prefix, dead, count, seconds = args[1], own(args[1], 'dead'), 0, now()
  for _, member in ipairs(redis.call('ZRANGE', dead, 0, -1)) do
    local target, id = string.match(member, '^(%S+) (.*)$')
    if count < 1000 and (args[2] == id or string.upper(args[2]) == 'ALL') then
      redis.call('ZREM', dead, member)
      local key = own(prefix, 'task:' .. id)
      if redis.call('EXISTS', key) == 1 then
        redis.call('PERSIST', key)
        redis.call('HSET', key, 'attempt', '0', 'since', string.format('%.3f', seconds))
        redis.call('ZADD', own(prefix, 'tasks:' .. target), string.format('%.0f', seconds * 1000), id)
        count = count + 1
      end
    end
  end
  return count
end

-- Users -----------------------------------------------------------------------------------------------------------

due.SUBSCRIPTIONS = 20              -- of a user: one for each browser

function due.is_user(text) return type(text) == 'string' and text ~= '' and #text <= 1024 and is_utf8(text) end

-- push_set: prefix, user, id, subscription. The number of the user's subscriptions. Gateways check what they store here.
local function push_set(_, args)
  if #args ~= 4 or not due.is_user(args[2]) or #args[4] > 4096 or not string.find(args[3], '^%x+$') or #args[3] > 64
    or not string.find(args[4], '^%s*{') or not is_json(args[4]) then
    return redis.error_reply('ERR tocsin: push_set wants prefix, user, id (hex, at most 64 digits) and a subscription (a JSON object, at most 4096 bytes)')
  end
  local key = own(args[1], 'push:' .. args[2])
  if redis.call('HEXISTS', key, args[3]) == 0 and redis.call('HLEN', key) >= due.SUBSCRIPTIONS then
    return redis.error_reply('ERR tocsin: the user has ' .. due.SUBSCRIPTIONS .. ' push subscriptions already; remove one first')
  end
  redis.call('HSET', key, args[3], args[4])
  return redis.call('HLEN', key)
end

-- push_delete: prefix, user, id. 1; 0 when there was none.
local function push_delete(_, args)
  if #args ~= 3 then return redis.error_reply('ERR tocsin: push_delete wants prefix, user and id') end
  return redis.call('HDEL', own(args[1], 'push:' .. args[2]), args[3])
end

-- user_groups: prefix, user. The groups that have a record of the user, and those that belong to the user.
local function user_groups(_, args)
  local prefix, user = args[1], args[2]
  if #args ~= 2 or not due.is_user(user) then return redis.error_reply('ERR tocsin: user_groups wants prefix and user') end
  local known, groups = {}, {}
  local function add(name)
    if place_of(prefix .. ':group:' .. name) and not known[name] then known[name] = true; groups[#groups + 1] = name end
  end
  for _, rule in ipairs(policies(prefix, redis.call('GET', own(prefix, 'policy'))).rules) do
    if not string.find(rule.match, '[%*%?]') and string.find(rule.match, '{user}', 1, true) then
      local name = string.gsub(rule.match, '{user}', function() return user end, 1)
      local place = place_of(prefix .. ':group:' .. name)
      if place then
        policy(place)
        if place.owner == user then add(name) end
      end
    end
  end
  for _, name in ipairs(redis.call('SMEMBERS', own(prefix, 'tracked:' .. user))) do add(name) end
  table.sort(groups)
  return groups
end

-- A group that belongs to the user is deleted with everything in it; of another one, the user's record. Whether it was the user's.
function due.erase_group(place, user)
  policy(place)
  redis.call('HDEL', track.key(place, 'seen'), user)
  redis.call('DEL', track.reads(place, user))
  if place.owner ~= user then return end
  redis.call('DEL', place.pos, track.key(place, 'seen'))
  drop_log(place)
  if redis.call('EXISTS', place.roster) == 0 then
    redis.call('ZREM', own(place.prefix, 'retained'), place.name)
    redis.call('ZREM', place.key, place.fleet)
  end
end

-- Whether what is due is about the user: a send or an escalation of the user's own group, or an escalation for the user.
function due.concerns(prefix, member, user)
  local id, name = string.match(member, '^s (%x+@(.+))$')
  local of = nil
  if not id then name, of = string.match(member, '^e %S+ (%S+) %a+ ?(.*)$') end
  local place = name and place_of(prefix .. ':group:' .. name)
  if not place then return false end
  policy(place)
  return place.owner == user or of == user, id
end

-- The sets that have what is to be done for users, in the order in which they are searched. Claims twice, because a task may go from
-- one set to the other meanwhile.
function due.sets(prefix)
  local sets = { 'due', 'dead' }
  for _, name in ipairs(due.names(policies(prefix, redis.call('GET', own(prefix, 'policy'))).targets)) do
    for _, family in ipairs({ 'claims:', 'tasks:', 'claims:' }) do sets[#sets + 1] = family .. name end
  end
  return sets
end

-- Removes what is the user's from some hundred members of one of those sets. The next cursor of ZSCAN.
function due.erase_some(prefix, set, cursor, user)
  local key = own(prefix, set)
  local page = redis.call('ZSCAN', key, cursor, 'COUNT', 500)
  for i = 1, #page[2], 2 do
    local member = page[2][i]
    if set == 'due' then
      local concerns, id = due.concerns(prefix, member, user)
      if concerns then
        redis.call('ZREM', key, member)
        if id then redis.call('HDEL', own(prefix, 'scheduled'), id) end
      end
    else
      local task = own(prefix, 'task:' .. (string.match(member, '(esc_.*)$') or member))
      if redis.call('HGET', task, 'user') == user then redis.call('ZREM', key, member); redis.call('DEL', task) end
    end
  end
  return page[1]
end

-- The same for entries of `escalations` after an id. The last id; nil at the end.
function due.erase_entries(prefix, after, user)
  local stream, left = own(prefix, 'escalations'), RELAY_BYTES
  while left > 0 do
    local entry = redis.call('XRANGE', stream, after == '-' and '-' or '(' .. after, '+', 'COUNT', 1)[1]
    if not entry then return nil end
    for i = 1, #entry[2], 2 do
      if entry[2][i] == 'user' and entry[2][i + 1] == user then redis.call('XDEL', stream, entry[1]) end
      left = left - #entry[2][i + 1]
    end
    after, left = entry[1], left - 256
  end
  return after
end

-- user_erase: prefix, user, cursor (0 at first). Removes what is kept of a user: groups that are the user's with everything in them,
-- records in others, push subscriptions, what is due, tasks, escalations. The next cursor; 0: done. A cursor is 'SET CURSOR', after the
-- first call, so that no call is long.
local function user_erase(_, args)
  local prefix, user, cursor = args[1], args[2], args[3] or '0'
  local set, at = string.match(cursor, '^(%S+) (%S+)$')
  if #args < 2 or #args > 3 or not due.is_user(user) or cursor ~= '0' and not set then
    return redis.error_reply('ERR tocsin: user_erase wants prefix, user and, if you like, the cursor that it answered')
  end
  if cursor == '0' then
    for _, name in ipairs(user_groups({}, { prefix, user })) do due.erase_group(place_of(prefix .. ':group:' .. name), user) end
    redis.call('DEL', own(prefix, 'tracked:' .. user), own(prefix, 'push:' .. user))
    return 'due.1 0'
  end
  if set == 'escalations' then
    local after = due.erase_entries(prefix, at, user)
    return after and 'escalations ' .. after or '0'
  end
  local sets, name, n = due.sets(prefix), string.match(set, '^(.+)%.(%d+)$')
  n = tonumber(n) or #sets
  if sets[n] == name then
    at = due.erase_some(prefix, name, at, user)
    if at ~= '0' then return set .. ' ' .. at end
  end
  if not sets[n + 1] then return 'escalations -' end
  return string.format('%s.%d 0', sets[n + 1], n + 1)
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

-- Whether a rule's `escalate` is valid.
function due.is_rule(rule)
  local escalate = rule.escalate
  if type(escalate) ~= 'table' or escalate.after == nil or not whole_or_nil(escalate.after, 1, due.LONGEST) then return false end
  if not rule.receipts and not rule.inbox then return false end
  if escalate.unless ~= nil and escalate.unless ~= 'delivered' and (escalate.unless ~= 'read' or not rule.inbox) then return false end
  if escalate.to == nil then return true end
  if type(escalate.to) ~= 'table' then return false end
  for _, target in ipairs(escalate.to) do if not due.target(target) then return false end end
  return true
end

function due.is_targets(text)
  local value = decode_json(text)
  if type(value) ~= 'table' or not string.find(text, '^%s*{') then return false end
  for name, target in pairs(value) do
    if not due.target(name) or type(target) ~= 'table' or target.kind ~= 'webhook' and target.kind ~= 'web_push' then return false end
  end
  return true
end

local function policy_set(_, args)
  local rules = args[2] and decode_json(args[2])
  if type(rules) ~= 'table' or not string.find(args[2], '^%s*%[') then return redis.error_reply('ERR tocsin: policy_set wants prefix and a JSON array') end
  for _, rule in ipairs(rules) do
    -- A number that EXPIRE or XADD refuses would fail in the middle of a send.
    if type(rule) ~= 'table' or type(rule.match) ~= 'string'
      or not whole_or_nil(rule.size, 0, 1000000) or not whole_or_nil(rule.ttl, 1, 315360000)
      or (rule.join_leave ~= nil and type(rule.join_leave) ~= 'boolean')
      or (rule.receipts ~= nil and type(rule.receipts) ~= 'boolean') or (rule.inbox ~= nil and type(rule.inbox) ~= 'boolean') then
      return redis.error_reply('ERR tocsin: a rule is {"match":"glob","size":messages,"ttl":seconds}, in whole numbers')
    end
    if rule.escalate ~= nil and not due.is_rule(rule) then
      return redis.error_reply('ERR tocsin: `escalate` is {"after":seconds,"unless":"delivered" or "read","to":["target",…]}, in a rule with '
        .. 'receipts, and with an inbox for "read"')
    end
    if select(2, string.gsub(rule.match, '{user}', '')) > 1 then
      return redis.error_reply('ERR tocsin: `match` names {user} once at most')
    end
  end
  local layer, targets = args[4] ~= '' and args[4], args[5] ~= '' and args[5]
  if layer and not decode_layer(layer) then
    return redis.error_reply('ERR tocsin: the layer is {"layer":"3","serializer":"msgpack","capacity":100,"expiry":60,'
      .. '"group_expiry":86400,"random_prefix_length":12,"encrypted":false,"shard":0,"shards":1}, any of them')
  end
  if targets and not due.is_targets(targets) then
    return redis.error_reply('ERR tocsin: the targets are {"NAME":{"kind":"webhook" or "web_push"},…}')
  end
  local key = own(args[1], 'policy')
  local before = redis.call('GET', key)
  local version = policies(args[1], before).version
  local rest = (layer and ',"layer":' .. layer or '') .. (targets and ',"targets":' .. targets or '')
  local function text(v) return '{"version":' .. string.format('%d', v) .. ',"rules":' .. args[2] .. rest .. '}' end
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

-- Registration -----------------------------------------------------------------------------------------------------

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
redis.register_function('mark_read', mark_read)
redis.register_function('mark_delivered', mark_delivered)
redis.register_function{ function_name = 'inbox', callback = inbox, flags = { 'no-writes' } }
redis.register_function{ function_name = 'receipts', callback = receipts, flags = { 'no-writes' } }
redis.register_function{ function_name = 'schedule_cancel', callback = schedule_cancel, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'schedule_list', callback = schedule_list, flags = { 'no-writes' } }
redis.register_function('due_run', due_run)
redis.register_function('escalation_claim', escalation_claim)
redis.register_function('escalation_finish', escalation_finish)
redis.register_function{ function_name = 'escalation_list', callback = escalation_list, flags = { 'no-writes' } }
redis.register_function('escalation_retry', escalation_retry)
redis.register_function('push_set', push_set)
redis.register_function('push_delete', push_delete)
redis.register_function{ function_name = 'user_groups', callback = user_groups, flags = { 'no-writes' } }
redis.register_function{ function_name = 'user_erase', callback = user_erase, flags = { 'allow-oom' } }
redis.register_function{ function_name = 'group_read', callback = group_read, flags = { 'no-writes' } }
redis.register_function{ function_name = 'tocsin_version', callback = tocsin_version, flags = { 'no-writes' } }
