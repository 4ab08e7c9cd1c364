package redis

import (
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/parley-im/parley/internal/state"
)

// A lease is a set of users that ends by itself; in it is also "", which is nobody, because a set without members is none. Which nodes there are is kept in one
// more, sorted by the ends of their leases.
const (
	nodeKey  = "parley:node:"
	nodesKey = "parley:nodes"

	maxUsers = 1000 // in one command: a script's stack has an end
)

const renewScript = `
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local fresh = 1 - redis.call('PEXPIRE', KEYS[1], ARGV[2])
if fresh == 1 then
  redis.call('SADD', KEYS[1], '')
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
redis.call('ZADD', KEYS[2], now + ARGV[2], ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[2], '-inf', now)
return fresh`

const enterScript = `
if redis.call('EXISTS', KEYS[1]) == 0 then return 0 end
for i = 1, #ARGV, 1000 do
  redis.call('SADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return 1`

const leaveScript = `
for i = 1, #ARGV, 1000 do
  redis.call('SREM', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV)))
end
return 1`

// onlineScript answers with 1 or 0 for each user ARGV[i], i > 1. ARGV[1] begins the keys of the nodes.
const onlineScript = `
local online = {}
for i = 2, #ARGV do online[i - 1] = 0 end
for _, node in ipairs(redis.call('ZRANGE', KEYS[1], 0, -1)) do
  for i, here in ipairs(redis.call('SMISMEMBER', ARGV[1] .. node, unpack(ARGV, 2))) do
    if here == 1 then online[i] = 1 end
  end
end
return online`

const nodesScript = `
local t = redis.call('TIME')
return redis.call('ZCOUNT', KEYS[1], t[1] * 1000 + math.floor(t[2] / 1000) + 1, '+inf')`

// Renew implements state.Leases.
func (e *Engine) Renew(ctx context.Context, node string, ttl time.Duration) (fresh bool, err error) {
	n, err := e.integer(ctx, e.renew, []string{nodeKey + node, nodesKey}, []string{node, milliseconds(ttl)})
	return n == 1, err
}

// Enter implements state.Leases.
func (e *Engine) Enter(ctx context.Context, node string, users []string) error {
	n, err := e.integer(ctx, e.enter, []string{nodeKey + node}, users)
	if err == nil && n == 0 {
		return state.ErrNoLease
	}
	return err
}

// Leave implements state.Leases.
func (e *Engine) Leave(ctx context.Context, node string, users []string) error {
	_, err := e.integer(ctx, e.leave, []string{nodeKey + node}, users)
	return err
}

// Online implements state.Leases.
func (e *Engine) Online(ctx context.Context, users []string) (map[string]bool, error) {
	online := map[string]bool{}
	for part := range slices.Chunk(users, maxUsers) {
		m, err := e.run(ctx, e.online, []string{nodesKey}, append([]string{nodeKey}, part...))
		if err != nil {
			return nil, err
		}
		here, err := m.AsIntSlice()
		if err != nil {
			return nil, err
		}
		for i, user := range part {
			if here[i] == 1 {
				online[user] = true
			}
		}
	}
	return online, nil
}

// Nodes implements state.Leases.
func (e *Engine) Nodes(ctx context.Context) (int, error) {
	n, err := e.integer(ctx, e.nodes, []string{nodesKey}, nil)
	return int(n), err
}

// milliseconds is a time as Redis takes it, at least one.
func milliseconds(d time.Duration) string {
	return strconv.FormatInt(max(1, d.Milliseconds()), 10)
}
