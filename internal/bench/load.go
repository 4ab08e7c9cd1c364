package bench

import (
	"context"
	"fmt"
	"time"

	"github.com/parley-im/parley/protocol"
)

// result is what was measured while the load lasted.
type result struct {
	seconds          float64
	acked, delivered uint64
	cpu              float64
	caughtUp         time.Duration           // storm: from the cut until everybody had everything
	heads            map[string]protocol.Seq // of the rooms, as the logs say in the end
	first            []usage                 // of the processes, before the first session
	uses             []ProcessUse
	logs             verdict
	problems         []string
}

// load makes the load and measures it.
func (r *run) load(ctx context.Context) error {
	before, err := r.usages()
	if err != nil {
		return err
	}
	for _, u := range r.users {
		u.mu.Lock()
		for _, p := range u.places {
			p.from = p.next.Load()
		}
		if r.c.Scenario == Fanout {
			r.window = append(r.window, u.places[0]) // the room; nobody follows another
		}
		u.mu.Unlock()
	}
	pace, end := context.WithCancel(context.Background())
	r.endPace = end
	begin, cpu := time.Now(), processorTime()
	r.sending.Store(true)
	r.pacing.Go(func() { r.pace(pace) })
	r.pacing.Go(func() { r.show(pace, begin) })
	if r.c.Scenario != Fanout && r.c.Scenario != Idle {
		for range r.c.Inflight {
			r.speak()
		}
	}
	limit, done := context.WithTimeout(ctx, r.c.Duration)
	defer done()
	if r.c.Scenario == Storm {
		r.storm(ctx)
	}
	select {
	case <-limit.Done():
	case <-r.over.Done():
	}
	r.sending.Store(false)
	r.measured.seconds = time.Since(begin).Seconds()
	r.measured.acked, r.measured.delivered = r.count.acked.Load(), r.arrived()
	r.measured.cpu = processorTime() - cpu
	after, err := r.usages()
	if err == nil {
		r.measured.uses = r.useOf(r.measured.first, before, after)
	}
	return err
}

// arrived is how many events all sessions have got since the load began.
func (r *run) arrived() (n uint64) {
	for _, u := range r.users {
		u.mu.Lock()
		for _, p := range u.places {
			if next := p.next.Load(); next > p.from && p.from > 0 {
				n += next - p.from
			}
		}
		u.mu.Unlock()
	}
	return n
}

// pace does what comes by the clock: messages that are due again, the window of fanout, and receipts, for each user once a second.
func (r *run) pace(ctx context.Context) {
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	reported := 0 // users, in rounds of one second
	begin := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		r.retryDue()
		if r.c.Scenario == Fanout {
			r.fillWindow()
		}
		if r.c.Scenario == Idle || r.c.Scenario == Durable {
			continue
		}
		due := int(time.Since(begin).Seconds() * float64(len(r.users)))
		reported = max(reported, due-len(r.users))
		for ; reported < due; reported++ {
			r.users[reported%len(r.users)].report()
		}
	}
}

// retryDue sends again what was refused for now and is due.
func (r *run) retryDue() {
	r.refusals.mu.Lock()
	var due []retry
	kept := r.refusals.retries[:0]
	for _, again := range r.refusals.retries {
		if time.Now().After(again.due) {
			due = append(due, again)
		} else {
			kept = append(kept, again)
		}
	}
	r.refusals.retries = kept
	r.refusals.mu.Unlock()
	for _, again := range due {
		again.u.again(again.n)
	}
}

// fillWindow sends as many messages as may be on the way to the members of the one room.
func (r *run) fillWindow() {
	if !r.sending.Load() {
		return
	}
	// What has reached everybody is what has reached the last.
	least := ^uint64(0)
	for _, p := range r.window {
		least = min(least, p.next.Load()-p.from)
	}
	for done := least + r.count.failed.Load(); r.count.sent.Load() < done+uint64(r.c.Inflight); {
		r.speak()
	}
}

// storm cuts all sessions but the speakers' once a quarter of the time is over, and waits until everybody is back and has what they missed.
func (r *run) storm(ctx context.Context) {
	quarter := time.NewTimer(r.c.Duration / 4)
	defer quarter.Stop()
	select {
	case <-quarter.C:
	case <-ctx.Done():
		return
	case <-r.over.Done():
		return
	}
	at := time.Since(r.begin)
	r.cut.at.Store(int64(at))
	each(r.c.Users, 8, func(i int) error {
		r.users[i].link.Cut()
		return nil
	})
	err := r.await(ctx, time.Minute, "the sessions that were cut", func() int { return r.c.Users - int(r.cut.back.Load()) })
	if err == nil {
		heads := make(map[string]protocol.Seq, len(r.rooms))
		for _, made := range r.rooms {
			heads[made.id] = made.newest()
		}
		err = r.await(ctx, time.Minute, "the events that were missed", func() int { return r.behind(heads) })
	}
	if err != nil {
		r.measured.problems = append(r.measured.problems, err.Error())
		return
	}
	r.measured.caughtUp = time.Since(r.begin) - at
}

// newest is the highest seq acknowledged.
func (r *room) newest() protocol.Seq {
	r.mu.Lock()
	defer r.mu.Unlock()
	return protocol.Seq(max(len(r.acks)-1, 0))
}

// behind is how many events sessions still have to get until they have reached heads.
func (r *run) behind(heads map[string]protocol.Seq) int {
	n := 0
	for _, u := range r.users {
		u.mu.Lock()
		for _, p := range u.places {
			if next := p.next.Load(); next > 0 && next <= heads[p.room] {
				n += int(heads[p.room] - next + 1)
			}
		}
		u.mu.Unlock()
	}
	return n
}

// settle waits for what is on its way, then reads the logs, and waits until everybody has what is in them.
func (r *run) settle() {
	ctx := context.Background()
	if r.c.Scenario == Idle {
		r.sayOnce()
	}
	problem := func(err error) {
		if err != nil {
			r.measured.problems = append(r.measured.problems, err.Error())
		}
	}
	problem(r.await(ctx, r.c.Settle, "the answers to messages", func() int {
		n := 0
		for _, u := range r.users {
			n += u.waiting()
		}
		return n
	}))
	problem(r.readLogs(ctx))
	if r.c.Scenario != Durable {
		problem(r.await(ctx, r.c.Settle, "the events that users should have got", func() int { return r.behind(r.measured.heads) }))
	}
	problem(r.history.flush())
}

// sayOnce says something in some rooms, to see whether sessions that were idle for long still hear.
func (r *run) sayOnce() {
	const some = 500
	for i := range min(some, len(r.rooms)) {
		made := r.rooms[i*len(r.rooms)/min(some, len(r.rooms))]
		r.count.sent.Add(1)
		made.members[len(made.members)-1].send(made)
	}
	if lost := len(r.users) - int(r.count.lives.Load()); lost > 0 {
		r.measured.problems = append(r.measured.problems, fmt.Sprintf("%d sessions are not open at the end", lost))
	}
}
