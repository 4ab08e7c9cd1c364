package kafka_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/kafka"
	"github.com/parley-im/parley/internal/testkit"
)

func openFeed(t testing.TB, url, node string, queues ...broker.Queue) broker.Exchange {
	t.Helper()
	x, err := kafka.OpenExchange(t.Context(), broker.ExchangeOptions{URL: url, Name: node, Queues: queues, Keep: time.Hour, Length: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExchangeOfTheRealOne(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED FOR BEING SHORT: a real Kafka takes seconds to start")
	}
	k := testkit.StartKafka(t)
	brokertest.RunExchange(t, brokertest.ExchangeHarness{
		Open: func(t testing.TB, node string, queues []broker.Queue) broker.Exchange {
			return openFeed(t, k.URL+"/parley?partitions=3", node, queues...)
		},
		Break: func(testing.TB) { k.Kill() },
		Heal:  func(testing.TB) { k.Resume() },
	})
}

// What an application sees with Kafka's own means is what the documentation says.
func TestFeedTopics(t *testing.T) {
	f := startFake(t)
	x := openFeed(t, f.url()+"/chat?partitions=3", "node", broker.Queue{Name: "all", Exchange: broker.FanoutExchange},
		broker.Queue{Name: "live", Exchange: broker.HeadersExchange, Headers: map[string]string{"kind": "live"}})
	defer x.Close()
	e := broker.Entry{Room: "r_a", Seq: 7, Kind: "group", Event: "message.created", User: "ann", Epoch: "e", Data: []byte("{}")}
	must(t, x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{e}}))
	c := f.client(t, kgo.ConsumeTopics("chat.feed.all", "chat.feed.live"))
	fetches := c.PollFetches(t.Context())
	must(t, fetches.Err())
	r := fetches.Records()[0]
	var headers []string
	for _, h := range r.Headers {
		headers = append(headers, h.Key+"="+string(h.Value))
	}
	if got := r.Topic + " " + string(r.Key) + " " + string(r.Value) + " " + strings.Join(headers, " "); fetches.NumRecords() != 1 ||
		got != "chat.feed.all r_a {} id=r_a/7 room=r_a seq=7 kind=group event=message.created user=ann epoch=e" {
		t.Errorf("%d records, %s", fetches.NumRecords(), got)
	}
	admin := kadm.NewClient(c)
	configs, err := admin.DescribeTopicConfigs(t.Context(), "chat.feed.all")
	must(t, err)
	for _, config := range configs[0].Configs {
		if config.Key == "retention.ms" && config.MaybeValue() != "3600000" {
			t.Errorf("retention.ms is %s", config.MaybeValue())
		}
	}
	topics, err := admin.ListTopics(t.Context(), "chat.feed.all")
	must(t, err)
	if n := len(topics["chat.feed.all"].Partitions); n != 3 {
		t.Errorf("%d partitions", n)
	}
}

func TestOpenExchangeRefuses(t *testing.T) {
	for _, url := range []string{"", "kafka://u:hunter2@127.0.0.1:port", "kafka://h/a?partitions=0"} {
		_, err := kafka.OpenExchange(t.Context(), broker.ExchangeOptions{URL: url})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}

// A node starts without the server, and has it as soon as it is there.
func TestOpenExchangeBeforeTheServer(t *testing.T) {
	f := startFake(t)
	url := f.url()
	f.stop(t)
	x := openFeed(t, url, "node", broker.Queue{Name: "all", Exchange: broker.FanoutExchange})
	defer x.Close()
	put := func() error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		return x.Put(ctx, broker.Batch{Entries: []broker.Entry{{Room: "r_a", Seq: 1, Kind: "group", Event: "room.created"}}})
	}
	if err := put(); err == nil || x.Stats().Connected {
		t.Errorf("put without a server: %v", err)
	}
	f.start(t)
	brokertest.NewRecorder().Await(t, "the feed is connected", func() bool { return x.Stats().Connected })
	must(t, put())
}
