-- Messages --------------------------------------------------------------------------------------------------------

-- Exactly those messages are refused that gateways cannot show (both are tested with Tests/Messages/corpus.txt). A message
-- that got a position but reaches nobody would be lost although its sender was told otherwise.
local NOT_WHOLE = 'ERR tocsin: the message is not one whole msgpack map; a length in it is wrong, or something follows'
local BAD_KEY = 'ERR tocsin: the message has a map key that is no string; make every msgpack key a str'
local BAD_TYPE = 'ERR tocsin: the message has an extension type or a timestamp; send a number or a str in its place'
local BAD_TEXT = 'ERR tocsin: the message has a str that is not UTF-8; send UTF-8, or bytes as a bin'
local TOO_DEEP = 'ERR tocsin: the message is nested more than 1000 deep; send it flatter'

local byte, find = nil, nil         -- set at the first call: a library may not use 'string' while it loads

local fixed_length = {              -- msgpack types of fixed length: bytes after the type byte
  [0xc0] = 0, [0xc2] = 0, [0xc3] = 0, [0xca] = 4, [0xcb] = 8, [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xcf] = 8,
  [0xd0] = 1, [0xd1] = 2, [0xd2] = 4, [0xd3] = 8 }
local str_length = { [0xd9] = 1, [0xda] = 2, [0xdb] = 4 }   -- size of the length field
local bin_length = { [0xc4] = 1, [0xc5] = 2, [0xc6] = 4 }
local ext = { [0xc7] = true, [0xc8] = true, [0xc9] = true,
  [0xd4] = true, [0xd5] = true, [0xd6] = true, [0xd7] = true, [0xd8] = true }

local function uint(s, i, n)
  local v = 0
  for k = i, i + n - 1 do
    local b = byte(s, k)
    if not b then return nil end
    v = v * 256 + b
  end
  return v
end

local utf8_sequences = {            -- multi-byte sequences: RFC 3629, section 4
  '[\194-\223][\128-\191]', '[\225-\236\238\239][\128-\191][\128-\191]', '\224[\160-\191][\128-\191]',
  '\237[\128-\159][\128-\191]', '\240[\144-\191][\128-\191][\128-\191]',
  '[\241-\243][\128-\191][\128-\191][\128-\191]', '\244[\128-\143][\128-\191][\128-\191]' }

local known, known_count, MAX_KNOWN = {}, 0, 4096   -- characters known to be valid UTF-8 → a space

-- Texts use few different characters, and validation is three times as fast when they are looked up.
local function is_utf8(text)
  local rest = string.gsub(text, '[\194-\244][\128-\191]+', known)
  if string.find(rest, '^[^\128-\255]*$') then return true end
  local left = rest
  for _, sequence in ipairs(utf8_sequences) do left = string.gsub(left, sequence, ' ') end
  if not string.find(left, '^[^\128-\255]*$') then return false end
  if known_count >= MAX_KNOWN then known, known_count = {}, 0 end
  for character in string.gmatch(rest, '[\194-\244][\128-\191]+') do
    if known_count < MAX_KNOWN and not known[character] then known[character], known_count = ' ', known_count + 1 end
  end
  return true
end

-- The index after the text from i to last; or nil and why. Most text is ASCII, which a single find shows: it stops at the
-- next byte of 0x80 or above, at the latest at the type byte of the next text, so no byte is scanned twice.
local function after_text(s, i, last)
  if last > #s then return nil, NOT_WHOLE end
  local _, ascii = find(s, '^[^\128-\255]*', i)
  if ascii < last and not is_utf8(string.sub(s, ascii + 1, last)) then return nil, BAD_TEXT end
  return last + 1
end

-- The index after the msgpack value at i, which may be beyond the end; or nil and why when it cannot be shown.
local function skip(s, i, depth)
  local b = byte(s, i)
  if not b then return nil, NOT_WHOLE end
  if b <= 0x7f or b >= 0xe0 then return i + 1 end
  if b >= 0xa0 and b <= 0xbf then return after_text(s, i + 1, i + b - 0xa0) end
  if fixed_length[b] then return i + 1 + fixed_length[b] end
  local width = str_length[b]
  if width then
    local n = uint(s, i + 1, width)
    if not n then return nil, NOT_WHOLE end
    return after_text(s, i + 1 + width, i + width + n)
  end
  width = bin_length[b]
  if width then
    local n = uint(s, i + 1, width)
    if not n then return nil, NOT_WHOLE end
    return i + 1 + width + n
  end
  if ext[b] then return nil, BAD_TYPE end
  local n, at, keyed = nil, nil, false
  if b <= 0x8f then n, at, keyed = b - 0x80, i + 1, true
  elseif b <= 0x9f then n, at = b - 0x90, i + 1
  elseif b == 0xdc then n, at = uint(s, i + 1, 2), i + 3
  elseif b == 0xdd then n, at = uint(s, i + 1, 4), i + 5
  elseif b == 0xde then n, at, keyed = uint(s, i + 1, 2), i + 3, true
  elseif b == 0xdf then n, at, keyed = uint(s, i + 1, 4), i + 5, true end
  if not n or n > #s then return nil, NOT_WHOLE end   -- a claimed length beyond the end, or 0xc1, which is not a type
  if depth > MAX_NESTING then return nil, TOO_DEEP end
  local why
  for _ = 1, n do
    if keyed then
      local key = byte(s, at)
      if key and (key < 0xa0 or key > 0xbf) and not str_length[key] and not bin_length[key] then return nil, BAD_KEY end
      at, why = skip(s, at, depth)
      if not at then return nil, why end
    end
    at, why = skip(s, at, depth + 1)
    if not at then return nil, why end
    if at > #s + 1 then return nil, NOT_WHOLE end
  end
  return at
end

local function is_map(b) return b ~= nil and ((b >= 0x80 and b <= 0x8f) or b == 0xde or b == 0xdf) end

local strict = nil                  -- our own cjson instance, made at the first call

-- The value of the JSON text, or nil. cjson accepts what no browser does: NaN, 0x10, 01, "1.", "-.5", control characters
-- in strings, bytes that are not UTF-8, and anything after a NUL byte. The excess is searched for in the text, with
-- anchored patterns, because they cost a tenth of others.
local function decode_json(text)
  if not strict then
    strict = cjson.new()
    strict.decode_invalid_numbers(false)
  end
  local ok, value = pcall(strict.decode, text)
  if not ok then return nil end
  local plain = string.find(text, '^[ -~]*$')
  -- If no character of a bad number occurs anywhere, not even in a string, the text is fine. A plain find is nearly free.
  if plain and (not string.find(text, '.', 1, true)
    or not string.find(text, '%D%.') and not string.find(text, '%.%D')) then return value end
  local bare = string.find(text, '\\', 1, true) and string.gsub(text, '\\.', '') or text
  local control = nil
  local outside = string.gsub(bare, '"([^"]*)"', plain and '""' or function(inside)
    control = control or not string.find(inside, '^[^%z\1-\31]*$')
    return '""'
  end)
  if control or not string.find(outside, '^[\t\n\r -~]*$') or string.find(outside, '%D%.')
    or string.find(outside, '%.%D') or not (plain or is_utf8(text)) then return nil end
  return value
end

-- Half a surrogate pair (`"\ud83d"`, which JavaScript writes for an emoji that was cut) is valid JSON for browsers but not
-- for cjson: replaces it by other characters. Escaped backslashes go first, because what follows one is not an escape.
local function without_lone_surrogates(text)
  local rest = string.gsub(text, '\\\\', '__')
  rest = string.gsub(rest, '\\u[dD][89abAB]%x%x\\u[dD][c-fC-F]%x%x', '____________')
  return (string.gsub(rest, '\\u[dD][89a-fA-F]%x%x', '______'))
end

local function is_json(text)
  if decode_json(text) ~= nil then return true end
  return find(text, '\\u[dD]') ~= nil and decode_json(without_lone_surrogates(text)) ~= nil
end

-- nil when the message can be sent, otherwise the error's text. Errors never contain user text.
local function refuse(message)
  byte, find = string.byte, string.find
  if #message > MAX_MESSAGE then return 'ERR tocsin: the message is longer than 1048576 bytes' end
  if is_map(byte(message, 1)) then
    local at, why = skip(message, 1, 1)
    if at == #message + 1 then return nil end
    return why or NOT_WHOLE
  end
  if byte(message, 1) ~= 123 and not find(message, '^[ \t\r\n]*{') then
    return 'ERR tocsin: the message must be a JSON object or a msgpack map'
  end
  if not is_json(message) then
    return 'ERR tocsin: the message is not valid JSON; send RFC 8259, in UTF-8, without NaN, at most 1000 deep'
  end
  return nil
end

-- The header of something with n parts.
local function pack_length(n, fixed, limit, wide, wider)
  if n <= limit then return string.char(fixed + n) end
  if n <= 0xffff then return struct.pack('>BI2', wide, n) end
  return struct.pack('>BI4', wider, n)
end

-- The number of a msgpack map's entries, and the bytes after its header.
local function map_parts(message)
  local b = string.byte(message, 1)
  if b == 0xde then return uint(message, 2, 2), string.sub(message, 4) end
  if b == 0xdf then return uint(message, 2, 4), string.sub(message, 6) end
  return b - 0x80, string.sub(message, 2)
end

-- The message with its stamp (the position, and whether it is live only) as the first entry of its map, spliced in as bytes:
-- decoding and encoding again would change numbers, and cmsgpack cannot read msgpack's bin.
local function stamp(message, text)
  if not is_map(string.byte(message, 1)) then
    local brace = string.find(message, '{', 1, true)
    local comma = string.find(message, '^[ \t\r\n]*}', brace + 1) and '' or ','
    return string.sub(message, 1, brace) .. '"' .. STAMP .. '":"' .. text .. '"' .. comma
      .. string.sub(message, brace + 1)
  end
  local n, body = map_parts(message)
  local value = #text <= 31 and string.char(0xa0 + #text) or string.char(0xd9, #text)
  return pack_length(n + 1, 0x80, 15, 0xde, 0xdf) .. string.char(0xa0 + #STAMP) .. STAMP .. value .. text .. body
end

