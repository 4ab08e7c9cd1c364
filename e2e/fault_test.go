package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/parley-im/parley/internal/store"
	"github.com/parley-im/parley/internal/testkit"
)

// faultPoint is a named point of the server (internal/fault), and what may happen there beside an exit.
type faultPoint struct {
	name    string
	actions string
}

// faultPoints are all that there are, in the order in which a message comes to them.
var faultPoints = []faultPoint{
	{"session-open", ""},
	{"session-opened", "300ms"},
	{"append-begin", "error"},
	{"append-locked", "error panic 300ms"},
	{"append-decided", "error"},
	{"append-written", "error panic"},
	{"append-commit", "error 300ms"},
	{"append-committed", "panic 300ms"},
	{"append-publish", "300ms"},
	{"append-answer", "300ms"},
	{"append-answered", ""},
	{"cursor-moved", ""},
	{"cursor-committed", ""},
	{"relay-apply", "error"},
	{"relay-mark", "error panic"},
	{"relay-marked", ""},
	{"prune-commit", ""},
	{"prune-committed", ""},
}

// rounds is how often each point is come to. PARLEY_E2E_ROUNDS says it for the long form.
func rounds(t *testing.T, short int) int {
	if !long() {
		return short
	}
	if v := os.Getenv("PARLEY_E2E_ROUNDS"); v != "" {
		n, err := strconv.Atoi(v)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 20
}

// The server ends at every named point, several times, while people talk: what was acknowledged is in the log and reaches whoever is online soon, also by the
// other node; the logs are dense, nothing is in them twice, and who comes back gets exactly what was missed (promises 1–6).
func TestCrashAtEveryPoint(t *testing.T) {
	if err := build("parley-faults", "faults"); err != nil {
		t.Fatal(err)
	}
	t.Run("one node, SQLite", func(t *testing.T) {
		dir := t.TempDir()
		aged := agedRooms(t, store.Options{Data: dir})
		nodes := []*server{startIn(t, "parley-faults", dir, unlimited...)}
		crashEverywhere(t, nodes, aged, rounds(t, 3))
	})
	t.Run("two nodes, PostgreSQL and NATS", func(t *testing.T) {
		url, dir := testkit.StartPostgres(t).Database(t), t.TempDir()
		aged := agedRooms(t, store.Options{URL: url})
		flags := append([]string{"--store", url, "--broker", testkit.StartNATS(t).URL}, unlimited...)
		nodes := []*server{
			startIn(t, "parley-faults", dir, append(flags, "--node=faulty")...), // by a name: the relay's lease of one that died is its own when it comes back
			startIn(t, "parley", dir, append(flags, "--node=sound")...),
		}
		crashEverywhere(t, nodes, aged, rounds(t, 2))
	})
}

// The negative control: a server that acknowledges before it commits must be found out by the same test.
func TestCrashFindsEarlyAcknowledgement(t *testing.T) {
	if err := build("parley-faults-bugs", "faults", "bugs"); err != nil {
		t.Fatal(err)
	}
	c := converse(t, []*server{startIn(t, "parley-faults-bugs", t.TempDir(), unlimited...)}, 8)
	for range 3 {
		c.crash("append-commit", "exit", 5)
	}
	c.restart()
	err := c.end()
	if err == nil || !strings.Contains(err.Error(), "lost") {
		t.Fatalf("a server that acknowledges before it commits was not found out: %v", err)
	}
	t.Logf("found out: %v", err)
}

func agedRooms(t *testing.T, o store.Options) (rooms []string) {
	for range 4 {
		rooms = append(rooms, agedRoom(t, o))
	}
	return rooms
}

func crashEverywhere(t *testing.T, nodes []*server, aged []string, rounds int) {
	c := converse(t, nodes, 400)
	began, crashes := time.Now(), 0
	for round := range rounds {
		for _, point := range faultPoints {
			if strings.HasPrefix(point.name, "prune-") {
				c.makeDue(aged, crashes)
			}
			action := "exit"
			if actions := strings.Fields(point.actions); round%3 == 1 && len(actions) > 0 {
				action = actions[round/3%len(actions)]
			}
			nth := 1 + rand.IntN(6)
			if strings.HasPrefix(point.name, "prune-") {
				nth = 1 + rand.IntN(len(aged))
			}
			c.crash(point.name, action, nth)
			crashes++
		}
	}
	c.makeDue(aged, crashes)
	c.restart()
	if err := c.end(); err != nil {
		t.Error(err)
	}
	for _, room := range aged {
		if err := soon("a room whose sweep was cut short was not pruned", func() bool {
			return c.backend.user("ann").call("room.get", object{"room": room})["room"].(object)["first"] == 7.0
		}); err != nil {
			t.Error(err)
		}
	}
	t.Logf("%d crashes and faults at %d points in %v: %s", crashes, len(faultPoints), time.Since(began).Round(time.Millisecond), c.summary())
}

// makeDue has the sweep of the next start look at the rooms, whatever the last one left of them.
func (c *conversation) makeDue(rooms []string, crashes int) {
	c.restart()
	// This start's own sweep comes first.
	c.note(soon("the sweep of a start does not end", func() bool { return c.nodes[0].metrics()["parley_retention_swept_timestamp_seconds"] > 0 }))
	b := c.backend.user("ann")
	for _, room := range rooms {
		b.call("room.update", object{"room": room, "settings": object{"retention_days": 1 + (crashes+1)%2}})
	}
}

// restart is a kill and a start without a fault.
func (c *conversation) restart() {
	c.t.Helper()
	n := c.nodes[0]
	n.kill()
	n.env = nil
	n.restart()
}

// crash starts the first node anew with a fault, and returns when that has happened.
func (c *conversation) crash(point, action string, nth int) {
	c.t.Helper()
	n := c.nodes[0]
	n.kill()
	n.env, n.log = []string{fmt.Sprintf("FAULT=%s %s %d", point, action, nth)}, &tail{}
	hit := func() bool { return strings.Contains(n.log.String(), "fault: "+point) }
	if err := n.run(); err != nil && !hit() {
		c.t.Fatal(err)
	}
	if err := soon(fmt.Sprint("nobody came to ", point, " ", nth), hit); err != nil {
		c.t.Fatal(err)
	}
	before := c.count()
	c.note(soon("after "+point+" the server neither ended nor acknowledged anything", func() bool {
		select {
		case <-n.exited:
			return true
		default:
			return action != "exit" && c.count() > before
		}
	}))
}
