package fleet

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// Proxy carries TCP connections to a server, and can cut those to PostgreSQL at the worst moment: when a COMMIT is on its way, before its answer. Its methods
// may be called from any goroutine.
type Proxy struct {
	listener net.Listener
	conns    sync.WaitGroup
	left     atomic.Int64 // cuts to be made
	delay    atomic.Int64 // see Delay
	holds    atomic.Int64 // COMMITs to be held
	released atomic.Pointer[chan struct{}]
	refusals atomic.Int64 // BEGINs to be refused
	refusal  atomic.Pointer[[]byte]

	mu   sync.Mutex
	open map[net.Conn]struct{}
}

// What begins and ends a transaction that writes, in PostgreSQL's protocol, as the store sends it: simple queries. One that only reads begins in more words.
var (
	beginMessage  = []byte("BEGIN;")
	readsMessage  = []byte("BEGIN ISOLATION")
	commitMessage = []byte("Q\x00\x00\x00\x0bCOMMIT\x00")
)

// NewProxy listens on a port of a host for connections to a server, until the end of the test.
func NewProxy(t testing.TB, network, target, host string) *Proxy {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	return serve(t, l, func() (net.Conn, error) { return net.Dial(network, target) })
}

// serve carries connections that come to a listener.
func serve(t testing.TB, l net.Listener, dial func() (net.Conn, error)) *Proxy {
	p := &Proxy{listener: l, open: map[net.Conn]struct{}{}}
	p.conns.Go(func() { p.accept(dial) })
	t.Cleanup(p.close)
	return p
}

// Addr is where it listens.
func (p *Proxy) Addr() string { return p.listener.Addr().String() }

// CutCommits cuts so many connections, each when it has passed a COMMIT on: one COMMIT in four.
func (p *Proxy) CutCommits(n int) { p.left.Store(int64(n)) }

// Delay has what comes on connections that are opened from now on arrive only after so long, in both directions, as over a long way.
func (p *Proxy) Delay(d time.Duration) { p.delay.Store(int64(d)) }

// Left is how many cuts are still to be made.
func (p *Proxy) Left() int { return int(max(p.left.Load(), 0)) }

// HoldCommits keeps the next COMMITs from the server, so many, as a network does that has gone silent: the transactions stay open, with their locks. release
// cuts those connections.
func (p *Proxy) HoldCommits(n int) (release func()) {
	released := make(chan struct{})
	p.released.Store(&released)
	p.holds.Store(int64(n))
	return func() {
		p.holds.Store(0)
		close(released)
	}
}

// RefuseBegins answers the next transactions that would write, so many, in the server's place: none of them begins, for a reason that has a code of five letters.
func (p *Proxy) RefuseBegins(n int, code string) {
	fields := "SERROR\x00VERROR\x00C" + code + "\x00Minjected at BEGIN\x00\x00"
	answer := append([]byte{'E', 0, 0, 0, byte(4 + len(fields))}, fields...)
	answer = append(answer, 'Z', 0, 0, 0, 5, 'I') // ready for the next query, in no transaction
	p.refusal.Store(&answer)
	p.refusals.Store(int64(n))
}

// accept carries the connections that come.
func (p *Proxy) accept(dial func() (net.Conn, error)) {
	for {
		client, err := p.listener.Accept()
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
	if delay := time.Duration(p.delay.Load()); delay > 0 {
		client, server = &distant{Conn: client, delay: delay}, &distant{Conn: server, delay: delay}
	}
	p.note(true, client, server)
	defer p.note(false, client, server)
	p.conns.Go(func() {
		_, _ = io.Copy(client, server) // until one side ends
		client.Close()
	})
	buf := make([]byte, 64<<10)
	for writes := false; ; {
		n, err := client.Read(buf)
		if err != nil {
			return
		}
		if bytes.Contains(buf[:n], beginMessage) {
			writes = true
			if p.refusals.Load() > 0 && p.refusals.Add(-1) >= 0 {
				if _, err := client.Write(*p.refusal.Load()); err != nil {
					return
				}
				continue
			}
		} else if bytes.Contains(buf[:n], readsMessage) {
			writes = false
		}
		commits := writes && bytes.Contains(buf[:n], commitMessage)
		if commits && p.holds.Load() > 0 && p.holds.Add(-1) >= 0 {
			<-*p.released.Load()
			return
		}
		cut := commits && p.left.Load() > 0 && rand.IntN(4) == 0 && p.left.Add(-1) >= 0
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
	p.listener.Close()
	p.mu.Lock()
	for c := range p.open {
		c.Close()
	}
	p.mu.Unlock()
	p.conns.Wait()
}
