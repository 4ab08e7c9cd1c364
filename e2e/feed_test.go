package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/app"
	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/config"
	"github.com/parley-im/parley/internal/testkit"
)

// feedEngine is an engine of the feed that can be killed, and still has then what it has acknowledged.
type feedEngine struct {
	url         string
	kill, start func()
	settle      func() // after its queues were made; may be nil
}

// feedEngines are all engines, by name.
func feedEngines() map[string]func(t *testing.T) feedEngine {
	return map[string]func(t *testing.T) feedEngine{
		"Redis": func(t *testing.T) feedEngine {
			r := testkit.StartDurableRedis(t)
			return feedEngine{r.URL, r.Kill, r.Start, nil}
		},
		"JetStream": func(t *testing.T) feedEngine {
			n := testkit.StartJetStream(t)
			return feedEngine{n.URL, n.Kill, n.Start, nil}
		},
		"RabbitMQ": func(t *testing.T) feedEngine {
			r := testkit.StartRabbitMQ(t)
			return feedEngine{r.URL, r.Kill, r.Start, func() { r.WriteDown(t) }}
		},
		"Kafka": func(t *testing.T) feedEngine {
			k := testkit.StartKafka(t)
			return feedEngine{k.URL + "/e2e?partitions=3", k.Kill, k.Resume, nil}
		},
	}
}

const feedQueues = `[{name: all, exchange: fanout}, {name: messages, exchange: topic, bind: ["#.message.created"]}]`

// feedFlags are of a server that feeds an engine.
func feedFlags(url string) []string {
	return append([]string{"--feed-url", url, "--feed-queues", feedQueues}, unlimited...)
}

// fed is a consumer in the test.
type fed struct {
	mu      sync.Mutex
	entries []broker.Entry
}

// openFed opens the feed as an application in Go does, and consumes one queue.
func openFed(t *testing.T, url, queue string) *fed {
	t.Helper()
	x, err := app.OpenExchange(t.Context(), &config.Feed{URL: url, Keep: time.Hour, Length: 100_000, Queues: []config.FeedQueue{
		{Name: "all", Exchange: "fanout"}, {Name: "messages", Exchange: "topic", Bind: []string{"#.message.created"}},
	}}, "test-"+queue)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	f := &fed{}
	go func() {
		_ = x.Consume(context.Background(), queue, func(_ context.Context, e broker.Entry) error {
			e.Data = slices.Clone(e.Data)
			f.mu.Lock()
			defer f.mu.Unlock()
			f.entries = append(f.entries, e)
			return nil
		})
	}()
	return f
}

// of are the entries of a room in which something is new, in the order in which they came, and how many only repeated.
func (f *fed) of(room string) (fresh []broker.Entry, repeats int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	var last uint64
	for _, e := range f.entries {
		switch {
		case e.Room != room:
		case e.Seq > last:
			fresh = append(fresh, e)
			last = e.Seq
		default:
			repeats++
		}
	}
	return fresh, repeats
}

func (f *fed) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.entries)
}

// waitFor waits until something is so.
func waitFor(t testing.TB, what string, isSo func() bool) {
	t.Helper()
	deadline := time.After(3 * patience)
	for !isSo() {
		select {
		case <-deadline:
			t.Fatal("waited in vain: " + what)
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// The engine is killed and comes back, and a node is killed in the middle of it all. Whatever the server has acknowledged reaches the application, a room's events in
// their order; some come twice.
func TestFeedLosesNothing(t *testing.T) {
	for name, start := range feedEngines() {
		t.Run(name, func(t *testing.T) {
			if testing.Short() && (name == "Kafka" || name == "RabbitMQ") {
				t.Skip("SKIPPED FOR BEING SHORT: the engine takes seconds to start; others are tried")
			}
			feedLosesNothing(t, start(t), name == "JetStream" || name == "Redis")
		})
	}
}

func feedLosesNothing(t *testing.T, engine feedEngine, two bool) {
	flags := feedFlags(engine.url)
	if two {
		flags = append(flags, "--store", testkit.StartPostgres(t).Database(t), "--broker", testkit.StartNATS(t).URL)
	}
	nodes := []*server{start(t, flags...)}
	if two {
		nodes = append(nodes, startIn(t, "parley", nodes[0].dir, flags...))
	}
	owner := nodes[0].backend()
	var rooms []string
	for range 4 {
		rooms = append(rooms, owner.newRoom("group", "owner", "bob"))
	}
	consumer := openFed(t, engine.url, "all")
	if engine.settle != nil {
		engine.settle()
	}

	const each = 100
	var sent atomic.Int64
	var writers sync.WaitGroup
	for i, room := range rooms {
		writers.Go(func() {
			for n := range each {
				call := object{"room": room, "client_id": fmt.Sprint("m", n), "text": fmt.Sprint("message ", n)}
				for try := 0; ; try++ {
					node := backend{t, "http://" + nodes[(i+n+try)%len(nodes)].addr, owner.key, "owner"}
					if _, err := node.try("message.send", call); err == nil {
						break
					}
					time.Sleep(20 * time.Millisecond) // the pace of who tries again
				}
				sent.Add(1)
				time.Sleep(5 * time.Millisecond) // or all would be said before anything is killed
			}
		})
	}
	waitFor(t, "events arrive", func() bool { return consumer.count() > 40 })
	engine.kill()
	before := sent.Load()
	waitFor(t, "the log goes on", func() bool { return sent.Load() > before+40 || sent.Load() == each*int64(len(rooms)) })
	waitFor(t, "a feeder has met the engine away", func() bool {
		// What is being put then fails only when the engine's library gives it up.
		return slices.ContainsFunc(nodes, func(n *server) bool {
			return n.metric("parley_feed_failures_total") > 0 || n.metric("parley_feed_connected") == 0
		})
	})
	nodes[0].kill()
	nodes[0].restart()
	engine.start()
	waitFor(t, "all is said", func() bool { return sent.Load() == each*int64(len(rooms)) })
	writers.Wait()
	nodes[len(nodes)-1].kill()
	nodes[len(nodes)-1].restart()

	all := 0
	for _, room := range rooms {
		all += consumer.whole(t, room, owner.head(room))
	}
	waitFor(t, "nothing is left to be put", func() bool { return strings.Contains(nodes[0].feed("status"), "\n0 events are not acknowledged") })
	messages := openFed(t, engine.url, "messages")
	waitFor(t, "the messages, by pattern", func() bool {
		n := 0
		for _, room := range rooms {
			fresh, _ := messages.of(room)
			n += len(fresh)
		}
		return n == all-len(rooms) // all but room.created
	})
}

// whole waits until a room has come up to its head, and checks that it is all there and in order. It returns how many events that are.
func (f *fed) whole(t *testing.T, room string, head uint64) int {
	t.Helper()
	waitFor(t, fmt.Sprintf("event %d of room %s", head, room), func() bool {
		fresh, _ := f.of(room)
		return len(fresh) > 0 && fresh[len(fresh)-1].Seq == head
	})
	fresh, repeats := f.of(room)
	for i, e := range fresh {
		if e.Seq != uint64(i)+1 {
			t.Fatalf("room %s: %d came after %d", room, e.Seq, i)
		}
		var frame struct {
			Event, Room string
			Seq         uint64
		}
		if err := json.Unmarshal(e.Data, &frame); err != nil || frame.Event != e.Event || frame.Room != room || frame.Seq != e.Seq || e.Kind != "group" {
			t.Errorf("entry %s: %v %s", e.ID(), err, e.Data)
		}
	}
	t.Logf("room %s: %d events, %d repeats", room, len(fresh), repeats)
	return len(fresh)
}

// feed runs one of the commands that look after the feed.
func (s *server) feed(what string, args ...string) string {
	s.t.Helper()
	args = append([]string{"feed", what, "--data", s.dir}, args...)
	for i, f := range s.flags {
		if f == "--store" {
			args = append(args, "--store", s.flags[i+1])
		}
	}
	return command(s.t, args...)
}

// What is put again, what cannot be put, and what was deleted before its turn.
func TestFeedCommands(t *testing.T) {
	engine := testkit.StartDurableRedis(t)
	s := start(t, feedFlags(engine.URL)...)
	b := s.backend()
	if got := s.feed("status"); !strings.Contains(got, "The feed began at") || !strings.Contains(got, "0 dead letters.") {
		t.Errorf("status: %s", got)
	}
	room := b.newRoom("group", "owner", "bob")
	all := openFed(t, engine.URL, "all")
	waitFor(t, "the room", func() bool { return all.count() == 1 })

	engine.Kill()
	secret := b.user("owner").call("message.send", object{"room": room, "client_id": "1", "text": "a secret"})["seq"]
	b.user("owner").call("message.delete", object{"room": room, "seq": secret})
	waitFor(t, "the backlog", func() bool {
		return strings.Contains(s.feed("status"), "2 events are not acknowledged; the oldest has waited for")
	})
	engine.Start()
	waitFor(t, "the deletion", func() bool { return all.count() >= 3 })
	fresh, _ := all.of(room)
	if len(fresh) != 3 || strings.Contains(string(fresh[1].Data), "secret") || fresh[2].Event != "message.deleted" {
		t.Errorf("fed: %+v", fresh)
	}

	s.feed("replay", "--room", room, "--queue", "messages")
	s.feed("replay", "--since", "1h")
	messages := openFed(t, engine.URL, "messages")
	waitFor(t, "the message, three times in its queue", func() bool { return messages.count() == 3 })
	waitFor(t, "all three again", func() bool { return all.count() >= 6 })

	s.feed("replay", "--room", room, "--queue", "nobody")
	waitFor(t, "dead letters", func() bool { return strings.Contains(s.feed("status"), "3 dead letters.") })
	if got := s.feed("dead"); strings.Count(got, room) != 3 || !strings.Contains(got, "is not declared") {
		t.Errorf("dead: %s", got)
	}
	s.feed("dead", "--drop")
	waitFor(t, "the metrics tell that the engine is back", func() bool { return s.metric("parley_feed_connected") == 1 })
	if m := s.metrics(); m["parley_feed_events_total"] < 6 || m["parley_feed_buried_total"] != 3 {
		t.Errorf("metrics: %v %v", m["parley_feed_events_total"], m["parley_feed_buried_total"])
	}
	s.feed("end")
	if got := s.feed("status"); !strings.Contains(got, "There is no feed") {
		t.Errorf("status: %s", got)
	}
}
