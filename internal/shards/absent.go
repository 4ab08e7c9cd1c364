package shards

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/database"
)

// A shard that cannot be reached when a node opens its shards is absent: it has no store, and to its breaker it is away, so that everything that is asked of it is
// answered unavailable. Its part of the epoch is what the home remembers. When it is there, everything is opened anew, which finds out what it is: so nobody
// has to ask of a shard whether it was there when something was read. A shard that stops to answer later is away, and not absent.

// reachTimeout is how long a shard may take to show that it is there when the shards are opened. What it then has to do, to migrate its schema say, takes its time.
const reachTimeout = 3 * time.Second

// openShard opens a shard other than the home, or finds it absent.
func (r *router) openShard(ctx context.Context, s *shard) error {
	var known store.ShardRow
	for _, row := range r.table.Load().Shards {
		if row.Number == s.number {
			known = row
		}
	}
	opened, err := s.open(ctx, s.options, reachTimeout)
	switch {
	case err == nil:
		s.store = opened
		if known.Epoch == opened.Epoch() || s.options.Shared {
			return nil
		}
		return r.shards[0].store.RememberEpoch(ctx, s.number, opened.Epoch())
	case ctx.Err() != nil || !database.Unreachable(err):
		return fmt.Errorf("the shard %s: %w", s.name, err)
	case known.Epoch == "":
		return fmt.Errorf("the shard %s cannot be reached, and no server has ever opened it, so that nobody knows which life its rooms are in: start it, or mend its URL (shards): %w", s.name, err)
	}
	s.seen = known.Epoch
	s.away.Store(true) // for good: it is asked nothing
	r.log.Warn("a shard is away: what is kept there cannot be used until it is back", "shard", s.name, "error", err)
	return nil
}

// open opens the shard's store, if it shows within a time that it is there.
func (s *shard) open(ctx context.Context, o store.Options, within time.Duration) (*store.Store, error) {
	reach, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	if err := database.Reach(reach, o.URL); err != nil {
		return nil, err
	}
	return store.Open(ctx, o)
}

// await looks each second whether an absent shard is there, migrates and checks it, and has everything opened anew then. One that is there and is not what it is
// taken for, or cannot be used, stays absent: those who use the others are not to suffer from it.
func (r *router) await(ctx context.Context, s *shard) {
	tick := time.NewTicker(probeEvery)
	defer tick.Stop()
	told := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		epoch, err := s.visit(ctx)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			r.log.Info("a shard is back: the server is opened anew with it", "shard", s.name)
			s.options.Moved(epoch)
			return
		case !database.Unreachable(err) && err.Error() != told:
			told = err.Error()
			r.log.Error("a shard that was away answers, and cannot be used", "shard", s.name, "error", err)
		}
		s.failed.Add(1)
	}
}

// visit opens an absent shard for a moment, as it would be opened for good, and returns its epoch.
func (s *shard) visit(ctx context.Context) (epoch string, err error) {
	o := s.options
	o.Committed, o.Moved = nil, nil
	opened, err := s.open(ctx, o, probeTimeout)
	if err != nil {
		return "", err
	}
	return opened.Epoch(), opened.Close()
}

// epoch is the shard's own.
func (s *shard) epoch() string {
	if s.store == nil {
		return s.seen
	}
	return s.store.Epoch()
}
