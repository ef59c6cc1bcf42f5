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

