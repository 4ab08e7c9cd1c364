package feed

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a store and an engine in memory.
type world struct {
	broker.Exchange // what is not asked for here

	mu      sync.Mutex
	jobs    []Job // in order
	dead    []Job
	reasons []string
	got     []string // ROOM/SEQ, or QUEUE:ROOM/SEQ of what was put again
	batches int
	store   error // answered by every call of the store
	engine  error // answered by every Put
	half    bool  // the engine takes half of what is put and then fails
	refuses map[string]bool
	leases  []time.Duration
	looks   int
}

func (w *world) add(sink, room string, from, to uint64) {
	w.set(func() {
		for seq := from; seq <= to; seq++ {
			w.jobs = append(w.jobs, Job{Line: Line{sink, room}, Seq: seq, Entry: broker.Entry{Room: room, Seq: seq}})
		}
		slices.SortFunc(w.jobs, func(a, b Job) int {
			return cmp.Or(strings.Compare(a.Sink, b.Sink), strings.Compare(a.Room, b.Room), cmp.Compare(a.Seq, b.Seq))
		})
	})
}

func (w *world) set(change func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	change()
}

func (w *world) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.jobs)
}

func (w *world) Lease(_ context.Context, node string, ttl time.Duration) (Share, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if node != "n1" {
		return nil, fmt.Errorf("who is %s", node)
	}
	w.leases = append(w.leases, ttl)
	return Share{"a"}, w.store
}

func (w *world) Take(_ context.Context, share Share, after Line, limit Limit) ([]Job, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.looks++
	if w.store != nil || !slices.Equal(share, Share{"a"}) {
		return nil, cmp.Or(w.store, errors.New("another share"))
	}
	var jobs []Job
	lines := map[Line]int{}
	for _, j := range w.jobs {
		past := cmp.Or(strings.Compare(j.Sink, after.Sink), strings.Compare(j.Room, after.Room)) > 0
		if past && (lines[j.Line] > 0 || len(lines) < limit.Lines) && lines[j.Line] < limit.Each {
			lines[j.Line]++
			jobs = append(jobs, j)
		}
	}
	return jobs, nil
}

func (w *world) Done(_ context.Context, jobs []Job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(jobs)
	return w.store
}

func (w *world) drop(jobs []Job) {
	w.jobs = slices.DeleteFunc(w.jobs, func(j Job) bool {
		return slices.ContainsFunc(jobs, func(d Job) bool { return d.Line == j.Line && d.Seq == j.Seq })
	})
}

func (w *world) Bury(_ context.Context, jobs []Job, reason string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.drop(jobs)
	w.dead = append(w.dead, jobs...)
	w.reasons = append(w.reasons, reason)
	return w.store
}

func (w *world) Backlog(context.Context) (Backlog, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return Backlog{Jobs: len(w.jobs), Oldest: time.Hour, Dead: len(w.dead)}, w.store
}

func (w *world) Put(_ context.Context, b broker.Batch) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.batches++
	if w.engine != nil {
		return w.engine
	}
	for i := range b.Entries {
		if w.refuses[b.Entries[i].ID()] {
			return fmt.Errorf("in a batch: %w", broker.Refuse(&b.Entries[i], "too large"))
		}
	}
	if b.Queue == "unknown" {
		return broker.ErrNoQueue
	}
	for i := range b.Entries {
		if w.half && i == (len(b.Entries)+1)/2 {
			return errors.New("cut off")
		}
		name := b.Entries[i].ID()
		if b.Again {
			name = b.Queue + ":" + name
		}
		w.got = append(w.got, name)
	}
	return nil
}

// run runs a test of a feeder in a bubble; the feeder has looked once when the test begins.
func run(t *testing.T, w *world, test func(f *Feeder, logged *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		f := New(Options{Source: w, Exchange: w, Node: "n1", Log: slog.New(slog.NewTextHandler(&logged, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			f.Run(ctx)
			close(done)
		}()
		synctest.Wait()
		test(f, &logged)
		w.set(cancel)
		<-done
		if last := w.leases[len(w.leases)-1]; last != 0 {
			t.Errorf("the lease was not given back: %v", last)
		}
	})
}

func ids(room string, from, to int) (list []string) {
	for seq := from; seq <= to; seq++ {
		list = append(list, fmt.Sprintf("%s/%d", room, seq))
	}
	return list
}

// pass lets time go by, and what comes of it happen. What was read of the world before was read before it changes.
func (w *world) pass(d time.Duration) {
	w.set(func() {})
	time.Sleep(d)
	synctest.Wait()
}

// only are those of a room, without repeats, in the order in which they came first.
func only(got []string, room string) (list []string) {
	for _, id := range got {
		if strings.HasPrefix(id, room+"/") && !slices.Contains(list, id) {
			list = append(list, id)
		}
	}
	return list
}

func TestFeederPutsInOrder(t *testing.T) {
	w := &world{}
	run(t, w, func(f *Feeder, _ *bytes.Buffer) {
		w.add(First, "r_a", 1, 100)
		w.add(First, "r_b", 5, 7)
		f.Wake()
		synctest.Wait()
		if !slices.Equal(only(w.got, "r_a"), ids("r_a", 1, 100)) || !slices.Equal(only(w.got, "r_b"), ids("r_b", 5, 7)) || len(w.got) != 103 {
			t.Errorf("got %v", w.got)
		}
		if i, j := slices.Index(w.got, "r_b/7"), slices.Index(w.got, "r_a/21"); i > j {
			t.Errorf("a long backlog has held up another room: %d after %d", i, j)
		}
		if w.left() != 0 || f.Stats().Put != 103 {
			t.Errorf("%d jobs are left; stats %+v", w.left(), f.Stats())
		}
		looks := w.looks
		w.pass(10 * time.Second)
		if n := w.looks - looks; n < 30 || n > 60 {
			t.Errorf("%d looks in 10 s of which nothing came", n)
		}
	})
}

// Without the engine nothing is lost, and it is not asked all the time. What is left over half way is put again, in order.
func TestFeederWithoutEngine(t *testing.T) {
	w := &world{engine: errors.New("away")}
	w.add(First, "r_a", 1, 30)
	run(t, w, func(f *Feeder, logged *bytes.Buffer) {
		w.pass(5 * time.Minute)
		if w.batches > 60 || w.left() != 30 || len(w.got) != 0 {
			t.Errorf("%d tries in 5 minutes, %d jobs are left", w.batches, w.left())
		}
		if s := f.Stats(); s.Jobs != 30 || s.Oldest != time.Hour || s.Failures == 0 {
			t.Errorf("stats %+v", s)
		}
		if n := strings.Count(logged.String(), "\n"); n != 1 {
			t.Errorf("logged %d lines:\n%s", n, logged)
		}
		w.set(func() { w.engine, w.half = nil, true })
		w.pass(maxRetry)
		w.set(func() { w.half = false })
		w.pass(maxRetry)
		if !slices.Equal(only(w.got, "r_a"), ids("r_a", 1, 30)) || w.left() != 0 {
			t.Errorf("got %v", w.got)
		}
		if !strings.Contains(logged.String(), "goes on") {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

func TestFeederWithoutStore(t *testing.T) {
	w := &world{store: errors.New("away")}
	run(t, w, func(f *Feeder, _ *bytes.Buffer) {
		w.pass(time.Minute)
		if n := len(w.leases); n > 20 {
			t.Errorf("the store was asked %d times in a minute", n)
		}
		w.add(First, "r_a", 1, 3)
		w.set(func() { w.store = nil })
		w.pass(maxRetry)
		if !slices.Equal(w.got, ids("r_a", 1, 3)) {
			t.Errorf("got %v", w.got)
		}
	})
}

// An entry that the engine refuses holds its room up for some tries, and no other; then the room goes on without it.
func TestFeederRefused(t *testing.T) {
	w := &world{refuses: map[string]bool{"r_a/3": true}}
	w.add(First, "r_a", 1, 5)
	w.add(First, "r_b", 1, 5)
	run(t, w, func(f *Feeder, logged *bytes.Buffer) {
		if !slices.Equal(only(w.got, "r_b"), ids("r_b", 1, 5)) || !slices.Equal(only(w.got, "r_a"), ids("r_a", 1, 2)) {
			t.Errorf("got %v", w.got)
		}
		w.pass(2 * time.Second)
		w.add(First, "r_b", 6, 6)
		w.pass(time.Second)
		if !slices.Contains(w.got, "r_b/6") || slices.Contains(w.got, "r_a/4") || f.Stats().Held != 1 {
			t.Errorf("got %v; stats %+v", w.got, f.Stats())
		}
		w.pass(time.Minute)
		if !slices.Equal(only(w.got, "r_a"), []string{"r_a/1", "r_a/2", "r_a/4", "r_a/5"}) || w.left() != 0 {
			t.Errorf("got %v", w.got)
		}
		if len(w.dead) != 1 || w.dead[0].Seq != 3 || w.reasons[0] != "too large" {
			t.Errorf("dead letters %v %v", w.dead, w.reasons)
		}
		if s := f.Stats(); s.Refused != maxTries || s.Buried != 1 || s.Dead != 1 || s.Held != 0 || s.Failures != 0 {
			t.Errorf("stats %+v", s)
		}
		if !strings.Contains(logged.String(), "dead letter") || strings.Count(logged.String(), "\n") != 1 {
			t.Errorf("logged:\n%s", logged)
		}
	})
}

// A limit that was raised lets the entry through, in its place.
func TestFeederRefusedForAWhile(t *testing.T) {
	w := &world{refuses: map[string]bool{"r_a/3": true}}
	w.add(First, "r_a", 1, 5)
	run(t, w, func(f *Feeder, _ *bytes.Buffer) {
		w.pass(2 * time.Second)
		w.set(func() { w.refuses = nil })
		w.pass(maxRetry)
		if !slices.Equal(w.got, ids("r_a", 1, 5)) || len(w.dead) != 0 || f.Stats().Held != 0 {
			t.Errorf("got %v", w.got)
		}
	})
}

func TestFeederAgain(t *testing.T) {
	w := &world{}
	for i := range 700 {
		w.add(Again, fmt.Sprintf("r_%03d", i), 1, 1)
	}
	w.add(AgainFor("q"), "r_a", 1, 1)
	w.add(AgainFor("unknown"), "r_a", 1, 2)
	w.add(First, "r_new", 1, 200)
	run(t, w, func(f *Feeder, _ *bytes.Buffer) {
		if at := slices.Index(w.got, "r_new/200"); at < 0 || at > 700 {
			t.Errorf("what is new came as entry %d, behind what is put again", at)
		}
		if !slices.Contains(w.got, "q:r_a/1") || !slices.Contains(w.got, ":r_699/1") || len(w.got) != 200+1+700 {
			t.Errorf("%d entries", len(w.got))
		}
		if len(w.dead) != 2 || !strings.Contains(w.reasons[0], "not declared") {
			t.Errorf("dead letters %v %v", w.dead, w.reasons)
		}
	})
}

// Events that are not kept any more are let go of, and nothing is put for them.
func TestFeederGone(t *testing.T) {
	w := &world{}
	w.add(First, "r_a", 1, 3)
	for i := range w.jobs {
		w.jobs[i].Entry = broker.Entry{}
	}
	run(t, w, func(f *Feeder, _ *bytes.Buffer) {
		if w.left() != 0 || w.batches != 0 || f.Stats().Gone != 3 || f.Stats().Put != 0 {
			t.Errorf("%d left, %d put, stats %+v", w.left(), w.batches, f.Stats())
		}
	})
}
