package delivery

import (
	"container/heap"
	"context"
	"sync"
	"time"
)

// agenda does things later, all in one goroutine: one timer for every room. What is on it must be quick and must not block.
type agenda struct {
	now  func() time.Time
	wake chan struct{} // of size 1

	mu    sync.Mutex // a leaf
	items items
}

type item struct {
	at time.Time
	do func()
}

// at puts something on the agenda.
func (a *agenda) at(t time.Time, do func()) {
	a.mu.Lock()
	heap.Push(&a.items, item{t, do})
	first := a.items[0].at.Equal(t)
	a.mu.Unlock()
	if first {
		poke(a.wake)
	}
}

// run does what is due until the context ends.
func (a *agenda) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		wait := a.due()
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case <-a.wake:
		case <-timer.C:
		}
	}
}

// due does what is due and returns how long until the next thing is.
func (a *agenda) due() time.Duration {
	for {
		now := a.now()
		a.mu.Lock()
		if len(a.items) == 0 {
			a.mu.Unlock()
			return time.Hour
		}
		if wait := a.items[0].at.Sub(now); wait > 0 {
			a.mu.Unlock()
			return wait
		}
		next := heap.Pop(&a.items).(item)
		a.mu.Unlock()
		next.do()
	}
}

// items is a heap by time.
type items []item

func (s items) Len() int           { return len(s) }
func (s items) Less(i, j int) bool { return s[i].at.Before(s[j].at) }
func (s items) Swap(i, j int)      { s[i], s[j] = s[j], s[i] }

// Push is for package heap.
func (s *items) Push(x any) { *s = append(*s, x.(item)) }

// Pop is for package heap.
func (s *items) Pop() any {
	last := len(*s) - 1
	x := (*s)[last]
	(*s)[last] = item{}
	*s = (*s)[:last]
	return x
}

// poke leaves word in a channel of size 1 without waiting.
func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

// queue is what workers take rooms or sessions from: first in, first out. Who puts them in sees to it that each is there at most once.
type queue[T any] struct {
	mu      sync.Mutex // a leaf
	some    sync.Cond  // on mu
	items   []*T       // from head on
	head    int
	stopped bool
}

func (q *queue[T]) push(item *T) {
	q.mu.Lock()
	q.items = append(q.items, item)
	q.mu.Unlock()
	q.some.Signal()
}

// pop waits for an item; nil after stop.
func (q *queue[T]) pop() *T {
	q.mu.Lock()
	defer q.mu.Unlock()
	for q.head == len(q.items) && !q.stopped {
		q.some.Wait()
	}
	if q.stopped {
		return nil
	}
	item := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 1024 && q.head*2 >= len(q.items):
		q.items, q.head = append(q.items[:0], q.items[q.head:]...), 0
	}
	return item
}

func (q *queue[T]) length() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.items) - q.head
}

func (q *queue[T]) stop() {
	q.mu.Lock()
	q.stopped = true
	q.mu.Unlock()
	q.some.Broadcast()
}
