package nats_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/nats"
	"github.com/parley-im/parley/internal/testkit"
)

func startJetStream(t testing.TB) *engine {
	t.Helper()
	return startEngine(t, server.Options{JetStream: true, StoreDir: t.TempDir()})
}

// jetStream is JetStream as an application has it.
func jetStream(t testing.TB, url string) jetstream.JetStream {
	t.Helper()
	conn, err := natsgo.Connect(url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(conn.Close)
	js, err := jetstream.New(conn)
	if err != nil {
		t.Fatal(err)
	}
	return js
}

func openFeed(t testing.TB, o broker.ExchangeOptions) broker.Exchange {
	t.Helper()
	x, err := nats.OpenExchange(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func feedOptions(url, node string, queues ...broker.Queue) broker.ExchangeOptions {
	return broker.ExchangeOptions{URL: url, Name: node, Queues: queues, Keep: time.Hour, Length: 100_000}
}

func TestExchange(t *testing.T) {
	n := testkit.StartJetStream(t)
	brokertest.RunExchange(t, brokertest.ExchangeHarness{
		Open: func(t testing.TB, node string, queues []broker.Queue) broker.Exchange {
			return openFeed(t, feedOptions(n.URL, node, queues...))
		},
		Break: func(testing.TB) { n.Kill() },
		Heal:  func(testing.TB) { n.Start() },
	})
}

var allQueue = broker.Queue{Name: "all", Exchange: broker.FanoutExchange}

func feedEntry(seq uint64) broker.Entry {
	return broker.Entry{Room: "r_a", Seq: seq, Kind: "group", Event: "message.created", User: "ann", Data: []byte("{}")}
}

// What an application sees with NATS's own means is what the documentation says; it goes back in the stream by itself, and what is put twice within two minutes
// is in it once.
func TestStream(t *testing.T) {
	e := startJetStream(t)
	headers := broker.Queue{Name: "of-ann", Exchange: broker.HeadersExchange, Headers: map[string]string{"user": "ann"}}
	messages := broker.Queue{Name: "messages", Exchange: broker.TopicExchange, Bind: []string{"#.created"}}
	x := openFeed(t, feedOptions(e.url(), "node", allQueue, headers, messages))
	defer x.Close()
	for range 2 {
		if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry(1), feedEntry(2)}}); err != nil {
			t.Fatal(err)
		}
	}
	js := jetStream(t, e.url())
	own, err := js.OrderedConsumer(t.Context(), "parley-feed", jetstream.OrderedConsumerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	batch, err := own.Fetch(4, jetstream.FetchMaxWait(20*time.Second))
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for m := range batch.Messages() {
		got = append(got, m.Subject()+" "+m.Headers().Get("id")+" "+m.Headers()["event"][0])
	}
	slices.Sort(got)
	want := []string{
		"parley.feed.key.group.message.created r_a/1 message.created", "parley.feed.key.group.message.created r_a/2 message.created",
		"parley.feed.queue.of-ann.group.message.created r_a/1 message.created", "parley.feed.queue.of-ann.group.message.created r_a/2 message.created",
	}
	if !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	info, err := js.Stream(t.Context(), "parley-feed")
	if err != nil {
		t.Fatal(err)
	}
	if n := info.CachedInfo().State.Msgs; n != 4 || len(got) != 4 {
		t.Errorf("%d messages are in the stream, want 4: %q", n, got)
	}
	c, err := js.Consumer(t.Context(), "parley-feed", "messages")
	if err != nil {
		t.Fatal(err)
	}
	if subjects := c.CachedInfo().Config.FilterSubjects; len(subjects) != 1+2*4 { // room.created and message.created of four kinds
		t.Errorf("the consumer has the subjects %q", subjects)
	}
}

// A queue that somebody deletes is made again, with what the stream has.
func TestConsumerDeleted(t *testing.T) {
	e := startJetStream(t)
	x := openFeed(t, feedOptions(e.url(), "node", allQueue))
	defer x.Close()
	js := jetStream(t, e.url())
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry(1)}}); err != nil {
		t.Fatal(err)
	}
	if err := js.DeleteConsumer(t.Context(), "parley-feed", "all"); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	came := false
	_ = x.Consume(ctx, "all", func(context.Context, broker.Entry) error {
		came = true
		cancel()
		return nil
	})
	if !came {
		t.Error("nothing came")
	}
}

// A stream that somebody deletes is made again, also by a node that only puts.
func TestStreamDeleted(t *testing.T) {
	e := startJetStream(t)
	x := openFeed(t, feedOptions(e.url(), "node", allQueue))
	defer x.Close()
	js := jetStream(t, e.url())
	if err := js.DeleteStream(t.Context(), "parley-feed"); err != nil {
		t.Fatal(err)
	}
	put := func() error { return x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry(1)}}) }
	if err := put(); err == nil {
		t.Error("an entry was acknowledged that is in no stream")
	}
	brokertest.NewRecorder().Await(t, "entries are taken again", func() bool { return put() == nil })
}

func TestOpenExchangeRefuses(t *testing.T) {
	for _, url := range []string{"", "nats://", "nats://u:hunter2@127.0.0.1:port", "nats://h:1?replicas=0", "nats://h:1?replicas=x", "nats://h:1?a=b", "nats://h:1,nats://h:2?replicas=3"} {
		_, err := nats.OpenExchange(t.Context(), feedOptions(url, "node"))
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}

// A node starts without the server, and with one that has no JetStream, and has the feed as soon as it can be had.
func TestOpenExchangeBeforeTheServer(t *testing.T) {
	e := startEngine(t, server.Options{})
	x := openFeed(t, feedOptions(e.url(), "node", allQueue))
	defer x.Close()
	put := func() error { return x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{feedEntry(1)}}) }
	if err := put(); err == nil || x.Stats().Connected {
		t.Errorf("put without JetStream: %v", err)
	}
	e.stop(t)
	if err := put(); err == nil {
		t.Error("put without a server")
	}
	large := feedEntry(2) // larger than anybody knows NATS to take: that is not to be judged before it says so
	large.Data = make([]byte, 2<<20)
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{large}}); !errors.Is(err, broker.ErrExchangeAway) {
		t.Errorf("put a large entry without a server: %v", err)
	}
	e.options.JetStream, e.options.StoreDir = true, t.TempDir()
	e.start(t)
	brokertest.NewRecorder().Await(t, "the feed is connected", func() bool { return x.Stats().Connected })
	if err := put(); err != nil {
		t.Error(err)
	}
}
