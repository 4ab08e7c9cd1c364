package presence

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/memory"
	"github.com/parley-im/parley/protocol"
)

// flaky are leases of several nodes that may be away, or lost.
type flaky struct {
	mu sync.Mutex
	state.Leases
	down bool
}

func (f *flaky) set(down, lost bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down = down; lost {
		f.Leases = memory.NewLeases(time.Now)
	}
}

// inner are the leases as they are now, unless they are away.
func (f *flaky) inner() (state.Leases, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.down {
		return nil, errDown
	}
	return f.Leases, nil
}

func (f *flaky) Renew(ctx context.Context, node string, ttl time.Duration) (bool, error) {
	l, err := f.inner()
	if err != nil {
		return false, err
	}
	return l.Renew(ctx, node, ttl)
}

func (f *flaky) Enter(ctx context.Context, node string, users []string) error {
	l, err := f.inner()
	if err != nil {
		return err
	}
	return l.Enter(ctx, node, users)
}

func (f *flaky) Leave(ctx context.Context, node string, users []string) error {
	l, err := f.inner()
	if err != nil {
		return err
	}
	return l.Leave(ctx, node, users)
}

func (f *flaky) Online(ctx context.Context, users []string) (map[string]bool, error) {
	l, err := f.inner()
	if err != nil {
		return nil, err
	}
	return l.Online(ctx, users)
}

// inTwoWorlds runs a test in two nodes that share the store and the leases.
func inTwoWorlds(t *testing.T, test func(t *testing.T, f *flaky, one, two *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		f := &flaky{Leases: memory.NewLeases(time.Now)}
		shelf := newShelf()
		var worlds []*world
		for i, node := range []string{"one", "two"} {
			w := &world{t: t, shelf: shelf, began: time.Now()}
			w.service = New(Options{Store: shelf, Node: node, Leases: &flaky{Leases: f}, Shared: true})
			ctx, cancel := context.WithCancel(t.Context())
			var running sync.WaitGroup
			time.Sleep(time.Duration(i) * time.Second) // two nodes do not renew together
			running.Go(func() { w.service.Run(ctx) })
			w.stop = sync.OnceFunc(func() {
				cancel()
				running.Wait()
			})
			defer w.stop()
			worlds = append(worlds, w)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		test(t, f, worlds[0], worlds[1])
	})
}

const soon = renewEvery + time.Second // in which one node sees what has happened on another

func TestSeenOnAnotherNode(t *testing.T) {
	inTwoWorlds(t, func(t *testing.T, _ *flaky, one, two *world) {
		bob := one.enter("bob")
		want(t, "at first", bob.watch("alice", "carol"), "alice offline", "carol offline")
		alice, carol := two.enter("alice"), two.enter("carol")
		got := bob.after(soon)
		if len(got) != 2 {
			t.Errorf("who has come on the other node: %v", got)
		}
		bob.Unsubscribe(t.Context(), []string{"carol"})
		carol.Close()
		alice.Close()
		back := one.enter("alice")
		want(t, "who has come to this node meanwhile", bob.after(time.Minute))
		back.Close()
		want(t, "who has left both", bob.after(time.Minute), "alice offline since 2m4s")
		if n := len(one.service.elsewhere.online); n != 0 {
			t.Errorf("%d users are remembered whom nobody watches", n)
		}
	})
}

func TestSeenOnANodeThatDies(t *testing.T) {
	inTwoWorlds(t, func(t *testing.T, _ *flaky, one, two *world) {
		bob := one.enter("bob")
		bob.watch("alice")
		two.enter("alice")
		want(t, "has come", bob.after(soon), "alice online")
		two.service.leases.(*flaky).set(true, false) // from where the others are it is dead
		want(t, "the node has died", bob.after(leaseTime+soon), "alice offline")
	})
}

// The leases go away, come back empty, and are deleted while they are used: nobody who stays is seen to go, and who goes is seen to.
func TestLeasesThatAreLost(t *testing.T) {
	inTwoWorlds(t, func(t *testing.T, f *flaky, one, two *world) {
		bob := one.enter("bob")
		bob.watch("alice", "carol", "dave")
		two.enter("alice")
		carol := two.enter("carol")
		bob.after(soon)
		for range 10 {
			f.set(false, true)
			want(t, "the leases were deleted", bob.after(5400*time.Millisecond))
		}
		f.set(true, false)
		want(t, "the leases are away", bob.after(time.Minute))
		want(t, "an answer meanwhile", bob.watch("alice"), "alice online")
		dave := one.enter("dave")
		want(t, "on this node", bob.after(soon), "dave online")
		dave.Close()
		want(t, "on this node", bob.after(grace+soon), "dave offline since 3m1s")
		carol.Close()
		bob.after(time.Minute)
		f.set(false, true)
		if got := bob.after(doubtTime + 2*soon); len(got) != 1 || got[0][:len("carol offline")] != "carol offline" {
			t.Errorf("back, after one has gone: %v", got)
		}
		want(t, "an answer", bob.watch("alice"), "alice "+string(protocol.StatusOnline))
	})
}
