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

