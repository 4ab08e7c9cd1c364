package shards

import (
	"context"
	"sync"
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
)

const (
	patience      = 5 * time.Second       // for which something that is being moved is asked for again
	pauseFirst    = 10 * time.Millisecond // before it is, longer each time
	pauseMost     = 200 * time.Millisecond
	askTimeout    = 15 * time.Second // of one question to one shard
	gatherTimeout = 3 * time.Second  // of one shard's part of a question to all
	maxGatherings = 5                // of one question, where slots were on their way from one shard to another
)

// ask asks the shard that has the slot, again when it turns out to be another's.
func (r *router) ask(ctx context.Context, n int, fn func(context.Context, *store.Store) error) error {
	deadline := time.Now().Add(patience)
	pause := pauseFirst
	for {
		seen := r.readings.Load()
		err := r.askShard(ctx, r.of(n), askTimeout, fn)
		if !store.IsMoved(err) || time.Now().After(deadline) {
			return err
		}
		if err := r.readTableSince(ctx, seen); err != nil {
			r.log.Warn("reading the map of the shards", "error", err)
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause = min(2*pause, pauseMost)
		}
	}
}

// askShard asks one shard, unless it is away.
func (r *router) askShard(ctx context.Context, s *shard, timeout time.Duration, fn func(context.Context, *store.Store) error) error {
	if s.away.Load() {
		s.spared.Add(1)
		return unavailable()
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	err := fn(ctx, s.store)
	if failure(ctx, err) && s.note(ctx, err) {
		r.log.Warn("a shard is away: what is kept there cannot be used until it is back", "shard", s.name, "error", err)
	}
	return err
}

// askEach asks the shards that have the keys, each for its own, at once; again for those that turn out to be another's. Calls of fn for different shards may
// run together. The error is one of those that there were, and the keys are those that were not answered for.
func (r *router) askEach(ctx context.Context, keys []string, slotOf func(string) int, fn func(context.Context, *store.Store, []string) error) (unanswered []string, err error) {
	deadline := time.Now().Add(patience)
	pause := pauseFirst
	for {
		seen := r.readings.Load()
		parts := make([][]string, len(r.shards))
		t := r.table.Load()
		for _, key := range keys {
			at := t.places[slotOf(key)]
			parts[at] = append(parts[at], key)
		}
		errs := make([]error, len(parts))
		r.together(func(i int) {
			if len(parts[i]) > 0 {
				errs[i] = r.askShard(ctx, r.shards[i], askTimeout, func(ctx context.Context, s *store.Store) error { return fn(ctx, s, parts[i]) })
			}
		})
		keys = nil
		for i, e := range errs {
			switch {
			case store.IsMoved(e) && time.Now().Before(deadline):
				keys = append(keys, parts[i]...)
			case e != nil:
				unanswered, err = append(unanswered, parts[i]...), e
			}
		}
		if len(keys) == 0 {
			return unanswered, err
		}
		if err := r.readTableSince(ctx, seen); err != nil {
			r.log.Warn("reading the map of the shards", "error", err)
		}
		select {
		case <-ctx.Done():
			return append(unanswered, keys...), ctx.Err()
		case <-time.After(pause):
			pause = min(2*pause, pauseMost)
		}
	}
}

// together calls fn for every shard at once, and waits for all. One shard is asked without a goroutine.
func (r *router) together(fn func(i int)) {
	var wg sync.WaitGroup
	for i := 1; i < len(r.shards); i++ {
		wg.Go(func() { fn(i) })
	}
	fn(0)
	wg.Wait()
}

// answer is what one shard has said to a question to all.
type answer[T any] struct {
	shard *shard
	value T
}

// gather asks every shard, and returns the answers of those that gave one, with the slots for which none of them speaks. An error that is
// about the question, and no shard's at all, is returned; so is that of the last one when none has answered.
func gather[T any](ctx context.Context, r *router, fn func(context.Context, *shard) (T, error)) (answers []answer[T], missing slots.Set, err error) {
	for try := 1; ; try++ {
		values, errs := make([]T, len(r.shards)), make([]error, len(r.shards))
		covered := make([]store.Coverage, len(r.shards))
		r.together(func(i int) {
			errs[i] = r.askShard(store.Covering(ctx, &covered[i]), r.shards[i], gatherTimeout, func(ctx context.Context, _ *store.Store) (err error) {
				values[i], err = fn(ctx, r.shards[i])
				return err
			})
		})
		answers, missing = nil, slots.All()
		for i, e := range errs {
			if e != nil {
				if err = e; !failure(ctx, e) {
					return nil, missing, e
				}
				continue
			}
			answers = append(answers, answer[T]{r.shards[i], values[i]})
			mine := covered[i].Slots()
			missing.Drop(&mine)
		}
		if len(answers) == 0 {
			return nil, missing, err
		}
		if missing.Empty() || try == maxGatherings || len(answers) < len(r.shards) && r.lost(&missing, errs) {
			return answers, missing, nil
		}
	}
}

// tellAll has every shard do something by itself. The error is that of one of them, where none has done it.
func (r *router) tellAll(ctx context.Context, fn func(context.Context, *store.Store) error) error {
	errs := make([]error, len(r.shards))
	r.together(func(i int) { errs[i] = r.askShard(ctx, r.shards[i], askTimeout, fn) })
	for _, err := range errs {
		if err == nil {
			return nil
		}
	}
	return errs[0]
}

// lost reports that the missing slots are all those of shards that did not answer, as far as the map tells.
func (r *router) lost(missing *slots.Set, errs []error) bool {
	t := r.table.Load()
	for n := range missing.Each() {
		if errs[t.places[n]] == nil {
			return false
		}
	}
	return true
}
