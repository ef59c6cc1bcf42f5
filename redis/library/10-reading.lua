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

