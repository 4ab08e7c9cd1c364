package feed

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/internal/broker"
)

const (
	maxLines = 50 // of one look
	maxEach  = 20 // jobs of one line in one look: a room with a long backlog does not hold up the others
	maxBytes = 4 << 20

	tick    = 500 * time.Millisecond // between looks without being woken, give or take a fifth
	counted = 5 * time.Second        // between looks at the whole backlog

	leaseTime = 3 * time.Second // after which another node takes the rooms of one that died
	renewTime = time.Second
	putTime   = 15 * time.Second // for the engine's acknowledgement

	// An engine that is away is tried again after a time between these, which doubles; so is an entry that it refuses, maxTries times.
	minRetry = 250 * time.Millisecond
	maxRetry = 10 * time.Second
	maxTries = 5
)

// Options are what a Feeder needs.
type Options struct {
	Source   Source
	Exchange broker.Exchange
	Node     string              // this node's name, unique in the cluster
	Now      func() time.Time    // nil: time.Now
	Log      *slog.Logger        // nil: nothing is logged
	Observe  func(time.Duration) // told how long the engine took for a batch that it acknowledged, by Run's goroutine; nil: nobody
}

// Feeder puts what one store has to be put. Wake and Stats may be called from any goroutine.
type Feeder struct {
	o    Options
	wake chan struct{} // of size 1

	// Run's own.
	share   Share
	renewed time.Time
	counted time.Time
	aside   map[Line]*trouble
	again   Line // the last one of the other sinks that was looked at
	tries   int  // that the engine has failed in a row
	failing bool // and the log has the reason

	count counters
}

// trouble is of a line whose next entry the engine has refused.
type trouble struct {
	seq   uint64
	tries int
	until time.Time // when it is tried again
}

// counters are what Stats tells.
type counters struct {
	jobs, oldest, dead, held           atomic.Int64
	put, gone, refused, buried, failed atomic.Uint64
}

// Stats is what a Feeder has found and done.
type Stats struct {
	Backlog
	Held     int    // lines that wait because the engine refuses their next entry
	Put      uint64 // entries that the engine has acknowledged since the start
	Gone     uint64 // events that were not kept any more when their turn came
	Refused  uint64 // times that the engine has refused an entry
	Buried   uint64 // entries that became dead letters
	Failures uint64 // times that the engine or the store could not be used
}

// New makes a Feeder; nothing runs before Run.
func New(o Options) *Feeder {
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Observe == nil {
		o.Observe = func(time.Duration) {}
	}
	return &Feeder{o: o, wake: make(chan struct{}, 1), aside: map[Line]*trouble{}}
}

// Wake tells the feeder that there are jobs. It does not block.
func (f *Feeder) Wake() {
	select {
	case f.wake <- struct{}{}:
	default:
	}
}

// Stats is what the Feeder has found and done. The backlog is that of the whole store, some seconds old.
func (f *Feeder) Stats() Stats {
	c := &f.count
	return Stats{
		Backlog: Backlog{Jobs: int(c.jobs.Load()), Oldest: time.Duration(c.oldest.Load()), Dead: int(c.dead.Load())}, Held: int(c.held.Load()),
		Put: c.put.Load(), Gone: c.gone.Load(), Refused: c.refused.Load(), Buried: c.buried.Load(), Failures: c.failed.Load(),
	}
}

// Run works until the context ends. It is called once.
func (f *Feeder) Run(ctx context.Context) {
	defer f.giveBack(ctx)
	for {
		more, err := f.sweep(ctx)
		if ctx.Err() != nil {
			return
		}
		f.note(err)
		f.look(ctx)
		switch {
		case err != nil:
			broker.Pause(ctx, f.backOff())
		case !more:
			f.rest(ctx)
		}
	}
}

// note logs when the feed begins to stand still, and when it goes on.
func (f *Feeder) note(err error) {
	if err != nil {
		f.count.failed.Add(1)
		f.tries++
	} else {
		f.tries = 0
	}
	switch {
	case err != nil && !f.failing:
		f.o.Log.Warn("the feed stands still: its events wait in the store until it goes on", "error", err)
	case err == nil && f.failing:
		f.o.Log.Info("the feed goes on")
	}
	f.failing = err != nil
}

// backOff is how long to wait after a failure. Nodes do not come back all at once.
func (f *Feeder) backOff() time.Duration {
	wait := min(minRetry<<min(f.tries-1, 10), maxRetry)
	return wait/2 + rand.N(wait/2)
}

// look counts the backlog from time to time, also while nothing can be put.
func (f *Feeder) look(ctx context.Context) {
	now := f.o.Now()
	if now.Sub(f.counted) < counted {
		return
	}
	f.counted = now
	backlog, err := f.o.Source.Backlog(ctx)
	if err != nil {
		f.o.Log.Debug("the backlog of the feed could not be counted", "error", err)
		return
	}
	f.count.jobs.Store(int64(backlog.Jobs))
	f.count.oldest.Store(int64(backlog.Oldest))
	f.count.dead.Store(int64(backlog.Dead))
}

// rest waits for jobs, or for the next look.
func (f *Feeder) rest(ctx context.Context) {
	look := time.NewTimer(tick - tick/5 + rand.N(2*tick/5))
	defer look.Stop()
	select {
	case <-ctx.Done():
	case <-look.C:
	case <-f.wake:
	}
}

// giveBack lets other nodes have this one's rooms at once.
func (f *Feeder) giveBack(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if _, err := f.o.Source.Lease(ctx, f.o.Node, 0); err != nil {
		f.o.Log.Debug("the feed's lease was not given back: it ends by itself", "error", err)
	}
}

func (f *Feeder) renew(ctx context.Context) error {
	now := f.o.Now()
	if f.share != nil && now.Sub(f.renewed) < renewTime {
		return nil
	}
	share, err := f.o.Source.Lease(ctx, f.o.Node, leaseTime)
	if err == nil {
		f.share, f.renewed = share, now
	}
	return err
}

// sweep looks at every line of the first sink once, and at some of the others, and puts some of their entries; more tells whether some may be left.
func (f *Feeder) sweep(ctx context.Context) (more bool, err error) {
	f.forget()
	for after := (Line{}); ; {
		jobs, err := f.take(ctx, after)
		if err != nil {
			return false, err
		}
		n := 0
		for n < len(jobs) && jobs[n].Sink == First {
			n++
		}
		if n == 0 {
			break
		}
		after = jobs[n-1].Line
		done, err := f.put(ctx, f.waiting(jobs[:n]))
		if err != nil {
			return false, err
		}
		more = more || done > 0 // what came meanwhile, and what Take had no room for
	}
	if f.again == (Line{}) {
		f.again = afterFirst
	}
	jobs, err := f.take(ctx, f.again)
	if err != nil || len(jobs) == 0 {
		more = more || f.again != afterFirst
		f.again = afterFirst
		return more, err
	}
	f.again = jobs[len(jobs)-1].Line
	done, err := f.put(ctx, f.waiting(jobs))
	return more || done > 0, err
}

// take reads jobs of this node's share.
func (f *Feeder) take(ctx context.Context, after Line) ([]Job, error) {
	if err := f.renew(ctx); err != nil {
		return nil, err
	}
	return f.o.Source.Take(ctx, f.share, after, Limit{maxLines, maxEach, maxBytes})
}

// forget drops what is remembered of lines that are another feeder's now, or were retried long ago.
func (f *Feeder) forget() {
	now := f.o.Now()
	for line, t := range f.aside {
		if now.Sub(t.until) > time.Minute {
			delete(f.aside, line)
		}
	}
	f.count.held.Store(int64(len(f.aside)))
}

// waiting leaves out the lines whose next entry was refused a short while ago.
func (f *Feeder) waiting(jobs []Job) []Job {
	now := f.o.Now()
	kept := jobs[:0]
	for _, j := range jobs {
		if t := f.aside[j.Line]; t == nil || !now.Before(t.until) {
			kept = append(kept, j)
		}
	}
	return kept
}

// put puts jobs, a batch for each sink, and returns how many were done.
func (f *Feeder) put(ctx context.Context, jobs []Job) (done int, err error) {
	for len(jobs) > 0 {
		n := 1
		for n < len(jobs) && jobs[n].Sink == jobs[0].Sink {
			n++
		}
		d, err := f.putSink(ctx, jobs[:n])
		if done += d; err != nil {
			return done, err
		}
		jobs = jobs[n:]
	}
	return done, nil
}

// putSink puts jobs of one sink. What the engine refuses is left out, with all that follows it in its line.
func (f *Feeder) putSink(ctx context.Context, jobs []Job) (done int, err error) {
	for len(jobs) > 0 {
		b := batch(jobs[0].Sink)
		for i := range jobs {
			if !jobs[i].Gone() {
				b.Entries = append(b.Entries, jobs[i].Entry)
			}
		}
		err := f.engine(ctx, b)
		refused, isRefused := errors.AsType[*broker.RefusedError](err)
		switch {
		case err == nil:
			return len(jobs), f.settle(ctx, jobs, len(b.Entries))
		case errors.Is(err, broker.ErrNoQueue):
			return len(jobs), f.bury(ctx, jobs, "the queue that it was to be put into again is not declared")
		case !isRefused:
			return 0, err
		}
		if jobs, err = f.refuse(ctx, jobs, refused); err != nil {
			return 0, err
		}
	}
	return 0, nil
}

// engine has the engine acknowledge a batch.
func (f *Feeder) engine(ctx context.Context, b broker.Batch) error {
	if len(b.Entries) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, putTime)
	defer cancel()
	began := f.o.Now()
	err := f.o.Exchange.Put(ctx, b)
	if err == nil {
		f.o.Observe(f.o.Now().Sub(began))
	}
	return err
}

// settle removes jobs whose entries were acknowledged. The log comes first: then it waits for as long as that took.
func (f *Feeder) settle(ctx context.Context, jobs []Job, put int) error {
	began := time.Now()
	if err := f.o.Source.Done(ctx, jobs); err != nil {
		return err
	}
	f.count.put.Add(uint64(put))
	f.count.gone.Add(uint64(len(jobs) - put))
	for _, j := range jobs {
		if t := f.aside[j.Line]; t != nil && t.seq <= j.Seq {
			delete(f.aside, j.Line)
		}
	}
	broker.Pause(ctx, time.Since(began))
	return nil
}

func (f *Feeder) bury(ctx context.Context, jobs []Job, reason string) error {
	err := f.o.Source.Bury(ctx, jobs, reason)
	if err == nil {
		f.count.buried.Add(uint64(len(jobs)))
		for _, j := range jobs {
			delete(f.aside, j.Line)
			f.o.Log.Error("an event cannot be fed: it is a dead letter", "sink", j.Sink, "room", j.Room, "seq", j.Seq, "reason", reason)
		}
	}
	return err
}

// refuse sets the line of an entry aside that the engine has refused, or buries the entry after too many tries. It returns the jobs that can still be put.
func (f *Feeder) refuse(ctx context.Context, jobs []Job, r *broker.RefusedError) ([]Job, error) {
	f.count.refused.Add(1)
	at := 0
	for at < len(jobs) && (jobs[at].Room != r.Room || jobs[at].Seq != r.Seq) {
		at++
	}
	if at == len(jobs) {
		return nil, fmt.Errorf("the engine has refused what was not put: %w", r)
	}
	job := jobs[at]
	t := f.aside[job.Line]
	if t == nil || t.seq != job.Seq {
		t = &trouble{seq: job.Seq}
		f.aside[job.Line] = t
	}
	t.until = f.o.Now().Add(min(4*minRetry<<t.tries, maxRetry))
	if t.tries++; t.tries >= maxTries {
		return append(jobs[:at:at], jobs[at+1:]...), f.bury(ctx, []Job{job}, r.Reason)
	}
	var rest []Job
	for i, j := range jobs {
		if i < at || j.Line != job.Line {
			rest = append(rest, j)
		}
	}
	return rest, nil
}
