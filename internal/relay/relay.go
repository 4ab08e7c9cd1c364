package relay

import (
	"context"
	"errors"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/protocol"
)

const (
	maxRooms  = 100 // that one look finds
	maxEvents = 200 // of one transaction
	minShare  = 20  // events of one room in one transaction, however many rooms are behind

	tick   = 500 * time.Millisecond // between looks without being woken, give or take a fifth
	gather = 100 * time.Millisecond // from being woken to looking: what is committed meanwhile shares the transaction

	leaseTime = 3 * time.Second // after which another node takes the rooms of one that died
	renewTime = time.Second
	asideTime = time.Minute // for which a room that cannot be applied is left alone
)

// Options are what a Relay needs.
type Options struct {
	Source Source
	Node   string           // this node's name, unique in the cluster
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged

	// Applied is told of every transaction that applied something, by Run's goroutine: it must not block. May be nil.
	Applied func()
}

// Relay is the relay of one node. Wake and Stats may be called from any goroutine.
type Relay struct {
	source Source
	node   string
	now    func() time.Time
	log    *slog.Logger
	wake   chan struct{} // of size 1
	told   func()        // of what was applied

	// Run's own.
	share   Share
	renewed time.Time
	aside   map[string]time.Time // rooms that cannot be applied, and until when they are left alone
	away    bool                 // the store did not answer when it was asked last

	count  counters
	traced traced
}

// counters are what Stats tells.
type counters struct {
	behind, lag                  atomic.Int64
	applied, overtaken, failures atomic.Uint64
}

// Stats is what a Relay has found and done.
type Stats struct {
	Behind    int           // rooms of this node's share that were behind when it looked last
	Lag       time.Duration // how old the oldest event was that had not been applied then
	Applied   uint64        // events applied since the start
	Overtaken uint64        // transactions that another relay made needless
	Failures  uint64        // transactions that failed; all are repeated
}

// New makes a Relay; nothing runs before Run.
func New(o Options) *Relay {
	r := &Relay{source: o.Source, node: o.Node, now: o.Now, log: o.Log, told: o.Applied, wake: make(chan struct{}, 1), aside: map[string]time.Time{}}
	if r.now == nil {
		r.now = time.Now
	}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	if r.told == nil {
		r.told = func() {}
	}
	return r
}

// Wake tells the relay that something was committed. It does not block.
func (r *Relay) Wake() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Stats is what the Relay has found and done.
func (r *Relay) Stats() Stats {
	return Stats{
		Behind: int(r.count.behind.Load()), Lag: time.Duration(r.count.lag.Load()),
		Applied: r.count.applied.Load(), Overtaken: r.count.overtaken.Load(), Failures: r.count.failures.Load(),
	}
}

// Run works until the context ends. It is called once.
func (r *Relay) Run(ctx context.Context) {
	defer r.giveBack(ctx)
	for {
		more, err := r.sweep(ctx)
		if ctx.Err() != nil {
			return
		}
		r.note(err)
		if !more || err != nil {
			r.rest(ctx)
		}
	}
}

// note logs when the store begins not to answer, and when it does again.
func (r *Relay) note(err error) {
	switch away := err != nil; {
	case away && !r.away:
		r.log.Warn("the relay cannot go on: it tries again", "error", err)
	case !away && r.away:
		r.log.Info("the relay goes on")
	}
	r.away = err != nil
}

// rest waits for a commit, or for the next look.
func (r *Relay) rest(ctx context.Context) {
	look := time.NewTimer(tick - tick/5 + rand.N(2*tick/5))
	defer look.Stop()
	select {
	case <-ctx.Done():
	case <-look.C:
	case <-r.wake:
		wait(ctx, gather)
	}
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// giveBack lets other nodes have this one's rooms at once.
func (r *Relay) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := r.source.Lease(ctx, r.node, 0); err != nil {
		r.log.Debug("the relay's lease was not given back: it ends by itself", "error", err)
	}
}

// sweep looks at every room that is behind, once, and applies some of its events; more tells whether some were left.
func (r *Relay) sweep(ctx context.Context) (more bool, err error) {
	behind, since, after := 0, r.now(), ""
	for {
		if err := r.renew(ctx); err != nil {
			return false, err
		}
		rooms, err := r.source.Behind(ctx, r.share, after, maxRooms)
		if err != nil {
			return false, err
		}
		for _, b := range rooms {
			if t := b.Since.Go(); t.Before(since) {
				since = t
			}
		}
		behind += len(rooms)
		r.count.behind.Store(int64(behind))
		r.count.lag.Store(int64(r.now().Sub(since)))
		left, err := r.apply(ctx, rooms)
		if more = more || left; err != nil || len(rooms) < maxRooms {
			return more, err
		}
		after = rooms[len(rooms)-1].Room
	}
}

func (r *Relay) renew(ctx context.Context) error {
	now := r.now()
	if r.share != nil && now.Sub(r.renewed) < renewTime {
		return nil
	}
	share, err := r.source.Lease(ctx, r.node, leaseTime)
	if err == nil {
		r.share, r.renewed = share, now
	}
	return err
}

// apply shares transactions among the rooms, so that a long backlog of one does not hold up the others.
func (r *Relay) apply(ctx context.Context, rooms []Backlog) (more bool, err error) {
	share := protocol.Seq(max(maxEvents/max(len(rooms), 1), minShare))
	var spans []Span
	events := 0
	for i, b := range rooms {
		if !r.leftAlone(b.Room) {
			s := Span{Room: b.Room, After: b.Mark, UpTo: min(b.Head, b.Mark+share)}
			more = more || s.UpTo < b.Head
			spans = append(spans, s)
			events += int(s.UpTo - s.After)
		}
		if last := i == len(rooms)-1; len(spans) > 0 && (last || events+int(share) > maxEvents) {
			left, err := r.carry(ctx, spans, events)
			if more = more || left; err != nil {
				return more, err
			}
			spans, events = nil, 0
		}
	}
	return more, nil
}

// carry is one transaction, and the pause after it. When it fails for a reason of its own each span stands alone: one must not hold up the others. An error
// is one of the store as a whole.
func (r *Relay) carry(ctx context.Context, spans []Span, events int) (more bool, err error) {
	began := time.Now()
	n, err := r.source.Apply(ctx, spans)
	took := time.Since(began)
	switch unavailable := (*protocol.Error)(nil); {
	case err == nil:
		r.count.applied.Add(uint64(n))
		r.told()
		if more = n < events; !more {
			r.traced.applied(spans, events, began, began.Add(took))
		}
	case ctx.Err() != nil:
		return false, err
	case errors.Is(err, ErrOvertaken):
		r.count.overtaken.Add(1)
	case errors.As(err, &unavailable):
		r.count.failures.Add(1)
		return false, err
	case len(spans) == 1:
		r.count.failures.Add(1)
		r.log.Error("a room cannot be applied: it is left alone for a while", "room", spans[0].Room, "after", spans[0].After, "error", err)
		r.aside[spans[0].Room] = r.now().Add(asideTime)
	default:
		r.count.failures.Add(1)
		for _, s := range spans {
			left, err := r.carry(ctx, []Span{s}, int(s.UpTo-s.After))
			if more = more || left; err != nil {
				return more, err
			}
		}
		return more, nil
	}
	wait(ctx, took)
	return more, nil
}

// leftAlone reports a room that could not be applied a short while ago.
func (r *Relay) leftAlone(room string) bool {
	until, ok := r.aside[room]
	if ok && !r.now().Before(until) {
		delete(r.aside, room)
		return false
	}
	return ok
}
