package gateway_test

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"
	"golang.org/x/sys/unix"

	"github.com/parley-im/parley/internal/gateway"
	"github.com/parley-im/parley/protocol"
)

// Many sessions that end in every way there is leave nothing behind: no goroutine, no place taken, no byte counted (see start).
func TestCutConnectionsLeaveNothing(t *testing.T) {
	before := goleak.IgnoreCurrent()
	t.Run("plain", func(t *testing.T) { cutConnections(t, start(t, gateway.Options{}), 2000) })
	t.Run("TLS", func(t *testing.T) { cutConnections(t, startSecure(t, gateway.Options{}), 200) }) // a handshake is work
	goleak.VerifyNone(t, before)
}

func cutConnections(t *testing.T, n *node, sessions int) {
	closed := make(chan struct{})
	go func() {
		defer close(closed)
		for range sessions {
			<-(<-n.opened).closed
		}
	}()
	var all sync.WaitGroup
	for worker := range 4 {
		all.Go(func() {
			for i := range sessions / 4 {
				cutConnection(t, n, worker+i)
			}
		})
	}
	all.Wait()
	wait(t, "Closed of every session", closed)
	for n.Count() > 0 {
		runtime.Gosched()
	}
	if got := n.Stats(); got.Opened != uint64(sessions) {
		t.Errorf("%d sessions were opened", got.Opened)
	}
}

// cutConnection connects and ends the connection in one of several ways.
func cutConnection(t *testing.T, n *node, way int) {
	c := n.dial(t)
	defer c.conn.Close()
	switch way % 7 {
	case 0: // without a word
	case 1:
		c.text(`{"id":1,"method":"hello"}`)
		c.nextText()
	case 2: // within a header
		c.send(masked(0x80|opText, []byte(call("a")))[:1])
	case 3: // within a message
		c.send(fragments(call("some text"), 5)[:40])
	case 4: // with replies unread, by a reset
		for range 20 {
			c.text(call(fmt.Sprintf("%1000d", way)))
		}
		_ = c.conn.SetLinger(0)
	case 5: // as one should
		c.send(closeFrame(1000, ""))
		c.wantClose(1000)
	case 6: // half
		c.text(call("a"))
		_ = c.conn.CloseWrite()
		c.nextText()
	}
}

// BenchmarkIdle measures, with -benchtime 1x, what an idle session costs: the memory that is there after a collection, less what was there before, with clients
// that are bare file descriptors. The bytes of the kernel are not in it.
func BenchmarkIdle(b *testing.B) {
	const sessions = 2000
	for b.Loop() {
		b.ReportMetric(float64(measureIdle(b, sessions, false, bareSession)), "B/session")
		b.ReportMetric(float64(measureIdle(b, sessions, true, bareSession)), "B/session-TLS")
		b.ReportMetric(float64(measureIdle(b, sessions, false, bareStream)), "B/stream")
	}
}

// An idle session costs no buffer: not in reading, not in writing.
func TestIdleSessionIsCheap(t *testing.T) {
	if each := measureIdle(t, 500, false, bareSession); each > 6<<10 { // 3.1 KiB, and 5.3 with the race detector; any buffer would be 4 more
		t.Errorf("an idle session costs %d bytes", each)
	}
	if each := measureIdle(t, 500, true, bareSession); each > 14<<10 { // 8.8 KiB; a record of the largest size would be 16 more
		t.Errorf("an idle session over TLS costs %d bytes", each)
	}
	if each := measureIdle(t, 500, false, bareStream); each > 6<<10 {
		t.Errorf("an idle event stream costs %d bytes", each)
	}
}

// measureIdle is what each of so many idle sessions costs in bytes of heap and stack.
func measureIdle(t testing.TB, sessions int, secure bool, open func(testing.TB, string, *tls.Config) int) int {
	g := gateway.New(gateway.Options{}, greeter{})
	mux := http.NewServeMux()
	mux.Handle("/v1/ws", g)
	mux.HandleFunc("/events", func(w http.ResponseWriter, r *http.Request) { streamGreeter(t, g, w, r) })
	server := httptest.NewUnstartedServer(mux)
	var roots *tls.Config
	if secure {
		var config *tls.Config
		config, roots = certificate(t)
		server.Listener = gateway.Secure(server.Listener, config)
	}
	server.Start()
	defer g.Stop()
	defer server.Close()
	fds := make([]int, 0, sessions+1)
	defer func() {
		for _, fd := range fds {
			unix.Close(fd)
		}
	}()
	others := runtime.NumGoroutine()
	settled := func() { // one goroutine for each session: those of the handshakes have ended
		for deadline := time.Now().Add(patience); runtime.NumGoroutine() > others+len(fds); runtime.Gosched() {
			if time.Now().After(deadline) {
				t.Fatalf("%d goroutines for %d sessions", runtime.NumGoroutine()-others, len(fds))
			}
		}
		g.Each(func(s *gateway.Session) {
			for !s.Parked() {
				runtime.Gosched()
			}
		})
	}
	addr := server.Listener.Addr().String()
	fds = append(fds, open(t, addr, roots)) // what the first one costs is not counted
	settled()
	before := memory()
	for range sessions {
		fds = append(fds, open(t, addr, roots))
	}
	settled()
	return (memory() - before) / sessions
}

// greeter is a Handler, and every session's Peer, that knows hello and keeps nothing.
type greeter struct{ s *gateway.Session }

func (greeter) Opened(s *gateway.Session) gateway.Peer { return greeter{s} }

func (g greeter) Call(c protocol.Call) {
	g.s.Authenticated()
	g.s.Reply(protocol.AppendResult(nil, c.ID, protocol.Empty{}))
}

func (greeter) Settle()  {}
func (greeter) Drained() {}
func (greeter) Closed()  {}

// memory is what heap and stacks use after everything that is unused is gone.
func memory() int {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc + m.StackInuse)
}

// bareSession is a session after its hello, whose client is a file descriptor and nothing else.
func bareSession(t testing.TB, addr string, roots *tls.Config) (fd int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, link: conn, in: bufio.NewReader(conn)}
	if roots != nil {
		c.secure(roots)
	}
	c.send(join([]byte(handshake(addr)), masked(0x80|opText, []byte(`{"id":1,"method":"hello"}`))))
	c.upgraded()
	c.wantText(`{"id":1,"result":{}}`)
	return bare(t, conn)
}

// streamGreeter opens an event stream that is greeted and keeps nothing.
func streamGreeter(t testing.TB, g *gateway.Gateway, w http.ResponseWriter, r *http.Request) {
	h, err := g.Open(r, gateway.Opening{
		Transport: gateway.EventStream, Label: func([]byte) string { return "" },
		Enter: func(p gateway.Peer) *protocol.Error {
			p.(greeter).s.Authenticated()
			p.(greeter).s.Reply([]byte(greeted))
			return nil
		},
	})
	if err != nil {
		t.Error(err)
		return
	}
	h.Stream(w)
}

// bareStream is bareSession for an event stream.
func bareStream(t testing.TB, addr string, _ *tls.Config) (fd int) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	c := &client{t: t, link: conn, in: bufio.NewReader(conn)}
	c.send([]byte("GET /events HTTP/1.1\r\nHost: " + addr + "\r\n\r\n"))
	c.until(greeted + "\n\n")
	return bare(t, conn)
}

// bare is the descriptor of a connection.
func bare(t testing.TB, conn net.Conn) (fd int) {
	file, err := conn.(*net.TCPConn).File()
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if fd, err = unix.Dup(int(file.Fd())); err != nil {
		t.Fatal(err)
	}
	return fd
}
