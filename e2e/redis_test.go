package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

// startOnRedis starts two nodes on one PostgreSQL, with a Redis server as broker and state.
func startOnRedis(t *testing.T, redis *testkit.Redis, flags ...string) []*server {
	t.Helper()
	flags = slices.Concat([]string{"--store", testkit.StartPostgres(t).Database(t), "--broker", redis.URL + "/1", "--state", redis.URL + "/2"}, flags)
	one := start(t, flags...)
	return []*server{one, startIn(t, "parley", one.dir, flags...)}
}

// Two nodes on Redis that is killed, away for ten seconds, started again without its data, and flushed: what was acknowledged reaches every member once and in
// order, and nobody who stays is seen to go.
func TestRedisComesAndGoes(t *testing.T) {
	redis := testkit.StartRedis(t)
	nodes := startOnRedis(t, redis, unlimited...)
	room := nodes[0].backend().newRoom("group", "alice", "bob", "carol")
	alice, bob, carol := nodes[0].connect("alice", nil), nodes[1].connect("bob", nil), nodes[1].connect("carol", nil)
	alice.call("presence.subscribe", users("bob", "carol"))

	var senders sync.WaitGroup
	stop := make(chan struct{})
	acked := make([][]uint64, 2)
	for i, c := range []*client{alice, bob} {
		senders.Go(func() {
			for n := 0; ; n++ {
				acked[i] = append(acked[i], c.send(room, fmt.Sprint("m", n), "whatever becomes of Redis"))
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	pause := func(d time.Duration) { <-time.After(d) } // the senders go on
	pause(3 * time.Second)
	redis.Kill()
	pause(10 * time.Second)
	redis.Start()
	pause(6 * time.Second)
	redis.Flush()
	pause(6 * time.Second)
	for _, user := range []string{"bob", "carol"} {
		if told := alice.presence(user); len(told) > 1 || len(told) == 1 && told[0] != "online" {
			t.Errorf("of %s, who was there all the time, alice was told %q", user, told)
		}
	}
	redis.Kill()
	redis.Start()
	close(stop)
	senders.Wait()

	all := slices.Sorted(slices.Values(slices.Concat(acked...)))
	last := all[len(all)-1]
	for i, seq := range all {
		if seq != uint64(i)+2 {
			t.Fatalf("the acknowledged messages have a hole or a repeat at %d", seq)
		}
	}
	for _, c := range []*client{alice, bob, carol} {
		c.expect("the last message", event(room, last))
		for i, seq := range c.events(room) {
			if seq != uint64(i)+2 {
				t.Fatalf("%s got %d as event %d", c.user, seq, i+2)
			}
		}
	}
	carol.cut()
	alice.expect("carol has gone", func(f frame) bool {
		return f.Event == "presence" && *f.User == "carol" && f.data()["status"] == "offline"
	})
	t.Logf("%d messages", len(all))
}

// presence is what the client was told of a user's presence: the statuses.
func (c *client) presence(user string) (told []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		if f.Event == "presence" && *f.User == user {
			told = append(told, f.data()["status"].(string))
		}
	}
	return told
}

// The limits of §5 hold for both nodes together, and while Redis is away they are neither shut nor open.
func TestRatesOverTwoNodes(t *testing.T) {
	redis := testkit.StartRedis(t)
	const rate, burst = 20, 40 // of which half in any one room
	nodes := startOnRedis(t, redis, "--limits-messages-per-second", fmt.Sprint(rate), "--limits-burst", fmt.Sprint(burst))
	room := nodes[0].backend().newRoom("group", "alice", "bob")
	sessions := []*client{nodes[0].connect("alice", object{"device": "one"}), nodes[1].connect("alice", object{"device": "two"})}
	for i, name := range []string{"with Redis", "without Redis"} {
		if i == 1 {
			redis.Kill()
		}
		var accepted [2]int
		var senders sync.WaitGroup
		began := time.Now()
		for s, c := range sessions {
			senders.Go(func() {
				for n := 0; time.Since(began) < 5*time.Second; n++ {
					_, err := c.try("message.send", object{"room": room, "client_id": fmt.Sprint(name, s, "_", n), "text": "x"})
					if err == nil {
						accepted[s]++
					} else if e, ok := err.(*wireError); !ok || e.Code != "rate_limited" {
						t.Errorf("%s: %v", name, err)
						return
					} else {
						time.Sleep(time.Duration(min(e.RetryAfterMS, 20)) * time.Millisecond) // one who asks at once, for ten seconds, is closed with 4429
					}
				}
			})
		}
		senders.Wait()
		most := (burst/2 + rate/2*time.Since(began).Seconds()) * 1.05
		if sum := accepted[0] + accepted[1]; float64(sum) > most || sum < rate/2*4 {
			t.Errorf("%s: %v were accepted, want at most %.0f and at least %d", name, accepted, most, rate/2*4)
		}
		t.Logf("%s: %v were accepted, of at most %.0f", name, accepted, most)
	}
}
