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

