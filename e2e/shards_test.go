package e2e

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
)

// sharded is two nodes over two PostgreSQL servers. Each has half of the slots; what is below the middle is the home's.
type sharded struct {
	t     *testing.T
	nodes []*server
	other *testkit.Postgres
	one   string   // the URL of what is there
	where []string // the flags that say where the stores are
}

func startSharded(t *testing.T, more ...string) *sharded {
	t.Helper()
	s := &sharded{t: t, other: testkit.StartPostgres(t)}
	home, one := testkit.StartPostgres(t).Database(t), s.other.Database(t)
	dir := t.TempDir()
	first := startIn(t, "parley", dir, "--store", home) // makes the deployment's secret
	first.stop()
	command(t, "migrate", "--store", home)
	makeShard(t, home, one)
	s.one, s.where = one, []string{"--store", home, "--shards", "one=" + one}
	flags := slices.Concat(s.where, []string{"--broker", testkit.StartNATS(t).URL}, unlimited, more)
	s.nodes = []*server{startIn(t, "parley", dir, flags...), startIn(t, "parley", dir, flags...)}
	return s
}

// makeShard adds a shard to a deployment that is new. A node that has just ended counts as one that lives for a while: the part of the shard is then moved.
func makeShard(t *testing.T, home, one string) {
	t.Helper()
	command(t, "shards", "add", "--store", home, "one", one)
	if out := command(t, "shards", "status", "--store", home, "--shards", "one="+one); strings.Contains(out, "1024") {
		command(t, "shards", "move", "--store", home, "--shards", "one="+one, "--slots", "512-1023", "--to", "one")
	}
}

// backend is a back end at the first node.
func (s *sharded) backend() *backend {
	return &backend{s.t, "http://" + s.nodes[0].addr, command(s.t, slices.Concat([]string{"key", "create", "--data", s.nodes[0].dir, "--name", "test"}, s.where)...), ""}
}

// named is a name whose user has a slot of the home, or of the other shard.
func named(prefix string, home bool) string {
	for i := 0; ; i++ {
		if name := fmt.Sprint(prefix, i); (slots.User(name) < slots.Count/2) == home {
			return name
		}
	}
}

// roomsOf makes rooms until there are so many on each side.
func (b *backend) roomsOf(each int, users ...string) (home, other []string) {
	b.t.Helper()
	for len(home) < each || len(other) < each {
		room := b.newRoom("group", users...)
		if slots.Room(room) < slots.Count/2 {
			home = append(home, room)
		} else {
			other = append(other, room)
		}
	}
	return home, other
}

// TestShardsMoveUnderLoad moves slots there and back while back ends write over both nodes and a session on each follows: every acknowledged message is seen
// once, in its place.
func TestShardsMoveUnderLoad(t *testing.T) {
	s := startSharded(t)
	b := s.backend()
	ann := named("ann", true)
	home, other := b.roomsOf(3, ann)
	rooms := slices.Concat(home, other)
	var list []string
	for _, room := range rooms {
		list = append(list, fmt.Sprint(slots.Room(room)))
	}
	list = append(list, fmt.Sprint(slots.User(ann)))
	readers := []*client{s.nodes[0].connect(ann, nil), s.nodes[1].connect(ann, object{"device": "another"})}
	stop := make(chan struct{})
	var writing sync.WaitGroup
	var mu sync.Mutex
	acked := map[string]map[uint64]string{}
	for i, room := range rooms {
		acked[room] = map[uint64]string{}
		writing.Go(func() {
			at := &backend{t, "http://" + s.nodes[i%2].addr, b.key, ann}
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
				}
				id := fmt.Sprint("m", n)
				sent, err := at.until("message.send", object{"room": room, "client_id": id, "text": id})
				if err != nil {
					t.Errorf("message.send: %v", err)
					return
				}
				mu.Lock()
				acked[room][uint64(sent["seq"].(float64))] = id
				mu.Unlock()
			}
		})
	}
	for _, to := range []string{"one", "home"} {
		command(t, slices.Concat([]string{"shards", "move", "--slots", strings.Join(list, ","), "--to", to}, s.where)...)
	}
	close(stop)
	writing.Wait()
	for room, seqs := range acked {
		last := slices.Max(slices.Collect(maps.Keys(seqs)))
		for _, c := range readers {
			c.expect(fmt.Sprintf("event %d of %s", last, room), event(room, last))
			var want []uint64
			got := c.events(room)
			for seq := got[0]; seq <= last; seq++ {
				want = append(want, seq)
			}
			if !slices.Equal(got, want) || len(got) < len(seqs) {
				t.Errorf("%s: %d events, up to %d; %d were acknowledged", room, len(got), last, len(seqs))
			}
		}
	}
	total := 0
	for _, seqs := range acked {
		total += len(seqs)
	}
	t.Logf("%d messages acknowledged", total)
}

// until is try, again while the answer is that it is unavailable.
func (b *backend) until(method string, params any) (object, error) {
	for {
		result, err := b.try(method, params)
		if wire, ok := errors.AsType[*wireError](err); !ok || wire.Code != "unavailable" {
			return result, err
		}
	}
}

// TestShardAway stops one of the servers: what is kept there is unavailable and everything else works, for sessions that begin then, too; when it is back they
// are let into the rooms that they missed, each with a reset.
func TestShardAway(t *testing.T) {
	s := startSharded(t)
	b := s.backend()
	ann, bob := named("ann", true), named("bob", false)
	home, other := b.roomsOf(2, ann, bob)
	before := s.nodes[0].connect(ann, nil)
	first := b.user(ann).call("room.list", object{})
	if got := len(first["rooms"].([]any)); got != len(home)+len(other) {
		t.Fatalf("%d rooms are listed", got)
	}
	s.other.Stop(testkit.Immediate)

	// The first question finds out; then nobody waits for it.
	for _, room := range other {
		_, err := b.user(ann).try("message.send", object{"room": room, "client_id": "away", "text": "x"})
		if wire, ok := errors.AsType[*wireError](err); !ok || wire.Code != "unavailable" {
			t.Fatalf("a message to a room that is away: %v", err)
		}
	}
	for _, room := range home {
		b.user(ann).call("message.send", object{"room": room, "client_id": "away", "text": "x"})
		before.expect("an event of "+room, func(f frame) bool { return f.Room == room && f.Event == "message.created" })
	}
	listed := b.user(ann).call("room.list", object{})
	if got := roomIDs(listed); !slices.Equal(got, sortedCopy(home)) {
		t.Errorf("listed are %v, want %v", got, home)
	}
	after := s.nodes[1].connect(ann, object{"device": "after"})
	if c, err := s.nodes[1].dial(bob, s.nodes[1].token(bob), nil); err == nil {
		c.cut()
		t.Error("a user whose shard is away has begun a session")
	}

	s.other.Start()
	for _, room := range other {
		after.expect("a reset of "+room, signal("reset", room))
		if _, err := b.user(ann).until("message.send", object{"room": room, "client_id": "back", "text": "y"}); err != nil {
			t.Fatal(err)
		}
		for _, c := range []*client{before, after} {
			c.expect("an event of "+room, func(f frame) bool { return f.Room == room && f.Event == "message.created" })
		}
	}
	since := b.user(ann).call("room.list", object{"since": listed["token"]})
	for _, room := range other {
		if !slices.Contains(roomIDs(since), room) {
			t.Errorf("%s is not told of since it was away", room)
		}
	}
}

// roomIDs are the rooms of an answer to room.list, sorted.
func roomIDs(list object) []string {
	var ids []string
	for _, entry := range list["rooms"].([]any) {
		ids = append(ids, entry.(object)["room"].(object)["id"].(string))
	}
	slices.Sort(ids)
	return ids
}

func sortedCopy(list []string) []string { return slices.Sorted(slices.Values(list)) }
