package shards

import (
	"context"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/store/slots"
)

const (
	unparkAfter = 20 * time.Millisecond // what had to wait is sent again, once the map has been read
	parkedMost  = 64 << 20              // bytes of appends that may wait for their slots to arrive
	parkedSize  = 512                   // of one, beside its params
)

// parking is where what goes to the log waits while its slot is on the way to another shard. What was sent of one slot in an order is sent again in that order,
// and what comes later stands behind it.
type parking struct {
	router *router
	lanes  [slots.Count]parkingLane
	bytes  atomic.Int64

	mu    sync.Mutex
	ready map[int]bool  // slots of which something waits and nothing is under way
	wake  chan struct{} // capacity 1
	ended bool
}

// parkingLane is one slot. Its mutex is not held while anything is sent.
type parkingLane struct {
	mu      sync.Mutex
	flying  int       // sent, and not answered
	back    []*parked // those that came back, in their order
	queue   []*parked // those that came meanwhile
	sending bool      // what waited is being sent again
}

// parked is one append, or one move.
type parked struct {
	slot   int
	size   int
	since  time.Time
	send   func(over func(moved bool)) // over is called exactly once
	refuse func()
}

func newParking(r *router) *parking {
	return &parking{router: r, ready: map[int]bool{}, wake: make(chan struct{}, 1)}
}

// put sends what does not have to wait.
func (p *parking) put(c *parked) {
	l := &p.lanes[c.slot]
	l.mu.Lock()
	if wait := l.sending || len(l.back)+len(l.queue) > 0; wait {
		full := p.bytes.Add(int64(c.size)) > parkedMost
		if !full {
			l.queue = append(l.queue, c)
		}
		l.mu.Unlock()
		if full {
			p.bytes.Add(-int64(c.size))
			c.refuse()
		}
		return
	}
	l.flying++
	l.mu.Unlock()
	c.send(func(moved bool) { p.over(c, moved) })
}

// over takes note that something was answered, or has come back.
func (p *parking) over(c *parked, moved bool) {
	l := &p.lanes[c.slot]
	l.mu.Lock()
	l.flying--
	if moved {
		p.bytes.Add(int64(c.size))
		l.back = append(l.back, c)
	}
	ready := l.flying == 0 && !l.sending && len(l.back)+len(l.queue) > 0
	l.mu.Unlock()
	if ready {
		p.call(c.slot)
	}
}

// call has a slot looked at soon.
func (p *parking) call(n int) {
	p.mu.Lock()
	p.ready[n] = true
	ended := p.ended
	p.mu.Unlock()
	if ended {
		p.resend(n, true)
		return
	}
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

// run sends again what waits, until the context ends; then it is refused.
func (p *parking) run(ctx context.Context) {
	for {
		select {
		case <-p.wake:
		case <-ctx.Done():
		}
		if ctx.Err() == nil {
			seen := p.router.readings.Load()
			select {
			case <-time.After(unparkAfter):
			case <-ctx.Done():
			}
			if err := p.router.readTableSince(ctx, seen); err != nil && ctx.Err() == nil {
				p.router.log.Warn("reading the map of the shards", "error", err)
			}
		}
		p.mu.Lock()
		ready := p.ready
		p.ready, p.ended = map[int]bool{}, ctx.Err() != nil
		p.mu.Unlock()
		for n := range ready {
			p.resend(n, ctx.Err() != nil)
		}
		if ctx.Err() != nil {
			return
		}
	}
}

// resend sends what waits of a slot, in its order; what has waited too long is refused, or all.
func (p *parking) resend(n int, all bool) {
	l := &p.lanes[n]
	l.mu.Lock()
	if l.sending || l.flying > 0 {
		l.mu.Unlock()
		return
	}
	waiting := append(l.back, l.queue...)
	l.back, l.queue, l.sending = nil, nil, true
	l.flying = len(waiting)
	l.mu.Unlock()
	for _, c := range waiting {
		p.bytes.Add(-int64(c.size))
		if all || time.Since(c.since) > patience {
			c.refuse()
			p.over(c, false)
			continue
		}
		c.send(func(moved bool) { p.over(c, moved) })
	}
	l.mu.Lock()
	l.sending = false
	ready := l.flying == 0 && len(l.back)+len(l.queue) > 0
	l.mu.Unlock()
	if ready {
		p.call(n)
	}
}
