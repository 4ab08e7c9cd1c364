package e2e

import (
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

// Kafka is killed in the middle of a burst, stays away for some seconds and comes back with nothing in it. Whatever is acknowledged reaches every member,
// on both nodes, once and in order; what is said meanwhile arrives meanwhile.
func TestKafkaDiesAndComesBackEmpty(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED FOR BEING SHORT: Kafka takes seconds to start")
	}
	broker := testkit.StartKafka(t)
	flags := slices.Concat([]string{"--store", testkit.StartPostgres(t).Database(t), "--broker", broker.URL + "/e2e?partitions=6"}, unlimited)
	one := start(t, flags...)
	nodes := []*server{one, startIn(t, "parley", one.dir, flags...)}
	room := nodes[0].backend().newRoom("group", "alice", "bob", "carol", "dave")
	var sessions []*client
	for i, user := range []string{"alice", "bob", "carol", "dave"} {
		sessions = append(sessions, nodes[i%2].connect(user, nil))
	}
	alice, bob, carol := sessions[0], sessions[1], sessions[2]

	exchanges := 0
	exchange := func() time.Duration {
		t.Helper()
		exchanges++
		began := time.Now()
		bob.expect("the message from the other node", event(room, alice.send(room, fmt.Sprint("there", exchanges), "there")))
		alice.expect("the message back", event(room, bob.send(room, fmt.Sprint("back", exchanges), "back")))
		return time.Since(began)
	}
	healthy := func() bool {
		return nodes[0].metrics()["parley_broker_healthy"] == 1 && nodes[1].metrics()["parley_broker_healthy"] == 1
	}
	talkUntil := func(what string, isSo func() bool) {
		t.Helper()
		deadline := time.Now().Add(patience)
		for exchange(); !isSo(); exchange() {
			if time.Now().After(deadline) {
				t.Fatal(what + ": not yet")
			}
		}
	}
	talkUntil("the nodes hear each other through Kafka", healthy)

	var burst sync.WaitGroup
	burst.Go(func() { pipeline(carol, room, 1, 2000) })
	bob.expect("the burst", func(f frame) bool { return f.Room == room && f.User != nil && *f.User == "carol" })
	broker.Kill()
	burst.Wait()
	var slowest time.Duration
	for range 3 {
		slowest = max(slowest, exchange())
	}
	t.Logf("without Kafka, a message and its answer took up to %v", slowest)
	talkUntil("the nodes see that Kafka is away", func() bool {
		return nodes[0].metrics()["parley_broker_connected"] == 0 && nodes[1].metrics()["parley_broker_connected"] == 0
	})

	broker.Start()
	talkUntil("the nodes hear each other through Kafka again", healthy)
	pipeline(carol, room, 2, 500)
	head := alice.send(room, "last", "last")
	if seen, want := oneOrder(t, sessions, room, head), 2*exchanges+2500+1; seen != want {
		t.Errorf("%d messages were seen, %d were sent", seen, want)
	}
}
