-- Sends requests of a file, chosen at random, and prints what came of it as a line of JSON.
-- REQUESTS names the file: whole HTTP requests, one NUL between two. 32 times # in a request
-- becomes 32 random digits, so that no two bodies are the same.

local requests = {}

local function random_digits()
   return string.format("%08x%08x%08x%08x", math.random(0, 2 ^ 31), math.random(0, 2 ^ 31),
                        math.random(0, 2 ^ 31), math.random(0, 2 ^ 31))
end

function init(args)
   math.randomseed(os.time() * 1000 + math.floor(os.clock() * 1e6) % 1000)
   local file = assert(io.open(os.getenv("REQUESTS"), "rb"))
   for request in file:read("*a"):gmatch("[^%z]+") do
      local start, stop = request:find(string.rep("#", 32), 1, true)
      if start then
         table.insert(requests, { request:sub(1, start - 1), request:sub(stop + 1) })
      else
         table.insert(requests, { request })
      end
   end
   file:close()
end

function request()
   local parts = requests[math.random(#requests)]
   if parts[2] then
      return parts[1] .. random_digits() .. parts[2]
   end
   return parts[1]
end

function done(summary, latency, per_second)
   local errors = summary.errors
   io.write(string.format(
      'LOAD {"requests": %d, "seconds": %f, "errors": %d, "bytes": %d, "p50_ms": %f, "p99_ms": %f, "max_ms": %f}\n',
      summary.requests, summary.duration / 1e6,
      errors.connect + errors.read + errors.write + errors.status + errors.timeout,
      summary.bytes, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3, latency.max / 1e3))
end
