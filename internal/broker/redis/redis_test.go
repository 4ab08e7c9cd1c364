package redis_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/redis"
	"github.com/parley-im/parley/internal/testkit"
)

func open(t testing.TB, url string, r broker.Receiver) broker.Live {
	t.Helper()
	live, err := redis.Open(t.Context(), redis.Options{URL: url, Name: "node"}, r)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestConformance(t *testing.T) {
	server := testkit.StartRedis(t)
	brokertest.Run(t, brokertest.Harness{
		Open:  func(t testing.TB, _ string, r broker.Receiver) broker.Live { return open(t, server.URL, r) },
		Break: func(testing.TB) { server.Kill() },
		Heal:  func(testing.TB) { server.Start() },
	})
}

// A node starts without its broker, and has it as soon as it is there.
func TestOpenBeforeTheServer(t *testing.T) {
	server := testkit.StartRedis(t)
	server.Kill()
	r := brokertest.NewRecorder()
	live := open(t, server.URL, r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err == nil {
		t.Error("Follow succeeded without a server")
	}
	if stats := live.Stats(); stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
	server.Start()
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("own")) // Redis brings a node its own messages
	r.AwaitMessage(t, "r_a", "own")
}

// A server that stands still without closing anything is given up, and found again when it goes on.
func TestServerThatStandsStill(t *testing.T) {
	server := testkit.StartRedis(t)
	r := brokertest.NewRecorder()
	live := open(t, server.URL, r)
	defer live.Close()
	resume := server.Pause()
	if err := live.Follow(t.Context(), []string{"r_b"}); err == nil {
		t.Error("Follow succeeded before the server has answered")
	}
	r.Await(t, "the connection is given up", func() bool { return !live.Stats().Connected })
	if err := live.Follow(t.Context(), []string{"r_a"}); err == nil {
		t.Error("Follow succeeded")
	}
	resume()
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("back"))
	r.AwaitMessage(t, "r_a", "back")
}

// FLUSHALL does nothing to what is followed, and neither does a name with anything in it.
func TestFlushAndStrangeNames(t *testing.T) {
	server := testkit.StartRedis(t)
	r := brokertest.NewRecorder()
	live := open(t, server.URL, r)
	defer live.Close()
	rooms := []string{"r_a", "all", "*", "a b\r\nx\x00"}
	if err := live.Follow(t.Context(), rooms); err != nil {
		t.Fatal(err)
	}
	server.Flush()
	for _, room := range rooms {
		live.Publish(room, []byte("in "+room))
		r.AwaitMessage(t, room, "in "+room)
	}
	live.Publish("", []byte("no room"))
	live.Broadcast([]byte("to all"))
	r.AwaitMessage(t, "", "to all")
	if got := r.Messages(""); len(got) != 1 {
		t.Errorf("broadcasts: %q", got)
	}
}

// Deployments that share a server do not meet when their databases differ. The channels are those of the documentation.
func TestDatabasesAndChannels(t *testing.T) {
	server := testkit.StartRedis(t)
	one, three := brokertest.NewRecorder(), brokertest.NewRecorder()
	first, third := open(t, server.URL, one), open(t, server.URL+"/3", three)
	defer first.Close()
	defer third.Close()
	for _, live := range []broker.Live{first, third} {
		if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
			t.Fatal(err)
		}
	}
	server.Command("PUBLISH", "parley:3:room:r_a", "x")
	server.Command("PUBLISH", "parley:3:all", "y")
	three.AwaitMessage(t, "r_a", "x")
	three.AwaitMessage(t, "", "y")
	first.Publish("r_a", []byte("fence"))
	one.AwaitMessage(t, "r_a", "fence")
	if one.Has("r_a", "x") || one.Has("", "y") {
		t.Error("a deployment heard another")
	}
}

func TestOpenRefuses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, url := range []string{"", "nats://127.0.0.1:1", "redis://u:hunter2@127.0.0.1:port", "redis://127.0.0.1/x", "redis://127.0.0.1?addr=127.0.0.2"} {
		_, err := redis.Open(t.Context(), redis.Options{URL: url}, brokertest.NewRecorder())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}

// Open does not hold up a process that is told to stop.
func TestOpenEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if conn, err := silent.Accept(); err == nil {
			cancel()
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1))
			_, _ = conn.Read(make([]byte, 1024)) // until the other side has given up
		}
	}()
	if _, err := redis.Open(ctx, redis.Options{URL: "redis://" + silent.Addr().String()}, brokertest.NewRecorder()); err == nil {
		t.Error("Open succeeded")
	}
}
