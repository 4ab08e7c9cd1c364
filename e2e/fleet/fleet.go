// Package fleet is a cluster under load, with everything around it, for tests that break its parts: three nodes on PostgreSQL, a broker and Redis, behind
// HAProxy, and people who talk through the Go SDK. What everybody sees is recorded, and judged when all is over: see package history.
//
// Every part is a process or a connection of the test's own, and can be killed, stopped, emptied or cut off by itself.
package fleet

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	sdk "github.com/parley-im/parley/client"
	"github.com/parley-im/parley/e2e/history"
	"github.com/parley-im/parley/internal/auth"
	"github.com/parley-im/parley/internal/testkit"
)

// Config says what a fleet is made of.
type Config struct {
	Binary   string // of the server
	Broker   string // nats, redis, rabbitmq or kafka
	Nodes    int    // at least two
	Users    int
	Rooms    int
	RoomSize int // members of each room, who are neighbours in a ring
	// PerSecond is how many messages are sent a second, by one member of one room after another, as Seed draws them.
	PerSecond int
	// Heartbeat of the nodes: after twice that a session that has gone silent is given up.
	Heartbeat time.Duration
	// Isolated puts the last node into a network namespace of its own, so that it can be cut off. It needs root.
	Isolated bool
	// Far is how long everything is under way, each way, between the node that is Isolated and what the nodes share.
	Far time.Duration
	// Flags are more flags for every node, Settings more settings of PostgreSQL.
	Flags, Settings []string
	Seed            uint64
}

// Engine is a server that nodes can do without for a while.
type Engine interface {
	// Kill ends it as a crash does, and returns when it is gone.
	Kill()
	// Start starts it again at the same address, with nothing in it.
	Start()
}

// Fleet is a cluster under load. Its methods are for the test's goroutine.
type Fleet struct {
	Config
	T        testing.TB
	Nodes    []*Node
	Postgres *testkit.Postgres
	Store    *Proxy // between the nodes and Postgres
	Broker   Engine
	State    *testkit.Redis
	History  *history.Recorder

	balancer *testkit.Balancer
	trust    *tls.Config
	network  *namespace
	calls    *http.Client
	key      string
	signer   *auth.Signer
	people   []*Person
	rooms    []*room
	sampler  *sampler

	unanswered atomic.Int64 // messages
	again      atomic.Bool  // one seq was acknowledged to two messages: no need to go on
	stopLoad   context.CancelFunc
	load       sync.WaitGroup

	mu      sync.Mutex
	refused []error // messages refused for good, and what else no application should see
}

// Start starts everything but the load, and ends it with the test.
func Start(t testing.TB, c Config) *Fleet {
	t.Helper()
	f := &Fleet{Config: c, T: t, History: history.NewRecorder(), calls: &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 16, DialContext: asBalancer}, Timeout: 10 * time.Second}}
	t.Cleanup(f.calls.CloseIdleConnections)
	if c.Isolated {
		f.network = newNamespace(t)
	}
	f.Postgres = testkit.StartPostgres(t, c.Settings...)
	f.State = testkit.StartRedis(t)
	broker := f.startBroker()
	database, err := url.Parse(f.Postgres.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	f.Store = NewProxy(t, "unix", database.Query().Get("host")+"/.s.PGSQL.5432", "127.0.0.1")
	store := "postgres://postgres@" + f.Store.Addr() + database.Path + "?sslmode=disable"
	if f.network != nil {
		f.lend(store, broker, f.State.URL)
	}
	data := t.TempDir()
	for i := range c.Nodes {
		n := &Node{t: t, Name: fmt.Sprint("node", i+1), binary: c.Binary, host: "127.0.0.1"}
		trusted := n.host // the balancer
		if c.Isolated && i == c.Nodes-1 {
			n.host, n.namespace, trusted = f.network.inner, f.network.name, f.network.outer
		}
		n.flags = append([]string{
			"--data", data, "--node", n.Name, "--log-format", "json", "--heartbeat", c.Heartbeat.String(), "--drain", "2s",
			"--store", store, "--broker", broker, "--state", f.State.URL + "/2", "--proxies-protocol", "--proxies-trusted", trusted,
			"--limits-messages-per-second=0", "--limits-burst=0", "--limits-room-messages-per-second=0", "--limits-room-burst=0", "--limits-calls-per-second=0",
		}, c.Flags...)
		n.Start()
		t.Cleanup(n.end)
		f.Nodes = append(f.Nodes, n)
	}
	f.credentials(data, database.String())
	f.startBalancer()
	f.sampler = f.sample()
	return f
}

// startBroker starts the broker and tells its URL on the loopback interface.
func (f *Fleet) startBroker() string {
	switch f.Config.Broker {
	case "nats":
		b := testkit.StartNATS(f.T)
		f.Broker = b
		return b.URL
	case "redis":
		b := testkit.StartRedis(f.T)
		f.Broker = b
		return b.URL + "/1"
	case "rabbitmq":
		b := testkit.StartRabbitMQ(f.T)
		f.Broker = b
		return b.URL
	case "kafka":
		b := testkit.StartKafka(f.T)
		f.Broker = b
		return b.URL + "/fleet?partitions=6"
	}
	f.T.Fatalf("no broker is called %q", f.Config.Broker)
	return ""
}

// lend has a node within the namespace find what is on our loopback interface at the same addresses: nodes of a cluster are told the same.
func (f *Fleet) lend(urls ...string) {
	for _, at := range urls {
		u, err := url.Parse(at)
		if err != nil {
			f.T.Fatal(err)
		}
		f.network.lend(f.T, u.Host, f.Far)
	}
}

// credentials makes an API key, and finds the secret that signs tokens.
func (f *Fleet) credentials(data, database string) {
	f.T.Helper()
	out, err := command(f.Binary, "key", "create", "--data", data, "--name", "fleet", "--store", database)
	if err != nil {
		f.T.Fatal(err)
	}
	f.key = strings.TrimSpace(string(out))
	secret, err := os.ReadFile(filepath.Join(data, "secret"))
	if err != nil {
		f.T.Fatal(err)
	}
	if f.signer, err = auth.NewSigner(bytes.TrimSpace(secret), auth.Terms{}, time.Now); err != nil {
		f.T.Fatal(err)
	}
}

func (f *Fleet) startBalancer() {
	f.T.Helper()
	var nodes []testkit.Node
	for _, n := range f.Nodes {
		nodes = append(nodes, testkit.Node{Addr: n.Addr, Admin: n.Admin})
	}
	f.balancer = testkit.StartHAProxy(f.T, "../../deploy/haproxy/haproxy.cfg", nodes...)
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(f.balancer.Certificate)
	f.trust = &tls.Config{RootCAs: roots, ClientSessionCache: tls.NewLRUClientSessionCache(0)}
	through := &http.Client{Transport: &http.Transport{TLSClientConfig: f.trust}, Timeout: time.Second}
	defer through.CloseIdleConnections()
	f.Until("the balancer has found the nodes", 30*time.Second, func() bool {
		r, err := through.Get("https://" + f.balancer.Addr + "/")
		if err == nil {
			r.Body.Close()
		}
		return err == nil && r.StatusCode == http.StatusOK
	})
}

// Until waits until something is so, and fails the test if it is not in time.
func (f *Fleet) Until(what string, patience time.Duration, is func() bool) {
	f.T.Helper()
	if !within(patience, is) {
		f.T.Fatalf("after %v it is not so: %s", patience, what)
	}
}

// within asks again and again whether something is so.
func within(patience time.Duration, is func() bool) bool {
	for end := time.Now().Add(patience); !is(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// complain notes what no application should see.
func (f *Fleet) complain(format string, args ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.refused) < 20 {
		f.refused = append(f.refused, fmt.Errorf(format, args...))
	}
}

// Complaints are what the people saw that no application should see: messages refused, breaches of the contract that the SDK noticed.
func (f *Fleet) Complaints() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.refused
}

// backend calls a node over HTTP, as a user.
func (f *Fleet) backend(n *Node, user string) *sdk.HTTP {
	h, err := sdk.NewHTTP(sdk.HTTPOptions{URL: "http://" + n.Addr, Key: f.key, Client: f.calls, User: user})
	if err != nil {
		f.T.Fatal(err)
	}
	return h
}

// random is a source of numbers for one purpose.
func (f *Fleet) random(purpose uint64) *rand.Rand { return rand.New(rand.NewPCG(f.Seed, purpose)) }

// asBalancer connects to a node as the balancer does: with a header that names the client.
func asBalancer(ctx context.Context, network, addr string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, addr)
	if err == nil {
		_, err = conn.Write([]byte("PROXY TCP4 127.0.0.2 127.0.0.1 4660 443\r\n"))
	}
	return conn, err
}
