package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/doctor"
	"github.com/parley-im/parley/internal/testkit"
)

// TestStartWithoutAShard kills a node while one of two PostgreSQL servers is away, and starts it: what is kept on the other one works, and what is there is
// unavailable. Once the server is back the node opens itself anew, within seconds: a client that comes back with its positions misses nothing and loads nothing
// anew, unless the server is another copy of what it was: then the rooms that are there are reset, and no others.
func TestStartWithoutAShard(t *testing.T) {
	t.Run("the same", func(t *testing.T) { startWithoutAShard(t, false) })
	t.Run("another copy", func(t *testing.T) { startWithoutAShard(t, true) })
}

func startWithoutAShard(t *testing.T, another bool) {
	s := startSharded(t)
	node, runs := s.nodes[0], s.nodes[1]
	b := s.backend()
	ann, bob, dan := named("ann", true), named("bob", false), named("dan", false)
	home, other := b.roomsOf(2, ann, bob, dan)
	rooms := slices.Concat(home, other)
	bobs, dans := node.token(bob), node.token(dan)
	b.call("session.revoke", object{"user": dan, "all": true})
	before, stream := node.connect(ann, nil), node.stream(ann, "", object{"device": "stream"})
	id := stream.lastID()
	stream.cut()
	at := object{} // where she stands: the last message of each room she has not got yet
	for _, room := range rooms {
		at[room] = before.send(room, "missed", "x") - 1
	}
	epoch := before.hello["epoch"]
	before.cut()
	if another {
		node.kill()
		runs.kill()
		loseEpoch(t, s.one)
	}
	s.other.Stop(testkit.Immediate)
	node.kill()
	node.restart()

	c := node.connect(ann, object{"resume": object{"epoch": epoch, "rooms": at}})
	if c.hello["epoch"] != epoch {
		t.Errorf("the epoch is %v, and was %v", c.hello["epoch"], epoch)
	}
	stream = node.stream(ann, id, object{"device": "stream"})
	for _, room := range home {
		at[room] = c.send(room, "meanwhile", "y")
		for _, one := range []*client{c, stream.client} {
			one.expect("a message to a room of the home", event(room, at[room].(uint64)))
		}
	}
	c.missesOnly(home, other)
	id = stream.lastID()
	for _, token := range []string{bobs, dans} { // nobody knows of either whether it was revoked
		wantCode(t, "a token of a user who is away", node.admits(token), "unavailable")
	}
	s.toldOf(node)

	s.other.Start()
	back := time.Now()
	c.wantClosed(1012)
	c.quiet(rooms)
	c = s.again(node, ann, object{"resume": object{"epoch": epoch, "rooms": at}})
	if (c.hello["epoch"] == epoch) == another {
		t.Errorf("the epoch is %v, and was %v", c.hello["epoch"], epoch)
	}
	stream = node.stream(ann, id, object{"device": "stream"})
	for _, room := range other {
		for _, one := range []*client{c, stream.client} {
			if another {
				one.expect("a reset of "+room, signal("reset", room))
			} else {
				one.expect("what she missed in "+room, event(room, at[room].(uint64)+1))
			}
		}
	}
	c.hasAll(home, []string{"x", "y", "z"})
	c.hasAll(other, []string{"x", "z"})
	t.Logf("everything works %v after the server is back", time.Since(back).Round(time.Millisecond))
	for _, one := range []*client{c, stream.client} {
		one.quiet(home)
		if !another {
			one.quiet(other)
		}
	}
	if err := node.admits(bobs); err != nil {
		t.Errorf("a token of a user whose shard is back: %v", err)
	}
	wantCode(t, "a token that was revoked", node.admits(dans), "unauthenticated")
}

// toldOf checks that operators of the node are told what is away, and what needs the home alone works.
func (s *sharded) toldOf(node *server) {
	s.t.Helper()
	if up := node.metrics(); up[`parley_shard_up{shard="one"}`] != 0 || up[`parley_shard_up{shard="home"}`] != 1 {
		s.t.Error("the metrics do not tell which shard is away")
	}
	findings, well := node.examined()
	if has(s.t, findings, "shard one", doctor.Fail, ""); well {
		s.t.Error("the doctor says that all is well")
	}
	command(s.t, slices.Concat([]string{"key", "list", "--data", node.dir}, s.where)...)
}

// TestFailoverWithoutAShard has the home become another copy of what it was while the other shard is away: the nodes open themselves anew without it. What it keeps
// has the same life all along, so that nothing of it is loaded anew.
func TestFailoverWithoutAShard(t *testing.T) {
	s := startSharded(t)
	b := s.backend()
	ann := named("ann", true)
	home, other := b.roomsOf(1, ann)
	sessions := []*client{s.nodes[0].connect(ann, nil), s.nodes[1].connect(ann, object{"device": "another"})}
	seq := sessions[0].send(other[0], "missed", "x")
	at := object{home[0]: 1, other[0]: seq - 1}
	resume := object{"resume": object{"epoch": sessions[0].hello["epoch"], "rooms": at}}
	s.other.Stop(testkit.Immediate)
	loseEpoch(t, s.where[1])
	for i, c := range sessions {
		c.wantClosed(1012)
		c = s.again(s.nodes[i], ann, object{"device": fmt.Sprint("without", i), "resume": resume["resume"]})
		c.expect("a reset", signal("reset", home[0]))
		at[home[0]] = c.send(home[0], fmt.Sprint("without", i), "y")
		_, err := c.try("message.send", object{"room": other[0], "client_id": "without", "text": "y"})
		wantCode(t, "a message to a room that is away", err, "unavailable")
		c.quiet(other)
		sessions[i] = c
	}
	s.other.Start()
	for i, c := range sessions {
		c.wantClosed(1012)
		resume := object{"epoch": c.hello["epoch"], "rooms": at}
		c = s.again(s.nodes[i], ann, object{"device": fmt.Sprint("with", i), "resume": resume})
		c.expect("what she missed", event(other[0], seq))
		at[other[0]] = c.send(other[0], fmt.Sprint("with", i), "z") - 1
		seq++
		c.quiet(append(home, other...))
	}
}

// missesOnly checks that rooms which are away are unavailable, and those of the home are not.
func (c *client) missesOnly(home, away []string) {
	c.t.Helper()
	for _, room := range away {
		_, sent := c.try("message.send", object{"room": room, "client_id": "meanwhile", "text": "y"})
		_, listed := c.try("message.list", object{"room": room})
		wantCode(c.t, "a message to a room that is away", sent, "unavailable")
		wantCode(c.t, "a look at a room that is away", listed, "unavailable")
	}
	if got := roomIDs(c.call("room.list", object{})); !slices.Equal(got, sortedCopy(home)) {
		c.t.Errorf("listed are %v, want %v", got, home)
	}
	c.quiet(away)
}

// hasAll sends a last message to each of the rooms and checks that it comes, and that the room has all that were acknowledged.
func (c *client) hasAll(rooms, want []string) {
	c.t.Helper()
	for _, room := range rooms {
		c.expect("what comes live in "+room, event(room, c.send(room, "after", "z")))
		var texts []string
		for _, m := range c.call("message.list", object{"room": room})["messages"].([]any) {
			texts = append(texts, m.(object)["text"].(string))
		}
		if slices.Sort(texts); !slices.Equal(texts, want) {
			c.t.Errorf("the messages of %s: %v", room, texts)
		}
	}
}

// loseEpoch makes a store another copy of what it was, and has whoever uses it connect anew.
func loseEpoch(t *testing.T, url string) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), url)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	for _, statement := range []string{
		`UPDATE meta SET value = 'another' WHERE name = 'epoch'`,
		`SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()`,
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
}

// again opens a session as soon as the node takes it.
func (s *sharded) again(node *server, user string, more object) (c *client) {
	s.t.Helper()
	token := node.token(user)
	err := soon("the node takes nobody", func() (ok bool) {
		var err error
		c, err = node.dial(user, token, more)
		return err == nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// admits is how a call with the token is answered.
func (s *server) admits(token string) error {
	_, _, err := post("http://"+s.addr, "room.list", map[string]string{"Authorization": "Bearer " + token}, object{})
	return err
}

func wantCode(t testing.TB, what string, err error, code string) {
	t.Helper()
	if wire := asWireError(err); wire == nil || wire.Code != code {
		t.Errorf("%s is answered with %v, want %s", what, err, code)
	}
}

// quiet checks that the session was told neither to load any of the rooms anew nor that it is gone.
func (c *client) quiet(rooms []string) {
	c.t.Helper()
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, f := range c.pushes {
		if (f.Event == "reset" || f.Event == "room.removed") && slices.Contains(rooms, f.Room) {
			c.t.Errorf("%s: %s", f.Room, f.raw)
		}
	}
}
