package broker

import (
	"context"
	"sync"
	"time"
)

// Consumers are the calls of Consume that an Exchange carries out. The zero value is ready; all methods may be called from any goroutine.
type Consumers struct {
	mu     sync.Mutex
	closed bool
	ends   map[int]context.CancelCauseFunc
	last   int
	calls  sync.WaitGroup
}

// Begin notes a call. Its context ends with ctx, or with [ErrExchangeClosed] when the consumers are closed; done must be called before Consume returns.
func (c *Consumers) Begin(ctx context.Context) (running context.Context, done func(), err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return nil, nil, ErrExchangeClosed
	}
	running, end := context.WithCancelCause(ctx)
	if c.ends == nil {
		c.ends = map[int]context.CancelCauseFunc{}
	}
	c.last++
	number := c.last
	c.ends[number] = end
	c.calls.Add(1)
	return running, func() {
		end(nil)
		c.mu.Lock()
		delete(c.ends, number)
		c.mu.Unlock()
		c.calls.Done()
	}, nil
}

// Close ends every call and returns when all are done. Calling it twice is allowed.
func (c *Consumers) Close() {
	c.mu.Lock()
	c.closed = true
	for _, end := range c.ends {
		end(ErrExchangeClosed)
	}
	c.mu.Unlock()
	c.calls.Wait()
}

// An entry that its handler did not take is handed over again after a time between these, which doubles.
const (
	minPause = 50 * time.Millisecond
	maxPause = 5 * time.Second
)

// Deliver hands an entry to handle until that returns nil, and reports whether it did; otherwise ctx has ended.
func Deliver(ctx context.Context, e Entry, handle func(context.Context, Entry) error) bool {
	for pause := minPause; ; pause = min(2*pause, maxPause) {
		if ctx.Err() != nil {
			return false
		}
		if handle(ctx, e) == nil {
			return true
		}
		if !Pause(ctx, pause) {
			return false
		}
	}
}

// Pause waits, and reports whether ctx is still running then.
func Pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
