package e2e

import (
	"context"
	"fmt"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

// RabbitMQ is killed while people talk, stays away for as long as it takes to start, and comes back empty. Everybody gets everything once and in order, soon
// even while it is away.
func TestRabbitMQIsKilled(t *testing.T) {
	broker := testkit.StartRabbitMQ(t)
	nodes := startTwo(t, broker.URL)
	b := nodes[0].backend()
	room := b.newRoom("group", "alice", "bob", "carol", "dave")
	alice, bob := nodes[0].connect("alice", nil), nodes[1].connect("bob", nil)
	carol, dave := nodes[0].connect("carol", nil), nodes[1].connect("dave", nil)
	v := newVolley(room, alice, bob)
	defer v.end(t)

	healthy := func(want float64) func() bool {
		return func() bool {
			return !slices.ContainsFunc(nodes, func(s *server) bool { return s.metrics()["parley_broker_healthy"] != want })
		}
	}
	v.until(t, "both nodes hear themselves", healthy(1))
	broker.Kill()
	v.until(t, "both nodes know that RabbitMQ is away", healthy(0))
	v.until(t, "messages go on", v.more(5))
	broker.Start()
	v.until(t, "both nodes hear themselves again", healthy(1))
	before := []float64{nodes[0].metrics()["parley_broker_received_total"], nodes[1].metrics()["parley_broker_received_total"]}
	v.until(t, "messages go on as before", v.more(100))
	for i, s := range nodes {
		if got := s.metrics()["parley_broker_received_total"] - before[i]; got < 50 { // half of the messages are the other node's
			t.Errorf("node %d heard %v hints with 100 messages: RabbitMQ is back and brings nothing", i, got)
		}
	}

	v.end(t)
	last := alice.send(room, "last", "last")
	var delays []time.Duration
	for _, c := range []*client{alice, bob, carol, dave} {
		c.expect("the last message", event(room, last))
		for i, seq := range c.events(room) {
			if seq != uint64(i)+2 {
				t.Fatalf("the stream of %s has a hole or a repeat: %v", c.user, c.events(room)[max(0, i-3):i+1])
			}
		}
		delays = append(delays, c.delays(room)...)
	}
	// Without the broker it is 3 s at most, on a machine that is not busy. What is positioned only in turns takes up to 30 s.
	longest := slices.Max(delays)
	t.Logf("%d messages; the slowest came after %v", last-2, longest)
	if longest > 10*time.Second {
		t.Errorf("a message took %v", longest)
	}
}

// volley is two people who answer each other for as long as it goes on: each sends when the other's message has come.
type volley struct {
	count atomic.Int64 // messages that have come
	stop  context.CancelFunc
	ended chan struct{} // closed when nobody sends any more
	err   error         // why it ended by itself; to be read when it has ended
}

func newVolley(room string, from, to *client) *volley {
	ctx, stop := context.WithCancel(context.Background())
	v := &volley{stop: stop, ended: make(chan struct{})}
	go func() {
		defer close(v.ended)
		v.err = v.play(ctx, room, from, to)
	}()
	return v
}

func (v *volley) play(ctx context.Context, room string, from, to *client) error {
	for i := 0; ctx.Err() == nil; i++ {
		text := fmt.Sprint(time.Now().UnixNano(), " ", i) // for client.delays
		result, err := from.try("message.send", object{"room": room, "client_id": fmt.Sprint("v", i), "text": text})
		if err != nil {
			return fmt.Errorf("message %d of %s: %w", i, from.user, err)
		}
		if _, _, err = to.wait(0, event(room, uint64(result["seq"].(float64)))); err != nil {
			return fmt.Errorf("message %d for %s: %w", i, to.user, err)
		}
		v.count.Add(1)
		from, to = to, from
	}
	return nil
}

// more is for until: whether n more messages have come by then.
func (v *volley) more(n int64) func() bool {
	n += v.count.Load()
	return func() bool { return v.count.Load() >= n }
}

// until waits for something while the volley goes on.
func (v *volley) until(t *testing.T, what string, isSo func() bool) {
	t.Helper()
	timeout := time.After(patience)
	for !isSo() {
		select {
		case <-v.ended:
			t.Fatalf("%s: %v", what, v.err)
		case <-timeout:
			t.Fatalf("%s: waited in vain; %d messages have come", what, v.count.Load())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// end ends the volley, and fails the test if it has ended before.
func (v *volley) end(t *testing.T) {
	t.Helper()
	v.stop()
	<-v.ended
	if v.err != nil {
		t.Error(v.err)
	}
}
