package bench

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/parley-im/parley/protocol"
)

// run is one run of a scenario.
type run struct {
	c        Config
	name     string // of the run, with which the names of its users begin
	begin    time.Time
	filler   string // of every text, after its time
	sampling uint64 // of so many deliveries one is timed and looked into
	history  *history
	caller   *http.Client
	bar      *bar

	users  []*user // those that are cut in a storm first, then the speakers
	rooms  []*room
	window []*place // in fanout: where each member stands

	sending        atomic.Bool
	turn           atomic.Uint64
	count          counters
	refusals       refusals
	cut            cut
	ack, delivery  *latency
	within, across *latency // of delivery, where there are several nodes: to who is at the sender's node, and to who is at another

	over    context.Context // ends with the first failure
	fail    context.CancelCauseFunc
	pacing  sync.WaitGroup
	endPace context.CancelFunc

	measured result
}

// counters are told while a run goes on.
type counters struct {
	sent    atomic.Uint64 // messages
	acked   atomic.Uint64
	failed  atomic.Uint64 // refused for good
	delayed atomic.Uint64 // refused for now
	limited atomic.Uint64 // of these by a rate limit
	lives   atomic.Int64  // sessions open
	returns atomic.Uint64 // sessions opened again
}

// cut is what a storm does.
type cut struct {
	at      atomic.Int64 // in nanoseconds since the run began; 0: not yet
	back    atomic.Int64 // the users that were cut and have a session again
	resumed *latency
}

// refusals are what the server would not take.
type refusals struct {
	mu       sync.Mutex
	retries  []retry
	disorder map[uint64]struct{} // messages that were refused for now: they may be overtaken
	first    *protocol.Error     // for good
}

// retry is a message that is to be sent again.
type retry struct {
	u   *user
	n   uint64
	due time.Time
}

// room is one room of the run.
type room struct {
	members []*user

	mu   sync.Mutex
	id   string   // empty until it is made; not changed afterwards
	acks []uint64 // by seq: the message that was acknowledged with it
	bad  uint64   // two messages acknowledged with one seq
}

// name is the id, empty until the room is made.
func (r *room) name() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.id
}

// acknowledged notes that a message has its place.
func (r *room) acknowledged(seq protocol.Seq, what uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := int(seq) + 1; n > len(r.acks) {
		r.acks = append(r.acks, make([]uint64, n-len(r.acks))...)
	}
	if r.acks[seq] != 0 && r.acks[seq] != what {
		r.bad++
	}
	r.acks[seq] = what
}

func newRun(c Config) *run {
	r := &run{
		c: c, name: "bench-" + strings.ToLower(rand.Text()[:8]), begin: time.Now(),
		filler:   strings.Repeat(" as people write", c.TextBytes/16+1)[:c.TextBytes-stampBytes],
		sampling: 1, ack: newLatency(), delivery: newLatency(), within: newLatency(), across: newLatency(),
		refusals: refusals{disorder: make(map[uint64]struct{})}, cut: cut{resumed: newLatency()},
		measured: result{heads: make(map[string]protocol.Seq)},
	}
	if c.Users > 100 {
		r.sampling = 32 // of so many deliveries these are enough, and cheaper
	}
	r.caller = newCaller(c)
	r.bar = newBar(c.Progress)
	r.history = newHistory(c.History, r.begin)
	r.over, r.fail = context.WithCancelCause(context.Background())
	return r
}

// close ends every session.
func (r *run) close() {
	r.sending.Store(false)
	r.bar.clear()
	if r.endPace != nil {
		r.endPace()
	}
	r.pacing.Wait()
	each(len(r.users), 64, func(i int) error {
		r.users[i].link.Close()
		return nil
	})
	r.caller.CloseIdleConnections()
	r.fail(nil)
}

// delivered times a delivery.
func (r *run) delivered(to, from int, d time.Duration) {
	r.delivery.add(to, d)
	switch {
	case len(r.c.URLs) == 1:
	case r.c.node(to) == r.c.node(from):
		r.within.add(to, d)
	default:
		r.across.add(to, d)
	}
}

// failure is why the run ended early.
func (r *run) failure() error { return context.Cause(r.over) }

// each calls do for 0 … n−1, several at a time, and joins the errors of the first that failed; the others are not begun then.
func each(n, atOnce int, do func(i int) error) error {
	var next atomic.Int64
	var workers sync.WaitGroup
	errs := make([]error, min(atOnce, n))
	for w := range errs {
		workers.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= n {
					return
				}
				if errs[w] = do(i); errs[w] != nil {
					next.Store(int64(n))
					return
				}
			}
		})
	}
	workers.Wait()
	return errors.Join(errs...)
}

// token makes what brings a user's token.
func (r *run) token(user string) func(context.Context) (string, error) {
	return func(context.Context) (string, error) { return r.c.Sign(user) }
}

// indexOf is the number of a user of this run.
func (r *run) indexOf(user []byte) (int, bool) {
	if len(user) <= len(r.name) || string(user[:len(r.name)]) != r.name {
		return 0, false
	}
	i, digits := scanNumber(user[len(r.name)+1:])
	return int(i), digits > 0
}

// await calls left again and again until it says 0, and fails once that has not fallen for as long as patience lasts. A person who watches is told what is
// left.
func (r *run) await(ctx context.Context, patience time.Duration, what string, left func() int) error {
	least, since := -1, time.Now()
	for {
		asked := time.Now()
		n := left()
		if n == 0 {
			return nil
		}
		if least < 0 || n < least {
			least, since = n, time.Now()
		}
		if time.Since(since) > patience {
			return fmt.Errorf("bench: %d of %s are still missing after %v without progress", n, what, patience)
		}
		r.bar.say("waiting for %s: %s", what, number(uint64(n)))
		// Asking thousands of users costs something: a tenth of the time at most.
		again := time.NewTimer(max(5*time.Millisecond, 10*time.Since(asked)))
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return context.Cause(ctx)
		case <-r.over.Done():
			again.Stop()
			return context.Cause(r.over)
		}
	}
}

// more sends the next message, where an answer makes room for it: the users take turns, and each takes its rooms in turn.
func (r *run) more() {
	if r.c.Scenario == Fanout || !r.sending.Load() {
		return
	}
	r.speak()
}

// speak sends one message. It does nothing while it is not the time.
func (r *run) speak() {
	turn := r.turn.Add(1) - 1
	first, n := r.speaking()
	u := r.users[first+int(turn%n)]
	r.count.sent.Add(1)
	u.send(u.rooms[int(turn/n)%len(u.rooms)])
}

// speaking are the users that talk: from first, n of them.
func (r *run) speaking() (first int, n uint64) {
	switch r.c.Scenario {
	case Storm:
		return r.c.Users, uint64(len(r.users) - r.c.Users)
	case Fanout:
		return 0, uint64(min(16, len(r.users)))
	}
	return 0, uint64(len(r.users))
}

// later has a message sent again after a refusal for now.
func (r *run) later(u *user, n uint64, e *protocol.Error) {
	wait := max(time.Duration(e.RetryAfterMS)*time.Millisecond, 20*time.Millisecond)
	r.count.delayed.Add(1)
	if e.Code == protocol.RateLimited {
		r.count.limited.Add(1)
	}
	r.refusals.mu.Lock()
	defer r.refusals.mu.Unlock()
	r.refusals.disorder[message(u.index, n)] = struct{}{}
	r.refusals.retries = append(r.refusals.retries, retry{u, n, time.Now().Add(wait)})
}

// refusedForGood counts a message that will not be sent. A server that refuses more than it takes is not worth driving on.
func (r *run) refusedForGood(e *protocol.Error) {
	r.refusals.mu.Lock()
	if r.refusals.first == nil {
		r.refusals.first = e
	}
	r.refusals.mu.Unlock()
	if failed := r.count.failed.Add(1); failed > 1000 && failed > r.count.acked.Load() {
		r.fail(fmt.Errorf("bench: the server refuses most messages, the first with: %w", e))
		return
	}
	r.more()
}
