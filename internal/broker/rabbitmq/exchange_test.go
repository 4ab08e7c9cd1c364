package rabbitmq_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/rabbitmq"
	"github.com/parley-im/parley/internal/testkit"
)

// TestExchange holds one server, which takes long to start, for everything about the feed.
func TestExchange(t *testing.T) {
	server := testkit.StartRabbitMQ(t)
	// What docs/brokers/rabbitmq.md says is enough.
	server.Control(t, "add_user", "parley", "secret")
	server.Control(t, "set_permissions", "parley", `^parley\.`, `^parley\.`, `^parley\.`)
	e := &engine{server, strings.Replace(server.URL, "guest:guest", "parley:secret", 1)}

	t.Run("conformance", e.exchangeConformance)
	t.Run("what is made in RabbitMQ", e.feedTopology)
	t.Run("a queue is deleted", e.feedQueueDeleted)
	t.Run("a queue of another kind", e.feedQueueDiffers)
	t.Run("memory alarm", e.feedAlarm)
	t.Run("what is too old goes", e.feedExpires)
	t.Run("open before the server", e.openFeedBefore)
}

func (e *engine) openFeed(t testing.TB, keep time.Duration, queues ...broker.Queue) broker.Exchange {
	t.Helper()
	x, err := rabbitmq.OpenExchange(t.Context(), broker.ExchangeOptions{URL: e.url, Name: "node", Queues: queues, Keep: keep, Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { x.Close() })
	return x
}

func (e *engine) exchangeConformance(t *testing.T) {
	brokertest.RunExchange(t, brokertest.ExchangeHarness{
		Open: func(t testing.TB, _ string, queues []broker.Queue) broker.Exchange {
			x, err := rabbitmq.OpenExchange(t.Context(), broker.ExchangeOptions{URL: e.url, Name: "node", Queues: queues, Keep: time.Hour, Length: 1000})
			if err != nil {
				t.Fatal(err)
			}
			return x
		},
		Break: func(t testing.TB) {
			e.WriteDown(t)
			e.Kill()
		},
		Heal: func(testing.TB) { e.Start() },
	})
}

func feedEntry(room string, seq uint64) broker.Entry {
	return broker.Entry{Room: room, Seq: seq, Kind: "group", Event: "message.created", User: "ann", Epoch: "e", Data: []byte(`{"a":1}`)}
}

func fanout(name string) broker.Queue {
	return broker.Queue{Name: name, Exchange: broker.FanoutExchange}
}

// takeFeed consumes a queue until an entry of a room has come, and returns the seqs of that room.
func takeFeed(t testing.TB, x broker.Exchange, queue, room string, last uint64) (seqs []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_ = x.Consume(ctx, queue, func(_ context.Context, e broker.Entry) error {
		if e.Room == room {
			if seqs = append(seqs, e.Seq); e.Seq == last {
				cancel()
			}
		}
		return nil
	})
	return seqs
}

// What an application sees with RabbitMQ's own means is what the documentation says; it may bind a queue of its own.
func (e *engine) feedTopology(t *testing.T) {
	x := e.openFeed(t, time.Hour, fanout("all"))
	raw := e.raw(t)
	own, err := raw.QueueDeclare("parley.own", false, true, true, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := raw.QueueBind(own.Name, "*.message.#", "parley.feed", false, nil); err != nil {
		t.Fatal(err)
	}
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_topology", 1)}}); err != nil {
		t.Fatal(err)
	}
	for _, queue := range []string{"parley.feed.all", own.Name} {
		d, ok, err := raw.Get(queue, true)
		if err != nil || !ok {
			t.Fatalf("%s: %v, %v", queue, ok, err)
		}
		want := amqp.Table{"id": "r_topology/1", "room": "r_topology", "seq": "1", "kind": "group", "event": "message.created", "user": "ann", "epoch": "e"}
		for name, value := range want {
			if d.Headers[name] != value {
				t.Errorf("%s: header %s is %v", queue, name, d.Headers[name])
			}
		}
		if d.RoutingKey != "group.message.created" || d.MessageId != "r_topology/1" || d.Type != "message.created" || d.DeliveryMode != amqp.Persistent || string(d.Body) != `{"a":1}` {
			t.Errorf("%s: %+v", queue, d)
		}
	}
	queues := e.Control(t, "list_queues", "-q", "name", "type", "durable")
	if !strings.Contains(queues, "parley.feed.all\tquorum\ttrue") {
		t.Errorf("queues:\n%s", queues)
	}
}

// A queue that somebody deletes is missed with the next entry for it, and made again; the entry is not acknowledged before.
func (e *engine) feedQueueDeleted(t *testing.T) {
	queue := broker.Queue{Name: "deleted", Exchange: broker.HeadersExchange, Headers: map[string]string{"room": "r_deleted"}}
	x := e.openFeed(t, time.Hour, queue)
	raw := e.raw(t)
	for _, q := range []string{"parley.feed.deleted", "parley.feed.all"} {
		if _, err := raw.QueueDelete(q, false, false, false); err != nil {
			t.Fatal(err)
		}
	}
	names := strings.Fields(e.Control(t, "list_queues", "-q", "name"))
	for _, name := range names { // of the tests before, which take everything
		if strings.HasPrefix(name, "parley.feed.t") {
			if _, err := raw.QueueDelete(name, false, false, false); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_deleted", 1)}}); err == nil {
		t.Error("an entry was acknowledged that is in no queue")
	}
	// The connection on which that failed is given up, and RabbitMQ may refuse for queues that are just going.
	brokertest.NewRecorder().Await(t, "an entry that belongs nowhere is no fault", func() bool {
		return x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_other", 1)}}) == nil
	})
	brokertest.NewRecorder().Await(t, "the queue is made again", func() bool {
		return x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_deleted", 1)}}) == nil
	})
	if got := takeFeed(t, x, "deleted", "r_deleted", 1); !slices.Equal(got, []uint64{1}) {
		t.Errorf("got %v", got)
	}
}

// What is there already and is of another kind is not used for something that it is not.
func (e *engine) feedQueueDiffers(t *testing.T) {
	raw := e.raw(t)
	if err := raw.ExchangeDeclare("parley.feed.differs", "direct", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	x := e.openFeed(t, time.Hour, fanout("differs"))
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_differs", 1)}}); err == nil || x.Stats().Connected {
		t.Errorf("put: %v", err)
	}
	if err := raw.ExchangeDelete("parley.feed.differs", false, false); err != nil {
		t.Fatal(err)
	}
	brokertest.NewRecorder().Await(t, "it is made", func() bool { return x.Stats().Connected })
}

// While RabbitMQ takes no messages nothing is acknowledged, and nothing waits for longer than its time.
func (e *engine) feedAlarm(t *testing.T) {
	x := e.openFeed(t, time.Hour, fanout("alarm"))
	e.Control(t, "set_vm_memory_high_watermark", "0")
	brokertest.NewRecorder().Await(t, "nothing is acknowledged", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		return x.Put(ctx, broker.Batch{Entries: []broker.Entry{feedEntry("r_alarm", 1)}}) != nil
	})
	e.Control(t, "set_vm_memory_high_watermark", "0.8")
	brokertest.NewRecorder().Await(t, "entries are taken again", func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return x.Put(ctx, broker.Batch{Entries: []broker.Entry{feedEntry("r_alarm", 2)}}) == nil
	})
	if got := takeFeed(t, x, "alarm", "r_alarm", 2); !slices.Contains(got, 2) {
		t.Errorf("got %v", got)
	}
}

func (e *engine) feedExpires(t *testing.T) {
	short, long := e.openFeed(t, time.Millisecond, fanout("expires")), e.openFeed(t, time.Hour, fanout("expires"))
	if err := short.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_expires", 1)}}); err != nil {
		t.Fatal(err)
	}
	brokertest.NewRecorder().Await(t, "the entry is gone", func() bool {
		return strings.Contains(e.Control(t, "list_queues", "-q", "name", "messages"), "parley.feed.expires\t0")
	})
	if err := long.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_expires", 2)}}); err != nil {
		t.Fatal(err)
	}
	if got := takeFeed(t, long, "expires", "r_expires", 2); !slices.Equal(got, []uint64{2}) {
		t.Errorf("got %v", got)
	}
}

func (e *engine) openFeedBefore(t *testing.T) {
	e.WriteDown(t) // the queues of the tests before: the entry below belongs into some of them
	e.Kill()
	x := e.openFeed(t, time.Hour, fanout("before"))
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry("r_before", 1)}}); err == nil || x.Stats().Connected {
		t.Errorf("put without a server: %v", err)
	}
	e.Start()
	brokertest.NewRecorder().Await(t, "the feed is connected", func() bool { return x.Stats().Connected })
	brokertest.NewRecorder().Await(t, "the entry is taken", func() bool { // a quorum queue may refuse until its servers have agreed on a leader
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return x.Put(ctx, broker.Batch{Entries: []broker.Entry{feedEntry("r_before", 1)}}) == nil
	})
	if got := takeFeed(t, x, "before", "r_before", 1); !slices.Contains(got, 1) {
		t.Errorf("got %v", got)
	}
}
