package kafka_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/broker"
	"github.com/parley-im/parley/internal/broker/brokertest"
	"github.com/parley-im/parley/internal/broker/kafka"
	"github.com/parley-im/parley/internal/testkit"
)

// fake is a Kafka within this process, which can be stopped and started again, empty, at the same address.
type fake struct {
	options []kfake.Opt
	port    int
	cluster *kfake.Cluster
}

// startFake starts a Kafka on a free port.
func startFake(t testing.TB, options ...kfake.Opt) *fake {
	t.Helper()
	f := &fake{options: options}
	f.start(t)
	t.Cleanup(func() { f.stop(t) })
	return f
}

func (f *fake) start(t testing.TB) {
	t.Helper()
	options := append([]kfake.Opt{kfake.NumBrokers(1)}, f.options...)
	if f.port != 0 {
		options = append(options, kfake.Ports(f.port))
	}
	c, err := kfake.NewCluster(options...)
	if err != nil {
		t.Fatal(err)
	}
	_, port, err := net.SplitHostPort(c.ListenAddrs()[0])
	if err == nil {
		f.port, err = strconv.Atoi(port)
	}
	if err != nil {
		t.Fatal(err)
	}
	f.cluster = c
}

func (f *fake) stop(testing.TB) { f.cluster.Close() }

func (f *fake) url() string { return "kafka://" + f.cluster.ListenAddrs()[0] }

func open(t testing.TB, o kafka.Options, r broker.Receiver) broker.Live {
	t.Helper()
	live, err := kafka.Open(t.Context(), o, r)
	if err != nil {
		t.Fatal(err)
	}
	return live
}

func TestConformance(t *testing.T) {
	f := startFake(t)
	brokertest.Run(t, brokertest.Harness{
		Open: func(t testing.TB, node string, r broker.Receiver) broker.Live {
			return open(t, kafka.Options{URL: f.url(), Name: node}, r)
		},
		Break: f.stop,
		Heal:  f.start,
	})
}

func TestConformanceOfTheRealOne(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED FOR BEING SHORT: a real Kafka takes seconds to start; TestConformance runs on the fake one")
	}
	k := testkit.StartKafka(t)
	brokertest.Run(t, brokertest.Harness{
		Open: func(t testing.TB, node string, r broker.Receiver) broker.Live {
			return open(t, kafka.Options{URL: k.URL, Name: node}, r)
		},
		Break: func(testing.TB) { k.Kill() },
		Heal:  func(testing.TB) { k.Start() },
	})
}

// client is a client of another's, as an operator has one.
func (f *fake) client(t testing.TB, options ...kgo.Opt) *kgo.Client {
	t.Helper()
	c, err := kgo.NewClient(append(options, kgo.SeedBrokers(f.cluster.ListenAddrs()...))...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.Close)
	return c
}

func (f *fake) admin(t testing.TB) *kadm.Client { return kadm.NewClient(f.client(t)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// openNode joins a node that follows the room r_a.
func openNode(t testing.TB, url string) (broker.Live, *brokertest.Recorder) {
	t.Helper()
	r := brokertest.NewRecorder()
	live := open(t, kafka.Options{URL: url, Name: "node-1"}, r)
	t.Cleanup(func() { must(t, live.Close()) })
	must(t, live.Follow(t.Context(), []string{"r_a"}))
	return live, r
}

// A node starts without its broker, and has it as soon as it is there.
func TestOpenBeforeTheServer(t *testing.T) {
	f := startFake(t)
	url := f.url()
	f.stop(t)
	r := brokertest.NewRecorder()
	live := open(t, kafka.Options{URL: url}, r)
	defer live.Close()
	if err := live.Follow(t.Context(), []string{"r_a"}); err == nil {
		t.Error("Follow succeeded without a server")
	}
	if stats := live.Stats(); stats.Connected {
		t.Errorf("stats: %+v", stats)
	}
	f.start(t)
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Publish("r_a", []byte("own")) // Kafka brings a node its own messages
	r.AwaitMessage(t, "r_a", "own")
}

// What an operator sees with Kafka's own tools is what the documentation says.
func TestTopic(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url()+"/chat?partitions=3")
	live.Publish("r_a", []byte("x"))
	live.Broadcast([]byte("y"))
	r.AwaitMessage(t, "r_a", "x")
	r.AwaitMessage(t, "", "y")

	c := f.client(t, kgo.ConsumeTopics("chat"))
	got := map[string]string{}
	for len(got) < 2 {
		fetches := c.PollFetches(t.Context())
		must(t, fetches.Err())
		fetches.EachRecord(func(r *kgo.Record) { got[string(r.Key)] = string(r.Value) })
	}
	if got["room:r_a"] != "x" || got["node:node-1"] != "y" {
		t.Errorf("records: %v", got)
	}
	admin := kadm.NewClient(c)
	topics, err := admin.ListTopics(t.Context())
	must(t, err)
	if names := topics.Names(); len(names) != 1 || len(topics["chat"].Partitions) != 3 {
		t.Errorf("topics: %v", topics)
	}
	configs, err := admin.DescribeTopicConfigs(t.Context(), "chat")
	must(t, err)
	settings := map[string]string{}
	for _, config := range configs[0].Configs {
		settings[config.Key] = config.MaybeValue()
	}
	if settings["cleanup.policy"] != "delete" || settings["retention.ms"] != "300000" {
		t.Errorf("settings of the topic: %v", settings)
	}
}

// A topic that is there already is taken as it is.
func TestTopicThatIsThere(t *testing.T) {
	f := startFake(t, kfake.SeedTopics(2, "parley"))
	live, r := openNode(t, f.url()+"?partitions=7")
	live.Publish("r_a", []byte("x"))
	r.AwaitMessage(t, "r_a", "x")
	topics, err := f.admin(t).ListTopics(t.Context(), "parley")
	must(t, err)
	if n := len(topics["parley"].Partitions); n != 2 {
		t.Errorf("%d partitions", n)
	}
}

// Deployments that share a Kafka do not meet when their topics differ.
func TestTopicsOfTwoDeployments(t *testing.T) {
	f := startFake(t)
	one, ofOne := openNode(t, f.url()+"/one")
	two, ofTwo := openNode(t, f.url()+"/two")
	one.Publish("r_a", []byte("for one"))
	one.Broadcast([]byte("for one"))
	ofOne.AwaitMessage(t, "r_a", "for one")
	ofOne.AwaitMessage(t, "", "for one")
	two.Publish("r_a", []byte("for two"))
	ofTwo.AwaitMessage(t, "r_a", "for two")
	if ofTwo.Has("r_a", "for one") || ofTwo.Has("", "for one") {
		t.Error("a deployment heard another")
	}
}

// What others write into the topic is nobody's.
func TestForeignRecords(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	c := f.client(t, kgo.DefaultProduceTopic("parley"), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	for _, key := range [][]byte{nil, {}, []byte("r_a"), []byte("room:"), []byte("room:r_b"), []byte("Room:r_a"), bytes.Repeat([]byte("x"), 10_000)} {
		for partition := range int32(12) {
			must(t, c.ProduceSync(t.Context(), &kgo.Record{Key: key, Value: []byte("foreign"), Partition: partition}).FirstErr())
		}
	}
	for i := range 50 { // to all partitions, so that what is before these has been read
		must(t, live.Follow(t.Context(), []string{fmt.Sprint("r_", i)}))
		live.Publish(fmt.Sprint("r_", i), []byte("fence"))
		r.AwaitMessage(t, fmt.Sprint("r_", i), "fence")
	}
	if got := live.Stats().Received; got != 50 {
		t.Errorf("%d messages were received", got)
	}
}

// Partitions that are added are read, and nothing of them is missed.
func TestMorePartitions(t *testing.T) {
	f := startFake(t)
	url := f.url() + "?partitions=1"
	live, r := openNode(t, url)
	admin := f.admin(t)
	_, err := admin.UpdatePartitions(t.Context(), 8, "parley")
	must(t, err)
	sender, _ := openNode(t, url) // knows all partitions from the start
	var rooms []string
	for i := range 50 {
		rooms = append(rooms, fmt.Sprint("r_", i))
	}
	must(t, live.Follow(t.Context(), rooms))
	for _, room := range rooms {
		sender.Publish(room, []byte("x"))
	}
	for _, room := range rooms {
		r.AwaitMessage(t, room, "x")
	}
	if r.Losses() > 0 {
		t.Error("Lost was called")
	}
}

// A leader that moves is followed; nothing is lost of what is read.
func TestLeaderMoves(t *testing.T) {
	f := startFake(t, kfake.NumBrokers(2))
	live, r := openNode(t, f.url()+"?partitions=1")
	live.Publish("r_a", []byte("before"))
	r.AwaitMessage(t, "r_a", "before")
	for round := range 4 {
		must(t, f.cluster.MoveTopicPartition("parley", 0, int32(round%2)))
		sent := 0
		r.Await(t, "a message by the new leader", func() bool { // those that went to the old one are dropped
			sent++
			live.Publish("r_a", []byte(fmt.Sprint(round)))
			return r.Has("r_a", fmt.Sprint(round))
		})
	}
	if r.Losses() > 0 {
		t.Error("Lost was called")
	}
}

// A topic that is deleted is made again, by a node or before it sees that, and the receiver is told that it may have missed something.
func TestTopicIsDeleted(t *testing.T) {
	t.Run("and gone", func(t *testing.T) {
		live, r := withoutTopic(t, func(*kadm.Client) {})
		r.Await(t, "Lost, and the node is connected again", func() bool { return r.Losses() > 0 && live.Stats().Connected })
		live.Publish("r_a", []byte("after"))
		r.AwaitMessage(t, "r_a", "after")
	})
	// Before the node looked, the topic may be there again: with nothing in either of them nothing is lost, and hints go on.
	t.Run("and made again", func(t *testing.T) {
		live, r := withoutTopic(t, func(admin *kadm.Client) {
			_, err := admin.CreateTopic(t.Context(), 12, 1, nil, "parley")
			must(t, err)
		})
		r.Await(t, "hints come again", func() bool {
			live.Publish("r_a", []byte("after"))
			return r.Has("r_a", "after")
		})
	})
}

// withoutTopic opens a node and deletes its topic.
func withoutTopic(t *testing.T, then func(*kadm.Client)) (broker.Live, *brokertest.Recorder) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	admin := f.admin(t)
	_, err := admin.DeleteTopics(t.Context(), "parley")
	must(t, err)
	then(admin)
	return live, r
}

// A position that Kafka no longer has is a loss.
func TestPositionIsGone(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Fetch}, Err: kerr.OffsetOutOfRange})
	r.Await(t, "Lost, and the node is connected again", func() bool { return r.Losses() > 0 && live.Stats().Connected })
	live.Publish("r_a", []byte("after"))
	r.AwaitMessage(t, "r_a", "after")
}

// A Kafka that has stopped answering is given up, and found again.
func TestSilence(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	hold := make(chan struct{})
	f.cluster.ControlKey(int16(kmsg.Fetch), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.cluster.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	r.Await(t, "the node gives up", func() bool { return !live.Stats().Connected })
	close(hold)
	r.Await(t, "Lost, and the node is connected again", func() bool { return r.Losses() > 0 && live.Stats().Connected })
	live.Publish("r_a", []byte("after"))
	r.AwaitMessage(t, "r_a", "after")
}

// Over TLS, with a certificate that the system trusts, a password may be shown.
func TestTLS(t *testing.T) {
	certificate, key := testkit.Certificate(t)
	roots := filepath.Join(t.TempDir(), "roots.pem")
	must(t, os.WriteFile(roots, certificate, 0o600))
	t.Setenv("SSL_CERT_FILE", roots) // read once, by the first connection of this process that wants roots: this one
	pair, err := tls.X509KeyPair(certificate, key)
	must(t, err)
	f := startFake(t, kfake.TLS(&tls.Config{Certificates: []tls.Certificate{pair}}), kfake.EnableSASL(), kfake.Superuser("PLAIN", "alice", "one"))
	live, r := openNode(t, "kafkas://alice:one@"+strings.TrimPrefix(f.url(), "kafka://")+"?sasl=plain")
	live.Publish("r_a", []byte("x"))
	r.AwaitMessage(t, "r_a", "x")

	bare := open(t, kafka.Options{URL: f.url()}, brokertest.NewRecorder())
	defer bare.Close()
	if bare.Stats().Connected {
		t.Error("connected without TLS")
	}
}

// While Kafka takes nothing, what waits is bounded, and a publisher does not notice.
func TestKafkaTakesNothing(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	hold := make(chan struct{})
	f.cluster.ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		f.cluster.SleepControl(func() { <-hold })
		return nil, nil, false
	})
	message := bytes.Repeat([]byte("x"), 64<<10)
	for sent := 0; live.Stats().Dropped == 0; sent += len(message) {
		if sent > 1<<30 {
			t.Fatal("nothing was dropped")
		}
		if waits := live.Stats().Outbox; waits.Bytes > waits.Limit {
			t.Fatalf("%d bytes wait", waits.Bytes)
		}
		live.Publish("r_a", message)
	}
	close(hold)
	r.Await(t, "a message after it", func() bool {
		live.Publish("r_a", []byte("after"))
		return r.Has("r_a", "after")
	})
}

// What is refused is counted, and not sent again.
func TestKafkaRefuses(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, f.url())
	for i, reason := range []*kerr.Error{kerr.MessageTooLarge, kerr.NotLeaderForPartition} {
		f.cluster.Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: reason})
		live.Publish("r_a", []byte("refused"))
		r.Await(t, "the drop", func() bool { return live.Stats().Dropped == uint64(i+1) })
		live.Publish("r_a", []byte(reason.Message))
		r.AwaitMessage(t, "r_a", reason.Message)
	}
	if r.Has("r_a", "refused") || !live.Stats().Connected {
		t.Error("a refused message was sent again, or ended the connection")
	}
}

// The rights that the documentation names are enough; nobody is let in without them, without a password or with a wrong one.
func TestUserAndRights(t *testing.T) {
	may := func(operation kmsg.ACLOperation) kfake.ACL {
		return kfake.ACL{
			Resource: kmsg.ACLResourceTypeTopic, Name: "parley", Pattern: kmsg.ACLResourcePatternTypeLiteral, Operation: operation, Allow: true,
		}
	}
	f := startFake(t, kfake.EnableSASL(), kfake.EnableACLs(),
		kfake.User("SCRAM-SHA-512", "alice", "one", may(kmsg.ACLOperationCreate), may(kmsg.ACLOperationRead), may(kmsg.ACLOperationWrite)),
		kfake.User("SCRAM-SHA-256", "bob", "two", may(kmsg.ACLOperationRead), may(kmsg.ACLOperationWrite)), // the topic is there by then
		kfake.User("SCRAM-SHA-512", "carol", "three"),
	)
	host := strings.TrimPrefix(f.url(), "kafka://")
	for _, url := range []string{"kafka://alice:one@" + host, "kafka://bob:two@" + host + "?sasl=scram-sha-256"} {
		live, r := openNode(t, url)
		live.Publish("r_a", []byte("x"))
		r.AwaitMessage(t, "r_a", "x")
	}
	for _, url := range []string{"kafka://" + host, "kafka://alice:two@" + host, "kafka://bob:two@" + host, "kafka://carol:three@" + host} {
		live := open(t, kafka.Options{URL: url}, brokertest.NewRecorder())
		if live.Stats().Connected {
			t.Errorf("%s was let in", url)
		}
		must(t, live.Close())
	}
}

// A link comes back after what the library takes for a final no: bad credentials that become good.
func TestConnectsAfterRefusal(t *testing.T) {
	f := startFake(t, kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "alice", "one"))
	r := brokertest.NewRecorder()
	live := open(t, kafka.Options{URL: "kafka://alice:two@" + strings.TrimPrefix(f.url(), "kafka://")}, r)
	defer live.Close()
	if live.Stats().Connected {
		t.Fatal("connected with a wrong password")
	}
	f.stop(t)
	f.options = []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-512", "alice", "two")}
	f.start(t)
	r.Await(t, "Lost", func() bool { return r.Losses() > 0 })
	live.Broadcast([]byte("hello"))
	r.AwaitMessage(t, "", "hello")
}

func TestOpenRefuses(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, url := range []string{
		"", "kafka://", "kafka:127.0.0.1", "nats://a", "kafka://u:hunter2@127.0.0.1:port", "kafka://127.0.0.1:1,", "kafka://127.0.0.1:1,kafkas://127.0.0.1:2",
		"kafka://127.0.0.1:1,kafka://u:hunter2@127.0.0.1:2", "kafka://127.0.0.1:1/a,kafka://127.0.0.1:2/a", "kafka://127.0.0.1:1/a/b", "kafka://127.0.0.1:1/..",
		"kafka://127.0.0.1:1/%00", "kafka://127.0.0.1:1?partitions=0", "kafka://127.0.0.1:1?partitions=x", "kafka://127.0.0.1:1?partitions=1&partitions=2",
		"kafka://127.0.0.1:1?sasl=plain", "kafka://127.0.0.1:1?sasl=hunter2", "kafka://127.0.0.1:1?password=hunter2", "kafka://hunter2@127.0.0.1:1", "kafka://:hunter2@127.0.0.1:1", "kafka://127.0.0.1:1/" + strings.Repeat("a", 250),
	} {
		live, err := kafka.Open(t.Context(), kafka.Options{URL: url}, brokertest.NewRecorder())
		if err == nil {
			_ = live.Close()
		}
		if err == nil || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("URL %q: %v", url, err)
		}
	}
}

// One server that answers is enough, wherever it stands.
func TestSeveralServers(t *testing.T) {
	f := startFake(t)
	live, r := openNode(t, "kafka://127.0.0.1:1,"+f.url())
	live.Publish("r_a", []byte("x"))
	r.AwaitMessage(t, "r_a", "x")
}

func TestFollowNeedsNames(t *testing.T) {
	f := startFake(t)
	live, _ := openNode(t, f.url())
	if err := live.Follow(t.Context(), []string{"r_b", ""}); err == nil {
		t.Error("a room without a name is followed: its messages would be taken for broadcasts")
	}
}

// Open does not hold up a process that is told to stop.
func TestOpenEndsWithItsContext(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	must(t, err)
	defer silent.Close()
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		if conn, err := silent.Accept(); err == nil {
			cancel()
			defer conn.Close()
			_, _ = conn.Read(make([]byte, 1<<10)) // until the other side has given up
			_, _ = conn.Read(make([]byte, 1<<10))
		}
	}()
	if _, err := kafka.Open(ctx, kafka.Options{URL: "kafka://" + silent.Addr().String()}, brokertest.NewRecorder()); err == nil {
		t.Error("Open succeeded")
	}
}
