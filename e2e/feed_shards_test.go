package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
)

// feed runs one of the commands that look after the feed, and says what it prints, what it says beside that, and with which code it ends.
func (s *sharded) feed(what string, args ...string) (out, said string, code int) {
	s.t.Helper()
	var stdout, stderr bytes.Buffer
	cmd := exec.Command(filepath.Join(binaries, "parley"), slices.Concat([]string{"feed", what}, s.where, args)...)
	cmd.Stdout, cmd.Stderr, cmd.Env = &stdout, &stderr, environment()
	err := cmd.Run()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		code = exit.ExitCode()
	} else if err != nil {
		s.t.Fatal(err)
	}
	return stdout.String(), stderr.String(), code
}

// fine is feed for a command that does not fail.
func (s *sharded) fine(what string, args ...string) string {
	s.t.Helper()
	out, said, code := s.feed(what, args...)
	if code != 0 {
		s.t.Fatalf("feed %s %v ends with %d: %s", what, args, code, said)
	}
	return out
}

// idle waits until nothing is left to be put.
func (s *sharded) idle() {
	s.t.Helper()
	waitFor(s.t, "nothing is left to be put", func() bool {
		return strings.Contains(s.fine("status"), "\n0 events are not acknowledged.\n0 dead letters.")
	})
}

// fedShards is two nodes over two shards that feed an engine, with two rooms of each, of which everything was fed.
type fedShards struct {
	*sharded
	b                 *backend
	atHome, elsewhere []string
	all               *fed // a consumer of everything
}

func startFed(t *testing.T, url string) *fedShards {
	t.Helper()
	s := &fedShards{sharded: startSharded(t, "--feed-url", url, "--feed-queues", feedQueues), all: openFed(t, url, "all")}
	s.b = s.backend()
	s.atHome, s.elsewhere = s.b.roomsOf(2, "owner", "bob")
	for _, room := range s.rooms() {
		for i := range 20 {
			s.say(room, fmt.Sprint(i))
		}
	}
	for _, room := range s.rooms() {
		s.all.whole(t, room, s.b.head(room))
	}
	s.idle()
	return s
}

func (s *fedShards) rooms() []string { return slices.Concat(s.atHome, s.elsewhere) }

func (s *fedShards) say(room, id string) {
	s.t.Helper()
	s.b.user("owner").call("message.send", object{"room": room, "client_id": id, "text": "hello"})
}

// TestFeedOfShards: the commands are about all shards as one, and say which is away.
func TestFeedOfShards(t *testing.T) {
	engine := testkit.StartDurableRedis(t)
	s := startFed(t, engine.URL)
	home, other := s.atHome, s.elsewhere
	if got := s.fine("status"); strings.Count(got, "The feed began at") != 1 || strings.Count(got, "\n") != 3 {
		t.Errorf("status: %s", got)
	}

	engine.Kill()
	for _, room := range s.rooms() {
		s.say(room, "away")
	}
	waitFor(t, "the backlog of both", func() bool {
		return strings.Contains(s.fine("status"), fmt.Sprintf("\n%d events are not acknowledged; the oldest has waited for", len(s.rooms())))
	})
	engine.Start()
	s.idle()

	s.fine("replay", "--room", home[0], "--queue", "nobody")
	s.fine("replay", "--room", other[0], "--queue", "nobody")
	waitFor(t, "dead letters of both", func() bool { return strings.Contains(s.fine("status"), "\n44 dead letters.") }) // room.created, 21 messages
	list := s.fine("dead")
	if lines := strings.Split(list, "\n"); len(lines) != 45 || strings.Count(list, home[0]) != 22 || strings.Count(list, other[0]) != 22 || !slices.IsSorted(firstWords(lines[:44])) {
		t.Errorf("dead: %s", list)
	}

	s.other.Stop(testkit.Immediate)
	away := func(what string, args ...string) (out string) {
		t.Helper()
		out, said, code := s.feed(what, args...)
		if code != 1 || !strings.Contains(said, "the shard one is away") {
			t.Errorf("feed %s %v ends with %d: %s", what, args, code, said)
		}
		return out
	}
	if got := away("status"); !strings.Contains(got, "The feed began at") || !strings.Contains(got, "\n22 dead letters.") {
		t.Errorf("status: %s", got)
	}
	if got := away("dead", "--drop"); strings.Count(got, home[0]) != 22 || strings.Contains(got, other[0]) {
		t.Errorf("dead: %s", got)
	}
	away("replay", "--queue", "nobody") // which makes no job
	away("replay", "--room", other[0], "--queue", "nobody")
	s.fine("replay", "--room", home[1], "--queue", "messages")
	waitFor(t, "those of the home are gone, and nothing is put", func() bool {
		out, _, _ := s.feed("status")
		return strings.Contains(out, "\n0 events are not acknowledged.\n0 dead letters.")
	})
	s.other.Start()
	waitFor(t, "the other shard's dead letters, and no others", func() bool {
		out, _, code := s.feed("status")
		return code == 0 && strings.Contains(out, "\n22 dead letters.")
	})
	s.fine("dead", "--drop")
	s.idle()
	s.fine("end")
	if got := s.fine("status"); !strings.Contains(got, "There is no feed") {
		t.Errorf("status: %s", got)
	}
	if _, said, code := s.feed("replay"); code != 1 || !strings.Contains(said, "there is no feed") {
		t.Errorf("replay: %d %s", code, said)
	}
}

func firstWords(lines []string) (words []string) {
	for _, line := range lines {
		word, _, _ := strings.Cut(line, " ")
		words = append(words, word)
	}
	return words
}

// TestFeedReplayWhileMoved: what is put again while a slot is being copied comes, all of it and in the order of each room.
func TestFeedReplayWhileMoved(t *testing.T) {
	engine := testkit.StartDurableRedis(t)
	s := startFed(t, engine.URL)
	before := s.all.count()

	move := exec.Command(filepath.Join(binaries, "parley"), slices.Concat([]string{"shards", "move", "--slots", fmt.Sprint(slots.Room(s.atHome[0])), "--to", "one"}, s.where)...)
	letGo := holdMove(t, s.where[1], move)
	s.fine("replay")
	if out := s.fine("status"); !strings.Contains(out, "events are not acknowledged; the oldest") {
		t.Errorf("the slot that is being moved waits: %s", out)
	}
	letGo()
	s.idle()
	for _, room := range s.rooms() {
		s.all.again(t, room, before, s.b.head(room))
	}
}

// holdMove starts a move and holds it where a slot was copied and is still written; what it returns lets go of it, and waits for its end.
func holdMove(t *testing.T, home string, move *exec.Cmd) (letGo func()) {
	t.Helper()
	db, err := pgx.Connect(t.Context(), home)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close(context.Background()) })
	const held = 4711 // a lock of the test's
	for _, statement := range []string{
		`CREATE FUNCTION held() RETURNS trigger LANGUAGE plpgsql SET lock_timeout = '60s' AS $$ BEGIN PERFORM pg_advisory_xact_lock(` + fmt.Sprint(held) + `); RETURN NEW; END $$`,
		`CREATE TRIGGER held BEFORE UPDATE ON slot_moves FOR EACH ROW WHEN (NEW.step = 'fenced') EXECUTE FUNCTION held()`,
		`SELECT pg_advisory_lock(` + fmt.Sprint(held) + `)`,
	} {
		if _, err := db.Exec(t.Context(), statement); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	move.Stdout, move.Stderr, move.Env = &said, &said, environment()
	if err := move.Start(); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the move is held", func() (so bool) {
		if err := db.QueryRow(t.Context(), `SELECT EXISTS (SELECT 1 FROM pg_locks WHERE locktype = 'advisory' AND objid = $1 AND NOT granted)`, held).Scan(&so); err != nil {
			t.Fatal(err)
		}
		return so
	})
	return func() {
		t.Helper()
		if _, err := db.Exec(t.Context(), `SELECT pg_advisory_unlock($1)`, held); err != nil {
			t.Fatal(err)
		}
		if err := move.Wait(); err != nil {
			t.Fatalf("the move was held for too long, or it fails: %v\n%s", err, &said)
		}
	}
}

// again waits until all events of a room have come once more after so many entries, and checks that none has overtaken another.
func (f *fed) again(t *testing.T, room string, before int, head uint64) {
	t.Helper()
	var seqs []uint64
	waitFor(t, "events of "+room+" again", func() bool {
		f.mu.Lock()
		defer f.mu.Unlock()
		seqs = nil
		for _, e := range f.entries[before:] {
			if e.Room == room {
				seqs = append(seqs, e.Seq)
			}
		}
		return slices.Contains(seqs, head)
	})
	last := uint64(0)
	for _, seq := range seqs {
		if seq > last+1 {
			t.Fatalf("room %s: %d came after %d: %v", room, seq, last, seqs)
		}
		last = max(last, seq)
	}
}
