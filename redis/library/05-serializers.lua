-- Serializers ------------------------------------------------------------------------------------------------------

-- Between JSON and msgpack, the two serializers of Django's layer. Numbers of 64 bits are two halves of 32: Lua has doubles only.

local function pack_text(text)
  local n = #text
  if n > 31 and n <= 0xff then return string.char(0xd9, n) .. text end
  return pack_length(n, 0xa0, 31, 0xda, 0xdb) .. text
end

-- Two's complement of 64 bits in two halves.
local function negated(high, low)
  if low == 0 then return 0x100000000 - high, 0 end
  return 0xffffffff - high, 0x100000000 - low
end

-- A JSON number's text as msgpack: the shortest integer, or a float64; nil when 64 bits do not hold it.
local function pack_number(text)
  if find(text, '[%.eE]') then return '\203' .. struct.pack('>d', tonumber(text)) end
  local digits = string.match(text, '%d+')
  local negative = byte(text, 1) == 45
  if #digits <= 15 then
    local v = tonumber(digits)
    if not negative or v == 0 then
      if v <= 0x7f then return string.char(v) end
      if v <= 0xff then return string.char(0xcc, v) end
      if v <= 0xffff then return struct.pack('>BI2', 0xcd, v) end
      if v <= 0xffffffff then return struct.pack('>BI4', 0xce, v) end
    else
      if v <= 0x20 then return string.char(0x100 - v) end
      if v <= 0x80 then return string.char(0xd0, 0x100 - v) end
      if v <= 0x8000 then return struct.pack('>BI2', 0xd1, 0x10000 - v) end
      if v <= 0x80000000 then return struct.pack('>BI4', 0xd2, 0x100000000 - v) end
    end
  end
  local high, low = 0, 0              -- of the 64 bits: a Lua number has 53
  for digit in string.gmatch(digits, '%d') do
    low = low * 10 + tonumber(digit)
    high = high * 10 + math.floor(low / 0x100000000)
    low = low % 0x100000000
    if high >= 0x100000000 then return nil end
  end
  if not negative then return struct.pack('>BI4I4', 0xcf, high, low) end
  if high > 0x80000000 or high == 0x80000000 and low > 0 then return nil end
  high, low = negated(high, low)
  return struct.pack('>BI4I4', 0xd3, high % 0x100000000, low)
end

local escaped = { b = '\b', f = '\f', n = '\n', r = '\r', t = '\t', ['"'] = '"', ['\\'] = '\\', ['/'] = '/' }

local function utf8_of(code)
  if code < 0x80 then return string.char(code) end
  if code < 0x800 then return string.char(0xc0 + math.floor(code / 64), 0x80 + code % 64) end
  local last = string.char(0x80 + math.floor(code / 64) % 64, 0x80 + code % 64)
  if code < 0x10000 then return string.char(0xe0 + math.floor(code / 4096)) .. last end
  return string.char(0xf0 + math.floor(code / 262144), 0x80 + math.floor(code / 4096) % 64) .. last
end

-- The JSON string whose first character is at i, and the index after its quote; nil for half a surrogate pair, which is no
-- UTF-8.
local function json_text(s, i)
  local parts = nil
  while true do
    local stop = find(s, '["\\]', i)
    local plain = string.sub(s, i, stop - 1)
    if byte(s, stop) == 34 then
      if not parts then return plain, stop + 1 end
      parts[#parts + 1] = plain
      return table.concat(parts), stop + 1
    end
    parts = parts or {}
    parts[#parts + 1] = plain
    local escape = string.sub(s, stop + 1, stop + 1)
    i = stop + 2
    if escape == 'u' then
      local code = tonumber(string.sub(s, i, i + 3), 16)
      i = i + 4
      if code >= 0xd800 and code <= 0xdfff then
        local low = code <= 0xdbff and string.match(s, '^\\u([dD][c-fC-F]%x%x)', i)
        if not low then return nil end
        code, i = 0x10000 + (code - 0xd800) * 1024 + tonumber(low, 16) - 0xdc00, i + 6
      end
      parts[#parts + 1] = utf8_of(code)
    else
      parts[#parts + 1] = escaped[escape]
    end
  end
end

-- Appends the JSON value at i (which `refuse` has let pass) to `out`, as msgpack. The index after it; nil when msgpack has no
-- such value.
local function pack_json(s, i, out)
  local c = byte(s, i)
  if c == 34 then
    local text, after = json_text(s, i + 1)
    if not text then return nil end
    out[#out + 1] = pack_text(text)
    return after
  end
  if c == 116 then out[#out + 1] = '\195'; return i + 4 end
  if c == 102 then out[#out + 1] = '\194'; return i + 5 end
  if c == 110 then out[#out + 1] = '\192'; return i + 4 end
  if c ~= 123 and c ~= 91 then
    local text = string.match(s, '^[%d%.eE+-]+', i)
    local packed = pack_number(text)
    if not packed then return nil end
    out[#out + 1] = packed
    return i + #text
  end
  local head, n = #out + 1, 0
  out[head] = ''
  i = find(s, '[^ \t\r\n]', i + 1)
  while byte(s, i) ~= c + 2 do        -- '}' and ']' are two after '{' and '['
    if c == 123 then
      local key, after = json_text(s, i + 1)
      if not key then return nil end
      out[#out + 1] = pack_text(key)
      i = find(s, '[^ \t\r\n:]', after)
    end
    i = pack_json(s, i, out)
    if not i then return nil end
    n, i = n + 1, find(s, '[^ \t\r\n]', i)
    if byte(s, i) == 44 then i = find(s, '[^ \t\r\n]', i + 1) end
  end
  out[head] = c == 123 and pack_length(n, 0x80, 15, 0xde, 0xdf) or pack_length(n, 0x90, 15, 0xdc, 0xdd)
  return i + 1
end

-- Two 32-bit halves as decimal digits.
local function decimal(high, low)
  if high < 0x200000 then return string.format('%.0f', high * 0x100000000 + low) end
  local text = ''
  repeat
    local rest = high % 10 * 0x100000000 + low
    high, low = math.floor(high / 10), math.floor(rest / 10)
    text = string.format('%d', rest - low * 10) .. text
  until high == 0 and low == 0
  return text
end

-- As Python prints it: the fewest digits that give the same number, and NaN and Infinity, which Python's json reads.
local function float_text(v)
  if v ~= v then return 'NaN' end
  if v == math.huge then return 'Infinity' elseif v == -math.huge then return '-Infinity' end
  local text
  for digits = 15, 17 do
    text = string.format('%.' .. digits .. 'g', v)
    if tonumber(text) == v then break end
  end
  return find(text, '[%.e]') and text or text .. '.0'
end

local function quoted(text)
  return '"' .. string.gsub(text, '[%z\1-\31"\\]', function(c) return string.format('\\u%04x', byte(c)) end) .. '"'
end

local integers = {                  -- msgpack type → bytes, and what is above the sign bit
  [0xcc] = 1, [0xcd] = 2, [0xce] = 4, [0xd0] = 1, [0xd1] = 2, [0xd2] = 4 }

local function base64(text)
  local digits = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/'
  local out = {}
  for i = 1, #text, 3 do
    local a, b, c = byte(text, i, i + 2)
    local n = a * 65536 + (b or 0) * 256 + (c or 0)
    local function digit(shift)
      local d = math.floor(n / shift) % 64 + 1
      return string.sub(digits, d, d)
    end
    out[#out + 1] = digit(262144) .. digit(4096) .. (b and digit(64) or '=') .. (c and digit(1) or '=')
  end
  return table.concat(out)
end

-- Appends the msgpack value at i (which `refuse` has let pass) to `out`, as JSON. The index after it; nil for bytes, which
-- JSON does not have: unless `out.for_browsers`, whose bytes are base64, and whose NaN and infinities are null, as gateways
-- show them.
local function json_of(s, i, out)
  local b = byte(s, i)
  local function put(text, after) out[#out + 1] = text; return after end
  if b <= 0x7f then return put(tostring(b), i + 1) end
  if b >= 0xe0 then return put(tostring(b - 0x100), i + 1) end
  if b == 0xc0 then return put('null', i + 1) end
  if b == 0xc2 or b == 0xc3 then return put(b == 0xc3 and 'true' or 'false', i + 1) end
  local width = integers[b]
  if width then
    local v = uint(s, i + 1, width)
    if b >= 0xd0 and v >= 256 ^ width / 2 then v = v - 256 ^ width end
    return put(string.format('%.0f', v), i + 1 + width)
  end
  if b == 0xcf or b == 0xd3 then
    local high, low = uint(s, i + 1, 4), uint(s, i + 5, 4)
    if b == 0xcf or high < 0x80000000 then return put(decimal(high, low), i + 9) end
    high, low = negated(high, low)
    return put('-' .. decimal(high, low), i + 9)
  end
  if b == 0xca or b == 0xcb then
    local v = struct.unpack(b == 0xca and '>f' or '>d', s, i + 1)
    local text = out.for_browsers and (v ~= v or v == math.huge or v == -math.huge) and 'null' or float_text(v)
    return put(text, i + (b == 0xca and 5 or 9))
  end
  if bin_length[b] then
    if not out.for_browsers then return nil end
    local n, at = uint(s, i + 1, bin_length[b]), i + 1 + bin_length[b]
    return put('"' .. base64(string.sub(s, at, at + n - 1)) .. '"', at + n)
  end
  local bytes = str_length[b]
  if bytes or b >= 0xa0 and b <= 0xbf then
    local n = bytes and uint(s, i + 1, bytes) or b - 0xa0
    local at = i + 1 + (bytes or 0)
    return put(quoted(string.sub(s, at, at + n - 1)), at + n)
  end
  local is_object = is_map(b)
  local n, at = nil, i + 1
  if b <= 0x8f then n = b - 0x80
  elseif b <= 0x9f then n = b - 0x90
  elseif b == 0xdc or b == 0xde then n, at = uint(s, at, 2), i + 3
  else n, at = uint(s, at, 4), i + 5 end
  out[#out + 1] = is_object and '{' or '['
  for item = 1, n do
    if item > 1 then out[#out + 1] = ', ' end
    if is_object then
      at = json_of(s, at, out)
      if not at then return nil end
      out[#out + 1] = ': '
    end
    at = json_of(s, at, out)
    if not at then return nil end
  end
  return put(is_object and '}' or ']', at)
end

