package memory

import (
	"context"
	"errors"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/parley-im/parley/internal/broker"
)

// queueBytes bounds what one queue of a feed holds.
const queueBytes = 64 << 20

// Feed is the queues of a feed within one process, for tests of what stands before and behind a feed. It holds nothing that would have to be closed.
type Feed struct {
	queues []broker.Queue

	mu   sync.Mutex
	held map[string]*held // by queue
	news chan struct{}    // closed and made anew when an entry may be taken
}

// held is what a queue holds.
type held struct {
	waiting []numbered
	next    uint64
	bytes   int // also of what consumers have taken and not acknowledged
}

// numbered is an entry with its place in its queue.
type numbered struct {
	number uint64
	entry  broker.Entry
}

// NewFeed makes the queues, with nothing in them.
func NewFeed(queues []broker.Queue) *Feed {
	f := &Feed{queues: slices.Clone(queues), held: map[string]*held{}, news: make(chan struct{})}
	for _, q := range queues {
		f.held[q.Name] = &held{}
	}
	return f
}

// exchange is a member of a feed.
type exchange struct {
	feed      *Feed
	consumers broker.Consumers
	closed    atomic.Bool
	put       atomic.Uint64
	failed    atomic.Uint64
	consumed  atomic.Uint64
}

// Join makes one more way to put into the queues and to consume them.
func (f *Feed) Join() broker.Exchange { return &exchange{feed: f} }

var errFull = errors.New("a queue of the feed is full")

func (x *exchange) Put(_ context.Context, b broker.Batch) error {
	err := x.tryPut(b)
	if err != nil {
		x.failed.Add(1)
	} else {
		x.put.Add(uint64(len(b.Entries)))
	}
	return err
}

func (x *exchange) tryPut(b broker.Batch) error {
	if x.closed.Load() {
		return broker.ErrExchangeClosed
	}
	if b.Queue != "" && broker.FindQueue(x.feed.queues, b.Queue) == nil {
		return broker.ErrNoQueue
	}
	if err := broker.RefuseLarge(b.Entries, maxMessage); err != nil {
		return err
	}
	return x.feed.put(b)
}

func (f *Feed) put(b broker.Batch) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range f.queues {
		q := &f.queues[i]
		if b.Queue != "" && b.Queue != q.Name {
			continue
		}
		h := f.held[q.Name]
		for _, e := range b.Entries {
			if !q.Matches(&e) {
				continue
			}
			if h.bytes += len(e.Data); h.bytes > queueBytes {
				h.bytes -= len(e.Data)
				return errFull
			}
			e.Data = slices.Clone(e.Data)
			h.next++
			h.waiting = append(h.waiting, numbered{h.next, e})
		}
	}
	f.tell()
	return nil
}

// tell wakes the consumers. f.mu is held.
func (f *Feed) tell() {
	close(f.news)
	f.news = make(chan struct{})
}

func (x *exchange) Consume(ctx context.Context, queue string, handle func(context.Context, broker.Entry) error) error {
	h := x.feed.held[queue]
	if h == nil {
		return broker.ErrNoQueue
	}
	ctx, done, err := x.consumers.Begin(ctx)
	if err != nil {
		return err
	}
	defer done()
	for {
		n, ok := x.feed.take(ctx, h)
		if !ok {
			return context.Cause(ctx)
		}
		taken := broker.Deliver(ctx, n.entry, handle)
		x.feed.settle(h, n, taken)
		if taken {
			x.consumed.Add(1)
		}
	}
}

// take waits for the first entry of a queue.
func (f *Feed) take(ctx context.Context, h *held) (numbered, bool) {
	for ctx.Err() == nil {
		f.mu.Lock()
		news := f.news
		if len(h.waiting) > 0 {
			n := h.waiting[0]
			h.waiting = h.waiting[1:]
			f.mu.Unlock()
			return n, true
		}
		f.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
	return numbered{}, false
}

// settle forgets an entry that was taken, or puts it back to where it was.
func (f *Feed) settle(h *held, n numbered, taken bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if taken {
		h.bytes -= len(n.entry.Data)
		return
	}
	at, _ := slices.BinarySearchFunc(h.waiting, n.number, func(w numbered, number uint64) int { return int(w.number) - int(number) })
	h.waiting = slices.Insert(h.waiting, at, n)
	f.tell()
}

func (x *exchange) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{Engine: "memory", Order: broker.OrderOneConsumer, MaxEntry: maxMessage}
}

func (x *exchange) Stats() broker.ExchangeStats {
	return broker.ExchangeStats{Put: x.put.Load(), Failed: x.failed.Load(), Consumed: x.consumed.Load(), Connected: !x.closed.Load()}
}

func (x *exchange) Close() error {
	x.closed.Store(true)
	x.consumers.Close()
	return nil
}
