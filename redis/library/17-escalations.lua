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

