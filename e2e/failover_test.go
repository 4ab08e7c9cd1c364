package e2e

import (
	"io"
	"net"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/testkit"
)

// The primary of two nodes dies, together with what it had acknowledged and not told its replica, and the replica takes its place: in the epoch that begins
// then nobody sees two contents for one seq, every reader gets a reset and goes on exactly, and what was lost can be sent again. With a synchronous replica
// nothing that was acknowledged is lost (§1.5).
func TestFailover(t *testing.T) {
	for _, c := range []struct {
		name        string
		synchronous bool
	}{{"an asynchronous replica that is behind", false}, {"a synchronous replica", true}} {
		t.Run(c.name, func(t *testing.T) {
			primary := testkit.StartPostgres(t)
			way := newSwitch(t, primary, primary.Database(t))
			flags := append([]string{"--store", way.url, "--broker", testkit.StartNATS(t).URL}, unlimited...)
			one := start(t, flags...)
			nodes := []*server{one, startIn(t, "parley", one.dir, flags...)}
			replica := primary.Replica()
			if c.synchronous {
				primary.Do("ALTER SYSTEM SET synchronous_standby_names = '*'")
				primary.Do("SELECT pg_reload_conf()")
			}
			talk := converse(t, nodes, 40)
			reached := func(n int) func() bool { return func() bool { return talk.count() >= n } }
			if err := soon("nobody talks", reached(100)); err != nil {
				t.Fatal(err)
			}
			if !c.synchronous {
				replica.Do("ALTER SYSTEM SET primary_conninfo = ''")
				replica.Do("SELECT pg_reload_conf()")
				if err := soon("nobody talks to the primary alone", reached(talk.count()+60)); err != nil {
					t.Fatal(err)
				}
			}
			list := object{"since": talk.backend.user("writer0").call("room.list", object{})["token"]}
			primary.Stop(testkit.Immediate)
			replica.Do("SELECT pg_promote()")
			way.lead(replica)
			switched, acked := time.Now(), talk.count()
			if err := soon("nothing is acknowledged after the failover", reached(acked+200)); err != nil {
				t.Error(err)
			}
			again := time.Since(switched)
			if err := talk.end(); err != nil {
				t.Error(err)
			}
			switch lost := len(talk.lost); {
			case c.synchronous && lost > 0:
				t.Errorf("%d acknowledged messages are lost with a synchronous replica: %v", lost, talk.lost)
			case !c.synchronous && lost == 0:
				t.Error("nothing was lost: this tested nothing")
			}
			if talk.readers[0].renewed == nil {
				t.Error("the epoch is the same")
			}
			if _, err := talk.backend.user("writer0").try("room.list", list); asWireError(err) == nil || asWireError(err).Code != "bad_request" || asWireError(err).Field != "since" {
				t.Errorf("a token of the old epoch is answered with %v", err)
			}
			talk.resend()
			t.Logf("%d of the acknowledged messages were lost and sent again; 200 were acknowledged within %v of the switch: %s",
				len(talk.lost), again.Round(time.Millisecond), talk.summary())
		})
	}
}

// resend sends lost messages again, twice: they get a place, once.
func (c *conversation) resend() {
	c.t.Helper()
	if len(c.lost) == 0 {
		return
	}
	conn := c.nodes[0].connect("writer0", object{"device": "again"})
	for _, m := range c.lost {
		if m.clientID[:7] != "writer0" {
			continue
		}
		p := object{"room": m.room, "client_id": m.clientID, "text": "this is " + m.clientID}
		first, second := conn.call("message.send", p), conn.call("message.send", p)
		if first["duplicate"] == true || second["duplicate"] != true || first["seq"] != second["seq"] {
			c.t.Errorf("a lost message sent again is answered with %v, and then with %v", first, second)
		}
	}
}

// serverSwitch is a relay for connections to PostgreSQL, which leads to one server at a time.
type serverSwitch struct {
	url string

	mu     sync.Mutex
	socket string
	open   map[net.Conn]bool
	conns  sync.WaitGroup
}

func newSwitch(t *testing.T, to *testkit.Postgres, database string) *serverSwitch {
	t.Helper()
	u, err := url.Parse(database)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &serverSwitch{socket: to.Socket(), open: map[net.Conn]bool{}}
	u.Host, u.RawQuery = l.Addr().String(), "sslmode=disable"
	s.url = u.String()
	s.conns.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			s.conns.Go(func() { s.serve(c) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		s.lead(to) // ends what is open
		s.conns.Wait()
	})
	return s
}

// lead has connections lead to a server from now on.
func (s *serverSwitch) lead(to *testkit.Postgres) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.socket = to.Socket()
	for c := range s.open {
		c.Close()
	}
}

func (s *serverSwitch) serve(client net.Conn) {
	defer client.Close()
	s.mu.Lock()
	server, err := net.Dial("unix", s.socket)
	if err == nil {
		s.open[server] = true
	}
	s.mu.Unlock()
	if err != nil {
		return
	}
	defer func() {
		s.mu.Lock()
		delete(s.open, server)
		s.mu.Unlock()
		server.Close()
	}()
	s.conns.Go(func() {
		_, _ = io.Copy(client, server) // until one side ends
		client.Close()
	})
	_, _ = io.Copy(server, client)
}
