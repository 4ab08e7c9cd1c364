package memory

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"

	"github.com/parley-im/parley/internal/broker"
)

// queueBytes bounds what one queue of a feed holds.
const queueBytes = 64 << 20

// Feed is the queues of a feed within one process, for tests of what stands before and behind a feed. It holds nothing that would have to be closed.
type Feed struct {
	engine *engine
}

// engine is the queues, each member's one.
type engine struct {
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
	e := &engine{queues: slices.Clone(queues), held: map[string]*held{}, news: make(chan struct{})}
	for _, q := range queues {
		e.held[q.Name] = &held{}
	}
	return &Feed{e}
}

// Join makes one more way to put into the queues and to consume them.
func (f *Feed) Join() broker.Exchange {
	x, err := broker.OpenExchange(context.Background(), broker.ExchangeOptions{Queues: f.engine.queues, Log: slog.Default()}, f.engine)
	if err != nil {
		panic(err) // there is nothing to wait for
	}
	return x
}

func (e *engine) Run(_ context.Context, tried func()) { tried() }

func (e *engine) Connected() bool { return true }

var errFull = errors.New("a queue of the feed is full")

func (e *engine) Put(_ context.Context, b broker.Batch) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	for i := range e.queues {
		q := &e.queues[i]
		if b.Queue != "" && b.Queue != q.Name {
			continue
		}
		h := e.held[q.Name]
		for _, entry := range b.Entries {
			if !q.Matches(&entry) {
				continue
			}
			if h.bytes += len(entry.Data); h.bytes > queueBytes {
				h.bytes -= len(entry.Data)
				return errFull
			}
			entry.Data = slices.Clone(entry.Data)
			h.next++
			h.waiting = append(h.waiting, numbered{h.next, entry})
		}
	}
	e.tell()
	return nil
}

// tell wakes the consumers. e.mu is held.
func (e *engine) tell() {
	close(e.news)
	e.news = make(chan struct{})
}

func (e *engine) Consume(ctx context.Context, queue string, take broker.Take) error {
	h := e.held[queue]
	for {
		n, ok := e.take(ctx, h)
		if !ok {
			return ctx.Err()
		}
		header := func(name string) string {
			value, _ := n.entry.Header(name)
			return value
		}
		e.settle(h, n, take(ctx, header, n.entry.Data))
	}
}

// take waits for the first entry of a queue.
func (e *engine) take(ctx context.Context, h *held) (numbered, bool) {
	for ctx.Err() == nil {
		e.mu.Lock()
		news := e.news
		if len(h.waiting) > 0 {
			n := h.waiting[0]
			h.waiting = h.waiting[1:]
			e.mu.Unlock()
			return n, true
		}
		e.mu.Unlock()
		select {
		case <-news:
		case <-ctx.Done():
		}
	}
	return numbered{}, false
}

// settle forgets an entry that was taken, or puts it back to where it was.
func (e *engine) settle(h *held, n numbered, taken bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if taken {
		h.bytes -= len(n.entry.Data)
		return
	}
	at, _ := slices.BinarySearchFunc(h.waiting, n.number, func(w numbered, number uint64) int { return int(w.number) - int(number) })
	h.waiting = slices.Insert(h.waiting, at, n)
	e.tell()
}

func (e *engine) Features() broker.ExchangeFeatures {
	return broker.ExchangeFeatures{Engine: "memory", Order: broker.OrderOneConsumer, MaxEntry: maxMessage}
}

// Close has nothing to free: the queues are the feed's.
func (e *engine) Close() {}
