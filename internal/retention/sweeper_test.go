package retention

import (
	"bytes"
	"context"
	"errors"
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

// fakeSource is a store of rooms with so many batches to prune.
type fakeSource struct {
	took time.Duration // by a transaction

	mu      sync.Mutex
	batches map[string]int
	broken  string // a room that cannot be pruned
	away    error  // answered by every call
	tombs   int    // transactions of Forget that find something
	order   []string
	calls   int
}

func (f *fakeSource) Claim(_ context.Context, limit int) ([]string, int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.calls++
	rooms := slices.Sorted(maps.Keys(f.batches))
	due := len(rooms)
	rooms = rooms[:min(due, limit)]
	if f.away == nil {
		for _, room := range rooms {
			f.order = append(f.order, strings.Repeat(room+" ", f.batches[room]))
			delete(f.batches, room)
		}
	}
	return rooms, due, f.away
}

func (f *fakeSource) Prune(_ context.Context, room string) (Batch, error) {
	time.Sleep(f.took)
	f.mu.Lock()
	defer f.mu.Unlock()
	if room == f.broken {
		return Batch{}, errors.New("no JSON")
	}
	at := slices.IndexFunc(f.order, func(batches string) bool { return strings.HasPrefix(batches, room) })
	left, _ := strings.CutPrefix(f.order[at], room+" ")
	f.order[at] = left
	return Batch{Events: 100, More: left != ""}, f.away
}

func (f *fakeSource) Forget(context.Context) (int, error) {
	time.Sleep(f.took)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.tombs--
	return max(f.tombs+1, 0), f.away
}

// look reads or changes the fake in the middle of a test.
func (f *fakeSource) look(fn func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	fn()
}

// run runs a test of a sweeper in a bubble.
func run(t *testing.T, f *fakeSource, test func(s *Sweeper, logged *bytes.Buffer)) {
	synctest.Test(t, func(t *testing.T) {
		var logged bytes.Buffer
		s := New(Options{Source: f, Log: slog.New(slog.NewTextHandler(&logged, nil))})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.Run(ctx)
		}()
		synctest.Wait()
		test(s, &logged)
		cancel()
		<-done
	})
}

func TestDoesAllThatIsDueAndRestsInBetween(t *testing.T) {
	f := &fakeSource{took: 10 * time.Millisecond, batches: map[string]int{"a": 3, "b": 1, "c": 2}, tombs: 2}
	began := time.Now()
	run(t, f, func(s *Sweeper, _ *bytes.Buffer) {
		if st := s.Stats(); st.Due != 3 || !st.Swept.IsZero() {
			t.Errorf("stats in the middle: %+v", st)
		}
		began = time.Now()
		time.Sleep(2*tick - tick/2)
		st := s.Stats()
		if st.Pruned != 600 || st.Failures != 0 || st.Due != 0 {
			t.Errorf("stats: %+v", st)
		}
		f.look(func() {
			if f.calls != 2 {
				t.Errorf("%d sweeps", f.calls)
			}
		})
		if took := 6*2*f.took + 2*2*f.took; st.Swept.Before(began.Add(took)) {
			t.Errorf("done after %v: the log had no time in between", st.Swept.Sub(began))
		}
	})
}

func TestManyRooms(t *testing.T) {
	f := &fakeSource{batches: map[string]int{}}
	for i := range 3*maxRooms + 1 {
		f.batches[strings.Repeat("r", i+1)+"."] = 1
	}
	run(t, f, func(s *Sweeper, _ *bytes.Buffer) {
		time.Sleep(time.Second)
		f.look(func() {
			if len(f.batches) > 0 || s.Stats().Pruned != 100*(3*maxRooms+1) {
				t.Errorf("%d rooms are left: %+v", len(f.batches), s.Stats())
			}
		})
	})
}

func TestABrokenRoomDoesNotHoldUpTheOthers(t *testing.T) {
	f := &fakeSource{batches: map[string]int{"a": 1, "b": 1, "c": 1}, broken: "b"}
	run(t, f, func(s *Sweeper, logged *bytes.Buffer) {
		time.Sleep(time.Second)
		if st := s.Stats(); st.Pruned != 200 || st.Failures != 1 {
			t.Errorf("stats: %+v", st)
		}
		if !strings.Contains(logged.String(), "room=b") {
			t.Errorf("logged: %s", logged)
		}
	})
}

func TestGoesOnWhenTheStoreIsBack(t *testing.T) {
	f := &fakeSource{batches: map[string]int{"a": 1}, away: &protocol.Error{Code: protocol.Unavailable}}
	run(t, f, func(s *Sweeper, logged *bytes.Buffer) {
		time.Sleep(5 * tick)
		synctest.Wait()
		if st := s.Stats(); st.Pruned != 0 || !st.Swept.IsZero() || strings.Count(logged.String(), "cannot go on") != 1 {
			t.Errorf("without a store: %+v\n%s", st, logged)
		}
		f.look(func() { f.away = nil })
		time.Sleep(2 * tick)
		synctest.Wait()
		if st := s.Stats(); st.Pruned != 100 || !strings.Contains(logged.String(), "goes on") {
			t.Errorf("with it: %+v\n%s", st, logged)
		}
	})
}
