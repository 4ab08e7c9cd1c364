package redis

import (
	"context"
	"math/bits"
	"strconv"
	"time"

	"github.com/parley-im/parley/internal/state"
)

// Grain is the unit in which buckets count time: intervals are rounded up to it. A script's numbers hold microseconds exactly for the next two hundred years.
const Grain = time.Microsecond

// takeScript takes of each bucket KEYS[i], whose value is when it will be full again, the cost ARGV[2i], with the span ARGV[2i+1]; ARGV[1] is the time, or
// nothing for the server's. It answers with the number of the bucket that has to wait longest, and how long; with zeros when everything was taken.
const takeScript = `
local now = tonumber(ARGV[1])
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000000 + t[2]
end
local charge, wait, full = 0, 0, {}
for i, key in ipairs(KEYS) do
  local cost, span = tonumber(ARGV[2 * i]), tonumber(ARGV[2 * i + 1])
  full[i] = math.max(math.min(tonumber(redis.call('GET', key) or 0), now + span), now) + cost
  if full[i] - span - now > wait then
    charge, wait = i, full[i] - span - now
  end
end
if wait > 0 then return {charge, wait} end
for i, key in ipairs(KEYS) do
  redis.call('SET', key, string.format('%.0f', full[i]), 'PX', math.ceil((full[i] - now) / 1000))
end
return {0, 0}`

// Take implements state.Buckets, by the clock of the server.
func (e *Engine) Take(ctx context.Context, _ time.Time, charges []state.Charge) (state.Refusal, error) {
	now := ""
	if e.now != nil {
		now = strconv.FormatInt(e.now().UnixMicro(), 10)
	}
	args := []string{now}
	var keys []string
	var places []int // of the keys among the charges
	for i, c := range charges {
		if c.Limit.Interval == 0 {
			continue
		}
		cost, span := grains(c)
		keys, places = append(keys, "parley:rate:"+c.Bucket.Room+":"+c.Bucket.User), append(places, i)
		args = append(args, strconv.FormatUint(cost, 10), strconv.FormatUint(span, 10))
	}
	if len(keys) == 0 {
		return state.Refusal{}, nil
	}
	m, err := e.run(ctx, e.take, keys, args)
	if err != nil {
		return state.Refusal{}, err
	}
	answer, err := m.AsIntSlice()
	if err != nil || answer[1] == 0 {
		return state.Refusal{}, err
	}
	return state.Refusal{Charge: places[answer[0]-1], Wait: time.Duration(answer[1]) * Grain}, nil
}

// maxCost bounds what is added to a time, so that the sum is exact: 73 years, which is more than any span.
const maxCost = 1 << 61 / uint64(Grain)

// grains are what a charge costs, and what its bucket holds.
func grains(c state.Charge) (cost, span uint64) {
	interval := uint64((c.Limit.Interval + Grain - 1) / Grain)
	span = min(uint64(c.Limit.Span/c.Limit.Interval)*interval, maxCost)
	if high, low := bits.Mul64(interval, uint64(c.Count)); high == 0 && low < maxCost {
		return low, span
	}
	return maxCost, span
}
