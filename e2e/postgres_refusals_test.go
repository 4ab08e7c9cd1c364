package e2e

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/e2e/fleet"
	"github.com/parley-im/parley/internal/testkit"
)

// refusals has PostgreSQL refuse what a node writes, with the error of one's choice: at BEGIN in the server's place, at a statement and at COMMIT itself. What
// it counts is not rolled back.
type refusals struct {
	t     *testing.T
	url   string // of the database, for a node
	proxy *fleet.Proxy
	admin *pgx.Conn
}

const makeRefusals = `
CREATE TABLE refusal (place TEXT, code TEXT, times BIGINT, chance DOUBLE PRECISION);
CREATE SEQUENCE refusal_count;
CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE r refusal;
BEGIN
	SELECT * INTO r FROM refusal WHERE place = TG_NAME;
	IF FOUND AND (nextval('refusal_count') <= r.times OR random() < r.chance) THEN
		RAISE EXCEPTION USING ERRCODE = r.code, MESSAGE = 'injected at ' || TG_NAME;
	END IF;
	RETURN NULL;
END $$;
CREATE TRIGGER "a statement" AFTER INSERT ON events FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER "COMMIT" AFTER INSERT ON events DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
CREATE TRIGGER "a statement" AFTER INSERT OR UPDATE ON users FOR EACH STATEMENT EXECUTE FUNCTION refuse();
CREATE CONSTRAINT TRIGGER "COMMIT" AFTER INSERT OR UPDATE ON users DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION refuse();
`

func newRefusals(t *testing.T) *refusals {
	t.Helper()
	r := &refusals{t: t}
	pg := testkit.StartPostgres(t)
	database, err := url.Parse(pg.Database(t))
	if err != nil {
		t.Fatal(err)
	}
	r.proxy = fleet.NewProxy(t, "unix", pg.Socket(), "127.0.0.1")
	r.url = "postgres://postgres@" + r.proxy.Addr() + database.Path + "?sslmode=disable"
	r.admin = connectTo(t, database.String())
	return r
}

// connectTo opens a connection of the test's own, beside those of the nodes.
func connectTo(t *testing.T, url string) *pgx.Conn {
	t.Helper()
	c, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close(context.Background()) }) // its server may be gone
	return c
}

// do carries out statements.
func do(t *testing.T, c *pgx.Conn, statements string) {
	t.Helper()
	if _, err := c.Exec(t.Context(), statements); err != nil {
		t.Fatalf("%s: %v", statements, err)
	}
}

// refuse has so many attempts refused from now on, and others by chance.
func (r *refusals) refuse(place, code string, times int, chance float64) {
	r.t.Helper()
	if place == "BEGIN" {
		r.proxy.RefuseBegins(times, code)
		return
	}
	do(r.t, r.admin, fmt.Sprintf("BEGIN; ALTER SEQUENCE refusal_count RESTART; INSERT INTO refusal VALUES ('%s', '%s', %d, %v); COMMIT", place, code, times, chance))
}

// relent ends that.
func (r *refusals) relent() {
	r.t.Helper()
	r.proxy.RefuseBegins(0, "00000")
	do(r.t, r.admin, "DELETE FROM refusal")
}

var (
	refusalPlaces = []string{"BEGIN", "a statement", "COMMIT"}
	refusalCodes  = []string{"40001", "40P01", "55P03"} // serialization failure, deadlock, lock timeout
)

// always is more often than anybody tries.
const always = 1 << 30

// What PostgreSQL refuses for the moment, the server tries again itself; when that does not help it says `unavailable` and nothing else, nothing was stored
// then, and the same call is taken later.
func TestPostgresRefusesForTheMoment(t *testing.T) {
	t.Parallel()
	r := newRefusals(t)
	s := start(t, append([]string{"--store", r.url}, unlimited...)...)
	do(t, r.admin, makeRefusals)
	backend := s.backend()
	room := backend.newRoom("group", "ann", "bob")
	ann := s.connect("ann", nil)
	calls := []struct {
		method string
		params func(n int) object
	}{
		{"message.send", func(n int) object { return object{"room": room, "client_id": fmt.Sprint("m", n), "text": "hello"} }},
		{"user.update", func(n int) object { return object{"name": fmt.Sprint("Ann ", n)} }},
	}
	sent, rounds := 0, cycles(1, 20)
	for _, place := range refusalPlaces {
		for _, code := range refusalCodes {
			for _, c := range calls {
				name := fmt.Sprintf("%s, %s at %s", c.method, code, place)
				for range rounds {
					sent++
					r.refuse(place, code, 2, 0)
					if result, err := ann.try(c.method, c.params(sent)); err != nil || result["duplicate"] == true {
						t.Errorf("%s, twice: answered with %v, %v", name, result, err)
					}
					r.relent()
				}
			}
		}
		for i, c := range calls {
			name, code := c.method+", refused at "+place, refusalCodes[i]
			sent++
			r.refuse(place, code, always, 0)
			if _, err := ann.try(c.method, c.params(sent)); asWireError(err) == nil || asWireError(err).Code != "unavailable" {
				t.Errorf("%s with %s for good: answered with %v", name, code, err)
			}
			r.relent()
			if result, err := ann.try(c.method, c.params(sent)); err != nil || result["duplicate"] == true {
				t.Errorf("%s no more: answered with %v, %v", name, result, err)
			}
		}
	}
	failures := s.metrics()["parley_log_failures_total"]
	// What is refused at BEGIN may have been somebody else's; of the others it is two attempts in each round, and all five in the end.
	if least := float64(2 * (2*rounds*len(refusalCodes) + 5)); failures < least {
		t.Errorf("%v transactions of the log failed, and %v were made to", failures, least)
	}
	t.Logf("%v transactions of the log were refused", failures)
	dense(t, backend.user("ann"), room, len(refusalPlaces)*(len(refusalCodes)*rounds+1))
}

// dense checks that so many messages are in the log of a room, each once, and that its numbers have no hole.
func dense(t *testing.T, b *backend, room string, messages int) {
	t.Helper()
	page := b.call("event.list", object{"room": room, "after": 0, "limit": 1000})
	stands := map[string]bool{}
	for i, e := range page["events"].([]any) {
		event := e.(object)
		if event["seq"] != float64(i+1) {
			t.Errorf("seq %v stands at place %d of the log", event["seq"], i+1)
		}
		if id, _ := event["data"].(object)["client_id"].(string); id != "" {
			if stands[id] {
				t.Errorf("%s is in the log twice", id)
			}
			stands[id] = true
		}
	}
	if len(stands) != messages {
		t.Errorf("%d messages are in the log, and %d were acknowledged", len(stands), messages)
	}
}

// The same at random, of everything that two nodes write while people talk.
func TestPostgresRefusesAtRandom(t *testing.T) {
	t.Parallel()
	r := newRefusals(t)
	flags := append([]string{"--store", r.url, "--broker", testkit.StartNATS(t).URL}, unlimited...)
	one := start(t, flags...)
	nodes := []*server{one, startIn(t, "parley", one.dir, flags...)}
	do(t, r.admin, makeRefusals)
	talk := converse(t, nodes, 40)
	for range cycles(1, 20) {
		for _, place := range refusalPlaces {
			for _, code := range refusalCodes {
				r.refuse(place, code, 4, 0.1)
				acked := talk.count()
				if err := soon("nothing is acknowledged while some is refused", func() bool { return talk.count() >= acked+30 }); err != nil {
					t.Error(err)
				}
				r.relent()
			}
		}
	}
	if err := talk.end(); err != nil {
		t.Error(err)
	}
	failures := nodes[0].metrics()["parley_log_failures_total"] + nodes[1].metrics()["parley_log_failures_total"]
	refused := nodes[0].metrics()["parley_log_refused_total"] + nodes[1].metrics()["parley_log_refused_total"]
	if failures == 0 {
		t.Error("no transaction of the log was refused: this tested nothing")
	}
	t.Logf("%v transactions of the log were refused, %v appends and moves answered unavailable: %s", failures, refused, talk.summary())
}

// lockers are a node and transactions of somebody else, who hold the rooms that it writes to.
type lockers struct {
	t        *testing.T
	database string
	node     *server
	backend  *backend
	ann      *client
	watch    *pgx.Conn
}

const lockHead = `SELECT 1 FROM room_heads WHERE room = $1 FOR UPDATE`

// hold begins a transaction that holds what a statement locks of a room.
func (l *lockers) hold(lock, room string) *pgx.Conn {
	l.t.Helper()
	c := connectTo(l.t, l.database)
	do(l.t, c, "SET application_name = 'other'; SET deadlock_timeout = '1min'; BEGIN") // the node finds a deadlock first, and is given up
	if _, err := c.Exec(l.t.Context(), lock, room); err != nil {
		l.t.Fatal(err)
	}
	return c
}

// waits returns when the node, or the other, waits for what a transaction holds, or behind one who does.
func (l *lockers) waits(who string, c *pgx.Conn) {
	l.t.Helper()
	if err := soon(who+" does not wait for the lock", func() bool {
		var blocked bool
		err := l.watch.QueryRow(l.t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_stat_activity a WHERE application_name = $1 AND EXISTS (
			SELECT 1 FROM unnest(pg_blocking_pids(a.pid)) b WHERE b = $2 OR $2 = ANY (pg_blocking_pids(b))))`, who, int32(c.PgConn().PID())).Scan(&blocked)
		return err == nil && blocked
	}); err != nil {
		l.t.Fatal(err)
	}
}

// begin sends a message.
func (l *lockers) begin(room, clientID string) <-chan frame {
	l.t.Helper()
	reply, err := l.ann.begin("message.send", object{"room": room, "client_id": clientID, "text": "hello"})
	if err != nil {
		l.t.Fatal(err)
	}
	return reply
}

// taken checks that a message is acknowledged, and was not stored before.
func (l *lockers) taken(what string, reply <-chan frame) {
	l.t.Helper()
	if result, err := await(reply); err != nil || result["duplicate"] == true {
		l.t.Errorf("%s: answered with %v, %v", what, result, err)
	}
}

// Somebody else's transactions hold the rooms that a node writes to, in an order that makes a deadlock, and for longer than it waits for a lock.
func TestPostgresLocksOfOthers(t *testing.T) {
	t.Parallel()
	database := testkit.StartPostgres(t, "deadlock_timeout=200ms").Database(t)
	node := start(t, append([]string{"--store", database + "&lock_timeout=500ms"}, unlimited...)...)
	l := &lockers{t: t, database: database, node: node, backend: node.backend(), watch: connectTo(t, database)}
	rooms := []string{l.backend.newRoom("group", "ann", "bob"), l.backend.newRoom("group", "ann", "bob")}
	slices.Sort(rooms)
	l.ann = node.connect("ann", nil)
	l.deadlock(rooms[0], rooms[1])
	l.timeouts(rooms[0])
	dense(t, l.backend.user("ann"), rooms[0], 3)
	dense(t, l.backend.user("ann"), rooms[1], 1)
}

// deadlock has one transaction of the node write to two rooms, in their order, and another one in the opposite order.
func (l *lockers) deadlock(first, second string) {
	l.t.Helper()
	third := l.backend.newRoom("group", "ann", "bob")
	// The messages wait together behind one that is held up, and then for a room that is held.
	members := l.hold(`SELECT 1 FROM members WHERE room = $1 FOR UPDATE`, third)
	one, two := l.hold(lockHead, first), l.hold(lockHead, second)
	before := l.begin(third, "before")
	l.waits("parley", members)
	sent := []<-chan frame{l.begin(first, "first"), l.begin(second, "second")}
	if err := soon("the messages do not wait", func() bool { return l.node.metrics()[`parley_log_waiting{lane="fast"}`] == 2 }); err != nil {
		l.t.Fatal(err)
	}
	do(l.t, members, "ROLLBACK")
	l.taken("a message whose room was held up", before)
	l.waits("parley", one)
	locked := make(chan error, 1)
	go func() {
		_, err := two.Exec(context.Background(), lockHead, first)
		locked <- err
	}()
	l.waits("other", one)    // behind the node
	do(l.t, one, "ROLLBACK") // the node has the first room, waits for the second, and is waited for
	if err := <-locked; err != nil {
		l.t.Fatal(err)
	}
	do(l.t, two, "ROLLBACK")
	for _, reply := range sent {
		l.taken("a message whose transaction was in a deadlock", reply)
	}
	if !strings.Contains(l.node.log.String(), "40P01") {
		l.t.Error("there was no deadlock: this tested nothing")
	}
}

// timeouts has a room held for a while, and for good.
func (l *lockers) timeouts(room string) {
	l.t.Helper()
	failures := func() float64 { return l.node.metrics()["parley_log_failures_total"] }
	held, failed := l.hold(lockHead, room), failures()
	reply := l.begin(room, "late")
	if err := soon("the node does not give the lock up", func() bool { return failures() > failed }); err != nil || !strings.Contains(l.node.log.String(), "55P03") {
		l.t.Error("there was no lock timeout: this tested nothing: ", err)
	}
	do(l.t, held, "ROLLBACK")
	l.taken("a message whose room was held for a while", reply)

	held = l.hold(lockHead, room)
	if _, err := await(l.begin(room, "never")); asWireError(err) == nil || asWireError(err).Code != "unavailable" {
		l.t.Errorf("a message whose room is held for good is answered with %v", err)
	}
	do(l.t, held, "ROLLBACK")
	l.taken("the same message when the room is free", l.begin(room, "never"))
}
