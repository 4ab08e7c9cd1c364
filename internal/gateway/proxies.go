package gateway

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"
)

// The headers in which a proxy may tell whose request it passes on.
const (
	HeaderForwardedFor = "X-Forwarded-For"
	HeaderForwarded    = "Forwarded"
	HeaderRealIP       = "X-Real-IP"
)

// Proxies are those whose word is believed about whom they speak for. The zero value is nobody.
type Proxies struct {
	networks []netip.Prefix
	unix     bool // and whoever comes over a unix socket
	header   string
}

// NewProxies makes Proxies of addresses and networks (10.0.0.0/8), and of the word unix for whoever comes over a unix socket. Header is the one of the three
// headers in which they tell of the client; with "" none is looked at.
func NewProxies(trusted []string, header string) (Proxies, error) {
	p := Proxies{header: header}
	for _, t := range trusted {
		if t == "unix" {
			p.unix = true
			continue
		}
		network, err := netip.ParsePrefix(t)
		if addr, errAddr := netip.ParseAddr(t); errAddr == nil {
			network, err = netip.PrefixFrom(addr, addr.BitLen()), nil
		}
		if err != nil {
			return Proxies{}, fmt.Errorf("gateway: %q is neither an address nor a network", t)
		}
		p.networks = append(p.networks, network.Masked())
	}
	return p, nil
}

func (p *Proxies) trusts(addr netip.Addr) bool {
	return slices.ContainsFunc(p.networks, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// trustsPeer is about who is at the other end of a connection. Who has no address comes over a unix socket.
func (p *Proxies) trustsPeer(remote string) bool {
	addr, ok := addrOf(remote)
	return ok && p.trusts(addr) || !ok && p.unix
}

// addrOf is the address in HOST:PORT, or in HOST alone.
func addrOf(remote string) (netip.Addr, bool) {
	if full, err := netip.ParseAddrPort(remote); err == nil {
		return full.Addr().Unmap(), true
	}
	addr, err := netip.ParseAddr(strings.Trim(remote, "[]"))
	return addr.Unmap(), err == nil
}

// tell puts into a request where it comes from: its RemoteAddr becomes that of the client as far as it is known, and its URL's Scheme, which only clients of
// proxies write there, https, http, or "" where that is not known.
func (p *Proxies) tell(r *http.Request) {
	r.URL.Scheme = ""
	if r.TLS != nil {
		r.URL.Scheme = "https"
	}
	if !p.trustsPeer(r.RemoteAddr) {
		return
	}
	var hops []hop
	proto := lastOf(r.Header.Values("X-Forwarded-Proto"))
	switch p.header {
	case HeaderForwarded:
		hops = forwarded(strings.Join(r.Header.Values(HeaderForwarded), ","))
	case HeaderForwardedFor:
		for addr := range strings.SplitSeq(strings.Join(r.Header.Values(HeaderForwardedFor), ","), ",") {
			hops = append(hops, hop{from: addr, proto: proto})
		}
	case HeaderRealIP:
		hops = []hop{{from: lastOf(r.Header.Values(HeaderRealIP)), proto: proto}}
	default:
		hops = []hop{{proto: proto}}
	}
	// From the nearest on: each tells of the one before it, as long as it is one of ours.
	for _, h := range slices.Backward(hops) {
		if h.proto == "http" || h.proto == "https" {
			r.URL.Scheme = h.proto
		}
		from := strings.TrimSpace(h.from)
		addr, ok := addrOf(from)
		if !ok || addr.Zone() != "" {
			return
		}
		r.RemoteAddr = from
		if !p.trusts(addr) {
			return
		}
	}
}

// hop is what a proxy tells of the one before it.
type hop struct{ from, proto string }

// lastOf is the last item of a header's list.
func lastOf(values []string) string {
	if len(values) == 0 {
		return ""
	}
	last := values[len(values)-1]
	return strings.ToLower(strings.TrimSpace(last[strings.LastIndexByte(last, ',')+1:]))
}

// forwarded reads the header Forwarded (RFC 7239).
func forwarded(header string) []hop {
	var hops []hop
	for element := range splitQuoted(header, ',') {
		var h hop
		for pair := range splitQuoted(element, ';') {
			name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
			value = strings.Trim(value, `"`)
			switch strings.ToLower(name) {
			case "for":
				h.from = value
			case "proto":
				h.proto = strings.ToLower(value)
			}
		}
		hops = append(hops, h)
	}
	return hops
}

// splitQuoted splits at a separator that is in no quotes.
func splitQuoted(s string, separator byte) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		quoted, from := false, 0
		for i := 0; i < len(s); i++ {
			switch {
			case quoted && s[i] == '\\':
				i++
			case s[i] == '"':
				quoted = !quoted
			case !quoted && s[i] == separator:
				if !yield(s[from:i]) {
					return
				}
				from = i + 1
			}
		}
		yield(s[from:])
	}
}

// proxyTimeout is how long a proxy may take to say for whom it speaks.
const proxyTimeout = 5 * time.Second

// Listen is a listener for connections that begin with a header of the PROXY protocol, version 1 or 2. Their RemoteAddr is the client's. Who is not trusted is
// refused, and so is what does not begin so, within 5 s and 536 bytes: the connection is closed without a word, and log hears of it once a minute.
func (p Proxies) Listen(l net.Listener, log *slog.Logger) net.Listener {
	return &proxyListener{Listener: l, proxies: p, log: log}
}

type proxyListener struct {
	net.Listener
	proxies Proxies
	log     *slog.Logger

	mu   sync.Mutex
	told time.Time // when log was told last
}

// Accept waits for the next connection of a proxy, not for its header.
func (l *proxyListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		sock, ok := conn.(socket)
		if ok && l.proxies.trustsPeer(conn.RemoteAddr().String()) {
			return &proxied{socket: sock, listener: l}, nil
		}
		l.complain("a connection was refused: it comes from none of proxies.trusted", conn, nil)
		_ = conn.Close()
	}
}

func (l *proxyListener) complain(what string, conn net.Conn, err error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if now := time.Now(); now.Sub(l.told) >= time.Minute {
		l.told = now
		l.log.Warn(what, "remote", conn.RemoteAddr().String(), "error", err)
	}
}

// proxied is a connection that begins with a header, which is read when the first byte or the address is asked for: by the connection's own goroutine.
type proxied struct {
	socket
	listener *proxyListener
	once     sync.Once
	remote   net.Addr
}

func (c *proxied) head() {
	c.once.Do(func() {
		c.remote = c.socket.RemoteAddr()
		_ = c.SetReadDeadline(time.Now().Add(proxyTimeout)) // what fails fails the read too
		client, err := readProxyHeader(c.socket)
		_ = c.SetReadDeadline(time.Time{})
		switch {
		case err != nil:
			c.listener.complain("a connection was refused: it does not begin with a header of the PROXY protocol", c.socket, err)
			_ = c.Close()
		case client.IsValid():
			c.remote = net.TCPAddrFromAddrPort(client)
		}
	})
}

// RemoteAddr is the address of the client. The first call waits for the header.
func (c *proxied) RemoteAddr() net.Addr {
	c.head()
	return c.remote
}

// Read reads what follows the header; without one the connection is closed.
func (c *proxied) Read(p []byte) (int, error) {
	c.head()
	return c.socket.Read(p)
}
