package e2e

import (
	"net"
	"slices"
	"testing"
	"time"

	natsserver "github.com/nats-io/nats-server/v2/server"

	"github.com/parley-im/parley/internal/testkit"
)

// cluster is a way to run Parley, with flags of the test's own.
type cluster struct {
	name  string
	start func(t *testing.T, flags ...string) []*server
}

// clusters are one node on SQLite, and two nodes on one PostgreSQL and one NATS.
func clusters() []cluster {
	return []cluster{
		{"one node, SQLite", func(t *testing.T, flags ...string) []*server {
			return []*server{start(t, slices.Concat(unlimited, flags)...)}
		}},
		{"two nodes, PostgreSQL and NATS", func(t *testing.T, flags ...string) []*server {
			return startTwo(t, startNATS(t).url, flags...)
		}},
	}
}

// startTwo starts two nodes of one cluster, joined by the broker at a URL.
func startTwo(t *testing.T, broker string, flags ...string) []*server {
	t.Helper()
	flags = slices.Concat([]string{"--store", testkit.StartPostgres(t).Database(t), "--broker", broker}, unlimited, flags)
	one := start(t, flags...)
	two := startIn(t, "parley", one.dir, flags...)
	return []*server{one, two}
}

// natsServer is a NATS server within this process.
type natsServer struct {
	t      testing.TB
	url    string
	port   int
	server *natsserver.Server
}

func startNATS(t testing.TB) *natsServer {
	t.Helper()
	n := &natsServer{t: t, port: natsserver.RANDOM_PORT}
	n.run()
	t.Cleanup(n.stop)
	return n
}

// run starts the server, on the port that it had before.
func (n *natsServer) run() {
	n.t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: n.port, NoSigs: true, NoLog: true})
	if err != nil {
		n.t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(10 * time.Second) {
		n.t.Fatal("NATS did not start")
	}
	n.server, n.url = s, s.ClientURL()
	n.port = s.Addr().(*net.TCPAddr).Port
}

func (n *natsServer) stop() {
	n.server.Shutdown()
	n.server.WaitForShutdown()
}
