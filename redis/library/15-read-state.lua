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

