package testkit

import (
	"fmt"
	"net"
	"testing"

	natsserver "github.com/nats-io/nats-server/v2/server"
)

// NATS is a NATS server of one test's own, on the loopback interface, within this process. Its methods are for one goroutine.
type NATS struct {
	URL string

	t      testing.TB
	port   int
	server *natsserver.Server // nil: it does not run
}

// StartNATS starts a server and stops it at the end of the test.
func StartNATS(t testing.TB) *NATS {
	t.Helper()
	n := &NATS{t: t, port: natsserver.RANDOM_PORT}
	t.Cleanup(n.Kill)
	n.Start()
	return n
}

// Start starts a server that was killed, at the same address, and returns when it takes connections. A server keeps nothing that could be lost.
func (n *NATS) Start() {
	n.t.Helper()
	s, err := natsserver.NewServer(&natsserver.Options{Host: "127.0.0.1", Port: n.port, NoSigs: true, NoLog: true})
	if err != nil {
		n.t.Fatal(err)
	}
	go s.Start()
	if !s.ReadyForConnections(startTimeout) {
		n.t.Fatal("NATS did not start")
	}
	n.server = s
	n.port = s.Addr().(*net.TCPAddr).Port
	n.URL = fmt.Sprintf("nats://127.0.0.1:%d", n.port)
}

// Kill closes every connection and ends the server, and returns when it is gone. One that does not run is left alone.
func (n *NATS) Kill() {
	if n.server == nil {
		return
	}
	n.server.Shutdown()
	n.server.WaitForShutdown()
	n.server = nil
}
