package e2e

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/testkit"
)

// The processes of PostgreSQL that work for Parley are ended one after the other, which costs a connection each, and then killed, which has the whole server
// restart itself.
func TestPostgresBackendsKilled(t *testing.T) {
	ends, kills := cycles(80, 3000), cycles(2, 60)
	suffer := func(t *testing.T, pg *testkit.Postgres) {
		k := &killer{t: t, pg: pg, conn: connectTo(t, pg.URL)}
		for range ends {
			k.end()
		}
		for range kills {
			k.kill()
		}
	}
	t.Run("one node at full speed", func(t *testing.T) {
		pg := testkit.StartPostgres(t)
		s := start(t, append([]string{"--store", pg.Database(t)}, unlimited...)...)
		before := s.metrics()["parley_fanout_events_total"]
		l := s.bench(t, "rooms", "--users", "100", "--room-size", "5", "--duration", fmt.Sprintf("%dms", ends*60+kills*1500+2000))
		if err := soon("nobody talks", func() bool { return s.metrics()["parley_fanout_events_total"] > before+1000 }); err != nil {
			t.Fatal(err)
		}
		suffer(t, pg)
		r := l.wait()
		if r.Lost+r.Duplicated+r.Reordered != 0 || r.Acked == 0 {
			t.Errorf("after %d ended and %d killed: %+v", ends, kills, r)
		}
		t.Logf("%d ended, %d killed; %s: %+v", ends, kills, failed(t, s), r)
	})
	t.Run("two nodes", func(t *testing.T) {
		pg := testkit.StartPostgres(t)
		nodes := twoNodes(t, pg.Database(t))
		talk := converse(t, nodes, 40)
		suffer(t, pg)
		acked := talk.count()
		if err := soon("nothing is acknowledged afterwards", func() bool { return talk.count() >= acked+50 }); err != nil {
			t.Error(err)
		}
		if err := talk.end(); err != nil {
			t.Error(err)
		}
		t.Logf("%d ended, %d killed; %s: %s", ends, kills, failed(t, nodes...), talk.summary())
	})
}

// twoNodes are two nodes on one database.
func twoNodes(t *testing.T, database string) []*server {
	t.Helper()
	flags := append([]string{"--store", database, "--broker", testkit.StartNATS(t).URL}, unlimited...)
	one := start(t, flags...)
	return []*server{one, startIn(t, "parley", one.dir, flags...)}
}

// failed is how often transactions of the log did not work; when it is never, nothing was tested.
func failed(t *testing.T, nodes ...*server) string {
	t.Helper()
	var failures, refused float64
	for _, n := range nodes {
		m := n.metrics()
		failures, refused = failures+m["parley_log_failures_total"], refused+m["parley_log_refused_total"]
	}
	if failures == 0 {
		t.Error("no transaction of the log failed: this tested nothing")
	}
	return fmt.Sprintf("%v attempts at transactions of the log failed, %v appends and moves were answered unavailable", failures, refused)
}

// killer ends processes of a PostgreSQL server that work for Parley, those first that have something to do.
type killer struct {
	t    *testing.T
	pg   *testkit.Postgres
	conn *pgx.Conn
}

const (
	victim = `FROM (SELECT pid FROM pg_stat_activity WHERE application_name = 'parley' ORDER BY state = 'idle', random() LIMIT 1) v`
	rest   = 50 * time.Millisecond // between two faults, on average: the load goes on, so that they come at any of its moments
)

// end ends one process, as an operator does.
func (k *killer) end() {
	k.t.Helper()
	for ended := 0; ended == 0; {
		time.Sleep(rand.N(2 * rest))
		if err := k.conn.QueryRow(k.t.Context(), `SELECT count(*) FILTER (WHERE pg_terminate_backend(pid)) `+victim).Scan(&ended); err != nil {
			k.t.Fatal(err)
		}
	}
}

// kill kills one process, and returns when the server, which then begins anew, takes connections again.
func (k *killer) kill() {
	k.t.Helper()
	time.Sleep(rand.N(10 * rest))
	var pid int
	if err := soon("Parley has no connection", func() bool { return k.conn.QueryRow(k.t.Context(), `SELECT pid `+victim).Scan(&pid) == nil }); err != nil {
		k.t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		k.t.Fatal(err)
	}
	if err := soon("the server goes on", func() bool { return k.conn.Ping(k.t.Context()) != nil }); err != nil {
		k.t.Fatal(err)
	}
	if err := soon("the server does not come back", func() bool {
		conn, err := pgx.Connect(k.t.Context(), k.pg.URL)
		if err == nil {
			k.conn = conn
		}
		return err == nil
	}); err != nil {
		k.t.Fatal(err)
	}
	k.t.Cleanup(func() { _ = k.conn.Close(context.Background()) }) // the last one; the others are closed
}

// talkUntil waits for so many acknowledgements.
func talkUntil(t *testing.T, c *conversation, acked int) {
	t.Helper()
	if err := soon("people do not talk", func() bool { return c.count() >= acked }); err != nil {
		t.Fatal(err)
	}
}

// end judges a conversation.
func end(t *testing.T, c *conversation, nodes []*server) {
	t.Helper()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	t.Logf("%s: %s", failed(t, nodes...), c.summary())
}

// reads checks that lists and logs are still answered, and that what is not written is `unavailable`.
func reads(t *testing.T, c *conversation) {
	t.Helper()
	for i, node := range c.nodes {
		b := c.backend.user("reader0")
		b.url = "http://" + node.addr
		for method, params := range map[string]object{"room.list": {}, "event.list": {"room": c.rooms[0], "after": 0}} {
			if _, err := b.try(method, params); err != nil {
				t.Errorf("node %d does not answer %s while nothing can be written: %v", i, method, err)
			}
		}
		for method, params := range map[string]object{"user.update": {"name": "Rea"}, "room.create": {"kind": "group", "name": "new"}} {
			if _, err := b.try(method, params); err != nil && (asWireError(err) == nil || asWireError(err).Code != "unavailable") {
				t.Errorf("node %d answers %s with %v", i, method, err)
			}
		}
	}
}

// outage waits while nothing can be written until so many appends and moves have been refused, and checks that the nodes do not spin meanwhile: a transaction
// that failed is not begun again at once.
func outage(t *testing.T, nodes []*server, refusals float64, meanwhile func()) {
	t.Helper()
	sum := func(name string) (v float64) {
		for _, n := range nodes {
			v += n.metrics()[name]
		}
		return v
	}
	const failures, refused = "parley_log_failures_total", "parley_log_refused_total"
	began, busy, failedBefore, refusedBefore := time.Now(), cpu(t, nodes), sum(failures), sum(refused)
	if err := soon("nothing is refused", func() bool { return sum(refused) >= refusedBefore+refusals }); err != nil {
		t.Error(err)
	}
	meanwhile()
	time.Sleep(time.Until(began.Add(2 * time.Second))) // long enough to tell one that spins
	took, attempts := time.Since(began), sum(failures)-failedBefore
	// Each lane makes at most eight in a second, and a slow machine fewer.
	if limit := float64(len(nodes)) * (20 + 20*took.Seconds()); attempts > limit {
		t.Errorf("%v transactions were tried in vain in %v: at most %v are looked for", attempts, took, limit)
	}
	t.Logf("%v transactions were tried in vain, and %v appends and moves refused, in %v; %v of CPU for each node", attempts, sum(refused)-refusedBefore,
		took.Round(time.Millisecond), (cpu(t, nodes)-busy)/time.Duration(len(nodes)))
}

// cpu is what the processes have used so far.
func cpu(t *testing.T, nodes []*server) (used time.Duration) {
	t.Helper()
	for _, n := range nodes {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", n.pid()))
		if err != nil {
			t.Fatal(err)
		}
		fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')'):])) // what stands before may hold spaces
		for _, ticks := range fields[12:14] {
			n, err := strconv.Atoi(ticks)
			if err != nil {
				t.Fatal(err)
			}
			used += time.Duration(n) * 10 * time.Millisecond // Linux tells in hundredths
		}
	}
	return used
}

// The server takes no writes for a while, by its settings, and a node is led to a standby by mistake: it says so in its log, answers `unavailable`, reads go on
// where they may, and all is well when it is over.
func TestPostgresTakesNoWrites(t *testing.T) {
	t.Parallel()
	said := func(t *testing.T, n *server, words string) {
		t.Helper()
		if err := soon("the log does not say: "+words, func() bool { return strings.Contains(n.log.String(), words) }); err != nil {
			t.Error(err)
		}
	}
	t.Run("by its settings", func(t *testing.T) {
		pg := testkit.StartPostgres(t)
		nodes := twoNodes(t, pg.Database(t))
		talk := converse(t, nodes, 40)
		set := func(value string) {
			pg.Do("ALTER SYSTEM SET default_transaction_read_only = " + value)
			pg.Do("SELECT pg_reload_conf()")
		}
		for range cycles(1, 30) {
			talkUntil(t, talk, talk.count()+100)
			set("on")
			outage(t, nodes, 12, func() {
				reads(t, talk)
				said(t, nodes[0], "the PostgreSQL server takes no writes: default_transaction_read_only is on, or it is a standby")
			})
			set("off")
		}
		talkUntil(t, talk, talk.count()+200)
		end(t, talk, nodes)
	})
	t.Run("a standby", func(t *testing.T) {
		pg := testkit.StartPostgres(t)
		way := newSwitch(t, pg, pg.Database(t))
		replica := pg.Replica()
		nodes := twoNodes(t, way.url)
		talk := converse(t, nodes, 40)
		for range cycles(1, 30) {
			talkUntil(t, talk, talk.count()+100)
			way.lead(replica)
			outage(t, nodes, 8, func() {
				said(t, nodes[0], "the connection leads to a server that takes no writes: a standby, or one that is read only")
			})
			way.lead(pg)
		}
		talkUntil(t, talk, talk.count()+200)
		end(t, talk, nodes)
	})
	t.Run("from the beginning", func(t *testing.T) {
		pg := testkit.StartPostgres(t, "default_transaction_read_only=on")
		s := &server{t: t, binary: "parley", dir: t.TempDir(), flags: []string{"--store", pg.URL}, addr: "127.0.0.1:0", log: &tail{}}
		if err := s.run(); err == nil {
			s.kill()
			t.Error("a node begins with a server that takes no writes")
		} else if !strings.Contains(err.Error(), "the PostgreSQL server takes no writes") {
			t.Error(err)
		}
	})
}
