package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/parley-im/parley/protocol"
)

// batcher lets many callers share one transaction, like the log's group commit, but without a goroutine: whoever finds nobody at work carries out what waits
// for everybody. A caller that comes alone does not wait.
//
// Only the holder of lead takes items out of waiting and answers them; mu guards waiting and closed, and is held for no longer than that takes.
type batcher[T any] struct {
	run func(context.Context, []T) error // carries out all of the items, or none

	lead chan struct{} // capacity 1

	mu      sync.Mutex
	waiting []*waiter[T]
	closed  bool
}

type waiter[T any] struct {
	item T
	done chan struct{} // closed when err is set
	err  error
}

const (
	maxGathered    = 256              // items of one transaction
	timeoutGathers = 15 * time.Second // of one transaction
)

func newBatcher[T any](run func(context.Context, []T) error) *batcher[T] {
	return &batcher[T]{run: run, lead: make(chan struct{}, 1)}
}

// do returns when the item has been carried out, or refused. A caller whose context ends before anybody began with the item takes it back; later the
// outcome is waited for, so that it is known.
func (b *batcher[T]) do(ctx context.Context, item T) error {
	w := &waiter[T]{item: item, done: make(chan struct{})}
	b.mu.Lock()
	if b.closed {
		b.mu.Unlock()
		return unavailable()
	}
	b.waiting = append(b.waiting, w)
	b.mu.Unlock()
	select {
	case <-w.done:
	case b.lead <- struct{}{}:
		for !w.answered() {
			b.carryOut(b.take())
		}
		<-b.lead
	case <-ctx.Done():
		if b.withdraw(w) {
			return unavailable()
		}
		<-w.done
	}
	return w.err
}

func (w *waiter[T]) answered() bool {
	select {
	case <-w.done:
		return true
	default:
		return false
	}
}

// take is the next batch, in the order of arrival.
func (b *batcher[T]) take() []*waiter[T] {
	b.mu.Lock()
	defer b.mu.Unlock()
	n := min(len(b.waiting), maxGathered)
	batch := b.waiting[:n:n]
	b.waiting = b.waiting[n:]
	return batch
}

func (b *batcher[T]) withdraw(w *waiter[T]) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, other := range b.waiting {
		if other == w {
			b.waiting = append(b.waiting[:i:i], b.waiting[i+1:]...)
			return true
		}
	}
	return false
}

// carryOut runs a batch and answers it. What an item is at fault for must not fail its neighbours: then each stands alone.
func (b *batcher[T]) carryOut(batch []*waiter[T]) {
	ctx, cancel := context.WithTimeout(context.Background(), timeoutGathers)
	items := make([]T, len(batch))
	for i, w := range batch {
		items[i] = w.item
	}
	err := b.run(ctx, items)
	cancel()
	if _, transient := errors.AsType[*protocol.Error](err); err != nil && (!transient || IsMoved(err)) && len(batch) > 1 {
		for i := range batch {
			b.carryOut(batch[i : i+1])
		}
		return
	}
	for _, w := range batch {
		w.err = err
		close(w.done)
	}
}

// stop waits for the batch that is being carried out and refuses what waits and what comes later.
func (b *batcher[T]) stop() {
	b.mu.Lock()
	b.closed = true
	b.mu.Unlock()
	b.lead <- struct{}{}
	for batch := b.take(); len(batch) > 0; batch = b.take() {
		for _, w := range batch {
			w.err = unavailable()
			close(w.done)
		}
	}
	<-b.lead
}
