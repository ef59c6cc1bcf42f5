-- group_send ------------------------------------------------------------------------------------------------------

local function whole_number(text, least, most)
  if type(text) ~= 'string' or not string.find(text, '^%d+$') or #text > 12 then return nil end
  local n = tonumber(text)
  if n < least or n > most then return nil end
  return n
end

due.urgencies = { ['very-low'] = true, low = true, normal = true, high = true }

-- The options after a message; or nil and an error.
function due.options(args)
  local options, i = {}, 2
  local function failed(text) return nil, redis.error_reply(text) end
  while args[i] do
    local option, value = string.upper(args[i]), args[i + 1]
    if option == 'TTL' then
      options.ttl = whole_number(value, 1, due.LONGEST)
      if not options.ttl then return failed('ERR tocsin: TTL wants whole seconds, 1 or more') end
    elseif option == 'KEY' then
      if not value or #value == 0 or #value > MAX_KEY then return failed('ERR tocsin: KEY wants 1 to 200 bytes') end
      options.key = value
    elseif option == 'SIZE' then
      options.size = whole_number(value, 0, 1000000)
      if not options.size then return failed('ERR tocsin: SIZE wants a number of messages, 0 to 1000000') end
    elseif option == 'COLLAPSE' then
      if not value or #value == 0 or #value > MAX_KEY then return failed('ERR tocsin: COLLAPSE wants 1 to 200 bytes') end
      options.collapse = value
    elseif option == 'URGENCY' then
      options.urgency = string.lower(value or '')
      if not due.urgencies[options.urgency] then return failed('ERR tocsin: URGENCY wants very-low, low, normal or high') end
    elseif option == 'ESCALATE' then
      options.after = whole_number(value, 0, due.LONGEST)
      if not options.after then return failed('ERR tocsin: ESCALATE wants whole seconds; 0: never') end
      if string.upper(args[i + 2] or '') == 'UNLESS' then
        options.unless = string.lower(args[i + 3] or '')
        if options.unless ~= 'delivered' and options.unless ~= 'read' then return failed('ERR tocsin: UNLESS wants delivered or read') end
        i = i + 2
      end
    elseif option == 'IN' or option == 'AT' then
      if options.at then return failed('ERR tocsin: a message is sent once: give IN s or AT unix-time, not both') end
      options.at, options.is_relative = due.ms(value), option == 'IN'
      if not options.at or options.is_relative and options.at > due.LONGEST * 1000 then
        return failed('ERR tocsin: IN wants seconds, AT seconds since 1970, with at most three decimals')
      end
    else
      return failed('ERR tocsin: unknown option after the message; there are TTL s, KEY k, SIZE n, COLLAPSE k, URGENCY u, '
        .. 'ESCALATE s [UNLESS delivered|read], IN s, AT unix-time')
    end
    i = i + 2
  end
  return options
end

-- What a message's options want and the group cannot do: an error, or nil.
function due.refuse_options(place, options, size)
  local after = options.after or place.escalate and place.escalate.after or 0
  if options.after and options.after > 0 then
    if not place.receipts then return redis.error_reply(track.NO_RECEIPTS .. ', or send without ESCALATE') end
    if options.unless == 'read' and not place.inbox then return redis.error_reply(track.NO_INBOX .. ', or send with UNLESS delivered') end
  end
  if size == 0 and options.collapse then
    return redis.error_reply('ERR tocsin: COLLAPSE is for messages that are kept, and this one is not (size 0)')
  end
  if size == 0 and options.after and options.after > 0 then
    return redis.error_reply('ERR tocsin: ESCALATE is for messages that are kept, and this one is not (size 0)')
  end
  if options.at or after > 0 and size > 0 then return due.refuse(place.prefix) end
  return nil
end

-- group_send, now or later. `due.send`, because what is due is sent by the same function.
local function group_send(keys, args, is_due)
  local place = place_of(keys[1])
  if not place or #keys ~= 1 then return redis.error_reply(BAD_GROUP_KEY) end
  if not args[1] then return redis.error_reply('ERR tocsin: the message is missing: FCALL group_send 1 KEY MESSAGE') end
  local options, wrong = due.options(args)
  if not options then return wrong end
  local refused = refuse(args[1])
  if refused then return redis.error_reply(refused) end
  local idempotency = options.key and own(place.prefix, 'key:' .. place.name .. ':' .. options.key)
  if idempotency then
    local before = redis.call('GET', idempotency)
    if before then
      local position, gateways, told, skipped = string.match(before, '^(%S+) (%d+) ?(%d*) ?(%d*)$')
      return { position, tonumber(gateways), tonumber(told), tonumber(skipped) }
    end
  end
  local size, ttl = policy(place)
  size = options.size or size
  local seconds, clock = now()
  -- What is due was accepted under the policy of then: it is sent, with what the policy of now allows.
  local cannot = not is_due and due.refuse_options(place, options, size)
  if cannot then return cannot end
  local position, gateways, told, skipped
  if options.at then
    local is_replica = refuse_replica(clock)
    if is_replica then return is_replica end
    local at = options.is_relative and seconds * 1000 + options.at or options.at
    if at > (seconds + due.LONGEST) * 1000 then return redis.error_reply('ERR tocsin: AT is more than ten years from now') end
    position, gateways, told, skipped = due.schedule(place, at, due.without_time(args), seconds, clock), 0, 0, 0
  else
    position, gateways, told, skipped = append(place, args[1], size, ttl, options.ttl, seconds, clock, options)
    if not position then return gateways end
    local ok, told_too, skipped_too = pcall(tell_consumers, place, args[1], position, seconds)
    if not ok then
      after_acceptance.note('consumers were skipped', told_too)
      told_too, skipped_too = 0, others_in(place)
    end
    told, skipped = told + told_too, skipped + skipped_too
  end
  if idempotency then
    local answer = position .. ' ' .. gateways .. (told + skipped > 0 and ' ' .. told .. ' ' .. skipped or '')
    local kept = redis.pcall('SET', idempotency, answer, 'EX', math.max(ttl, 86400))
    if kept.err then after_acceptance.note('its KEY could not be kept', kept) end
  end
  if told + skipped > 0 then return { position, gateways, told, skipped } end
  return { position, gateways }
end
due.send = group_send

-- The arguments of a scheduled send when it is due: without IN, AT, and KEY, which has been remembered.
function due.without_time(args)
  local kept = { args[1] }
  for i = 2, #args, 2 do
    local option = string.upper(args[i])
    if option ~= 'IN' and option ~= 'AT' and option ~= 'KEY' then
      kept[#kept + 1], kept[#kept + 2] = args[i], args[i + 1]
    end
  end
  return kept
end

-- Sends to one channel of a layer: a general one that a worker reads, one consumer, or one connection of a gateway.
local BAD_CHANNEL = 'ERR tocsin: the key must be PREFIX:channel:NAME, NAME a channel of letters, digits, "-", "_", "." and '
  .. 'at most one "!", shorter than 100 characters'

local function channel_send(keys, args)
  local prefix, channel = string.match(keys[1] or '', '^(.*):channel:([%w%-_%.]+!?[%w%-_%.]*)$')
  if not prefix or #channel >= 100 or #keys ~= 1 then return redis.error_reply(BAD_CHANNEL) end
  if not args[1] then return redis.error_reply('ERR tocsin: the message is missing: FCALL channel_send 1 KEY MESSAGE') end
  local refused = refuse(args[1])
  if refused then return redis.error_reply(refused) end
  local layer = layer_of(prefix)
  local name = string.match(channel, '^[^!]*!') or channel
  local gateway = string.match(name, '^specific%.([%w%-_%.]+)!$')
  local is_ours = gateway and redis.call('EXISTS', own(prefix, 'gateway:' .. gateway)) == 1
  local message = args[1]
  if not is_ours then
    message = for_layer(args[1], layer)
    if not message then
      return redis.error_reply('ERR tocsin: a consumer wants a message with a "type" that names a method, and nothing that '
        .. layer.serializer .. ' cannot say')
    end
    -- The pub/sub layer's channels are Redis' own.
    local counts = redis.pcall('PUBSUB', 'NUMSUB', channel)
    if not counts.err and counts[2] > 0 then
      if not layer.encrypted then return redis.call('PUBLISH', channel, message) > 0 and 1 or 0 end
      put_outgoing(prefix, 'PUBLISH ' .. channel, message)
      ring_outgoing(prefix)
      return 1
    end
  end
  if string.find(channel, '!', 1, true) then message = addressed(message, { channel, is_one = true }) end
  if layer.encrypted and not is_ours then
    put_outgoing(prefix, name, message)
    ring_outgoing(prefix)
    return 1
  end
  local seconds, clock = now()
  local mark = string.sub(redis.sha1hex(clock[1] .. clock[2] .. channel), 1, 12)
  if not put_on_channel(prefix, name, layer, message, mark, seconds) then
    return redis.error_reply('CHANNELFULL tocsin: the channel holds as many messages as the layer\'s capacity; nobody reads it, or '
      .. 'too slowly')
  end
  return 1
end

