#!lua name=tocsin
-- Tocsin's functions inside Redis, which make every Redis client in every language a publisher.
--
-- Load:  cat redis/tocsin.lua | redis-cli -x FUNCTION LOAD REPLACE      (gateways do it by themselves)
-- Send:  redis-cli -n 3 FCALL group_send 1 asgi:group:42isInsufficient '{"type":"receive","balance":3.5}'
--
-- function          KEYS                        ARGV                                                                                             answer
-- group_send        PREFIX:group:G              message [TTL s] [KEY k] [SIZE n] [COLLAPSE k] [URGENCY u] [ESCALATE s] [UNLESS r] [IN s] [AT t]  {position, gateways[, told, skipped]}, or {id, 0}
-- channel_send      PREFIX:channel:NAME         message                                                                                          1; CHANNELFULL when it has no room
-- group_add         PREFIX:group:G ...          gateway group_expiry (channel user info)...                                                      {position and terms, ..., members put back}
-- group_discard     PREFIX:group:G ...          gateway channel...                                                                               number left
-- group_position    PREFIX:group:G              -                                                                                                position
-- group_read        PREFIX:group:G ...          limit bytes position... [bytes...]                                                               {{verdict, position, proven, entries}, ...}
-- gateway_lease     -                           prefix gateway seconds canary (field value)...                                                   {canary, renewed, policy version, gateway, ...}
-- gateway_release   -                           prefix gateway [process]                                                                         1; 0 when it is another process'
-- gateway_sweep     -                           prefix limit                                                                                     number swept, or {it, foreign key, ...}
-- gateway_retain    -                           prefix group_expiry start limit                                                                  next start, 0 at the end, or {it, foreign key, ...}
-- gateway_trial     -                           prefix database use...                                                                             {right, ...}
-- gateway_collect   inbox                       limit [push]                                                                                     {message, ...}
-- outgoing_collect  -                           prefix limit                                                                                     {{id, message}, ...}
-- outgoing_commit   -                           prefix id token                                                                                  1; -1 gone, -2 not its turn
-- relay_collect     inbox staging               limit [push]                                                                                     {moved, more, foreign key or '', {{id, message}, ...}}
-- relay_commit      staging PREFIX:group:G ...  id message                                                                                       groups told; -1 gone, -2 not its turn
-- mark_read         PREFIX:group:G              user mark [position]                                                                             JSON: {unread, read}
-- mark_delivered    PREFIX:group:G ...          (user position)...                                                                               cursors that moved
-- inbox             PREFIX:group:G              user [LIMIT n] [BEFORE p] [RAW]                                                                  JSON: {unread, read, messages}; or {unread, read, singles, {{offset, read, message}, ...}}
-- receipts          PREFIX:group:G              position                                                                                         JSON: {position, users}
-- schedule_cancel   PREFIX:group:G              id                                                                                               1; 0 when it is unknown
-- schedule_list     -                           prefix limit [group]                                                                             JSON: {scheduled}
-- due_run           -                           prefix limit                                                                                     {done, ms to the next or -1, sent, escalated}
-- escalation_claim  -                           prefix target most limit seconds                                                                 {{id, escalation, attempt, ...}, ...}
-- escalation_finish -                           prefix target id attempt result [after] [reason]                                                 1; 0 when it is not the claim's
-- escalation_list   -                           prefix limit                                                                                     JSON: {targets, dead}
-- escalation_retry  -                           prefix id                                                                                        number sent again
-- push_set          -                           prefix user id subscription                                                                      the user's subscriptions
-- push_delete       -                           prefix user id                                                                                   1; 0 when there was none
-- user_groups       -                           prefix user                                                                                      {group, ...}
-- user_erase        -                           prefix user [cursor]                                                                             next cursor; 0 at the end
-- policy_set        -                           prefix rules [known] [layer] [targets]                                                           {version, changed}
-- tocsin_version    -                           [COMPATIBLE]                                                                                     VERSION, or {VERSION, COMPATIBLE_SINCE}
--
-- Keys besides KEYS are derived from the prefix and the group: redis/README.md has the schema. Redis Cluster cannot
-- run this (nor does it have a database 3). Functions are not rolled back when they fail (redis.io, "Redis functions"):
-- so everything is validated before the first write, and the log is written before the counter.

local VERSION = 10
local COMPATIBLE_SINCE = 7          -- the oldest gateway, by the version of its own library, that can work with this one
local MAX_MESSAGE = 1048576         -- bytes; a notification, not a file
local MAX_NESTING = 1000            -- of arrays and maps; what cjson allows by default
local MAX_KEY = 200                 -- bytes of an idempotency key
local MAX_LINEAGE = 16              -- histories remembered per group: each is a restart or a failover
local DEFAULT_SIZE, DEFAULT_TTL = 100, 86400   -- history, where no policy matches
local MAX_FOREIGN = 100             -- keys of another type under our names that are remembered
local STAMP, ASGI_CHANNEL = '__tocsin__', '__asgi_channel__'
local LIVE = ' live'                -- follows the position in a stamp: no log has the message
local COPY = ' copy'                -- follows it in what is published for Django's pub/sub layer: gateways have the message

-- The functions of two sections are fields of these, because a Lua chunk has at most 200 locals: "Receipts and inboxes" and "What
-- is due".
local track, due = {}, {}

