package shards

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/protocol"
)

var _ feed.Keeper = (*Feed)(nil)

// Feed is what operators do to the feed of all shards as one. All methods may be called from any goroutine.
type Feed struct{ *router }

// Feed is what all shards have to be put.
func (c *Store) Feed() *Feed { return &Feed{c.router} }

// forgetTimeout is how long a shard may take to forget what waits for a feed, or to make jobs of its dead letters: there may be millions.
const forgetTimeout = 10 * time.Minute

// ofAll asks every shard, at once. The error names those that did not answer, whose values are zero; while others did it is a feed.PartialError.
func ofAll[T any](ctx context.Context, r *router, timeout time.Duration, fn func(context.Context, *store.Feed) (T, error)) ([]T, error) {
	values, errs := make([]T, len(r.shards)), make([]error, len(r.shards))
	r.together(func(i int) {
		err := r.askShard(ctx, r.shards[i], timeout, func(ctx context.Context, s *store.Store) error {
			value, err := fn(ctx, s.Feed())
			if err == nil {
				values[i] = value
			}
			return err
		})
		errs[i] = about(ctx, r.shards[i], err)
	})
	err := errors.Join(errs...)
	if slices.Contains(errs, nil) && err != nil {
		err = &feed.PartialError{Err: err}
	}
	return values, err
}

// about names the shard in an error of its own.
func about(ctx context.Context, s *shard, err error) error {
	switch {
	case err == nil:
		return nil
	case failure(ctx, err):
		return fmt.Errorf("the shard %s is away: %w", s.name, err)
	}
	return fmt.Errorf("the shard %s: %w", s.name, err)
}

// Since implements feed.Keeper: of the shard where it began first.
func (f *Feed) Since(ctx context.Context) (first protocol.Time, err error) {
	all, err := ofAll(ctx, f.router, gatherTimeout, func(ctx context.Context, s *store.Feed) (protocol.Time, error) { return s.Since(ctx) })
	for _, since := range all {
		if first == 0 || since != 0 && since < first {
			first = since
		}
	}
	return first, err
}

// Backlog implements feed.Keeper.
func (f *Feed) Backlog(ctx context.Context) (sum feed.Backlog, err error) {
	all, err := ofAll(ctx, f.router, askTimeout, func(ctx context.Context, s *store.Feed) (feed.Backlog, error) { return s.Backlog(ctx) })
	for _, b := range all {
		sum.Jobs += b.Jobs
		sum.Oldest = max(sum.Oldest, b.Oldest)
		sum.Dead += b.Dead
	}
	return sum, err
}

// Dead implements feed.Keeper.
func (f *Feed) Dead(ctx context.Context, limit int) ([]feed.DeadLetter, error) {
	all, err := ofAll(ctx, f.router, askTimeout, func(ctx context.Context, s *store.Feed) ([]feed.DeadLetter, error) { return s.Dead(ctx, limit) })
	dead := slices.SortedFunc(slices.Values(slices.Concat(all...)), func(a, b feed.DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Sink, b.Sink), cmp.Compare(a.Room, b.Room), cmp.Compare(a.Seq, b.Seq))
	})
	return dead[:min(len(dead), limit)], err
}

// Settle implements feed.Keeper.
func (f *Feed) Settle(ctx context.Context, again bool) (letters int, err error) {
	all, err := ofAll(ctx, f.router, forgetTimeout, func(ctx context.Context, s *store.Feed) (int, error) { return s.Settle(ctx, again) })
	for _, n := range all {
		letters += n
	}
	return letters, err
}

// End implements feed.Keeper.
func (f *Feed) End(ctx context.Context) error {
	_, err := ofAll(ctx, f.router, forgetTimeout, func(ctx context.Context, s *store.Feed) (struct{}, error) { return struct{}{}, s.End(ctx) })
	return err
}

// Rooms implements feed.Keeper: those of one slot after the other, so that a room is found wherever its slot is meanwhile.
func (f *Feed) Rooms(ctx context.Context, after string, since protocol.Time) (rooms []string, err error) {
	for n := roomSlot(after); n < slots.Count && len(rooms) == 0 && err == nil; n++ {
		err = f.askOf(ctx, n, func(ctx context.Context, s *store.Feed) (err error) {
			rooms, err = s.Rooms(ctx, max(after, slots.Prefix(n)), since)
			return err
		})
	}
	return rooms, err
}

// Again implements feed.Keeper. Jobs that were made before a slot moves move with it.
func (f *Feed) Again(ctx context.Context, room string, after protocol.Seq, since protocol.Time, queue string) (events int, last protocol.Seq, err error) {
	err = f.askOf(ctx, roomSlot(room), func(ctx context.Context, s *store.Feed) (err error) {
		events, last, err = s.Again(ctx, room, after, since, queue)
		return err
	})
	return events, last, err
}

// askOf asks the shard that has a slot.
func (f *Feed) askOf(ctx context.Context, n int, fn func(context.Context, *store.Feed) error) error {
	err := f.ask(ctx, n, func(ctx context.Context, s *store.Store) error { return fn(ctx, s.Feed()) })
	switch {
	case store.IsMoved(err):
		return fmt.Errorf("slot %d is being moved, and its writes are held up: %w", n, err)
	case errors.Is(err, feed.ErrNone):
		return err
	}
	return about(ctx, f.of(n), err)
}
