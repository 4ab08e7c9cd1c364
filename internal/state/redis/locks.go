package redis

import (
	"context"
	"strconv"
	"time"

	"github.com/parley-im/parley/internal/state"
)

// Locks are the locks of an Engine, which has methods of these names already.
type Locks struct{ *Engine }

// acquireScript answers with a token, or 0 where somebody holds the lock. Tokens are counted; the time is what they are counted from, so that they grow also
// when everything was deleted.
const acquireScript = `
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
local t = redis.call('TIME')
local token = math.max(tonumber(redis.call('GET', KEYS[2]) or 0) + 1, t[1] * 1000000 + t[2])
redis.call('SET', KEYS[2], string.format('%.0f', token))
redis.call('SET', KEYS[1], string.format('%.0f', token), 'PX', ARGV[1])
return token`

const renewLockScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('PEXPIRE', KEYS[1], ARGV[2])`

const releaseScript = `
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1])`

const (
	lockKey  = "parley:lock:"
	fenceKey = "parley:fence"
)

// Acquire implements state.Locks.
func (l *Locks) Acquire(ctx context.Context, name string, ttl time.Duration) (state.Lock, error) {
	token, err := l.integer(ctx, l.acquire, []string{lockKey + name, fenceKey}, []string{milliseconds(ttl)})
	if err == nil && token == 0 {
		err = state.ErrHeld
	}
	if err != nil {
		return state.Lock{}, err
	}
	return state.Lock{Name: name, Token: uint64(token)}, nil
}

// Renew implements state.Locks.
func (l *Locks) Renew(ctx context.Context, lock state.Lock, ttl time.Duration) error {
	return held(l.integer(ctx, l.renewLock, []string{lockKey + lock.Name}, []string{token(lock), milliseconds(ttl)}))
}

// Release implements state.Locks.
func (l *Locks) Release(ctx context.Context, lock state.Lock) error {
	return held(l.integer(ctx, l.release, []string{lockKey + lock.Name}, []string{token(lock)}))
}

// held is what an answer of 1 or 0 means for who held a lock.
func held(n int64, err error) error {
	if err == nil && n == 0 {
		return state.ErrLost
	}
	return err
}

func token(l state.Lock) string { return strconv.FormatUint(l.Token, 10) }
