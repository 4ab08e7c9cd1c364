package egress_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"github.com/parley-im/parley/internal/egress"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// canary listens where nobody may get to, and counts who does.
type canary struct {
	net.Listener
	port uint16
	hits atomic.Int64
}

func newCanary(t *testing.T, network, address string) *canary {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Skipf("SKIPPED: this machine has no %s: %v", address, err)
	}
	c := &canary{Listener: l, port: uint16(l.Addr().(*net.TCPAddr).Port)}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			c.hits.Add(1)
			_, _ = http.ReadRequest(bufio.NewReader(conn)) // whatever it is: it should not have come
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\ncanary")
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return c
}

// names is a resolver that knows every name, through a name server that exists only here: answer says which addresses a name has, question by question.
func names(t *testing.T, answer func(name string, question int) []netip.Addr) *net.Resolver {
	var questions atomic.Int64
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size [2]byte
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				query := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, query); err != nil {
					return
				}
				reply := dnsReply(query, func(name string) []netip.Addr { return answer(name, int(questions.Add(1))) })
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(reply))), reply...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// dnsReply answers one question about a name's A or AAAA records.
func dnsReply(query []byte, answer func(name string) []netip.Addr) []byte {
	var labels []string
	at := 12
	for query[at] != 0 {
		n := int(query[at])
		labels = append(labels, string(query[at+1:at+1+n]))
		at += 1 + n
	}
	kind := binary.BigEndian.Uint16(query[at+1:])
	question := query[12 : at+5]
	var records []byte
	count := 0
	for _, addr := range answer(strings.Join(labels, ".")) {
		if addr.Is4() != (kind == 1) {
			continue
		}
		count++
		records = append(records, 0xc0, 12) // the name of the question
		records = binary.BigEndian.AppendUint16(records, kind)
		records = append(records, 0, 1, 0, 0, 0, 0) // IN, for no time
		records = binary.BigEndian.AppendUint16(records, uint16(len(addr.AsSlice())))
		records = append(records, addr.AsSlice()...)
	}
	reply := append([]byte{query[0], query[1], 0x81, 0x80, 0, 1, 0, byte(count), 0, 0, 0, 0}, question...)
	return append(reply, records...)
}

// loopbacks is where every name of these tests leads to.
func loopbacks(string, int) []netip.Addr {
	return []netip.Addr{netip.MustParseAddr("127.0.0.1"), netip.IPv6Loopback()}
}

// hosts are ways to write the host of a URL that leads, or might lead, to this machine or its network.
func hosts() []string {
	return []string{
		// This machine, in IPv4.
		"127.0.0.1", "127.0.0.1.", "127.1", "127.0.1", "127.000.000.001", "0127.0.0.1", "0177.0.0.1", "0177.0.0.01", "00000177.1", "0x7f.0.0.1", "0x7f.1",
		"0x7f000001", "0X7F000001", "2130706433", "017700000001", "0x17f000001", "4294967295", "127.255.255.254", "127.0.0.2", "0", "0.0.0.0", "0.0.0.0.", "0x0", "00",
		"127.0.0.1%00", "127。0。0。1", "①②⑦.⓪.⓪.①", "１２７.0.0.1", "127.0.0.1%2f", "%31%32%37.0.0.1", "127.0.0.1%23", "127.0.0.1%20", "256.0.0.1", "127.0.0.0x1",
		// The same in IPv6.
		"[::1]", "[::]", "[0:0:0:0:0:0:0:1]", "[0000:0000:0000:0000:0000:0000:0000:0001]", "[::1%25lo]", "[::1%25]", "[::1%lo]", "[::127.0.0.1]", "[::7f00:1]",
		"[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[0:0:0:0:0:ffff:7f00:0001]", "[::FFFF:127.0.0.1]", "[::ffff:0:127.0.0.1]", "[::ffff:0:0]", "[::ffff:127.0.0.1%25lo]",
		"[64:ff9b::127.0.0.1]", "[64:ff9b::7f00:1]", "[64:ff9b:1::127.0.0.1]", "[2002:7f00:1::]", "[2002:7f00:0001::1]", "[2001:0:7f00:1::]", "[2001:0::80ff:fffe]",
		// Networks that are not the internet.
		"10.0.0.1", "10.255.255.255", "0xa.1", "012.0.0.1", "167772161", "172.16.0.1", "172.31.255.255", "192.168.0.1", "192.168.255.255", "3232235521", "0300.0250.0.1",
		"100.64.0.1", "100.127.255.254", "169.254.169.254", "0xa9fea9fe", "2852039166", "0251.0376.0251.0376", "169.254.43518", "[::ffff:169.254.169.254]",
		"[64:ff9b::a9fe:a9fe]", "[64:ff9b::10.0.0.1]", "[2002:a00:1::]", "192.0.0.1", "192.0.0.192", "192.0.2.1", "192.31.196.1", "192.52.193.1", "192.88.99.1",
		"192.175.48.1", "198.18.0.1", "198.19.255.255", "198.51.100.1", "203.0.113.1", "224.0.0.1", "239.255.255.255", "240.0.0.1", "255.255.255.255", "0.1.2.3",
		"[fe80::1]", "[fe80::1%25eth0]", "[febf::1]", "[fec0::1]", "[fc00::1]", "[fd00:ec2::254]", "[fdff::1]", "[ff02::1]", "[ff0e::1]", "[100::1]", "[100:0:0:1::1]",
		"[2001:db8::1]", "[2001:2::1]", "[2001:10::1]", "[2001:20::1]", "[2001:1::1]", "[2620:4f:8000::1]", "[3fff::1]", "[5f00::1]", "[4000::1]", "[::2]", "[1::1]",
		"[::ffff:10.0.0.1]", "[::ffff:192.168.1.1]", "[::10.0.0.1]",
		// Names, which all lead here.
		"localhost", "LOCALHOST", "localhost.", "localhost.localdomain", "ip6-localhost", "canary.example", "canary.example.", "127.0.0.1.nip.io", "metadata.google.internal",
		"xn--n3h.example", "example.com@canary.example", "example.com:80@127.0.0.1", "user:hunter2@127.0.0.1", "@127.0.0.1", "127.0.0.1@example.com", "a..b", ".", "",
	}
}

func TestNothingLeadsInside(t *testing.T) {
	for network, address := range map[string]string{"tcp4": "127.0.0.1:0", "tcp6": "[::1]:0"} {
		t.Run(address, func(t *testing.T) {
			canary := newCanary(t, network, address)
			resolver := names(t, loopbacks)
			client := egress.New(egress.Options{Resolver: resolver})
			defer client.Close()
			client.OpenPort(canary.port) // so that it is never the port
			tried := 0
			for _, host := range hosts() {
				for _, scheme := range []string{"http", "https"} {
					u := fmt.Sprintf("%s://%s:%d/secret-path?key=secret-key", scheme, host, canary.port)
					response, err := client.Get(t.Context(), u)
					tried++
					switch {
					case err == nil:
						t.Errorf("%s: answered with %q", u, response.Body)
					case strings.Contains(err.Error(), "secret-"), strings.Contains(err.Error(), "hunter2"):
						t.Errorf("%s: the error repeats it: %v", u, err)
					}
				}
			}
			if n := canary.hits.Load(); n != 0 || tried < 240 {
				t.Errorf("%d of %d requests got through", n, tried)
			}

			// The canary can be hit: the rule is what kept them away.
			open := egress.New(egress.Options{Resolver: resolver, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}})
			defer open.Close()
			if response, err := open.Get(t.Context(), "http://"+canary.Addr().String()); err != nil || string(response.Body) != "canary" {
				t.Errorf("where it is allowed: %v, %v", response, err)
			}
			if response, err := open.Get(t.Context(), fmt.Sprintf("http://canary.example:%d", canary.port)); err != nil || string(response.Body) != "canary" {
				t.Errorf("by a name, where it is allowed: %v, %v", response, err)
			}
		})
	}
}

// Other schemes, and URLs that only look like one.
func TestOnlyHTTP(t *testing.T) {
	client := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0")}})
	defer client.Close()
	for _, u := range []string{
		"", "127.0.0.1", "//127.0.0.1/", "/etc/passwd", "file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1:70/_x", "dict://127.0.0.1/", "ldap://127.0.0.1",
		"unix:///run/x.sock", "data:text/plain,x", "javascript:1", "http:127.0.0.1", "http:///127.0.0.1", "http://", "https://?x", "https://:443", "http://user@127.0.0.1",
		"https://:@127.0.0.1/", "http://127.0.0.1:x/", "http://[::1", "http://127.0.0.1\n", "http://a b/", "\x00", "http://%zz/",
	} {
		if response, err := client.Get(t.Context(), u); err == nil {
			t.Errorf("%q: answered with status %d", u, response.Status)
		} else if !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%q: %v is no refusal", u, err)
		}
	}
}

// A resolver that says something harmless to whoever looks first and something else to whoever connects gains nothing: nobody looks first.
func TestRebinding(t *testing.T) {
	canary := newCanary(t, "tcp4", "127.0.0.1:0")
	for what, answer := range map[string]func(string, int) []netip.Addr{
		"first outside, then inside": func(_ string, question int) []netip.Addr {
			if question <= 2 { // A and AAAA
				return []netip.Addr{netip.MustParseAddr("192.0.2.1")}
			}
			return loopbacks("", 0)
		},
		"inside and outside at once": func(string, int) []netip.Addr {
			return []netip.Addr{netip.MustParseAddr("198.51.100.1"), netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("::ffff:127.0.0.1")}
		},
	} {
		client := egress.New(egress.Options{Resolver: names(t, answer)})
		client.OpenPort(canary.port)
		for range 5 {
			if _, err := client.Get(t.Context(), fmt.Sprintf("http://rebind.example:%d/", canary.port)); !errors.Is(err, egress.ErrRefused) {
				t.Errorf("%s: %v", what, err)
			}
		}
		client.Close()
	}
	if n := canary.hits.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

// A server that may be asked sends on to one that may not; and one that may, too, is not gone to.
func TestRedirectsAreNotFollowed(t *testing.T) {
	inside := newCanary(t, "tcp4", "127.0.0.2:0")
	for _, status := range []int{301, 302, 303, 307, 308} {
		server := httptest.NewServer(http.RedirectHandler("http://"+inside.Addr().String()+"/", status))
		client := egress.New(egress.Options{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}})
		if _, err := client.Get(t.Context(), server.URL); err == nil || !strings.Contains(err.Error(), fmt.Sprint("status ", status)) {
			t.Errorf("%d: %v", status, err)
		}
		client.Close()
		server.Close()
	}
	if n := inside.hits.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestProxiesOfTheEnvironmentAreNotUsed(t *testing.T) {
	proxy := newCanary(t, "tcp4", "127.0.0.1:0")
	for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "http_proxy", "https_proxy"} {
		t.Setenv(name, "http://"+proxy.Addr().String())
	}
	client := egress.New(egress.Options{Resolver: names(t, func(string, int) []netip.Addr { return []netip.Addr{netip.MustParseAddr("10.1.2.3")} })})
	defer client.Close()
	for _, u := range []string{"http://issuer.example/", "https://issuer.example/"} {
		if _, err := client.Get(t.Context(), u); !errors.Is(err, egress.ErrRefused) {
			t.Errorf("%s: %v", u, err)
		}
	}
	if n := proxy.hits.Load(); n != 0 {
		t.Errorf("%d connections", n)
	}
}

func TestAllow(t *testing.T) {
	tests := []struct {
		allow, to string
		want      bool
	}{
		{"", "8.8.8.8:443", true},
		{"", "8.8.8.8:80", true},
		{"", "8.8.8.8:22", false},
		{"", "8.8.8.8:8443", false},
		{"", "[2606:4700::1111]:443", true},
		{"", "[2606:4700::1111]:25", false},
		{"", "[::ffff:8.8.8.8]:443", true},
		{"", "10.0.0.1:443", false},
		{"10.0.0.0/8", "10.0.0.1:443", true},
		{"10.0.0.0/8", "10.0.0.1:8443", true},
		{"10.0.0.0/8", "[::ffff:10.0.0.1]:443", true},
		{"10.0.0.0/8", "[64:ff9b::10.0.0.1]:443", false},
		{"10.0.0.0/8", "11.0.0.1:8443", false},
		{"10.0.0.0/8", "127.0.0.1:443", false},
		{"fd00::/8", "[fd12::1]:9000", true},
		{"fd00::/8", "[fe80::1%eth0]:443", false},
		{"fe80::/10", "[fe80::1%eth0]:443", true},
	}
	for _, tt := range tests {
		var o egress.Options
		if tt.allow != "" {
			o.Allow = []netip.Prefix{netip.MustParsePrefix(tt.allow)}
		}
		if got := egress.New(o).Permits(netip.MustParseAddrPort(tt.to)); got != tt.want {
			t.Errorf("%s with %q: %v", tt.to, tt.allow, got)
		}
	}
}

func TestGet(t *testing.T) {
	mux := http.NewServeMux()
	mux.HandleFunc("/small", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "max-age=60")
		_, _ = io.WriteString(w, "small")
	})
	mux.HandleFunc("/large", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 1<<20+1)) })
	mux.HandleFunc("/most", func(w http.ResponseWriter, r *http.Request) { _, _ = w.Write(make([]byte, 1<<20)) })
	mux.HandleFunc("/endless", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	mux.HandleFunc("/header", func(w http.ResponseWriter, r *http.Request) { w.Header().Set("X", strings.Repeat("x", 100<<10)) })
	mux.HandleFunc("/error", func(w http.ResponseWriter, r *http.Request) { http.Error(w, "secret-answer", 500) })
	server := httptest.NewUnstartedServer(mux)
	server.Config.ErrorLog = log.New(io.Discard, "", 0)
	server.TLS = &tls.Config{MinVersion: tls.VersionTLS12}
	server.StartTLS()
	defer server.Close()
	roots := x509.NewCertPool()
	roots.AddCert(server.Certificate())
	loopback := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	client := egress.New(egress.Options{Allow: loopback, Roots: roots})
	defer client.Close()

	if response, err := client.Get(t.Context(), server.URL+"/small"); err != nil || string(response.Body) != "small" || response.Header.Get("Cache-Control") != "max-age=60" {
		t.Errorf("%+v, %v", response, err)
	}
	if response, err := client.Get(t.Context(), server.URL+"/most"); err != nil || len(response.Body) != 1<<20 {
		t.Error(err)
	}
	for path, want := range map[string]string{"/large": "over 1048576 bytes", "/endless": "over 1048576 bytes", "/header": "cannot be asked", "/error": "status 500", "/none": "status 404"} {
		if _, err := client.Get(t.Context(), server.URL+path); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s: %v, want %s", path, err, want)
		}
	}
	distrusting := egress.New(egress.Options{Allow: loopback})
	defer distrusting.Close()
	if _, err := distrusting.Get(t.Context(), server.URL+"/small"); err == nil || !strings.Contains(err.Error(), "not trusted") {
		t.Errorf("with an authority that is not known: %v", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := client.Get(ended, server.URL+"/small"); !errors.Is(err, context.Canceled) {
		t.Errorf("canceled: %v", err)
	}
	u, err := url.Parse(server.URL)
	if err != nil {
		t.Fatal(err)
	}
	server.Close()
	if _, err := client.Get(t.Context(), u.String()); err == nil || strings.Contains(err.Error(), u.Port()) {
		t.Errorf("nobody there: %v", err)
	}
}
