-- The log ---------------------------------------------------------------------------------------------------------

-- Appends, counts and publishes one validated message. Returns the position, the number of gateways, and of the processes
-- of Django's pub/sub layer that were told and skipped.
local function append(place, message, size, ttl, message_ttl, seconds, clock, options)
  local key, log = place.pos, place.log
  local epoch, history, offset, lineage, changed, holes = read_position(key, clock)
  local refused = refuse_replica(clock)
  if refused then return nil, refused end
  if changed == 'new' then drop_log(place) end
  offset = offset + 1
  options = options or {}
  -- EXPIRE is expensive: called only when the remaining time is wrong, at most twice a second.
  local keep = changed or offset == 1   -- a position without messages has a short expiry
  local expires = message_ttl and string.format('%d', math.floor((seconds + message_ttl) * 1000))
  if size > 0 then
    local written = string.format('%d', math.floor(seconds * 1000))
    local entry = { 'm', message, 't', written }
    local function field(name, value) if value then entry[#entry + 1] = name; entry[#entry + 1] = value end end
    field('x', expires)
    field('k', options.collapse)
    field('u', options.urgency)
    -- An inbox counts what the log has, so it is trimmed to the entry.
    local function add(id) return redis.pcall('XADD', log, 'MAXLEN', place.inbox and '=' or '~', size, id, unpack(entry)) end
    local added = add(string.format('%d-0', offset))
    if type(added) == 'table' and added.err then
      if not string.find(added.err, 'equal or smaller', 1, true) then return nil, added end
      -- The log is ahead of its counter: one of them was restored or changed. Neither can be trusted.
      drop_log(place)
      epoch, offset, lineage, changed = new_epoch(key, clock, history), 1, history .. ':0', 'new'
      add('1-0')
    end
    if redis.call('TTL', log) ~= ttl then
      redis.call('EXPIRE', log, ttl)
      keep = true
    end
    if offset % 16 == 0 or place.inbox then trim_by_age(log, (seconds - ttl) * 1000) end
  end
  if changed then
    write_position(key, epoch, history, offset, lineage)
  else
    redis.call('HSET', key, 'offset', string.format('%d', offset))
  end
  if keep or size == 0 then keep_position(key, ttl, offset) end
  local position = text_position(epoch, history, offset)
  if holes or options.collapse or place.inbox then
    holes = track.logged(place, offset, size, expires, options.collapse, seconds, holes)
  end
  if size > 0 and place.receipts then due.escalate_later(place, position, options, message_ttl, seconds) end
  local gateways, told, skipped, cannot = publish(place, message, size > 0 and position or position .. LIVE)
  -- Without a log the message is nowhere.
  if cannot and size == 0 then return nil, cannot end
  if place.receipts and place.owner then pcall(track.remember, place, place.owner) end
  if place.inbox and place.owner then pcall(track.sent, place, { epoch = epoch, history = history, offset = offset, holes = holes }, seconds) end
  return position, gateways, told, skipped
end

