package gateway_test

import (
	"crypto/tls"
	"crypto/x509"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/internal/testkit"
	"github.com/parley-im/parley/protocol"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// node is a gateway behind an HTTP server, and a Handler whose peers carry out a few methods:
//
//	hello   says that the session is authenticated
//	echo    answers with its params
//	much    answers with 60 KB
//	wait    answers once the test has sent to node.proceed
//	panic   panics
//	later   returns, and answers once the test has sent to node.proceed
type node struct {
	*gateway.Gateway
	t     testing.TB
	addr  string
	roots *tls.Config // not nil: it speaks TLS
	clock *clock      // nil: real time

	opened  chan *peer // every session, in the order of their handshakes
	waiting chan struct{}
	proceed chan struct{}
	hold    chan struct{} // not nil: Drained returns when it is closed

	stream http.HandlerFunc // serves /events, if it is not nil
	begin  func(*peer)      // is called when an event stream is open and has no connection yet, if it is not nil
}

// peer records what a gateway tells about a session.
type peer struct {
	node    *node
	s       *gateway.Session
	drained chan struct{}
	closed  chan struct{}
	flying  sync.WaitGroup // calls that are answered later

	mu     sync.Mutex
	inCall bool
	calls  int
}

// start starts a node in real time, startStill one whose time only moves by advance, startSecure one that speaks TLS. Their sockets take little, so that
// queues fill soon.
func start(t testing.TB, opts gateway.Options) *node {
	return launch(t, opts, func(l net.Listener) net.Listener { return narrow{l, t} }, nil)
}

func startSecure(t testing.TB, opts gateway.Options) *node {
	config, roots := certificate(t)
	return launch(t, opts, func(l net.Listener) net.Listener { return gateway.Secure(narrow{l, t}, config) }, roots)
}

// certificate is what a server needs for TLS, and what a client of it needs.
func certificate(t testing.TB) (server, client *tls.Config) {
	certificate, key := testkit.Certificate(t)
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return &tls.Config{Certificates: []tls.Certificate{pair}}, &tls.Config{RootCAs: roots, ServerName: "localhost"}
}

// starts are the ways to start a node that carry sessions differently.
var starts = map[string]func(testing.TB, gateway.Options) *node{"plain": start, "TLS": startSecure}

// narrow is a listener whose connections take little.
type narrow struct {
	net.Listener
	t testing.TB
}

func (l narrow) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		if err := conn.(*net.TCPConn).SetWriteBuffer(64 << 10); err != nil {
			l.t.Error(err)
		}
	}
	return conn, err
}

// launch starts a node that listens as listen says; clients speak TLS when there are roots.
func launch(t testing.TB, opts gateway.Options, listen func(net.Listener) net.Listener, roots *tls.Config) *node {
	n := &node{t: t, roots: roots, opened: make(chan *peer, 4096), waiting: make(chan struct{}), proceed: make(chan struct{})}
	n.Gateway = gateway.New(opts, n)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if n.stream != nil && r.URL.Path == "/events" {
			n.stream(w, r)
			return
		}
		n.ServeHTTP(w, r)
	}))
	n.addr = server.Listener.Addr().String()
	server.Listener = listen(server.Listener)
	server.Start()
	t.Cleanup(func() {
		server.Close()
		n.Stop()
		if stats := n.Stats(); stats.Connections != 0 || stats.Unauthenticated != 0 || stats.QueueBytes != 0 {
			t.Errorf("left behind: %+v", stats)
		}
		close(n.opened)
		for p := range n.opened {
			<-p.closed
		}
	})
	return n
}

func startStill(t testing.TB, opts gateway.Options) *node {
	ticks := make(chan time.Time)
	opts.Ticks = ticks
	n := start(t, opts)
	n.clock = &clock{ticks: ticks, now: time.Now()}
	return n
}

// clock drives the time of a node.
type clock struct {
	ticks chan time.Time
	now   time.Time
}

// advance moves time on, and returns when everything that became due is done, but for goroutines that were started for it.
func (c *clock) advance(d time.Duration) {
	const step = 100 * time.Millisecond
	for ; d > 0; d -= step {
		c.now = c.now.Add(min(d, step))
		c.ticks <- c.now
	}
	c.ticks <- c.now // taken only after the tick before has been worked off
}

// Opened makes the node a gateway.Handler.
func (n *node) Opened(s *gateway.Session) gateway.Peer {
	p := &peer{node: n, s: s, drained: make(chan struct{}, 1), closed: make(chan struct{})}
	n.opened <- p
	return p
}

// dial connects a client whose session knows of nothing yet.
func (n *node) dial(t testing.TB, header ...string) *client {
	t.Helper()
	c := dial(t, n.addr)
	if n.roots != nil {
		c.secure(n.roots)
	}
	c.send([]byte(handshake(n.addr, header...)))
	c.upgraded()
	return c
}

// connect connects a client; its session has said hello.
func (n *node) connect(header ...string) (*client, *peer) {
	n.t.Helper()
	c := n.dial(n.t, header...)
	c.text(`{"id":1,"method":"hello"}`)
	c.wantText(`{"id":1,"result":{}}`)
	c.peer = <-n.opened
	c.settle()
	return c, c.peer
}

// greet connects a client that has not said hello.
func (n *node) greet() (*client, *peer) {
	n.t.Helper()
	c := n.dial(n.t)
	c.peer = <-n.opened
	return c, c.peer
}

func (p *peer) Call(c protocol.Call) {
	p.enter()
	defer p.leave()
	switch c.Method {
	case "hello":
		p.s.Authenticated()
		p.s.Reply(protocol.AppendResult(nil, c.ID, protocol.Empty{}))
	case "wait":
		p.node.waiting <- struct{}{}
		<-p.node.proceed
		p.s.Reply(protocol.AppendResult(nil, c.ID, protocol.Empty{}))
	case "later":
		p.flying.Go(func() {
			<-p.node.proceed
			p.s.Reply(protocol.AppendResult(nil, c.ID, protocol.Empty{}))
		})
	case "much":
		p.s.Reply(protocol.AppendResult(nil, c.ID, strings.Repeat("z", 60<<10)))
	case "panic":
		panic("as it was told")
	case "echo":
		p.s.Reply(protocol.AppendResult(nil, c.ID, c.Params))
	default:
		p.s.Reply(protocol.AppendError(nil, c.ID, protocol.Errorf(protocol.BadRequest, "method", "There is no such method.")))
	}
}

func (p *peer) Settle() {
	p.enter()
	defer p.leave()
	p.flying.Wait()
}

func (p *peer) Drained() {
	p.enter()
	defer p.leave()
	select {
	case p.drained <- struct{}{}:
	default:
	}
	if p.node.hold != nil {
		<-p.node.hold
	}
}

func (p *peer) Closed() {
	p.enter()
	defer p.leave()
	if !p.s.Done() {
		p.node.t.Error("Closed, and the session is not done")
	}
	close(p.closed) // panics when it is called again
}

// enter checks that the peer is called by one goroutine at a time, and not after Closed.
func (p *peer) enter() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inCall {
		p.node.t.Error("the peer is called by two goroutines at once")
	}
	p.inCall = true
	p.calls++
	select {
	case <-p.closed:
		p.node.t.Error("the peer is called after Closed")
	default:
	}
}

func (p *peer) leave() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.inCall = false
}

// wait waits for what must happen.
func wait(t testing.TB, what string, happened <-chan struct{}) {
	t.Helper()
	select {
	case <-happened:
	case <-time.After(patience):
		t.Fatalf("waited in vain for: %s", what)
	}
}
