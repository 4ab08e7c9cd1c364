package gateway_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/gateway"
)

// Where a request comes from, as handlers see it behind Public.
func TestPublicTellsTheClient(t *testing.T) {
	const peer = "10.0.0.9:5000" // a proxy that is trusted
	for _, c := range []struct {
		name    string
		header  string // proxies.header
		peer    string
		headers []string
		remote  string
		scheme  string
	}{
		{"no proxy", "X-Forwarded-For", "192.0.2.7:5000", nil, "192.0.2.7:5000", ""},
		{"nobody believes a stranger", "X-Forwarded-For", "192.0.2.7:5000", []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, "192.0.2.7:5000", ""},
		{"one hop", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, "198.51.100.1", "https"},
		{"what the client claims", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 10.0.0.1, 203.0.113.5, 198.51.100.1"}, "198.51.100.1", ""},
		{"two hops", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 203.0.113.5, 198.51.100.1, 10.0.0.3"}, "198.51.100.1", ""},
		{"in two headers", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 10.0.0.3"}, "198.51.100.1", ""},
		{"from a proxy itself", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 10.0.0.2, 10.0.0.3"}, "10.0.0.2", ""},
		{"with a port", "X-Forwarded-For", peer, []string{"X-Forwarded-For: [2001:db8::1]:99"}, "[2001:db8::1]:99", ""},
		{"garbage behind a proxy", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 198.51.100.1, who knows, 10.0.0.3"}, "10.0.0.3", ""},
		{"empty", "X-Forwarded-For", peer, []string{"X-Forwarded-For:"}, peer, ""},
		{"missing", "X-Forwarded-For", peer, nil, peer, ""},
		{"another header", "X-Forwarded-For", peer, []string{"X-Real-IP: 198.51.100.1", "Forwarded: for=198.51.100.1"}, peer, ""},
		{"the scheme of the nearest", "X-Forwarded-For", peer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https, http"}, "198.51.100.1", "http"},
		{"no such scheme", "X-Forwarded-For", peer, []string{"X-Forwarded-Proto: gopher"}, peer, ""},
		{"no header is looked at", "", peer, []string{"X-Forwarded-For: 198.51.100.1", "X-Forwarded-Proto: https"}, peer, "https"},
		{"real IP", "X-Real-IP", peer, []string{"X-Real-IP: 2001:db8::1"}, "2001:db8::1", ""},
		{"Forwarded", "Forwarded", peer, []string{`Forwarded: for=192.0.2.60;proto=https;by=203.0.113.43`}, "192.0.2.60", "https"},
		{"Forwarded, quoted", "Forwarded", peer, []string{`Forwarded: for=203.0.113.1, For="[2001:db8:cafe::17]:4711";Proto="HTTPS", for="10.0.0.3"`}, "[2001:db8:cafe::17]:4711", "https"},
		{"Forwarded, hidden", "Forwarded", peer, []string{`Forwarded: for=_secret, for=10.0.0.3;proto=http`}, "10.0.0.3", "http"},
		{"Forwarded, a comma in quotes", "Forwarded", peer, []string{`Forwarded: for=203.0.113.1;host="a\",b", for=10.0.0.3`}, "203.0.113.1", ""},
		{"over a unix socket", "X-Real-IP", "@", []string{"X-Real-IP: 198.51.100.1"}, "198.51.100.1", ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			proxies, err := gateway.NewProxies([]string{"10.1.2.3/8", "::1", "unix"}, c.header)
			if err != nil {
				t.Fatal(err)
			}
			g := gateway.New(gateway.Options{Proxies: proxies}, greeter{})
			defer g.Stop()
			r := httptest.NewRequest("GET", "gopher://chat.example.com/v1/ws", nil)
			r.RemoteAddr = c.peer
			for _, header := range c.headers {
				name, value, _ := strings.Cut(header, ":")
				r.Header.Add(name, strings.TrimSpace(value))
			}
			g.Public(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				if r.RemoteAddr != c.remote || r.URL.Scheme != c.scheme {
					t.Errorf("got %s and %q, want %s and %q", r.RemoteAddr, r.URL.Scheme, c.remote, c.scheme)
				}
			})).ServeHTTP(httptest.NewRecorder(), r)
		})
	}
	if _, err := gateway.NewProxies([]string{"proxy.internal"}, ""); err == nil {
		t.Error("a name was taken for an address")
	}
}

// A page of the server's own host may connect, but one that came in plain text may not speak to a server that is reached by TLS.
func TestOriginsScheme(t *testing.T) {
	for _, c := range []struct {
		scheme, origin string
		want           bool
	}{
		{"", "http://chat.example.com", true},
		{"", "https://chat.example.com", true},
		{"https", "https://chat.example.com", true},
		{"https", "http://chat.example.com", false},
		{"http", "https://chat.example.com", false},
		{"https", "http://app.example.com", true}, // listed
	} {
		r := httptest.NewRequest("GET", "/v1/ws", nil)
		r.Host, r.URL.Scheme = "chat.example.com", c.scheme
		r.Header.Set("Origin", c.origin)
		if got := gateway.AllowsOrigin(r, []string{"http://app.example.com"}); got != c.want {
			t.Errorf("%q and %s: %t", c.scheme, c.origin, got)
		}
	}
}

// logged is a log that a test may read while it is written.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logged) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// startBehind starts a node whose connections begin with a header of the PROXY protocol.
func startBehind(t *testing.T, trusted string, config, roots *tls.Config) (*node, *logged) {
	proxies, err := gateway.NewProxies([]string{trusted}, "")
	if err != nil {
		t.Fatal(err)
	}
	log := &logged{}
	return launch(t, gateway.Options{}, func(l net.Listener) net.Listener {
		l = proxies.Listen(narrow{l, t}, slog.New(slog.NewTextHandler(log, nil)))
		if config != nil {
			l = gateway.Secure(l, config)
		}
		return l
	}, roots), log
}

// Behind a proxy that says so, a session's address is the client's; over TLS, whose handshake comes behind the header, too.
func TestProxyProtocol(t *testing.T) {
	config, roots := certificate(t)
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) {
			if !secure {
				config, roots = nil, nil
			}
			n, log := startBehind(t, "127.0.0.1", config, roots)
			for header, want := range map[string]string{
				"PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\n": "192.0.2.1:4660",
				"PROXY TCP6 2001:db8::1 ::1 4660 443\r\n":    "[2001:db8::1]:4660",
				"PROXY UNKNOWN\r\n":                          "", // its own
				"\r\n\r\n\x00\r\nQUIT\n\x21\x11\x00\x0c\xc0\x00\x02\x02\x0a\x00\x00\x01\x12\x34\x01\xbb": "192.0.2.2:4660",
			} {
				c := dial(t, n.addr)
				if want == "" {
					want = c.conn.LocalAddr().String()
				}
				c.send([]byte(header))
				if roots != nil {
					c.secure(roots)
				}
				c.send(join([]byte(handshake(n.addr)), masked(0x80|opText, []byte(call("a")))))
				c.upgraded()
				c.wantText(string(answer("a").payload))
				if p := <-n.opened; p.s.Remote() != want {
					t.Errorf("Remote %s, want %s", p.s.Remote(), want)
				} else {
					c.conn.Close()
					wait(t, "Closed", p.closed)
				}
			}
			if log.String() != "" {
				t.Errorf("logged %s", log)
			}
		})
	}
}

// What does not begin with a header gets no word, and neither does who is no proxy.
func TestProxyProtocolRefuses(t *testing.T) {
	for name, c := range map[string]struct{ trusted, send, logged string }{
		"no header":     {"127.0.0.1", "GET / HTTP/1.1\r\nHost: h\r\n\r\n", "does not begin"},
		"a bad header":  {"127.0.0.1", "PROXY TCP4 nobody nowhere 1 2\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "does not begin"},
		"from a client": {"192.0.2.0/24", "PROXY TCP4 192.0.2.1 10.0.0.1 4660 443\r\nGET / HTTP/1.1\r\nHost: h\r\n\r\n", "none of proxies.trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			n, log := startBehind(t, c.trusted, nil, nil)
			for range 3 {
				client := dial(t, n.addr)
				client.send([]byte(c.send))
				if got, _ := io.ReadAll(client.in); len(got) > 0 { // the end may be a reset
					t.Errorf("got %q", got)
				}
			}
			if got := log.String(); !strings.Contains(got, c.logged) || strings.Count(got, "\n") != 1 {
				t.Errorf("logged %s", got)
			}
		})
	}
}

// A proxy that says nothing has 5 s to speak.
func TestSilentProxy(t *testing.T) {
	proxies, err := gateway.NewProxies([]string{"127.0.0.1"}, "")
	if err != nil {
		t.Fatal(err)
	}
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer inner.Close()
	waiting := make(chan time.Time, 2)
	l := proxies.Listen(timed{inner, waiting}, slog.New(slog.DiscardHandler))
	client := dial(t, inner.Addr().String())
	before := time.Now()
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() { _ = conn.RemoteAddr() }()
	if deadline := <-waiting; deadline.Before(before.Add(4*time.Second)) || deadline.After(time.Now().Add(5*time.Second)) {
		t.Errorf("it has until %v, at %v", deadline, before)
	}
	client.conn.Close()
	if after := <-waiting; !after.IsZero() {
		t.Errorf("what follows has until %v", after)
	}
}

// timed is a listener whose connections tell of their deadlines.
type timed struct {
	net.Listener
	deadlines chan time.Time
}

func (l timed) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return timedConn{conn.(*net.TCPConn), l.deadlines}, nil
}

type timedConn struct {
	*net.TCPConn
	deadlines chan time.Time
}

func (c timedConn) SetReadDeadline(at time.Time) error {
	c.deadlines <- at
	return c.TCPConn.SetReadDeadline(at)
}

// Handshakes from one address come at the rate that is allowed, those from another do not count.
func TestHandshakesPerAddress(t *testing.T) {
	n := startStill(t, gateway.Options{HandshakesPerAddress: 5})
	from := func(addr string) (int, string) {
		t.Helper()
		conn, err := (&net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}).Dial("tcp", n.addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		c := &client{t: t, link: conn}
		c.send([]byte(handshake(n.addr)))
		resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, resp.Header.Get("Retry-After")
	}
	for i := range 30 {
		if status, _ := from("127.0.0.1"); status != 101 {
			t.Fatalf("handshake %d: %d", i+1, status)
		}
	}
	if status, after := from("127.0.0.1"); status != 429 || after != "1" {
		t.Errorf("the next: %d, Retry-After %s", status, after)
	}
	if status, _ := from("127.0.0.2"); status != 101 {
		t.Errorf("from another address: %d", status)
	}
	n.clock.advance(300 * time.Millisecond)
	if status, _ := from("127.0.0.1"); status != 101 {
		t.Errorf("after a while: %d", status)
	}
	if status, _ := from("127.0.0.1"); status != 429 {
		t.Errorf("and again: %d", status)
	}
	if got := n.Stats().Limited; got != 2 {
		t.Errorf("%d were counted", got)
	}
}

// A panic ends the request or the call in which it is, and the log says where it was.
func TestPanics(t *testing.T) {
	log := &logged{}
	n := start(t, gateway.Options{Log: slog.New(slog.NewTextHandler(log, nil))})
	c, _ := n.connect()
	c.text(`{"id":7,"method":"panic","params":{"secret":"sauce"}}`)
	c.wantText(`{"id":7,"error":{"code":"internal","message":"The server has failed at this; it is in its log."}}`)
	c.text(`{"method":"panic"}`)
	c.ping("still here")
	public := n.Public(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("in a handler") }))
	answer := httptest.NewRecorder()
	public.ServeHTTP(answer, httptest.NewRequest("POST", "/v1/user.get", strings.NewReader(`{"secret":"sauce"}`)))
	if got := answer.Body.String(); answer.Code != 500 || !strings.HasPrefix(got, `{"error":{"code":"internal"`) {
		t.Errorf("%d %s", answer.Code, got)
	}
	got := log.String()
	if strings.Count(got, "level=ERROR") != 3 || strings.Count(got, "\n") != 3 || strings.Contains(got, "sauce") || !strings.Contains(got, "node_test.go") {
		t.Errorf("logged %s", got)
	}
}
