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

