package e2e

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// through is an HTTP client behind a proxy that speaks the PROXY protocol for an address, and adds headers.
func (s *server) through(from string) *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		conn, err := new(net.Dialer).DialContext(ctx, "tcp", s.addr)
		if err == nil && from != "" {
			_, err = fmt.Fprintf(conn, "PROXY TCP4 %s 10.0.0.1 4660 443\r\n", from)
		}
		return conn, err
	}}}
}

// Behind proxies, a client's own address is what is logged and what the rate of handshakes is counted by, whether the PROXY protocol tells it or a header; who
// is no proxy is not believed.
func TestBehindProxies(t *testing.T) {
	s := start(t, "--proxies-trusted=127.0.0.1,10.0.0.0/8", "--proxies-protocol", "--proxies-header=X-Forwarded-For",
		"--limits-handshakes-per-address=1", "--log-level=debug")
	open := func(from string, headers http.Header) error {
		t.Helper()
		c, err := s.openAt("ws://"+s.addr, &websocket.DialOptions{HTTPClient: s.through(from), HTTPHeader: headers})
		if err == nil {
			_, err = c.try("hello", object{"token": s.token("alice"), "device": "d" + from})
			c.cut()
		}
		return err
	}
	logged := func(remote string) {
		t.Helper()
		want := fmt.Sprintf(`"remote":"%s"`, remote)
		for deadline := time.Now().Add(patience); !strings.Contains(s.log.String(), want); time.Sleep(10 * time.Millisecond) {
			if time.Now().After(deadline) {
				t.Fatalf("no session was logged from %s", remote)
			}
		}
	}
	claim := http.Header{"X-Forwarded-For": {"203.0.113.9, 198.51.100.1"}}
	for _, c := range []struct {
		from    string
		headers http.Header
		remote  string
	}{
		{"192.0.2.1", nil, "192.0.2.1:4660"},
		{"192.0.2.1", claim, "192.0.2.1:4660"}, // no proxy
		{"10.0.0.7", claim, "198.51.100.1"},
	} {
		if err := open(c.from, c.headers); err != nil {
			t.Fatalf("%+v: %v", c, err)
		}
		logged(c.remote)
	}
	refused := false
	for i := 0; i < 60 && !refused; i++ {
		if err := open("192.0.2.2", nil); err != nil {
			if refused = strings.Contains(err.Error(), "429"); !refused {
				t.Fatal(err)
			}
		}
	}
	if !refused {
		t.Error("as many handshakes as one likes are taken from an address")
	}
	if err := open("192.0.2.3", nil); err != nil {
		t.Errorf("from another address: %v", err)
	}
	if err := open("", nil); err == nil {
		t.Error("a connection without a header was taken")
	}
	conn, err := net.Dial("tcp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(conn, "PROXY TCP4 no header\r\n"); err != nil {
		t.Fatal(err)
	}
	if got, _ := io.ReadAll(conn); len(got) > 0 {
		t.Errorf("garbage was answered with %q", got)
	}
}
