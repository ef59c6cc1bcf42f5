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

