package redis_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/redis"
	"github.com/parley-im/parley/internal/testkit"
)

func feedOptions(url, node string, queues []broker.Queue) broker.ExchangeOptions {
	return broker.ExchangeOptions{URL: url, Name: node, Queues: queues, Keep: time.Hour, Length: 100_000}
}

func openFeed(t testing.TB, o broker.ExchangeOptions) broker.Exchange {
	t.Helper()
	x, err := redis.OpenExchange(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestExchange(t *testing.T) {
	server := testkit.StartDurableRedis(t)
	brokertest.RunExchange(t, brokertest.ExchangeHarness{
		Open: func(t testing.TB, node string, queues []broker.Queue) broker.Exchange {
			return openFeed(t, feedOptions(server.URL, node, queues))
		},
		Break: func(testing.TB) { server.Kill() },
		Heal:  func(testing.TB) { server.Start() },
	})
}

var all = []broker.Queue{{Name: "all", Exchange: broker.FanoutExchange}}

func entry(seq uint64) broker.Entry {
	return broker.Entry{Room: "r_a", Seq: seq, Kind: "group", Event: "message.created", Data: []byte(strings.Repeat("x", 100))}
}

func put(t testing.TB, x broker.Exchange, from, to uint64) {
	t.Helper()
	var entries []broker.Entry
	for seq := from; seq <= to; seq++ {
		entries = append(entries, entry(seq))
	}
	if err := x.Put(t.Context(), broker.Batch{Entries: entries}); err != nil {
		t.Fatal(err)
	}
}

// consume takes entries until one has come.
func consume(t testing.TB, x broker.Exchange, last uint64) (seqs []uint64) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 30*time.Second)
	defer cancel()
	_ = x.Consume(ctx, "all", func(_ context.Context, e broker.Entry) error {
		if seqs = append(seqs, e.Seq); e.Seq == last {
			cancel()
		}
		return nil
	})
	return seqs
}

// What a process had in hand that died without a word comes to the next one after a while, and before what is new.
func TestConsumerKilled(t *testing.T) {
	server := testkit.StartRedis(t)
	x, err := redis.OpenImpatient(t.Context(), feedOptions(server.URL, "node", all), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer x.Close()
	put(t, x, 1, 10)
	server.Command("XREADGROUP", "GROUP", "all", "ghost", "COUNT", "4", "STREAMS", "parley:feed:all", ">")
	if got, want := consume(t, x, 10), []uint64{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}; !slices.Equal(got, want) {
		t.Errorf("got %v", got)
	}
}

// A stream does not grow beyond what was said, and loses its oldest entries.
func TestStreamIsBounded(t *testing.T) {
	server := testkit.StartRedis(t)
	o := feedOptions(server.URL, "node", all)
	o.Length = 1000
	x := openFeed(t, o)
	defer x.Close()
	for from := uint64(1); from < 3000; from += 100 {
		put(t, x, from, from+99)
	}
	got := consume(t, x, 3000)
	if len(got) < 1000 || len(got) > 1200 || got[0] != 3001-uint64(len(got)) {
		t.Errorf("%d entries of 3000 are left, from %d on", len(got), got[0])
	}

	o.Keep = -time.Hour // all that there is is older
	young := openFeed(t, o)
	defer young.Close()
	put(t, young, 3001, 3001)
	if length := server.Command("XLEN", "parley:feed:all"); length > ":200" && len(length) > 5 {
		t.Errorf("the length of the stream of which all is too old: %s", length)
	}
}

// What Redis refuses, it refuses to all queues, and takes it when it can again.
func TestServerWithoutMemory(t *testing.T) {
	server := testkit.StartRedis(t)
	x := openFeed(t, feedOptions(server.URL, "node", append(all, broker.Queue{Name: "two", Exchange: broker.FanoutExchange})))
	defer x.Close()
	server.Command("CONFIG", "SET", "maxmemory", "1000")
	err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{entry(1)}})
	if err == nil || !strings.Contains(err.Error(), "OOM") {
		t.Errorf("put without memory: %v", err)
	}
	for _, key := range []string{"parley:feed:all", "parley:feed:two"} {
		if length := server.Command("XLEN", key); length != ":0\r\n" {
			t.Errorf("%s has %s entries", key, length)
		}
	}
	server.Command("CONFIG", "SET", "maxmemory", "0")
	put(t, x, 1, 1)
	if got := consume(t, x, 1); !slices.Equal(got, []uint64{1}) {
		t.Errorf("got %v", got)
	}
}

// A server that comes back without anything has its streams and groups made again.
func TestServerForgets(t *testing.T) {
	server := testkit.StartRedis(t)
	x := openFeed(t, feedOptions(server.URL, "node", all))
	defer x.Close()
	put(t, x, 1, 1)
	done := make(chan []uint64)
	go func() { done <- consume(t, x, 2) }()
	server.Flush()
	put(t, x, 2, 2)
	if got := <-done; got[len(got)-1] != 2 {
		t.Errorf("got %v", got)
	}
}

func TestOpenExchangeRefuses(t *testing.T) {
	for _, url := range []string{"", "redis://u:hunter2@127.0.0.1:port", "redis://127.0.0.1/x"} {
		_, err := redis.OpenExchange(t.Context(), broker.ExchangeOptions{URL: url})
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}

// A node starts without the server, and has it as soon as it is there.
func TestOpenExchangeBeforeTheServer(t *testing.T) {
	server := testkit.StartRedis(t)
	server.Kill()
	x := openFeed(t, feedOptions(server.URL, "node", all))
	defer x.Close()
	if err := x.Put(t.Context(), broker.Batch{Entries: []broker.Entry{entry(1)}}); err == nil || x.Stats().Connected {
		t.Errorf("put without a server: %v", err)
	}
	server.Start()
	brokertest.NewRecorder().Await(t, "the feed is connected", func() bool { return x.Stats().Connected })
	put(t, x, 1, 1)
}
