package rates

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/memory"
	"github.com/parley-im/parley/protocol"
)

const start protocol.Time = 1_700_000_000_000

func messages(l Limits) *Messages {
	return ForMessages(l, memory.NewBuckets(), slog.New(slog.DiscardHandler))
}

func user(id string) chat.Actor { return chat.Actor{User: id} }

// burst takes until it is refused, and returns how often it was let through.
func burst(b *Messages, now protocol.Time, actor chat.Actor, room string) (n int, err *protocol.Error) {
	for n = 0; n < 10_000; n++ {
		if err := b.Take(now, actor, room); err != nil {
			return n, err
		}
	}
	return n, nil
}

func TestDefaults(t *testing.T) {
	limits := Limits{PerSecond: 10, Burst: 50, RoomPerSecond: 50, RoomBurst: 200}

	b := messages(limits)
	n, err := burst(b, start, user("alice"), "r_a")
	if n != 25 || err.Scope != protocol.ScopeUser || err.RetryAfterMS != 200 {
		t.Errorf("a user in one room: %d, then %v", n, err)
	}
	n, err = burst(b, start, user("alice"), "r_b")
	if n != 25 || err.Scope != protocol.ScopeUser {
		t.Errorf("the same user in another room: %d, then %v", n, err)
	}
	n, err = burst(b, start, user("alice"), "r_c")
	if n != 0 || err.RetryAfterMS != 100 {
		t.Errorf("in a third: %d, then %v", n, err)
	}
	n, _ = burst(b, start+10_000, user("alice"), "r_c")
	if n != 25 {
		t.Errorf("after 10 s: %d", n)
	}

	b = messages(limits)
	for i := range 8 {
		if n, _ := burst(b, start, user(fmt.Sprint("user", i)), "r_a"); n != 25 {
			t.Errorf("user %d: %d", i, n)
		}
	}
	n, err = burst(b, start, user("late"), "r_a")
	if n != 0 || err.Scope != protocol.ScopeRoom || err.RetryAfterMS != 20 {
		t.Errorf("in a full room: %d, then %v", n, err)
	}
	if n, err = burst(b, start, chat.Actor{Backend: true}, "r_a"); n != 0 || err.Scope != protocol.ScopeRoom {
		t.Errorf("a back end in a full room: %d, then %v", n, err)
	}
	if n, err = burst(b, start, chat.Actor{User: "late", Backend: true}, "r_b"); n != 200 || err.Scope != protocol.ScopeRoom {
		t.Errorf("a back end for a user: %d, then %v", n, err)
	}
	if n, _ = burst(b, start, user("late"), "r_c"); n != 25 {
		t.Errorf("what was refused in a full room, and what a back end sent for the user, cost the user %d", 25-n)
	}
}

func TestWhatARefusalSays(t *testing.T) {
	b := messages(Limits{PerSecond: 0.5, Burst: 1})
	if err := b.Take(start, user("alice"), "r_a"); err != nil {
		t.Fatal(err)
	}
	want := &protocol.Error{
		Code: protocol.RateLimited, Scope: protocol.ScopeUser, RetryAfterMS: 4000,
		Message: "You send messages faster than this server lets one user; send it again after retry_after_ms.",
	}
	if diff := cmp.Diff(want, b.Take(start, user("alice"), "r_a")); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

// A third of a second is no whole number of anything: it is rounded so that the limit holds.
func TestIntervalIsRoundedUp(t *testing.T) {
	b := messages(Limits{RoomPerSecond: 3, RoomBurst: 3})
	burst(b, start, user("alice"), "r_a")
	for _, after := range []protocol.Time{334, 667, 1001} {
		if err := b.Take(start+after-1, user("alice"), "r_a"); err == nil || err.RetryAfterMS != 1 {
			t.Errorf("1 ms before %d ms: %v", after, err)
		}
		if err := b.Take(start+after, user("alice"), "r_a"); err != nil {
			t.Errorf("after %d ms: %v", after, err)
		}
	}
}

func TestNoLimits(t *testing.T) {
	for name, limits := range map[string]Limits{
		"none":            {},
		"without a rate":  {Burst: 1, RoomBurst: 1},
		"without a burst": {PerSecond: 1, RoomPerSecond: 1},
		"negative":        {PerSecond: -1, Burst: 1, RoomPerSecond: 1, RoomBurst: -1},
	} {
		b := messages(limits)
		if n, err := burst(b, start, user("alice"), "r_a"); err != nil {
			t.Errorf("%s: %d, then %v", name, n, err)
		}
	}
}

// Limits beyond all reason do what they say as far as numbers go.
func TestExtremes(t *testing.T) {
	b := messages(Limits{PerSecond: math.MaxFloat64, Burst: math.MaxInt - 1, RoomPerSecond: math.SmallestNonzeroFloat64, RoomBurst: math.MaxInt})
	if err := b.Take(start, user("alice"), "r_a"); err != nil {
		t.Errorf("the first: %v", err)
	}
	if err := b.Take(start, user("alice"), "r_a"); err == nil || err.Scope != protocol.ScopeRoom || err.RetryAfterMS < 1e12 {
		t.Errorf("the second: %v", err)
	}
	if n, err := burst(b, start, user("alice"), "r_b"); n != 1 {
		t.Errorf("elsewhere: %d, then %v", n, err)
	}
}

// A clock that is set back does not lock anyone out.
func TestClockGoesBack(t *testing.T) {
	b := messages(Limits{PerSecond: 10, Burst: 10})
	burst(b, start, user("alice"), "r_a")
	const back = start - 3_600_000
	err := b.Take(back, user("alice"), "r_a")
	if err == nil || err.RetryAfterMS != 200 {
		t.Fatalf("an hour back: %v", err)
	}
	if err := b.Take(back+199, user("alice"), "r_a"); err == nil {
		t.Error("sooner than it said")
	}
	if err := b.Take(back+200, user("alice"), "r_a"); err != nil {
		t.Errorf("when it said: %v", err)
	}
}

// away are buckets that cannot be asked.
type away struct{}

func (away) Take(context.Context, time.Time, []state.Charge) (state.Refusal, error) {
	return state.Refusal{}, errors.New("away")
}

func TestBucketsAreAway(t *testing.T) {
	m := ForMessages(Limits{PerSecond: 1, Burst: 1}, away{}, slog.New(slog.DiscardHandler))
	if n, err := burst(m, start, user("alice"), "r_a"); err != nil {
		t.Errorf("%d, then %v", n, err)
	}
}

func TestConcurrentUse(t *testing.T) {
	b := messages(Limits{PerSecond: 1, Burst: 100, RoomPerSecond: 1, RoomBurst: 170})
	var wg sync.WaitGroup
	var mu sync.Mutex
	taken := map[string]int{}
	for worker := range 8 {
		wg.Go(func() {
			for i := range 500 {
				who, where := fmt.Sprint("u", (i+worker)%4), fmt.Sprint("r", i%2)
				if b.Take(start, user(who), where) == nil {
					mu.Lock()
					taken[where]++
					mu.Unlock()
				}
			}
		})
	}
	wg.Wait()
	// Four users come to each room, each with a share of 50.
	if taken["r0"] != 170 || taken["r1"] != 170 {
		t.Errorf("taken: %v", taken)
	}
}

// tank is the model of one bucket, told the other way round: it holds time, a message costs an interval of it, and it fills as time goes by.
type tank struct {
	interval, size, level int64
	at                    int64
}

func newTank(perSecond float64, burst int) *tank {
	interval := int64(math.Ceil(1e9 / perSecond))
	return &tank{interval: interval, size: interval * int64(burst), level: interval * int64(burst), at: int64(start) * 1e6}
}

func (k *tank) fill(now int64) {
	k.level = min(k.size, k.level+now-k.at)
	k.at = now
}

// model replays messages one by one.
type model struct {
	limits Limits
	tanks  map[state.Bucket]*tank
}

// involved are the tanks of a message.
func (m *model) involved(actor chat.Actor, room string) []*tank {
	var list []*tank
	add := func(n state.Bucket, perSecond float64, burst int) {
		if perSecond == 0 || burst == 0 {
			return
		}
		if m.tanks[n] == nil {
			m.tanks[n] = newTank(perSecond, burst)
		}
		list = append(list, m.tanks[n])
	}
	if !actor.Backend {
		add(state.Bucket{User: actor.User}, m.limits.PerSecond, m.limits.Burst)
		add(state.Bucket{User: actor.User, Room: room}, m.limits.PerSecond/2, int(math.Ceil(float64(m.limits.Burst)/2)))
	}
	add(state.Bucket{Room: room}, m.limits.RoomPerSecond, m.limits.RoomBurst)
	return list
}

// wait is after how many milliseconds a message would be let through.
func (m *model) wait(now protocol.Time, actor chat.Actor, room string) int64 {
	longest := int64(0)
	for _, k := range m.involved(actor, room) {
		k.fill(int64(now) * 1e6)
		for ; k.level+longest*1e6 < k.interval; longest += (k.interval - k.level - longest*1e6 + 999_999) / 1e6 {
			continue
		}
	}
	return longest
}

func (m *model) take(actor chat.Actor, room string) {
	for _, k := range m.involved(actor, room) {
		k.level -= k.interval
	}
}

func TestAgainstLinearReplay(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		rates, bursts := rapid.SampledFrom([]float64{0, 0.5, 1, 3, 7, 10, 1000}), rapid.IntRange(0, 12)
		limits := Limits{
			PerSecond: rates.Draw(t, "rate"), Burst: bursts.Draw(t, "burst"),
			RoomPerSecond: rates.Draw(t, "room rate"), RoomBurst: bursts.Draw(t, "room burst"),
		}
		b, m := messages(limits), &model{limits: limits, tanks: map[state.Bucket]*tank{}}
		now := start
		for range rapid.IntRange(1, 200).Draw(t, "steps") {
			now += protocol.Time(rapid.SampledFrom([]int{0, 0, 0, 1, 10, 99, 100, 333, 334, 2000, 60_000}).Draw(t, "pause"))
			actor := chat.Actor{
				User:    rapid.SampledFrom([]string{"alice", "bob", "carol"}).Draw(t, "user"),
				Backend: rapid.IntRange(0, 4).Draw(t, "backend") == 0,
			}
			room := rapid.SampledFrom([]string{"r_a", "r_b"}).Draw(t, "room")
			want := m.wait(now, actor, room)
			err := b.Take(now, actor, room)
			switch {
			case (err == nil) != (want == 0):
				t.Fatalf("%+v in %s: got %v, the model says to wait %d ms", actor, room, err, want)
			case err == nil:
				m.take(actor, room)
			case err.RetryAfterMS != want:
				t.Fatalf("%+v in %s: retry after %d ms, the model says %d", actor, room, err.RetryAfterMS, want)
			}
		}
	})
}

func BenchmarkTake(b *testing.B) {
	buckets := messages(Limits{PerSecond: 1e6, Burst: 1e6, RoomPerSecond: 1e6, RoomBurst: 1e6})
	b.ReportAllocs()
	now := start
	for b.Loop() {
		now++
		if err := buckets.Take(now, chat.Actor{User: "alice"}, "r_a"); err != nil {
			b.Fatal(err)
		}
	}
}
