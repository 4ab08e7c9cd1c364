package fleet

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
)

// Proxy carries TCP connections to a server, and can cut those to PostgreSQL at the worst moment: when a COMMIT is on its way, before its answer. Its methods
// may be called from any goroutine.
type Proxy struct {
	network, target string
	listeners       []net.Listener
	conns           sync.WaitGroup
	left            atomic.Int64 // cuts to be made

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// commitMessage is COMMIT in PostgreSQL's protocol, as the driver sends it: a simple query.
var commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")

// NewProxy listens on a port of each host for connections to a server, until the end of the test.
func NewProxy(t testing.TB, network, target string, hosts ...string) *Proxy {
	t.Helper()
	p := &Proxy{network: network, target: target, open: map[net.Conn]struct{}{}}
	for _, host := range hosts {
		l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		p.listeners = append(p.listeners, l)
		p.conns.Go(func() { p.accept(l, func() (net.Conn, error) { return net.Dial(network, target) }) })
	}
	t.Cleanup(p.close)
	return p
}

// Addr is where it listens on a host.
func (p *Proxy) Addr(host string) string {
	for _, l := range p.listeners {
		if at, _, err := net.SplitHostPort(l.Addr().String()); err == nil && at == host {
			return l.Addr().String()
		}
	}
	return ""
}

// CutCommits cuts so many connections, each when it has passed a COMMIT on: one COMMIT in four.
func (p *Proxy) CutCommits(n int) { p.left.Store(int64(n)) }

// Left is how many cuts are still to be made.
func (p *Proxy) Left() int { return int(max(p.left.Load(), 0)) }

// accept carries the connections that come.
func (p *Proxy) accept(l net.Listener, dial func() (net.Conn, error)) {
	for {
		client, err := l.Accept()
		if err != nil {
			return
		}
		p.conns.Go(func() {
			defer client.Close()
			server, err := dial()
			if err != nil {
				return
			}
			p.carry(client, server)
		})
	}
}

func (p *Proxy) carry(client, server net.Conn) {
	defer server.Close()
	p.note(true, client, server)
	defer p.note(false, client, server)
	p.conns.Go(func() {
		_, _ = io.Copy(client, server) // until one side ends
		client.Close()
	})
	buf := make([]byte, 64<<10)
	for {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		cut := p.left.Load() > 0 && bytes.Contains(buf[:n], commitMessage) && rand.IntN(4) == 0 && p.left.Add(-1) >= 0
		if cut {
			client.Close() // first, so that no answer gets through
		}
		if _, err := server.Write(buf[:n]); err != nil || cut {
			return
		}
	}
}

func (p *Proxy) note(open bool, conns ...net.Conn) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		if open {
			p.open[c] = struct{}{}
		} else {
			delete(p.open, c)
		}
	}
}

func (p *Proxy) close() {
	for _, l := range p.listeners {
		l.Close()
	}
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.conns.Wait()
}
