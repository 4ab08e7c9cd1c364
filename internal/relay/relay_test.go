package relay

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSource is a store of logs without content.
type fakeSource struct {
	took time.Duration // by a transaction

	mu       sync.Mutex
	rooms    map[string]*Backlog
	applied  [][]Span
	at       []time.Time     // of each transaction that was applied
	broken   map[string]bool // rooms that cannot be applied
	away     error           // answered by every call
	most     int             // events that one call of Apply takes, 0 for all
	overtake int             // calls of Apply that another relay forestalls
	share    Share
	leases   []time.Duration
	looks    int
}

func newSource() *fakeSource {
	return &fakeSource{rooms: map[string]*Backlog{}, broken: map[string]bool{}, share: Share{"a", "b"}}
}

func (f *fakeSource) Lease(_ context.Context, node string, ttl time.Duration) (Share, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if node != "n1" {
		return nil, fmt.Errorf("who is %s", node)
	}
	f.leases = append(f.leases, ttl)
	return f.share, f.away
}

func (f *fakeSource) Behind(_ context.Context, share Share, after string, limit int) ([]Backlog, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.looks++
	if f.away != nil {
		return nil, f.away
	}
	var list []Backlog
	for _, id := range slices.Sorted(maps.Keys(f.rooms)) {
		if b := f.rooms[id]; b.Mark < b.Head && id > after && slices.Contains(share, id[2:3]) && len(list) < limit {
			list = append(list, *b)
		}
	}
	return list, nil
}

func (f *fakeSource) Apply(_ context.Context, spans []Span) (int, error) {
	time.Sleep(f.took)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.away != nil {
		return 0, f.away
	}
	if f.overtake > 0 {
		f.overtake--
		return 0, fmt.Errorf("in a transaction: %w", ErrOvertaken)
	}
	events := 0
	for _, s := range spans {
		if f.broken[s.Room] {
			return 0, errors.New("no JSON")
		}
		if f.rooms[s.Room].Mark != s.After {
			return 0, ErrOvertaken
		}
	}
	for _, s := range spans {
		if f.most > 0 && events+int(s.UpTo-s.After) > f.most {
			s.UpTo = s.After + protocol.Seq(f.most-events)
		}
		f.rooms[s.Room].Mark = s.UpTo
		events += int(s.UpTo - s.After)
	}
	f.applied, f.at = append(f.applied, slices.Clone(spans)), append(f.at, time.Now())
	return events, nil
}

// commit adds events to a room.
func (f *fakeSource) commit(room string, events int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	b := f.rooms[room]
	if b == nil {
		b = &Backlog{Room: room}
		f.rooms[room] = b
	}
	if b.Mark == b.Head {
		b.Since = protocol.At(time.Now())
	}
	b.Head += protocol.Seq(events)
}

// behind counts the events that are not applied.
func (f *fakeSource) behind() (events int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, b := range f.rooms {
		events += int(b.Head - b.Mark)
	}
	return events
}

func (f *fakeSource) set(change func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change()
}

// run runs a test of a relay in a bubble; the relay has looked once when the test begins.
func run(t *testing.T, f *fakeSource, test func(r *Relay, logged *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		r := New(Options{Source: f, Node: "n1", Log: slog.New(slog.NewTextHandler(&logged, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			r.Run(ctx)
		}()
		synctest.Wait()
		test(r, &logged)
		cancel()
		<-done
	})
}

func TestAppliesWhatWasCommitted(t *testing.T) {
	f := newSource()
	run(t, f, func(r *Relay, _ *bytes.Buffer) {
		for i := range 10 {
			f.commit("r_a", 1)
			f.commit(fmt.Sprintf("r_b%d", i), 1)
			r.Wake()
			time.Sleep(5 * time.Millisecond)
		}
		time.Sleep(gather)
		if f.behind() != 0 {
			t.Errorf("%d events are left", f.behind())
		}
		f.set(func() {
			if len(f.applied) != 1 {
				t.Errorf("%d transactions for what came at once", len(f.applied))
			}
		})
		if s := r.Stats(); s.Applied != 20 || s.Behind != 11 || s.Lag != gather || s.Failures+s.Overtaken != 0 {
			t.Errorf("stats: %+v", s)
		}
		time.Sleep(time.Second)
		if s := r.Stats(); s.Behind != 0 || s.Lag != 0 {
			t.Errorf("stats when nothing is behind: %+v", s)
		}
	})
}

func TestLooksByItself(t *testing.T) {
	f := newSource()
	run(t, f, func(*Relay, *bytes.Buffer) {
		for range 20 {
			f.commit("r_a", 3) // by another node: nobody wakes this one
			time.Sleep(tick + tick/5)
			synctest.Wait()
			if f.behind() != 0 {
				t.Fatal("events of another node were not found")
			}
		}
		f.set(func() {
			if gaps := distinct(f.at); gaps < 10 {
				t.Errorf("looks come like clockwork: %d different gaps", gaps)
			}
		})
		f.commit("r_x", 1)
		time.Sleep(time.Minute)
		if f.behind() != 1 {
			t.Error("a room outside of the share was applied")
		}
	})
}

func distinct(times []time.Time) int {
	gaps := map[time.Duration]bool{}
	for i := range len(times) - 1 {
		gaps[times[i+1].Sub(times[i])] = true
	}
	return len(gaps)
}

func TestTransactionsAreSmallAndShared(t *testing.T) {
	f := newSource()
	f.took = 10 * time.Millisecond
	f.commit("r_a", 10_000)
	for i := range 250 {
		f.commit(fmt.Sprintf("r_b%03d", i), 30)
	}
	run(t, f, func(r *Relay, _ *bytes.Buffer) {
		for f.behind() > 0 {
			time.Sleep(time.Second)
		}
		f.mu.Lock()
		defer f.mu.Unlock()
		alone := 0
		for i, spans := range f.applied {
			events := 0
			for _, s := range spans {
				events += int(s.UpTo - s.After)
			}
			if events > maxEvents {
				t.Errorf("a transaction of %d events", events)
			}
			if len(spans) == 1 && events == maxEvents {
				alone++
			}
			if i > 0 && f.at[i].Sub(f.at[i-1]) != 2*f.took { // one pause, as long as a transaction
				t.Errorf("two transactions within %v", f.at[i].Sub(f.at[i-1]))
			}
		}
		if alone < 40 {
			t.Errorf("a room that is behind alone had whole transactions only %d times", alone)
		}
		first := slices.IndexFunc(f.applied, func(s []Span) bool { return slices.ContainsFunc(s, func(s Span) bool { return s.Room == "r_b249" }) })
		if first > 251*minShare/maxEvents+3 {
			t.Errorf("the last room waited for %d transactions", first)
		}
		if s := r.Stats(); s.Applied != 10_000+250*30 {
			t.Errorf("stats: %+v", s)
		}
	})
}

// What Apply has not taken is taken at once, not at the next look.
func TestLargeEvents(t *testing.T) {
	f := newSource()
	f.most = 3
	f.commit("r_a", 100)
	run(t, f, func(*Relay, *bytes.Buffer) {
		if f.behind() != 0 {
			t.Errorf("%d events are left", f.behind())
		}
	})
}

func TestOvertaken(t *testing.T) {
	f := newSource()
	f.overtake = 1
	f.commit("r_a", 5)
	run(t, f, func(r *Relay, logged *bytes.Buffer) {
		if f.behind() != 5 {
			t.Error("an overtaken relay has applied something")
		}
		time.Sleep(tick + tick/5)
		synctest.Wait()
		if s := r.Stats(); f.behind() != 0 || s.Overtaken != 1 || s.Failures != 0 || logged.Len() > 0 {
			t.Errorf("%d events are left: %+v\n%s", f.behind(), s, logged)
		}
	})
}

func TestOneRoomDoesNotHoldUpTheOthers(t *testing.T) {
	f := newSource()
	f.broken["r_a3"] = true
	run(t, f, func(r *Relay, logged *bytes.Buffer) {
		for range 20 {
			for i := range 8 {
				f.commit(fmt.Sprintf("r_a%d", i), 1)
			}
			r.Wake()
			time.Sleep(time.Second)
		}
		if f.behind() != 20 {
			t.Errorf("%d events are left, 20 cannot be applied", f.behind())
		}
		if s := r.Stats(); s.Failures != 2 || strings.Count(logged.String(), "r_a3") != 1 {
			t.Errorf("stats: %+v\n%s", s, logged)
		}
		f.set(func() { f.broken["r_a3"] = false })
		time.Sleep(asideTime)
		if f.behind() != 0 {
			t.Errorf("%d events are left of a room that was mended", f.behind())
		}
	})
}

func TestTheStoreIsAway(t *testing.T) {
	f := newSource()
	run(t, f, func(r *Relay, logged *bytes.Buffer) {
		f.set(func() { f.away, f.looks = &protocol.Error{Code: protocol.Unavailable}, 0 })
		f.commit("r_a", 1)
		for range 100 {
			r.Wake()
			time.Sleep(10 * time.Millisecond)
		}
		time.Sleep(time.Minute)
		f.set(func() {
			if f.looks > 200 {
				t.Errorf("%d looks in a minute at a store that is away", f.looks)
			}
			f.away = nil
		})
		time.Sleep(tick + tick/5)
		synctest.Wait()
		if lines := strings.Count(logged.String(), "\n"); f.behind() != 0 || lines != 2 {
			t.Errorf("%d events are left, %d lines:\n%s", f.behind(), lines, logged)
		}
	})
}

// A store that goes away in the middle of a sweep is not asked about each span.
func TestTheStoreGoesAway(t *testing.T) {
	f := newSource()
	f.took = time.Second
	for i := range 9 {
		f.commit(fmt.Sprintf("r_a%d", i), 1)
	}
	run(t, f, func(r *Relay, _ *bytes.Buffer) {
		f.set(func() { f.away = &protocol.Error{Code: protocol.Unavailable} })
		time.Sleep(20 * time.Second)
		if s := r.Stats(); s.Failures != 1 {
			t.Errorf("stats: %+v", s)
		}
		f.set(func() { f.away = nil })
	})
}

func TestLease(t *testing.T) {
	f := newSource()
	run(t, f, func(r *Relay, _ *bytes.Buffer) {
		for range 100 {
			r.Wake()
			time.Sleep(100 * time.Millisecond)
		}
		f.set(func() {
			if n := len(f.leases); n < 8 || n > 12 {
				t.Errorf("renewed %d times in ten seconds", n)
			}
			f.share = Share{}
		})
		time.Sleep(2 * renewTime)
		f.commit("r_a", 1)
		time.Sleep(time.Minute)
		if f.behind() != 1 {
			t.Error("a room that is another's was applied")
		}
	})
	if last := f.leases[len(f.leases)-1]; last != 0 || slices.MaxFunc(f.leases, cmp.Compare) != leaseTime {
		t.Errorf("leases: the last is for %v", last)
	}
}

// The lease is renewed while there is much to do, and Run ends in the middle of it.
func TestStopsInTheMiddle(t *testing.T) {
	f := newSource()
	f.took = 50 * time.Millisecond
	f.commit("r_a", 1_000_000)
	run(t, f, func(*Relay, *bytes.Buffer) { time.Sleep(30 * time.Second) })
	if n := len(f.leases); n < 25 || f.leases[n-1] != 0 {
		t.Errorf("%d leases", n)
	}
	if f.behind() == 0 || f.behind() == 1_000_000 {
		t.Errorf("%d events are left", f.behind())
	}
}
