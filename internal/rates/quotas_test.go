package rates

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/chat"
	"github.com/parley-im/parley/internal/state"
	"github.com/parley-im/parley/internal/state/memory"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// shared are buckets of a cluster, a network away, that may be slow or gone.
type shared struct {
	state.Buckets
	delay atomic.Int64 // of each answer, in nanoseconds
	away  atomic.Bool
	asked atomic.Int64
}

func (s *shared) Take(ctx context.Context, now time.Time, charges []state.Charge) (state.Refusal, error) {
	s.asked.Add(1)
	if s.away.Load() {
		return state.Refusal{}, errors.New("away")
	}
	select {
	case <-time.After(time.Duration(s.delay.Load())):
	case <-ctx.Done():
		return state.Refusal{}, ctx.Err()
	}
	return s.Buckets.Take(ctx, time.Now(), charges)
}

// sender is a node that sends messages, each in a transaction of its own.
type sender struct {
	*Messages
	quotas *Quotas
}

func (n *sender) prepare(actor chat.Actor, room string, messages int) {
	appends := make([]*chat.Append, messages)
	for i := range appends {
		appends[i] = &chat.Append{Method: protocol.MessageSend, Actor: actor, Room: room}
	}
	n.Prepare(appends)
}

func (n *sender) send(actor chat.Actor, room string) *protocol.Error {
	n.prepare(actor, room, 1)
	return n.Take(protocol.At(time.Now()), actor, room)
}

// cluster runs a test in nodes that share buckets, under a clock of its own.
func cluster(t *testing.T, nodes int, l Limits, test func(t *testing.T, s *shared, nodes []*sender)) {
	synctest.Test(t, func(t *testing.T) {
		s := &shared{Buckets: memory.NewBuckets()}
		s.delay.Store(int64(time.Millisecond))
		ctx, cancel := context.WithCancel(t.Context())
		var running sync.WaitGroup
		var list []*sender
		for range nodes {
			q := NewQuotas(QuotaOptions{
				Shared: s, Own: memory.NewBuckets(), Now: time.Now, Log: slog.New(slog.DiscardHandler),
				Nodes: func(context.Context) (int, error) { return nodes, nil },
			})
			running.Go(func() { q.Run(ctx) })
			list = append(list, &sender{ForMessages(l, q, slog.New(slog.DiscardHandler)), q})
		}
		synctest.Wait()
		test(t, s, list)
		cancel()
		running.Wait()
	})
}

// accepted sends as fast as may be from all nodes at once, for a time, and counts what is let through.
func accepted(nodes []*sender, room string, d time.Duration) (n int64) {
	var count atomic.Int64
	var senders sync.WaitGroup
	end := time.Now().Add(d)
	for _, node := range nodes {
		senders.Go(func() {
			for time.Now().Before(end) {
				if node.send(user("alice"), room) == nil {
					count.Add(1)
				}
				time.Sleep(2 * time.Millisecond)
			}
		})
	}
	senders.Wait()
	return count.Load()
}

var inOneRoom = Limits{PerSecond: 20, Burst: 100} // of which half in any one room

func within(t *testing.T, what string, got int64, least, most float64) {
	t.Helper()
	if float64(got) < least || float64(got) > most {
		t.Errorf("%s: %d were let through, want %v to %v", what, got, least, most)
	}
}

func TestOneLimitOverTwoNodes(t *testing.T) {
	cluster(t, 2, inOneRoom, func(t *testing.T, s *shared, nodes []*sender) {
		const seconds, limit = 30, 50 + 10*30
		within(t, "from two nodes", accepted(nodes, "r_a", seconds*time.Second), limit*0.95, limit*1.05)
		time.Sleep(time.Minute)
		s.asked.Store(0)
		within(t, "from one node", accepted(nodes[:1], "r_b", time.Second), 57, 60*1.05)
		if asked := s.asked.Load(); asked > 100 {
			t.Errorf("the shared buckets were asked %d times for some 60 messages", asked)
		}
	})
}

// A burst that comes at once is let through whole, and no more of it.
func TestBurstInOneTransaction(t *testing.T) {
	cluster(t, 2, inOneRoom, func(t *testing.T, _ *shared, nodes []*sender) {
		nodes[0].prepare(user("alice"), "r_a", 60)
		n, err := burst(nodes[0].Messages, protocol.At(time.Now()), user("alice"), "r_a")
		if n != 50 || err.Scope != protocol.ScopeUser || err.RetryAfterMS < 50 || err.RetryAfterMS > 150 {
			t.Errorf("%d, then %v", n, err)
		}
		time.Sleep(time.Duration(err.RetryAfterMS+5) * time.Millisecond)
		if err := nodes[1].send(user("alice"), "r_a"); err != nil {
			t.Errorf("after the wait, on the other node: %v", err)
		}
		if err := nodes[0].send(chat.Actor{Backend: true}, "r_a"); err != nil {
			t.Errorf("a back end is under no limit here: %v", err)
		}
	})
}

// Away or slow: each node gives its share, and they are one again when the shared buckets are back.
func TestEachNodeItsShare(t *testing.T) {
	for name, breaks := range map[string]func(s *shared, broken bool){
		"away": func(s *shared, broken bool) { s.away.Store(broken) },
		"slow": func(s *shared, broken bool) {
			if s.delay.Store(int64(time.Millisecond)); broken {
				s.delay.Store(int64(400 * time.Millisecond))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			cluster(t, 2, inOneRoom, func(t *testing.T, s *shared, nodes []*sender) {
				breaks(s, true)
				const limit = 50 + 10*30
				within(t, "from one node", accepted(nodes[:1], "r_a", 30*time.Second), limit/2*0.85, limit/2*1.05)
				within(t, "from the other", accepted(nodes[1:], "r_a", 30*time.Second), limit/2*0.85, limit/2*1.05)
				if st := nodes[0].quotas.Stats(); !st.Alone || st.Nodes != 2 {
					t.Errorf("stats: %+v", st)
				}
				breaks(s, false)
				time.Sleep(time.Minute)
				within(t, "back, from both", accepted(nodes, "r_b", 30*time.Second), limit*0.95, limit*1.05)
				if st := nodes[0].quotas.Stats(); st.Alone || st.Leased == 0 {
					t.Errorf("stats: %+v", st)
				}
			})
		})
	}
}

// What is not used ends when the shared bucket has regained it: a pause makes nobody's burst larger.
func TestUnusedQuotaEnds(t *testing.T) {
	cluster(t, 2, inOneRoom, func(t *testing.T, _ *shared, nodes []*sender) {
		for range 5 {
			for _, n := range nodes {
				if err := n.send(user("alice"), "r_a"); err != nil {
					t.Fatal(err)
				}
			}
			time.Sleep(20 * time.Second)
			nodes[0].prepare(user("alice"), "r_a", 100)
			nodes[1].prepare(user("alice"), "r_a", 100)
			now := protocol.At(time.Now())
			one, _ := burst(nodes[0].Messages, now, user("alice"), "r_a")
			two, _ := burst(nodes[1].Messages, now, user("alice"), "r_a")
			within(t, "after a pause", int64(one+two), 48, 50)
			time.Sleep(20 * time.Second)
		}
	})
}

// A clock that is set back locks nobody out.
func TestClockSetBack(t *testing.T) {
	cluster(t, 1, inOneRoom, func(t *testing.T, _ *shared, nodes []*sender) {
		for range 50 {
			if err := nodes[0].send(user("alice"), "r_a"); err != nil {
				break
			}
		}
		if nodes[0].send(user("alice"), "r_a") == nil {
			t.Fatal("the bucket is not empty")
		}
		err := nodes[0].Take(protocol.At(time.Now().Add(-time.Hour)), user("alice"), "r_a")
		if err != nil && err.RetryAfterMS > 6000 {
			t.Errorf("an hour earlier: %v", err)
		}
	})
}

// A charge that nobody has announced comes out of the node's share.
func TestTakeWithoutPrepare(t *testing.T) {
	cluster(t, 2, inOneRoom, func(t *testing.T, s *shared, nodes []*sender) {
		n, err := burst(nodes[0].Messages, protocol.At(time.Now()), user("alice"), "r_a")
		if n != 25 || err == nil || s.asked.Load() > 0 {
			t.Errorf("%d, then %v; the shared buckets were asked %d times", n, err, s.asked.Load())
		}
		s.away.Store(true) // announced, and never answered
		nodes[0].prepare(user("bob"), "r_a", 1)
		s.away.Store(false)
		time.Sleep(2 * aloneTime)
		nodes[0].prepare(user("carol"), "r_a", 1)
		if err := nodes[0].Take(protocol.At(time.Now()), user("bob"), "r_a"); err != nil {
			t.Error(err)
		}
	})
}

// What is not in use takes up no memory.
func TestQuotasAreForgotten(t *testing.T) {
	cluster(t, 1, inOneRoom, func(t *testing.T, _ *shared, nodes []*sender) {
		for range 100 {
			if err := nodes[0].send(user("alice"), "r_a"); err != nil {
				break
			}
		}
		if n := nodes[0].quotas.Stats().Buckets; n != 2 {
			t.Errorf("%d buckets", n)
		}
		time.Sleep(time.Minute)
		synctest.Wait()
		if n := nodes[0].quotas.Stats().Buckets; n != 0 {
			t.Errorf("%d buckets are kept", n)
		}
	})
}
