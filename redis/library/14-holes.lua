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

