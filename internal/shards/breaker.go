package shards

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/protocol"
)

const (
	maxFailures  = 3               // in a row, after which a shard is taken to be away
	probeEvery   = time.Second     // a shard is asked for a sign of life
	probeTimeout = 2 * time.Second // by when it has to give it
	tableRounds  = 5               // probes of the home after which the map is read anyway
)

// breaker says of one shard whether it is asked at all: once it is taken to be away nobody waits for it, until it answers a probe.
type breaker struct {
	mu       sync.Mutex
	failures int // in a row
	away     atomic.Bool

	failed atomic.Uint64 // questions that were not answered
	spared atomic.Uint64 // questions that were not asked
}

// note takes note of how a question ended, and reports whether that changed whether the shard is away.
func (b *breaker) note(ctx context.Context, err error) (changed bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if !failure(ctx, err) {
		b.failures = 0
		return b.away.Swap(false)
	}
	b.failed.Add(1)
	b.failures++
	return b.failures >= maxFailures && !b.away.Swap(true)
}

// failure reports an error that speaks against the shard, and not against the question or the one who asked.
func failure(ctx context.Context, err error) bool {
	if err == nil || store.IsMoved(err) || errors.Is(context.Cause(ctx), context.Canceled) {
		return false
	}
	pe, ok := errors.AsType[*protocol.Error](err)
	return ok && pe.Code == protocol.Unavailable
}

// watch asks a shard for signs of life until the context ends. Of the home it reads the map now and then.
func (r *router) watch(ctx context.Context, s *shard) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	for n := 1; ; n++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.probe(ctx, s)
		if s == r.shards[0] && n%tableRounds == 0 && !s.away.Load() {
			if err := r.readTable(ctx); err != nil && ctx.Err() == nil {
				r.log.Warn("reading the map of the shards", "error", err)
			}
		}
	}
}

func (r *router) probe(ctx context.Context, s *shard) {
	probe, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	_, err := s.store.Owned(probe)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		err = unavailable()
	}
	switch changed := s.note(probe, err); {
	case changed && err != nil:
		r.log.Warn("a shard is away: what is kept there cannot be used until it is back", "shard", s.name)
	case changed:
		r.log.Info("a shard is back", "shard", s.name)
		r.back()
	}
}
