-- Sends the requests of a file, in their order, for some seconds: wrk -s load.lua URL -- FILE SECONDS CYCLE
-- What was begun is waited for, so that the requests that are counted are all that the server worked on.

local ffi = require("ffi")
ffi.cdef [[
  typedef struct { long seconds, nanoseconds; } moment;
  int clock_gettime(int clock, moment *now);
  int getpid(void);
  int kill(int pid, int signal);
]]
local MONOTONIC, SIGINT, FOREVER = 1, 2, 1000000000

local requests, seconds, cycle
local moment, allowed, answered, over = ffi.new("moment"), 0, 0, false
sent, began, ended = -1, 0, 0 -- global, so that done() can get them; wrk asks for one more, which it only looks at

local function now()
  ffi.C.clock_gettime(MONOTONIC, moment)
  return tonumber(moment.seconds) + tonumber(moment.nanoseconds) / 1e9
end

function init(arguments)
  requests = {}
  for raw in io.open(arguments[1], "rb"):read("*a"):gmatch("%Z+") do
    requests[#requests + 1] = raw
  end
  seconds, cycle = tonumber(arguments[2]), arguments[3] == "cycle"
end

function request() -- also in place of one whose connection broke: then more are sent than answered
  sent = sent + 1
  return requests[(sent - 1) % #requests + 1]
end

local function end_when_all_is_answered()
  if over and answered >= allowed then
    ended = now()
    ffi.C.kill(ffi.C.getpid(), SIGINT) -- wakes wrk, which sleeps for its whole duration
    wrk.thread:stop()
  end
end

function response()
  answered = answered + 1
  end_when_all_is_answered()
end

function delay() -- each connection asks before each request how long it waits, in milliseconds
  local at = now()
  if began == 0 then began = at end
  if at - began < seconds and (cycle or allowed < #requests) then
    allowed = allowed + 1
    return 0
  end
  over = true
  end_when_all_is_answered()
  return FOREVER
end

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function done(summary, latency)
  local thread, errors = threads[1], summary.errors
  local found = {
    sent = thread:get("sent"),
    completed = summary.requests,
    seconds = thread:get("ended") - thread:get("began"),
    bytes = summary.bytes,
    refused = errors.status,
    late = errors.timeout,
    p50 = latency:percentile(50) / 1000,
    p95 = latency:percentile(95) / 1000,
    p99 = latency:percentile(99) / 1000,
    longest = latency.max / 1000,
  }
  local parts = {}
  for name, value in pairs(found) do
    parts[#parts + 1] = ('"%s": %.6f'):format(name, value)
  end
  io.write("\nRESULT {", table.concat(parts, ", "), "}\n")
end
