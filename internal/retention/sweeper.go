package retention

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
	tick     = time.Minute // between sweeps, give or take a fifth
	maxRooms = 50          // that are claimed at once
)

// Options are what a Sweeper needs.
type Options struct {
	Source Source
	Now    func() time.Time // nil: time.Now
	Log    *slog.Logger     // nil: nothing is logged
}

// Sweeper is the sweep of one node. Stats may be called from any goroutine.
type Sweeper struct {
	source Source
	now    func() time.Time
	log    *slog.Logger
	away   bool // Run's own: the store did not answer when it was asked last

	due, swept       atomic.Int64
	pruned, failures atomic.Uint64
}

// Stats is what a Sweeper has found and done.
type Stats struct {
	Due      int       // rooms of the deployment that were due when this node looked last
	Swept    time.Time // when this node last had done everything that was due; zero before
	Pruned   uint64    // events pruned by this node since the start
	Failures uint64    // transactions that failed; what they were about is due again later
}

// New makes a Sweeper; nothing runs before Run.
func New(o Options) *Sweeper {
	s := &Sweeper{source: o.Source, now: o.Now, log: o.Log}
	if s.now == nil {
		s.now = time.Now
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	return s
}

// Stats is what the Sweeper has found and done.
func (s *Sweeper) Stats() Stats {
	st := Stats{Due: int(s.due.Load()), Pruned: s.pruned.Load(), Failures: s.failures.Load()}
	if at := s.swept.Load(); at != 0 {
		st.Swept = time.UnixMilli(at)
	}
	return st
}

// Run sweeps until the context ends, the first time at once. It is called once.
func (s *Sweeper) Run(ctx context.Context) {
	for {
		err := s.sweep(ctx)
		if ctx.Err() != nil {
			return
		}
		if err == nil {
			s.swept.Store(s.now().UnixMilli())
		}
		s.note(err)
		wait(ctx, tick-tick/5+rand.N(2*tick/5))
	}
}

// note logs when the store begins not to answer, and when it does again.
func (s *Sweeper) note(err error) {
	switch away := err != nil; {
	case away && !s.away:
		s.log.Warn("the retention sweep cannot go on: it tries again", "error", err)
	case !away && s.away:
		s.log.Info("the retention sweep goes on")
	}
	s.away = err != nil
}

func wait(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// sweep does everything that is due. An error is one of the store as a whole.
func (s *Sweeper) sweep(ctx context.Context) error {
	for {
		rooms, due, err := s.source.Claim(ctx, maxRooms)
		if err != nil {
			return err
		}
		s.due.Store(int64(due))
		for _, room := range rooms {
			if err := s.prune(ctx, room); err != nil {
				return err
			}
		}
		if len(rooms) < maxRooms {
			break
		}
	}
	for {
		began := time.Now()
		rows, err := s.source.Forget(ctx)
		if err != nil || rows == 0 {
			return err
		}
		wait(ctx, time.Since(began))
	}
}

// prune does everything that is due in one room. A room that cannot be pruned does not hold up the others: it is due again when its claim has ended.
func (s *Sweeper) prune(ctx context.Context, room string) error {
	for {
		began := time.Now()
		batch, err := s.source.Prune(ctx, room)
		switch unavailable := (*protocol.Error)(nil); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.As(err, &unavailable):
			s.failures.Add(1)
			return err
		case err != nil:
			s.failures.Add(1)
			s.log.Error("a room cannot be pruned: it is tried again later", "room", room, "error", err)
			return nil
		}
		s.pruned.Add(uint64(batch.Events))
		if batch.Events == 0 && !batch.More {
			return nil
		}
		wait(ctx, time.Since(began))
		if !batch.More {
			return nil
		}
	}
}
