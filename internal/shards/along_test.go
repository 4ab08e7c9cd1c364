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

// jobs are the jobs, and their seqs, that the feeders of a shard find for a room, or with "" for all, in their order.
func (n *node) jobs(t *testing.T, shard, room string) (jobs []feed.Job, seqs []uint64) {
	t.Helper()
	found, err := n.store.Stores()[shard].Feed().Take(t.Context(), strings.Split("0123456789abcdefghjkmnpqrstvwxyz", ""), feed.Line{}, feed.Limit{Lines: 100, Each: 100, Bytes: 1 << 20})
	if err != nil {
		t.Fatal(err)
	}
	for _, j := range found {
		if j.Room == room || room == "" {
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
	n.beginFeeds(t)
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

// TestReplayWhileMoved: what is put again while a slot is copied, held up or handed over is put again wherever the slot comes to be, and what it has is counted once.
func TestReplayWhileMoved(t *testing.T) {
	d := deploy(t, testkit.StartPostgres(t, "fsync=off", "autovacuum=off"), 2)
	n := d.node(t)
	n.beginFeeds(t)
	all := n.store.Feed()
	replay := func(room, queue string, want int) {
		t.Helper()
		if events, err := feed.Replay(t.Context(), all, room, 0, queue); events != want || err != nil {
			t.Errorf("%d events of %q are to be put again into %q, want %d; %v", events, room, queue, want, err)
		}
	}
	room, stays := n.inBoth(t, "ann")
	for i := range 3 {
		n.say(t, "ann", room, fmt.Sprint(i), "word")
	}
	n.relays(t)
	bad, _ := n.jobs(t, "home", room)
	if err := n.store.Stores()["home"].Feed().Bury(t.Context(), bad[2:3], "by the test"); err != nil {
		t.Fatal(err)
	}
	others := n.feedAll(t) - 3 // of stays, and of the rooms that inBoth has made on its way
	counted := func(want feed.Backlog) {
		t.Helper()
		got, err := all.Backlog(t.Context())
		if got.Oldest = 0; got != want || err != nil {
			t.Errorf("counted are %+v, want %+v; %v", got, want, err)
		}
		dead, err := all.Dead(t.Context(), 10)
		if len(dead) != want.Dead || err != nil {
			t.Errorf("dead letters: %v, %v", dead, err)
		}
	}
	var late sync.WaitGroup
	var once sync.Once // it catches up several times
	at := func(_ int, point string) error {
		switch point {
		case "caught up":
			once.Do(func() {
				counted(feed.Backlog{Dead: 1})
				replay("", "", 4+others)
				replay(room, "one", 4)
				if letters, err := all.Settle(t.Context(), true); letters != 1 || err != nil {
					t.Errorf("%d dead letters, %v", letters, err)
				}
			})
		case "fenced":
			if letters, err := all.Settle(t.Context(), false); letters != 0 || err != nil {
				t.Errorf("%d dead letters, %v", letters, err)
			}
			late.Go(func() { replay(room, "late", 4) })
		case "left":
			counted(feed.Backlog{Jobs: 8 + others})
		}
		return nil
	}
	if err := d.mover(t, at, func(m *shards.Mover) error { return m.Move(t.Context(), []int{slots.Room(room)}, "shard1") }); err != nil {
		t.Fatal(err)
	}
	late.Wait()
	counted(feed.Backlog{Jobs: 12 + others})
	if _, seqs := n.jobs(t, "home", room); len(seqs) > 0 {
		t.Errorf("jobs where it was: %v", seqs)
	}
	if _, seqs := n.jobs(t, "shard1", room); !slices.Equal(seqs, []uint64{1, 2, 3, 4, 1, 2, 3, 4, 1, 2, 3, 4}) {
		t.Errorf("jobs that came along, into all queues, late and one: %v", seqs)
	}
	if _, seqs := n.jobs(t, "shard1", stays); !slices.Equal(seqs, []uint64{1}) {
		t.Errorf("jobs of the room that stayed: %v", seqs)
	}
}

// feedAll does away with the jobs that there are, and says how many there were.
func (n *node) feedAll(t *testing.T) (count int) {
	t.Helper()
	for shard, s := range n.store.Stores() {
		jobs, _ := n.jobs(t, shard, "")
		if err := s.Feed().Done(t.Context(), jobs); err != nil {
			t.Fatal(err)
		}
		count += len(jobs)
	}
	return count
}
