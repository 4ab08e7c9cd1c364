package shards_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/parley-im/parley/internal/feed"
	"github.com/parley-im/parley/internal/shards"
	"github.com/parley-im/parley/internal/store/slots"
	"github.com/parley-im/parley/internal/testkit"
)

// jobs are the seqs of the jobs that the feeders of a shard find for a room, in their order.
func (n *node) jobs(t *testing.T, shard, room string) (jobs []feed.Job, seqs []uint64) {
	t.Helper()
	found, err := n.store.Stores()[shard].Feed().Take(t.Context(), strings.Split("0123456789abcdefghjkmnpqrstvwxyz", ""), feed.Line{}, feed.Limit{Lines: 100, Each: 100, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range found {
		if j.Room == room {
			jobs, seqs = append(jobs, j), append(seqs, j.Seq)
		}
	}
	return jobs, seqs
}

// TestWhatMovesAlong: a slot brings its search index, the jobs and dead letters of the feed and how far the relay has got, and neither the relay nor the feed
// touches it while it is copied.
func TestWhatMovesAlong(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	for _, s := range n.store.Stores() {
		if err := s.Feed().Begin(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	room, stays := n.inBoth(t, "ann")
	said := func(id string) { n.say(t, "ann", room, id, "word "+id) }
	n.say(t, "ann", stays, "0", "word that stays")
	said("before") // 2
	n.relays(t)
	said("unapplied") // 3
	jobs, _ := n.jobs(t, "home", room)
	if err := n.store.Stores()["home"].Feed().Bury(t.Context(), jobs[:1], "by the test"); err != nil {
		t.Fatal(err)
	}
	dbs := d.connect(t)
	applied := func(shard int) []string {
		return rows(t, dbs[shard], `SELECT seq || ', of them applied ' || applied FROM room_heads WHERE room = $1`, room)
	}

	var late sync.WaitGroup
	at := func(_ int, point string) error {
		switch point {
		case "copied messages":
			said("while copied") // 4
			n.relays(t)
			if _, found := n.jobs(t, "home", room); len(found) > 0 {
				t.Errorf("the feed has jobs of a slot that is being copied: %v", found)
			}
		case "fenced":
			late.Go(func() { said("while fenced") }) // 5
		case "given":
			if got := applied(1); got[0] != "4, of them applied 2" && got[0] != "5, of them applied 2" { // what waited may be there
				t.Errorf("the relay's mark as it came: %v", got)
			}
		}
		return nil
	}
	if err := d.mover(t, at, func(m *shards.Mover) error { return m.Move(t.Context(), []int{slots.Room(room)}, "shard1") }); err != nil {
		t.Fatal(err)
	}
	late.Wait()
	said("after") // 6
	if got := n.finds(t, "ann", "word"); !slices.Equal(got, []string{"word before", "word that stays"}) {
		t.Errorf("found before the relay has come: %q", got)
	}
	if _, seqs := n.jobs(t, "shard1", room); !slices.Equal(seqs, []uint64{2}) {
		t.Errorf("jobs that came along: %v", seqs)
	}
	n.relays(t)
	if got, want := n.finds(t, "ann", "word"), []string{"word after", "word before", "word that stays", "word unapplied", "word while copied", "word while fenced"}; !slices.Equal(got, want) {
		t.Errorf("found %q", got)
	}
	if got := fmt.Sprint(applied(1), applied(0)); got != "[6, of them applied 6] []" {
		t.Error(got)
	}
	if _, seqs := n.jobs(t, "home", room); len(seqs) > 0 {
		t.Errorf("jobs where it was: %v", seqs)
	}
	jobs, seqs := n.jobs(t, "shard1", room)
	if !slices.Equal(seqs, []uint64{2, 3, 4, 5, 6}) {
		t.Errorf("jobs: %v", seqs)
	}
	for _, j := range jobs {
		if j.Gone() {
			t.Errorf("the event of the job %d is not there", j.Seq)
		}
	}
	if dead := rows(t, dbs[1], `SELECT room || ' ' || seq || ' ' || reason FROM dead_letters`); !slices.Equal(dead, []string{room + " 1 by the test"}) {
		t.Errorf("dead letters: %v", dead)
	}
}
