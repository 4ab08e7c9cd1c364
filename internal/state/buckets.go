// Package state keeps what may be lost and rebuilt. It is in memory: the state of one node.
//
// The buckets of the rate limits are GCRA: of each bucket one number is kept, the time at which it will be full again. A bucket that is full is not kept at
// all, so that memory follows what has been sent in the last seconds.
package state

import (
	"context"
	"hash/maphash"
	"math"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/protocol"
)

const (
	// shards keep a sweep from stopping everyone.
	shards = 64

	// sweepEvery is how long full buckets may take up memory.
	sweepEvery = 10 * time.Second

	// maxSpan bounds intervals, in nanoseconds, so that a time and a span can be added: 36 years.
	maxSpan = 1 << 60
)

// Limits are how many messages may be sent. With 0 for the rate or the burst there is no such limit.
type Limits struct {
	PerSecond     float64 // of one user over all rooms; of one user in one room half of it
	Burst         int     // likewise, half of it rounded up
	RoomPerSecond float64 // of all users and back ends in one room
	RoomBurst     int
}

// Buckets are the limits on messages (§5): of a user, of a user's share of a room, and of a room. Back ends are under the room's only. It implements
// [chat.Rates] and may be used by many goroutines at once.
type Buckets struct {
	user, share, room limit
	seed              maphash.Seed
	shards            [shards]shard
}

var _ chat.Rates = (*Buckets)(nil)

// shard holds buckets by their names. Where two shards are locked, the one that comes first in the array is locked first.
type shard struct {
	mu   sync.Mutex
	full map[name]int64 // when the bucket will be full again, in Unix nanoseconds
}

// name is a user's bucket without a room, a room's without a user, or a share with both.
type name struct{ user, room string }

// NewBuckets makes full buckets. Run must be called, or they take more and more memory.
func NewBuckets(l Limits) *Buckets {
	b := &Buckets{
		user:  newLimit(l.PerSecond, l.Burst),
		share: newLimit(l.PerSecond/2, (l.Burst+1)/2),
		room:  newLimit(l.RoomPerSecond, l.RoomBurst),
		seed:  maphash.MakeSeed(),
	}
	for i := range b.shards {
		b.shards[i].full = map[name]int64{}
	}
	return b
}

// Run forgets buckets that are full, until ctx ends.
func (b *Buckets) Run(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			b.sweep(now.UnixNano())
		case <-ctx.Done():
			return
		}
	}
}

// sweep makes new maps, because a map does not give back what it once needed.
func (b *Buckets) sweep(now int64) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		kept := map[name]int64{}
		for n, full := range s.full {
			if full > now {
				kept[n] = full
			}
		}
		s.full = kept
		s.mu.Unlock()
	}
}

// limit is a rate and a burst in nanoseconds.
type limit struct {
	interval int64 // for one message; 0: no limit
	burst    int64 // for an empty bucket to become full
}

// newLimit rounds the interval up, so that never more is let through than was said.
func newLimit(perSecond float64, burst int) limit {
	if perSecond <= 0 || burst <= 0 {
		return limit{}
	}
	interval := min(math.Ceil(float64(time.Second)/perSecond), maxSpan)
	return limit{interval: int64(interval), burst: int64(min(interval*float64(burst), maxSpan))}
}

// take is when a bucket will be full that a message is taken from now, and how long to wait before it can be; at most 0 when it can.
func (l limit) take(full, now int64) (then, wait int64) {
	then = max(full, now) + l.interval
	return then, then - l.burst - now
}

// charge is what one message wants of one bucket.
type charge struct {
	name  name
	limit limit
	shard int
	scope protocol.Scope
	then  int64
}

// Take lets a message through and charges it to its buckets, or refuses it and charges nothing. Then retry_after_ms is the exact time after which this
// message would be let through if no other came before it; scope is room for the room's limit and user for the user's, be it over all rooms or in this
// one.
func (b *Buckets) Take(now protocol.Time, actor chat.Actor, room string) *protocol.Error {
	roomShard := b.shard(room)
	userShard := roomShard
	var list [3]charge
	charges := list[:0]
	if !actor.Backend {
		userShard = b.shard(actor.User)
		charges = append(charges,
			charge{name: name{user: actor.User}, limit: b.user, shard: userShard, scope: protocol.ScopeUser},
			charge{name: name{user: actor.User, room: room}, limit: b.share, shard: userShard, scope: protocol.ScopeUser})
	}
	charges = append(charges, charge{name: name{room: room}, limit: b.room, shard: roomShard, scope: protocol.ScopeRoom})

	b.lock(userShard, roomShard)
	defer b.unlock(userShard, roomShard)
	at := int64(now) * int64(time.Millisecond)
	var longest int64
	var scope protocol.Scope
	for i := range charges {
		c := &charges[i]
		if c.limit.interval == 0 {
			continue
		}
		buckets := b.shards[c.shard].full
		full := buckets[c.name]
		if empty := at + c.limit.burst; full > empty { // the clock was set back
			full = empty
			buckets[c.name] = full
		}
		var wait int64
		if c.then, wait = c.limit.take(full, at); wait > longest {
			longest, scope = wait, c.scope
		}
	}
	if longest > 0 {
		return refusal(longest, scope)
	}
	for _, c := range charges {
		if c.limit.interval > 0 {
			b.shards[c.shard].full[c.name] = c.then
		}
	}
	return nil
}

// lock locks the shards of a user and of a room, which may be the same.
func (b *Buckets) lock(i, j int) {
	b.shards[min(i, j)].mu.Lock()
	if i != j {
		b.shards[max(i, j)].mu.Lock()
	}
}

func (b *Buckets) unlock(i, j int) {
	b.shards[i].mu.Unlock()
	if i != j {
		b.shards[j].mu.Unlock()
	}
}

// shard is where the buckets of a user, with their shares, or of a room are.
func (b *Buckets) shard(key string) int { return int(maphash.String(b.seed, key) % shards) }

// refusal rounds the wait up to what the protocol can say.
func refusal(wait int64, scope protocol.Scope) *protocol.Error {
	const millisecond = int64(time.Millisecond)
	e := &protocol.Error{
		Code:         protocol.RateLimited,
		Message:      "You send messages faster than this server lets one user; send it again after retry_after_ms.",
		RetryAfterMS: (wait + millisecond - 1) / millisecond,
		Scope:        scope,
	}
	if scope == protocol.ScopeRoom {
		e.Message = "This room gets messages faster than this server lets a room; send it again after retry_after_ms."
	}
	return e
}
