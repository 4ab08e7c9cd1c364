package memory

import (
	"context"
	"hash/maphash"
	"math/bits"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/state"
)

const (
	shards = 64 // so that a sweep does not stop everyone; a set of them is the bits of a uint64

	// sweepEvery is how long full buckets may take up memory.
	sweepEvery = 10 * time.Second
)

// Buckets are rate buckets. One that is full is not kept, so that memory follows what has been taken in the last seconds.
type Buckets struct {
	seed   maphash.Seed
	shards [shards]shard
}

var _ state.Buckets = (*Buckets)(nil)

// shard holds buckets by their names. Where several shards are locked, the one that comes first in the array is locked first.
type shard struct {
	mu   sync.Mutex
	full map[state.Bucket]int64 // when the bucket will be full again, in Unix nanoseconds
}

// NewBuckets makes full buckets. Run must be called, or they take more and more memory.
func NewBuckets() *Buckets {
	b := &Buckets{seed: maphash.MakeSeed()}
	for i := range b.shards {
		b.shards[i].full = map[state.Bucket]int64{}
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
		kept := map[state.Bucket]int64{}
		for name, full := range s.full {
			if full > now {
				kept[name] = full
			}
		}
		s.full = kept
		s.mu.Unlock()
	}
}

// pending is a charge with its shard, and when its bucket will be full again if it is taken.
type pending struct {
	shard int
	then  int64
}

// Take implements state.Buckets.
func (b *Buckets) Take(_ context.Context, now time.Time, charges []state.Charge) (state.Refusal, error) {
	var few [4]pending // so that a usual call allocates nothing
	list := few[:0]
	var locked uint64
	for i := range charges {
		shard := b.shard(charges[i].Bucket)
		list = append(list, pending{shard: shard})
		locked |= 1 << shard
	}
	b.lock(locked)
	defer b.unlock(locked)
	at := now.UnixNano()
	var refusal state.Refusal
	for i := range charges {
		c := &charges[i]
		if c.Limit.Interval == 0 {
			continue
		}
		list[i].then = b.shards[list[i].shard].then(c, at)
		if wait := time.Duration(list[i].then - int64(c.Limit.Span) - at); wait > refusal.Wait {
			refusal = state.Refusal{Charge: i, Wait: wait}
		}
	}
	if refusal.Wait > 0 {
		return refusal, nil
	}
	for i := range charges {
		if charges[i].Limit.Interval > 0 {
			b.shards[list[i].shard].full[charges[i].Bucket] = list[i].then
		}
	}
	return state.Refusal{}, nil
}

// then is when a bucket will be full again that a charge is taken from now, in Unix nanoseconds. Called with mu held.
func (s *shard) then(c *state.Charge, now int64) int64 {
	full := s.full[c.Bucket]
	if empty := now + int64(c.Limit.Span); full > empty { // the clock was set back
		full = empty
		s.full[c.Bucket] = full
	}
	return max(full, now) + cost(c)
}

// maxCost bounds what is added to a time: 73 years, which is more than any span.
const maxCost = 1 << 61

// cost is a charge in nanoseconds.
func cost(c *state.Charge) int64 {
	if high, low := bits.Mul64(uint64(c.Limit.Interval), uint64(c.Count)); high == 0 && low < maxCost {
		return int64(low)
	}
	return maxCost
}

// lock locks a set of shards.
func (b *Buckets) lock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Lock()
	}
}

func (b *Buckets) unlock(set uint64) {
	for ; set != 0; set &= set - 1 {
		b.shards[bits.TrailingZeros64(set)].mu.Unlock()
	}
}

// shard is where a bucket is: a user's together with their shares.
func (b *Buckets) shard(name state.Bucket) int {
	key := name.User
	if key == "" {
		key = name.Room
	}
	return int(maphash.String(b.seed, key) % shards)
}
