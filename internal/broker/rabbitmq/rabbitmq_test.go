package rabbitmq_test

import (
	"bytes"
	"context"
	"net"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/rabbitmq"
	"github.com/parley-im/parley/internal/testkit"
)

// TestRabbitMQ holds one server, which takes long to start, for everything that needs a real one.
func TestRabbitMQ(t *testing.T) {
	server := testkit.StartRabbitMQ(t)
	// What docs/brokers/rabbitmq.md says is enough.
	server.Control(t, "add_user", "parley", "secret")
	server.Control(t, "set_permissions", "parley", `^parley\.`, `^parley\.`, `^parley\.`)
	e := &engine{server, strings.Replace(server.URL, "guest:guest", "parley:secret", 1)}

	t.Run("conformance", e.conformance)
	t.Run("what is made in RabbitMQ", e.topology)
	t.Run("rooms of one bucket", e.oneBucket)
	t.Run("names that do not fit", e.badNames)
	t.Run("memory alarm", e.alarm)
	t.Run("one connection goes dead", e.dead)
	t.Run("close while one connection is dead", e.closeDead)
	t.Run("the queue is deleted", e.queueDeleted)
	t.Run("open before the server", e.openBefore)
}

type engine struct {
	*testkit.RabbitMQ
	url string
}

func (e *engine) open(t testing.TB, name string, r broker.Receiver) broker.Live {
	t.Helper()
	live, err := rabbitmq.Open(t.Context(), rabbitmq.Options{URL: e.url, Name: name}, r)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

// raw connects to the server as another program.
func (e *engine) raw(t testing.TB) *amqp.Channel {
	t.Helper()
	conn, err := amqp.Dial(e.url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	channel, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return channel
}

// The server is killed and started again, then its application is stopped and started again, and so on in turns.
func (e *engine) conformance(t *testing.T) {
	breaks := 0
	brokertest.Run(t, brokertest.Harness{
		Open: e.open,
		Break: func(t testing.TB) {
			if breaks++; breaks%2 == 1 {
				e.Kill()
			} else {
				e.Control(t, "stop_app")
			}
		},
		Heal: func(t testing.TB) {
			if breaks%2 == 1 {
				e.Start()
			} else {
				e.Control(t, "start_app")
			}
		},
	})
}

// What an operator sees with RabbitMQ's own tools is what the documentation says, and what nobody follows any more is unbound.
func (e *engine) topology(t *testing.T) {
	const bucketOfA = "3021" // FNV-1a of "r_a", modulo 4,096: nodes of all versions must agree
	live := e.open(t, "node-1", brokertest.NewRecorder())
	defer live.Close()
	raw := e.raw(t)
	returned := raw.NotifyReturn(make(chan amqp.Return, 1))
	routed := func() bool { // whether anybody is bound to the bucket
		if err := raw.Publish("parley.rooms", bucketOfA, true, false, amqp.Publishing{CorrelationId: "r_b"}); err != nil {
			t.Fatal(err)
		}
		if _, err := raw.QueueDeclare("parley.node.fence", false, true, true, false, nil); err != nil { // answered after the message was routed
			t.Fatal(err)
		}
		select {
		case <-returned:
			return false
		default:
			return true
		}
	}
	if routed() {
		t.Error("a bucket that nobody follows is bound")
	}
	if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	if !routed() {
		t.Error("the bucket of a room that is followed is not bound")
	}

	queues := e.Control(t, "list_queues", "-q", "name", "durable", "auto_delete", "exclusive", "arguments")
	mine := regexp.MustCompile(`parley\.node\.node-1\.\w+\tfalse\ttrue\ttrue\t.*`).FindString(queues)
	for _, argument := range []string{`"x-max-length-bytes",16777216`, `"x-overflow","drop-head"`} { // in any order
		if !strings.Contains(mine, argument) {
			t.Errorf("the node has no queue with %s:\n%s", argument, queues)
		}
	}

	live.Unfollow([]string{"r_a"})
	brokertest.NewRecorder().Await(t, "the bucket is unbound", func() bool { return !routed() })
}

// Of a bucket a node gets to see only what it follows.
func (e *engine) oneBucket(t *testing.T) {
	r := brokertest.NewRecorder()
	live := e.open(t, "node", r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	raw := e.raw(t)
	for _, room := range []string{"r_other", "", "r_a"} {
		if err := raw.Publish("parley.rooms", "3021", false, false, amqp.Publishing{CorrelationId: room, Body: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	r.AwaitMessage(t, "r_a", "x")
	if len(r.Messages("r_other")) > 0 || len(r.Messages("")) > 0 || live.Stats().Received != 1 {
		t.Errorf("got %q and %q, received %d", r.Messages("r_other"), r.Messages(""), live.Stats().Received)
	}
}

func (e *engine) badNames(t *testing.T) {
	r := brokertest.NewRecorder()
	live := e.open(t, strings.Repeat("é", 50), r)
	defer live.Close()
	names := []string{"", strings.Repeat("a", 256)}
	for _, name := range names {
		if err := live.Follow(t.Context(), []string{"r_a", name}); err == nil {
			t.Errorf("Follow of %.20q succeeded", name)
		}
		live.Publish(name, []byte("bad"))
		live.Unfollow([]string{name})
	}
	for _, name := range []string{"a b#*.\r\n\x00\xff", strings.Repeat("a", 255)} {
		if err := live.Follow(t.Context(), []string{name}); err != nil {
			t.Errorf("Follow of %.20q: %v", name, err)
		}
		live.Publish(name, []byte("good"))
		r.AwaitMessage(t, name, "good")
	}
	if stats := live.Stats(); stats.Dropped != uint64(len(names)) || !stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
}

// While RabbitMQ takes no messages they are dropped and counted, and rooms are followed all the same.
func (e *engine) alarm(t *testing.T) {
	r := brokertest.NewRecorder()
	live := e.open(t, "node", r)
	defer live.Close()
	e.Control(t, "set_vm_memory_high_watermark", "0")
	r.Await(t, "messages are dropped", func() bool {
		live.Broadcast(nil)
		return live.Stats().Dropped > 0
	})
	if stats := live.Stats(); !stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
	if err := live.Follow(t.Context(), []string{"r_a"}); err != nil { // over the connection that receives, which nothing holds up
		t.Error(err)
	}

	losses := r.Losses()
	e.Control(t, "set_vm_memory_high_watermark", "0.8")
	r.Await(t, "Lost, when messages are taken again", func() bool { return r.Losses() > losses })
	live.Publish("r_a", []byte("again"))
	r.AwaitMessage(t, "r_a", "again")
}

// The way of the connection that publishes goes dead, without a word, while a message is being written to it; the other connection is well.
func (e *engine) dead(t *testing.T) {
	r := brokertest.NewRecorder()
	live, way := e.openDead(t, r, "")
	defer live.Close()
	r.Await(t, "the node sees that a connection is dead", func() bool { return !live.Stats().Connected })
	way.dead.Unlock()
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Broadcast([]byte("again"))
	r.AwaitMessage(t, "", "again")
}

// Close does not wait for a message that is being written.
func (e *engine) closeDead(t *testing.T) {
	live, way := e.openDead(t, brokertest.NewRecorder(), "?heartbeat=3600") // that one is dead would come out too late
	defer way.dead.Unlock()
	if err := live.Close(); err != nil {
		t.Error(err)
	}
}

// openDead joins a node, over a way that dies, and fills it up.
func (e *engine) openDead(t *testing.T, r *brokertest.Recorder, query string) (broker.Live, *way) {
	way := newWay(t, strings.TrimSuffix(strings.TrimPrefix(e.URL, "amqp://guest:guest@"), "/"))
	live := (&engine{e.RabbitMQ, "amqp://parley:secret@" + way.Addr().String() + query}).open(t, "node", r)
	way.dead.Lock()
	message := bytes.Repeat([]byte("x"), 256<<10)
	r.Await(t, "messages are dropped", func() bool {
		live.Broadcast(message)
		return live.Stats().Dropped > 0
	})
	return live, way
}

// way is a way to a server. While it is dead, nothing goes over every other connection, from the first on, and nobody hears of that.
type way struct {
	net.Listener
	dead sync.RWMutex // locked while it is
}

func newWay(t *testing.T, server string) *way {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &way{Listener: l}
	var copies sync.WaitGroup
	t.Cleanup(func() {
		l.Close()
		copies.Wait()
	})
	copies.Go(func() {
		for i := 0; ; i++ {
			near, err := l.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				near.Close()
				continue
			}
			gate := []sync.Locker{w.dead.RLocker(), &sync.Mutex{}}[i%2]
			copies.Go(func() { forward(near, far, gate) })
			copies.Go(func() { forward(far, near, gate) })
		}
	})
	return w
}

// forward writes what it reads, while it has the gate, until either connection ends.
func forward(to, from net.Conn, gate sync.Locker) {
	defer to.Close()
	defer from.Close()
	buffer := make([]byte, 32<<10)
	for {
		n, err := from.Read(buffer)
		if err != nil {
			return
		}
		gate.Lock()
		_, err = to.Write(buffer[:n])
		gate.Unlock()
		if err != nil {
			return
		}
	}
}

// What somebody takes away by hand is made anew.
func (e *engine) queueDeleted(t *testing.T) {
	r := brokertest.NewRecorder()
	live := e.open(t, "deleted", r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err != nil {
		t.Fatal(err)
	}
	name := regexp.MustCompile(`parley\.node\.deleted\.\w+`).FindString(e.Control(t, "list_queues", "-q", "name"))
	e.Control(t, "delete_queue", name)
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("again"))
	r.AwaitMessage(t, "r_a", "again")
}

// A node starts without its broker, and has it as soon as it is there. Several servers are tried until one is found.
func (e *engine) openBefore(t *testing.T) {
	e.Kill()
	r := brokertest.NewRecorder()
	several := &engine{e.RabbitMQ, "amqp://127.0.0.1:1," + e.url}
	live := several.open(t, "node", r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err == nil {
		t.Error("Follow succeeded without a server")
	}
	if stats := live.Stats(); stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
	e.Start()
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("own")) // RabbitMQ brings a node its own messages
	r.AwaitMessage(t, "r_a", "own")
}

func TestOpenRefuses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, o := range []rabbitmq.Options{
		{URL: ""},
		{URL: "amqp://"},
		{URL: "amqp://u:hunter2@127.0.0.1:port"},
		{URL: "amqp://u:hunter2@127.0.0.1:1/%zz"},
		{URL: "amqp://127.0.0.1:1,"},
		{URL: "nats://127.0.0.1:1"},
		{URL: "amqp://127.0.0.1:1?heartbeat=x"},
		{URL: "amqp://127.0.0.1:1", Name: strings.Repeat("n", 101)},
	} {
		_, err := rabbitmq.Open(t.Context(), o, brokertest.NewRecorder())
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v", o, err)
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
			for err == nil { // until the other side has given up
				_, err = conn.Read(make([]byte, 100))
			}
		}
	}()
	if _, err := rabbitmq.Open(ctx, rabbitmq.Options{URL: "amqp://" + silent.Addr().String()}, brokertest.NewRecorder()); err == nil {
		t.Error("Open succeeded")
	}
}

// BenchmarkFollow tells how long it takes to bind, on a server of its own.
func BenchmarkFollow(b *testing.B) {
	e := &engine{RabbitMQ: testkit.StartRabbitMQ(b)}
	e.url = e.URL
	for _, rooms := range []int{1, 100, 100_000} { // the last of them are in every bucket
		b.Run(strconv.Itoa(rooms), func(b *testing.B) {
			names := make([]string, rooms)
			for i := range names {
				names[i] = "r_" + strconv.Itoa(i)
			}
			for b.Loop() {
				live := e.open(b, "node", brokertest.NewRecorder())
				start := time.Now()
				if err := live.Follow(b.Context(), names); err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(time.Since(start).Seconds()*1000, "ms-to-bind")
				live.Close()
			}
		})
	}
}

// BenchmarkHints tells how many hints RabbitMQ carries, from one node to others that all follow their rooms.
func BenchmarkHints(b *testing.B) {
	const window = 1000 // hints on their way
	e := &engine{RabbitMQ: testkit.StartRabbitMQ(b)}
	e.url = e.URL
	for _, receivers := range []int{1, 4} {
		b.Run(strconv.Itoa(receivers), func(b *testing.B) {
			sender := e.open(b, "sender", brokertest.NewRecorder())
			defer sender.Close()
			last := brokertest.NewRecorder()
			for i := range receivers {
				r := receiver{nil}
				if i == receivers-1 {
					r.fence = last
				}
				live := e.open(b, "receiver", r)
				defer live.Close()
				if err := live.Follow(b.Context(), []string{"r_a"}); err != nil {
					b.Fatal(err)
				}
			}
			message := bytes.Repeat([]byte("x"), 400)
			sent := 0
			for b.Loop() {
				sender.Publish("r_a", message)
				if sent++; sent%window == 0 {
					fence := strconv.Itoa(sent)
					sender.Broadcast([]byte(fence))
					last.AwaitMessage(b, "", fence)
				}
			}
			b.ReportMetric(float64(sent)/b.Elapsed().Seconds(), "hints/s")
		})
	}
}

// receiver takes no notice of hints; broadcasts go to fence, if it has one.
type receiver struct{ fence *brokertest.Recorder }

func (r receiver) Receive(m broker.Message) {
	if r.fence != nil && m.Room == "" {
		r.fence.Receive(m)
	}
}

func (receiver) Lost() {}
