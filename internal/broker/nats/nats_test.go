package nats_test

import (
	"context"
	"net"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	natsgo "github.com/nats-io/nats.go"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/nats"
)

// engine is a NATS server on the loopback interface that can be stopped and started again at the same address.
type engine struct {
	options server.Options
	server  *server.Server
}

// startEngine starts a server on a free port.
func startEngine(t testing.TB, options server.Options) *engine {
	t.Helper()
	options.Host, options.Port = "127.0.0.1", server.RANDOM_PORT
	options.NoLog, options.NoSigs = true, true
	e := &engine{options: options}
	e.start(t)
	e.options.Port = e.server.Addr().(*net.TCPAddr).Port
	t.Cleanup(func() { e.stop(t) })
	return e
}

func (e *engine) start(t testing.TB) {
	t.Helper()
	options := e.options
	s, err := server.NewServer(&options)
	if err != nil {
		t.Fatal(err)
	}
	s.Start()
	if !s.ReadyForConnections(20 * time.Second) {
		t.Fatal("the NATS server does not start")
	}
	e.server = s
}

func (e *engine) stop(testing.TB) {
	e.server.Shutdown()
	e.server.WaitForShutdown()
}

func (e *engine) url() string { return e.server.ClientURL() }

func open(t testing.TB, o nats.Options, r broker.Receiver) broker.Live {
	t.Helper()
	live, err := nats.Open(t.Context(), o, r)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestConformance(t *testing.T) {
	e := startEngine(t, server.Options{})
	brokertest.Run(t, brokertest.Harness{
		Open: func(t testing.TB, node string, r broker.Receiver) broker.Live {
			return open(t, nats.Options{URL: e.url(), Name: node}, r)
		},
		Break: e.stop,
		Heal:  e.start,
	})
}

// A node starts without its broker, and has it as soon as it is there.
func TestOpenBeforeTheServer(t *testing.T) {
	e := startEngine(t, server.Options{})
	address := e.url()
	e.stop(t)
	r := brokertest.NewRecorder()
	live := open(t, nats.Options{URL: address}, r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err == nil {
		t.Error("Follow succeeded without a server")
	}
	if stats := live.Stats(); stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
	if most := live.Features().MaxMessage; most != 1<<20 {
		t.Errorf("MaxMessage is %d before a server has told", most)
	}
	e.start(t)
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("own")) // NATS brings a node its own messages
	r.AwaitMessage(t, "r_a", "own")
}

func TestLargestMessageIsTheServers(t *testing.T) {
	e := startEngine(t, server.Options{MaxPayload: 100_000})
	live := open(t, nats.Options{URL: e.url()}, brokertest.NewRecorder())
	defer live.Close()
	if most := live.Features().MaxMessage; most != 100_000 {
		t.Errorf("MaxMessage is %d", most)
	}
}

// Deployments that share a server do not meet when their prefixes differ.
func TestPrefix(t *testing.T) {
	e := startEngine(t, server.Options{})
	var links []broker.Live
	var recorders []*brokertest.Recorder
	for _, prefix := range []string{"", "parley", "a.b-c"} {
		r := brokertest.NewRecorder()
		live := open(t, nats.Options{URL: e.url(), Prefix: prefix}, r)
		defer live.Close()
		if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
			t.Fatal(err)
		}
		links, recorders = append(links, live), append(recorders, r)
	}
	links[2].Broadcast([]byte("other"))
	links[2].Publish("r_a", []byte("other"))
	recorders[2].AwaitMessage(t, "r_a", "other")
	links[0].Publish("r_a", []byte("one"))
	links[0].Broadcast([]byte("one"))
	recorders[1].AwaitMessage(t, "r_a", "one")
	recorders[1].AwaitMessage(t, "", "one")
	for i, r := range recorders[:2] {
		if r.Has("", "other") || r.Has("r_a", "other") {
			t.Errorf("link %d heard another deployment", i)
		}
	}
}

// What an operator watches with NATS's own tools is what the documentation says.
func TestSubjects(t *testing.T) {
	e := startEngine(t, server.Options{})
	conn, err := natsgo.Connect(e.url())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sub, err := conn.SubscribeSync(">")
	if err != nil {
		t.Fatal(err)
	}
	if err := conn.Flush(); err != nil {
		t.Fatal(err)
	}
	live := open(t, nats.Options{URL: e.url(), Name: "node-1"}, brokertest.NewRecorder())
	defer live.Close()
	live.Publish("r_a", []byte("x"))
	live.Broadcast([]byte("y"))
	for _, want := range []string{"parley.room.r_a x", "parley.all y"} {
		m, err := sub.NextMsg(20 * time.Second)
		if err != nil {
			t.Fatal(err)
		}
		if got := m.Subject + " " + string(m.Data); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
}

// A name that NATS would read as several subjects, or as a line break, comes nowhere near it.
func TestNamesThatAreNoSubjects(t *testing.T) {
	e := startEngine(t, server.Options{})
	r := brokertest.NewRecorder()
	live := open(t, nats.Options{URL: e.url()}, r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	names := []string{"", ">", "*", "r_*", "a.b", "a b", "a\r\nPUB parley.all 1\r\nx", "a\x00", "é", strings.Repeat("a", 10_000)}
	for _, name := range names {
		if err := live.Follow(t.Context(), []string{"r_b", name}); err == nil {
			t.Errorf("Follow of %.20q succeeded", name)
		}
		live.Publish(name, []byte("bad"))
		live.Unfollow([]string{name})
	}
	live.Publish("r_a", []byte("good"))
	r.AwaitMessage(t, "r_a", "good")
	if got := r.Messages("r_a"); len(got) != 1 || len(r.Messages("")) > 0 {
		t.Errorf("got %q and broadcasts %q", got, r.Messages(""))
	}
	if stats := live.Stats(); stats.Dropped != uint64(len(names)) || !stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
}

func TestOpenRefuses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, prefix := range []string{".", "a.", "a b", "a.>", "*"} {
		if _, err := nats.Open(t.Context(), nats.Options{URL: "nats://127.0.0.1:1", Prefix: prefix}, brokertest.NewRecorder()); err == nil {
			t.Errorf("prefix %q was accepted", prefix)
		}
	}
	for _, address := range []string{"", "nats://", "nats://u:hunter2@127.0.0.1:port", "nats://127.0.0.1:1,", "nats:127.0.0.1"} {
		_, err := nats.Open(t.Context(), nats.Options{URL: address}, brokertest.NewRecorder())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", address, err)
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
			_, _ = conn.Read(make([]byte, 1)) // until the other side has given up
		}
	}()
	if _, err := nats.Open(ctx, nats.Options{URL: "nats://" + silent.Addr().String()}, brokertest.NewRecorder()); err == nil {
		t.Error("Open succeeded")
	}
}

// A link comes back after what the library takes for a final no: bad credentials that become good.
func TestReconnectsAfterRefusal(t *testing.T) {
	e := startEngine(t, server.Options{Username: "parley", Password: "one"})
	r := brokertest.NewRecorder()
	address, err := url.Parse(e.url())
	if err != nil {
		t.Fatal(err)
	}
	address.User = url.UserPassword("parley", "two")
	live := open(t, nats.Options{URL: address.String()}, r)
	defer live.Close()
	if live.Stats().Connected {
		t.Fatal("connected with a wrong password")
	}
	e.stop(t)
	e.options.Password = "two"
	e.start(t)
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Broadcast([]byte("hello"))
	r.AwaitMessage(t, "", "hello")
}
