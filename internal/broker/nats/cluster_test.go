package nats_test

import (
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/nats"
	"github.com/parley-im/parley/internal/testkit"
)

// Of a NATS of three servers one after the other is killed, while a node publishes. Every node comes back by itself, with another server, and goes on hearing; what
// a node has missed meanwhile either it or the one that publishes knows to be lost.
func TestOneOfThreeServersIsKilled(t *testing.T) {
	servers := testkit.StartJetStreamCluster(t)
	var urls []string
	for _, s := range servers {
		urls = append(urls, s.URL)
	}
	var links []broker.Live
	var recorders []*brokertest.Recorder
	for i := range 3 {
		r := brokertest.NewRecorder()
		live := open(t, nats.Options{URL: strings.Join(urls, ","), Name: "node-" + strconv.Itoa(i)}, r)
		defer live.Close()
		links, recorders = append(links, live), append(recorders, r)
		r.Await(t, "the room is followed", func() bool { return live.Follow(t.Context(), []string{"r_a"}) == nil })
	}
	stop, published := make(chan struct{}), 0
	var publishing sync.WaitGroup
	publishing.Go(func() {
		pace := time.NewTicker(time.Millisecond)
		defer pace.Stop()
		for {
			select {
			case <-stop:
				return
			case <-pace.C:
				published++
				links[0].Publish("r_a", []byte(strconv.Itoa(published)))
			}
		}
	})
	hears := func(what string) {
		t.Helper()
		for i, r := range recorders {
			before := len(r.Messages("r_a"))
			r.Await(t, what+": node "+strconv.Itoa(i)+" hears", func() bool { return links[i].Stats().Connected && len(r.Messages("r_a")) > before+100 })
		}
	}
	hears("all servers are there")
	for i, s := range servers {
		s.Kill()
		hears("without server " + strconv.Itoa(i))
		s.Start()
	}
	hears("all servers are there again")
	close(stop)
	publishing.Wait()
	for i, r := range recorders {
		last, missed := 0, 0
		for _, text := range r.Messages("r_a") {
			n, err := strconv.Atoi(text)
			if err != nil || n <= last {
				t.Fatalf("node %d heard %q after %d", i, text, last)
			}
			missed += n - last - 1
			last = n
		}
		t.Logf("node %d missed %d of %d; it was told of losses %d times, the publisher %d times, which dropped %d", i, missed, published, r.Losses(), recorders[0].Losses(), links[0].Stats().Dropped)
		if missed > 0 && r.Losses() == 0 && recorders[0].Losses() == 0 {
			t.Errorf("node %d missed %d messages, and nobody knows", i, missed)
		}
	}
}
