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

