package memory

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/statetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestContract(t *testing.T) {
	statetest.Run(t, func(testing.TB) *statetest.Engine {
		var mu sync.Mutex
		at := time.Unix(1_700_000_000, 0)
		now := func() time.Time {
			mu.Lock()
			defer mu.Unlock()
			return at
		}
		return &statetest.Engine{
			Buckets: NewBuckets(), Leases: NewLeases(now), Locks: NewLocks(now), Now: now,
			Pass: func(d time.Duration) {
				mu.Lock()
				defer mu.Unlock()
				at = at.Add(d)
			},
		}
	})
}

// kept counts the buckets that take up memory.
func (b *Buckets) kept() (n int) {
	for i := range b.shards {
		s := &b.shards[i]
		s.mu.Lock()
		n += len(s.full)
		s.mu.Unlock()
	}
	return n
}

func TestRunForgetsFullBuckets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := NewBuckets()
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		running.Go(func() { b.Run(ctx) })
		take := func(user string) {
			t.Helper()
			r, err := b.Take(ctx, time.Now(), []state.Charge{
				{Bucket: state.Bucket{User: user}, Limit: state.PerSecond(1, 2), Count: 1},
				{Bucket: state.Bucket{Room: "r_" + user}, Count: 1},
			})
			if err != nil || r.Wait > 0 {
				t.Fatal(r, err)
			}
		}
		for i := range 1000 {
			take(fmt.Sprint(i))
		}
		if n := b.kept(); n != 1000 {
			t.Errorf("%d buckets, of which one each has no limit", n)
		}
		time.Sleep(sweepEvery - 500*time.Millisecond)
		take("late") // full again after the sweep
		time.Sleep(time.Second)
		synctest.Wait()
		if n := b.kept(); n != 1 {
			t.Errorf("%d buckets after the sweep", n)
		}
		time.Sleep(sweepEvery)
		synctest.Wait()
		if n := b.kept(); n != 0 {
			t.Errorf("%d buckets are kept for ever", n)
		}
		cancel()
		running.Wait()
	})
}
