package e2e

import (
	"bytes"
	"io"
	"math/rand/v2"
	"net"
	"net/url"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/parley-im/parley/internal/testkit"
)

// Connections to PostgreSQL are cut between COMMIT and its answer, under full load: the server must find out what became of each commit, so that nothing is
// lost and nothing is stored twice.
func TestConnectionsCutAtCommit(t *testing.T) {
	want := int64(cycles(30, 2000))
	p := newCommitCutter(t, testkit.StartPostgres(t).Database(t))
	s := start(t, append([]string{"--store", p.url}, unlimited...)...)
	p.limit.Store(want)
	duration := "6s"
	if long() {
		duration = "120s"
	}
	r := s.bench(t, "rooms", "--users", "100", "--room-size", "5", "--duration", duration).wait()
	if r.Lost+r.Duplicated+r.Reordered != 0 || r.Acked == 0 {
		t.Errorf("after %d cuts: %+v", p.cuts.Load(), r)
	}
	if p.cuts.Load() < want {
		t.Errorf("only %d of %d cuts were made", p.cuts.Load(), want)
	}
	t.Logf("%d cuts: %+v", p.cuts.Load(), r)
}

// commitCutter is a proxy in front of PostgreSQL that passes some COMMITs on and then cuts the connection, so that nobody hears what became of them.
type commitCutter struct {
	t      *testing.T
	url    string
	socket string // of the real server
	limit  atomic.Int64
	cuts   atomic.Int64
	conns  sync.WaitGroup
}

// commitMessage is COMMIT in PostgreSQL's protocol, as the driver sends it: a simple query.
var commitMessage = []byte("Q\x00\x00\x00\x0bcommit\x00")

func newCommitCutter(t *testing.T, database string) *commitCutter {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &commitCutter{t: t, socket: u.Query().Get("host") + "/.s.PGSQL.5432"}
	if port := u.Query().Get("port"); port != "" {
		p.socket = u.Query().Get("host") + "/.s.PGSQL." + port
	}
	u.Host = l.Addr().String()
	u.RawQuery = "sslmode=disable"
	p.url = u.String()
	p.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			p.conns.Go(func() { p.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		p.conns.Wait()
	})
	return p
}

// serve carries one connection.
func (p *commitCutter) serve(client net.Conn) {
	defer client.Close()
	server, err := net.Dial("unix", p.socket)
	if err != nil {
		return
	}
	defer server.Close()
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
		cut := bytes.Contains(buf[:n], commitMessage) && p.cuts.Load() < p.limit.Load() && rand.IntN(4) == 0
		if cut {
			p.cuts.Add(1)
			client.Close() // first, so that no answer gets through
		}
		if _, err := server.Write(buf[:n]); err != nil || cut {
			return
		}
	}
}
